/* Certification requests made by OpenSSL, and such as no honest client makes. */
#include "unit/kit.h"

#include <string.h>

#include "kit/pki_kit.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "pki/name.h"
#include "pki/oid.h"

static EVP_PKEY *p256;

static int
make_key(void **state)
{
    p256 = kit_key("p256");
    return 0;
}

static int
drop_key(void **state)
{
    EVP_PKEY_free(p256);
    return 0;
}

static void
reads_and_verifies_every_kind_of_key(void **state)
{
    static const struct {
        const char *kind;
        enum key_type type;
        int bits;
        const char *name;
    } cases[] = {{"rsa-2048", KEY_RSA, 2048, "rsa-2048"},
                 {"p256", KEY_P256, 256, "p256"},
                 {"p384", KEY_P384, 384, "p384"},
                 {"p521", KEY_P521, 521, "p521"},
                 {"ed25519", KEY_ED25519, 256, "ed25519"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, key) = kit_key(cases[i].kind);
        struct csr csr;
        struct bytes der = kit_csr(rq->arena, &(struct kit_csr){.key = key, .subject = "/O=Example/CN=a.example", .names = "DNS:a.example"});
        assert_int_equal(csr_parse(rq, der, &csr), OK);
        assert_int_equal(csr_verify(rq, &csr), OK);
        assert_true(csr_is_proven(der));
        assert_int_equal(csr.key.type, cases[i].type);
        assert_int_equal(csr.key.bits, cases[i].bits);
        assert_string_equal(public_key_name(rq->arena, &csr.key), cases[i].name);
        assert_true(bytes_equal(csr.key.spki, kit_spki(rq->arena, key)));
        assert_string_equal(name_format(rq->arena, csr.subject), "CN=a.example,O=Example");
        assert_int_equal(csr.name_count, 1);
        assert_false(csr.asks_ca || csr.must_staple || csr.key_usage || csr.challenge_password.len || csr.extended_key_usage.len);
    }
}

static struct bytes
wish(struct arena *arena, struct kit_csr csr)
{
    csr.key = p256;
    return kit_csr(arena, &csr);
}

static void
reads_every_wish(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct csr csr;
    struct bytes der = wish(
        rq->arena,
        (struct kit_csr){.subject = "/CN=A.example",
                         .names = "DNS:B.example,DNS:*.c.example,IP:192.0.2.1,IP:2001:db8:0:0:0:0:0:1,email:me@Example.org,URI:https://x.example/y",
                         .key_usage = "critical,digitalSignature,keyEncipherment",
                         .extended_key_usage = "serverAuth,clientAuth",
                         .challenge_password = "geheim",
                         .asks_ca = true,
                         .must_staple = true});

    assert_int_equal(csr_parse(rq, der, &csr), OK);
    assert_int_equal(csr_verify(rq, &csr), OK);
    assert_true(bytes_equal(csr.der, der));
    static const struct identifier expected[] = {{IDENTIFIER_DNS, "b.example"},        {IDENTIFIER_DNS, "*.c.example"},
                                                 {IDENTIFIER_IP, "192.0.2.1"},         {IDENTIFIER_IP, "2001:db8::1"},
                                                 {IDENTIFIER_EMAIL, "me@example.org"}, {IDENTIFIER_URI, "https://x.example/y"}};
    assert_int_equal(csr.name_count, COUNT_OF(expected));
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        assert_true(identifier_equal(&csr.names[i], &expected[i]));
    assert_true(csr.asks_ca && csr.must_staple);
    assert_int_equal(csr.key_usage, 1u << key_usage_bit("digitalSignature") | 1u << key_usage_bit("keyEncipherment"));
    assert_true(bytes_equal(csr.challenge_password, bytes_of_text("geheim")));
    assert_true(bytes_equal(csr.extended_key_usage, BYTES("\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02", 20)));
}

static void
sha1_proves_possession_to_who_asks_for_it(void **state)
{
    static const struct {
        const char *key, *digest;
        bool accepted, is_sha1;
    } cases[] = {
        {"rsa-2048", "SHA1", true, true}, {"rsa-2048", "SHA256", true, false}, {"rsa-2048", "MD5", false, false}, {"p256", "SHA1", false, false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, other) = kit_key(cases[i].key);
        struct csr csr;
        struct bytes der = kit_csr(rq->arena, &(struct kit_csr){.key = other, .subject = "/CN=a", .digest = EVP_get_digestbyname(cases[i].digest)});
        assert_int_equal(csr_parse_legacy(rq, der, &csr), cases[i].accepted ? OK : ERR_BAD_CSR);
        assert_int_equal(csr_is_sha1_signed(der), cases[i].is_sha1);
        assert_int_equal(csr_is_proven(der), cases[i].accepted);
        if (!cases[i].accepted)
            continue;
        assert_int_equal(csr.is_sha1_signed, cases[i].is_sha1);
        assert_int_equal(csr_verify(rq, &csr), OK);
        ((uint8_t *)csr.signature.at)[csr.signature.len - 1] ^= 1;
        assert_int_equal(csr_verify(rq, &csr), ERR_BAD_CSR);
    }
}

static void
verifies_every_digest_that_is_accepted(void **state)
{
    static const struct {
        const char *digest;
        bool accepted;
    } cases[] = {{"SHA256", true}, {"SHA384", true}, {"SHA512", true}, {"SHA1", false}, {"SHA224", false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct csr csr;
        struct bytes der = wish(rq->arena, (struct kit_csr){.subject = "/CN=a", .digest = EVP_get_digestbyname(cases[i].digest)});
        assert_int_equal(csr_parse(rq, der, &csr), cases[i].accepted ? OK : ERR_BAD_CSR);
        if (cases[i].accepted)
            assert_int_equal(csr_verify(rq, &csr), OK);
        else
            assert_non_null(strstr(rq->failure.message, "signature algorithm"));
    }
}

/* Its signature is good, and yet. */
static void
is_refused_at_verifying(const char *kind, const char *why)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key(kind);
    struct csr csr;

    assert_int_equal(csr_parse(rq, kit_csr(rq->arena, &(struct kit_csr){.key = key, .subject = "/CN=a"}), &csr), OK);
    assert_int_equal(csr_verify(rq, &csr), ERR_BAD_CSR);
    assert_non_null(strstr(rq->failure.message, why));
}

static void
refuses_weak_keys(void **state)
{
    is_refused_at_verifying("rsa-1024", "has 1024 bits, at least 2048");
    is_refused_at_verifying("rsa-2048-e3", "smaller than 65537");
}

static void
refuses_keys_of_other_curves(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("secp256k1");
    struct csr csr;

    assert_int_equal(csr_parse(rq, kit_csr(rq->arena, &(struct kit_csr){.key = key, .subject = "/CN=a"}), &csr), ERR_BAD_CSR);
    assert_non_null(strstr(rq->failure.message, "none of P-256"));
}

static void
refuses_a_signature_that_is_not_of_this_request(void **state)
{
    static const char *const kinds[] = {"p256", "rsa-2048", "ed25519"};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, key) = kit_key(kinds[i]);
        struct bytes der = kit_csr(rq->arena, &(struct kit_csr){.key = key, .subject = "/CN=good.example"});
        uint8_t *name = memmem((uint8_t *)der.at, der.len, "good", 4);
        struct csr csr;
        name[0] = 'f';
        assert_int_equal(csr_parse(rq, der, &csr), OK);
        assert_int_equal(csr_verify(rq, &csr), ERR_BAD_CSR);
        assert_string_equal(rq->failure.message, "the signature of the certification request does not verify");
        assert_false(csr_is_proven(der));
    }
}

/* From here on: requests put together by hand, with a good signature where nothing else is said. */

static void
put_extension(struct buffer *out, struct bytes oid, struct bytes value)
{
    size_t extension = der_open(out, DER_SEQUENCE);

    der_put_oid(out, oid);
    der_put(out, DER_OCTET_STRING, value);
    der_close(out, extension);
}

static void
put_attribute(struct buffer *out, struct bytes oid, struct bytes values)
{
    size_t attribute = der_open(out, DER_SEQUENCE);

    der_put_oid(out, oid);
    der_put(out, DER_SET, values);
    der_close(out, attribute);
}

/* One extensionRequest with one extension. */
static struct bytes
request_for(struct arena *arena, struct bytes oid, struct bytes value)
{
    struct buffer list = buffer_in(arena), out = buffer_in(arena);
    size_t mark = der_open(&list, DER_SEQUENCE);

    put_extension(&list, oid, value);
    der_close(&list, mark);
    put_attribute(&out, OID_EXTENSION_REQUEST, buffer_bytes(&list));
    return buffer_bytes(&out);
}

struct raw {
    int64_t version;
    struct bytes subject, spki;
    struct bytes attributes; /* content of [0] */
    bool without_attributes;
    struct bytes behind; /* after the attributes */
};

static struct bytes
assemble(struct arena *arena, const struct raw *raw)
{
    struct buffer out = buffer_in(arena);
    size_t info = der_open(&out, DER_SEQUENCE);

    der_put_int(&out, raw->version);
    der_put_whole(&out, raw->subject.len > 0 ? raw->subject : kit_name(arena, "/CN=a"));
    der_put_whole(&out, raw->spki.len > 0 ? raw->spki : kit_spki(arena, p256));
    if (!raw->without_attributes)
        der_put(&out, DER_CONTEXT_CONSTRUCTED(0), raw->attributes);
    buffer_append(&out, raw->behind.at, raw->behind.len);
    der_close(&out, info);
    return csr_join(arena, buffer_bytes(&out), SIG_ECDSA_SHA256, kit_sign(arena, p256, NULL, buffer_bytes(&out)));
}

static void
is_refused(const struct raw *raw, enum error kind, const char *why)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct csr csr = {.key_usage = 77};

    assert_int_equal(csr_parse(rq, assemble(rq->arena, raw), &csr), kind);
    if (strstr(rq->failure.message, why) == NULL)
        fail_msg("%s instead of %s", rq->failure.message, why);
    assert_int_equal(csr.key_usage, 77);
}

static void
accepts_what_is_put_together_by_hand_so_that_the_refusals_mean_something(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct csr csr = {.key_usage = 0};
    struct raw variants[] = {
        {.version = 0}, {.without_attributes = true}, {.attributes = request_for(rq->arena, OID_KEY_USAGE, BYTES("\x03\x02\x05\xa0", 4))}};

    for (size_t i = 0; i < COUNT_OF(variants); i++) {
        assert_int_equal(csr_parse(rq, assemble(rq->arena, &variants[i]), &csr), OK);
        assert_int_equal(csr_verify(rq, &csr), OK);
    }
    assert_int_equal(csr.key_usage, 5);
    assert_string_equal(bytes_hex(rq->arena, csr.extensions, 0), "300d300b0603551d0f0404030205a0");
}

static void
refuses_other_versions_and_shapes(void **state)
{
    is_refused(&(struct raw){.version = 1}, ERR_BAD_CSR, "version");
    is_refused(&(struct raw){.version = -1}, ERR_BAD_CSR, "version");
    is_refused(&(struct raw){.subject = BYTES("\x31\x00", 2)}, ERR_BAD_CSR, "subject");
    is_refused(&(struct raw){.spki = BYTES("\x30\x00", 2)}, ERR_BAD_CSR, "public key");
    is_refused(&(struct raw){.behind = BYTES("\x05\x00", 2)}, ERR_BAD_CSR, "attributes");
    is_refused(&(struct raw){.without_attributes = true, .behind = BYTES("\x31\x00", 2)}, ERR_BAD_CSR, "attributes");
    is_refused(&(struct raw){.attributes = BYTES("\x05\x00", 2)}, ERR_BAD_CSR, "attributes");
    is_refused(&(struct raw){.attributes = BYTES("\x30\x00", 2)}, ERR_BAD_CSR, "attributes");
}

static void
refuses_a_subject_that_cannot_be_shown(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes t61 = bytes_copy(arena, kit_name(arena, "/CN=abc"));
    uint8_t *value = memmem((uint8_t *)t61.at, t61.len,
                            "\x0c\x03"
                            "abc",
                            5);

    value[0] = 0x14;
    is_refused(&(struct raw){.subject = t61}, ERR_BAD_CSR, "CN is a T61String");
}

static void
refuses_attributes_and_extensions_that_come_twice(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes usage = request_for(arena, OID_KEY_USAGE, BYTES("\x03\x02\x05\xa0", 4));
    struct buffer twice = buffer_in(arena), list = buffer_in(arena), one = buffer_in(arena), two_lists = buffer_in(arena), unknown = buffer_in(arena);

    buffer_append(&twice, usage.at, usage.len);
    buffer_append(&twice, usage.at, usage.len);
    is_refused(&(struct raw){.attributes = buffer_bytes(&twice)}, ERR_BAD_CSR, "an attribute comes twice");

    size_t mark = der_open(&list, DER_SEQUENCE);
    put_extension(&list, OID_SUBJECT_ALT_NAME,
                  BYTES("\x30\x03\x82\x01"
                        "a",
                        5));
    put_extension(&list, OID_SUBJECT_ALT_NAME,
                  BYTES("\x30\x03\x82\x01"
                        "b",
                        5));
    der_close(&list, mark);
    put_attribute(&one, OID_EXTENSION_REQUEST, buffer_bytes(&list));
    is_refused(&(struct raw){.attributes = buffer_bytes(&one)}, ERR_BAD_CSR, "each at most once");

    /* Two values in one attribute. */
    buffer_append(&two_lists, "\x30\x00\x30\x00", 4);
    one = buffer_in(arena);
    put_attribute(&one, OID_EXTENSION_REQUEST, buffer_bytes(&two_lists));
    is_refused(&(struct raw){.attributes = buffer_bytes(&one)}, ERR_BAD_CSR, "extensionRequest");

    /* An unknown attribute is passed over, but not twice. */
    put_attribute(&unknown, BYTES("\x2a\x03", 2), BYTES("\x05\x00", 2));
    put_attribute(&unknown, BYTES("\x2a\x03", 2), BYTES("\x05\x00", 2));
    is_refused(&(struct raw){.attributes = buffer_bytes(&unknown)}, ERR_BAD_CSR, "an attribute comes twice");
}

static void
refuses_more_attributes_and_extensions_than_anybody_needs(void **state)
{
    for (uint8_t count = 32; count <= 33; count++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct buffer attributes = buffer_in(rq->arena), list = buffer_in(rq->arena), one = buffer_in(rq->arena);
        size_t mark = der_open(&list, DER_SEQUENCE);
        struct csr csr;
        for (uint8_t i = 0; i < count; i++) {
            const uint8_t oid[] = {0x2a, i};
            put_attribute(&attributes, BYTES(oid, 2), BYTES("\x05\x00", 2));
            put_extension(&list, BYTES(oid, 2), BYTES("\x05\x00", 2));
        }
        der_close(&list, mark);
        put_attribute(&one, OID_EXTENSION_REQUEST, buffer_bytes(&list));
        assert_int_equal(csr_parse(rq, assemble(rq->arena, &(struct raw){.attributes = buffer_bytes(&attributes)}), &csr),
                         count == 32 ? OK : ERR_BAD_CSR);
        failure_clear(rq);
        assert_int_equal(csr_parse(rq, assemble(rq->arena, &(struct raw){.attributes = buffer_bytes(&one)}), &csr), count == 32 ? OK : ERR_BAD_CSR);
    }
}

static void
refuses_malformed_extensions_and_says_which(void **state)
{
    static const struct {
        const struct bytes *oid;
        const char *value;
        size_t len;
        enum error kind;
        const char *why;
    } cases[] = {
        {&OID_SUBJECT_ALT_NAME, "\x30\x00", 2, ERR_BAD_NAME, "empty"},
        {&OID_SUBJECT_ALT_NAME, "", 0, ERR_BAD_NAME, "malformed"},
        {&OID_SUBJECT_ALT_NAME,
         "\x30\x05\x82\x03"
         "a b",
         7, ERR_BAD_NAME, "blank"},
        {&OID_SUBJECT_ALT_NAME,
         "\x30\x09\x82\x07"
         "1.2.3.4",
         11, ERR_BAD_NAME, "IP address"},
        {&OID_KEY_USAGE, "\x03\x01\x01", 3, ERR_BAD_CSR, "keyUsage"},
        {&OID_KEY_USAGE, "\x30\x00", 2, ERR_BAD_CSR, "keyUsage"},
        {&OID_EXTENDED_KEY_USAGE, "\x30\x00", 2, ERR_BAD_CSR, "extKeyUsage"},
        {&OID_EXTENDED_KEY_USAGE, "\x30\x02\x05\x00", 4, ERR_BAD_CSR, "extKeyUsage"},
        {&OID_EXTENDED_KEY_USAGE, "\x30\x02\x06\x00", 4, ERR_BAD_CSR, "extKeyUsage"},
        {&OID_BASIC_CONSTRAINTS, "\x30\x03\x01\x01\x01", 5, ERR_BAD_CSR, "basicConstraints"},
        {&OID_BASIC_CONSTRAINTS, "\x30\x06\x01\x01\xff\x02\x01\xff", 8, ERR_BAD_CSR, "basicConstraints"},
        {&OID_TLS_FEATURE, "\x30\x02\x05\x00", 4, ERR_BAD_CSR, "tlsFeature"},
        {&OID_TLS_FEATURE, "\x02\x01\x05", 3, ERR_BAD_CSR, "tlsFeature"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        is_refused(&(struct raw){.attributes = request_for(arena, *cases[i].oid, BYTES(cases[i].value, cases[i].len))}, cases[i].kind, cases[i].why);
    }
}

static void
a_challenge_password_is_one_text(void **state)
{
    static const struct {
        const char *values;
        size_t len;
        bool good;
    } cases[] = {{"\x13\x02"
                  "pw",
                  4, true},
                 {"\x0c\x02"
                  "pw",
                  4, true},
                 {"\x04\x02"
                  "pw",
                  4, false},
                 {"", 0, false},
                 {"\x13\x01"
                  "p\x13\x01"
                  "w",
                  6, false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct buffer attributes = buffer_in(rq->arena);
        struct csr csr;
        put_attribute(&attributes, OID_CHALLENGE_PASSWORD, BYTES(cases[i].values, cases[i].len));
        assert_int_equal(csr_parse(rq, assemble(rq->arena, &(struct raw){.attributes = buffer_bytes(&attributes)}), &csr),
                         cases[i].good ? OK : ERR_BAD_CSR);
        if (cases[i].good)
            assert_true(bytes_equal(csr.challenge_password, BYTES("pw", 2)));
    }
}

static void
refuses_what_is_cut_or_followed_by_something(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes der = wish(rq->arena, (struct kit_csr){.subject = "/CN=a", .names = "DNS:a.example"});
    struct buffer longer = buffer_in(rq->arena);
    struct csr csr;

    for (size_t len = 0; len < der.len; len++) {
        failure_clear(rq);
        assert_int_equal(csr_parse(rq, BYTES(der.at, len), &csr), ERR_BAD_CSR);
    }
    buffer_append(&longer, der.at, der.len);
    buffer_append(&longer, "", 1);
    failure_clear(rq);
    assert_int_equal(csr_parse(rq, buffer_bytes(&longer), &csr), ERR_BAD_CSR);
    assert_non_null(strstr(rq->failure.message, "something follows it"));
}

static void
refuses_lengths_that_are_not_minimal(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes der = wish(rq->arena, (struct kit_csr){.subject = "/CN=a"});
    struct buffer longer = buffer_in(rq->arena);
    struct csr csr;

    /* 30 82 LLLL … or 30 81 LL … becomes one length octet longer. */
    size_t octets = der.at[1] & 0x7f;
    const uint8_t header[] = {0x30, (uint8_t)(0x80 | (octets + 1)), 0};
    buffer_append(&longer, header, 3);
    buffer_append(&longer, der.at + 2, der.len - 2);
    assert_int_equal(csr_parse(rq, buffer_bytes(&longer), &csr), ERR_BAD_CSR);
}

static void
reads_at_most_32_kib(void **state)
{
    for (size_t padding = 32200; padding <= 33 * 1024; padding += 33 * 1024 - 32200) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes value = BYTES(arena_alloc(rq->arena, padding), padding);
        struct bytes der = assemble(rq->arena, &(struct raw){.attributes = request_for(rq->arena, BYTES("\x2a\x03", 2), value)});
        struct csr csr;
        if (der.len <= CSR_MAX) {
            assert_int_equal(csr_parse(rq, der, &csr), OK);
            continue;
        }
        assert_int_equal(csr_parse(rq, der, &csr), ERR_BAD_CSR);
        assert_non_null(strstr(rq->failure.message, "at most 32768"));
    }
}

static void
refuses_points_that_are_compressed_or_off_the_curve(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes spki = bytes_copy(rq->arena, kit_spki(rq->arena, p256));
    struct buffer out = buffer_in(rq->arena);
    struct csr csr;

    size_t info = der_open(&out, DER_SEQUENCE), algorithm = der_open(&out, DER_SEQUENCE);
    der_put_oid(&out, OID_EC_PUBLIC_KEY);
    der_put_oid(&out, OID_P256);
    der_close(&out, algorithm);
    uint8_t point[33];
    memcpy(point, spki.at + spki.len - 65, sizeof point);
    point[0] = (uint8_t)(2 | (spki.at[spki.len - 1] & 1));
    der_put_bits(&out, BYTES(point, sizeof point));
    der_close(&out, info);
    is_refused(&(struct raw){.spki = buffer_bytes(&out)}, ERR_BAD_CSR, "uncompressed");

    ((uint8_t *)spki.at)[spki.len - 1] ^= 1;
    assert_int_equal(csr_parse(rq, assemble(rq->arena, &(struct raw){.spki = spki}), &csr), OK);
    assert_int_equal(csr_verify(rq, &csr), ERR_BAD_CSR);
    assert_non_null(strstr(rq->failure.message, "not on its curve"));
}

static void
refuses_a_signature_algorithm_of_another_kind_of_key(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes info = csr_encode_info(rq->arena, kit_name(rq->arena, "/CN=a"), kit_spki(rq->arena, p256), BYTES_NONE);
    struct csr csr;

    assert_int_equal(csr_parse(rq, csr_join(rq->arena, info, SIG_RSA_SHA256, BYTES("s", 1)), &csr), ERR_BAD_CSR);
    assert_non_null(strstr(rq->failure.message, "signature algorithm"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_verifies_every_kind_of_key),
        cmocka_unit_test(reads_every_wish),
        cmocka_unit_test(verifies_every_digest_that_is_accepted),
        cmocka_unit_test(sha1_proves_possession_to_who_asks_for_it),
        cmocka_unit_test(refuses_weak_keys),
        cmocka_unit_test(refuses_keys_of_other_curves),
        cmocka_unit_test(refuses_a_signature_that_is_not_of_this_request),
        cmocka_unit_test(accepts_what_is_put_together_by_hand_so_that_the_refusals_mean_something),
        cmocka_unit_test(refuses_other_versions_and_shapes),
        cmocka_unit_test(refuses_a_subject_that_cannot_be_shown),
        cmocka_unit_test(refuses_attributes_and_extensions_that_come_twice),
        cmocka_unit_test(refuses_more_attributes_and_extensions_than_anybody_needs),
        cmocka_unit_test(refuses_malformed_extensions_and_says_which),
        cmocka_unit_test(a_challenge_password_is_one_text),
        cmocka_unit_test(refuses_what_is_cut_or_followed_by_something),
        cmocka_unit_test(refuses_lengths_that_are_not_minimal),
        cmocka_unit_test(reads_at_most_32_kib),
        cmocka_unit_test(refuses_points_that_are_compressed_or_off_the_curve),
        cmocka_unit_test(refuses_a_signature_algorithm_of_another_kind_of_key),
    };
    return cmocka_run_group_tests(tests, make_key, drop_key);
}
