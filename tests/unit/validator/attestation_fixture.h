/* Attestation objects as devices make them, right or wrong in one way: certificates by OpenSSL, CBOR and TPM structures put together here. */
#ifndef SIGNET_TESTS_ATTESTATION_FIXTURE_H
#define SIGNET_TESTS_ATTESTATION_FIXTURE_H

#include "unit/kit.h"

#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <string.h>

#include "attestation.h"
#include "base/clock.h"
#include "kit/pki_kit.h"
#include "pki/crl.h"
#include "pki/oid.h"
#include "pki/pem.h"

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define KEY_AUTHORIZATION TOKEN ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"

enum revocation { OF_NOTHING, OF_LEAF, OF_LEAF_LONG_AGO, OF_ISSUER, OF_ANOTHER, OF_LEAF_FORGED, OF_LEAF_TAKEN_BACK };

struct shape {
    const char *format;
    const char *said_format; /* NULL: that */
    const char *key;         /* NULL: p256; the key that is attested */
    /* the chain */
    bool other_root, expired, not_yet, issuer_is_no_ca, without_issuer, leaf_is_garbage, without_certificates, too_many_certificates;
    enum revocation revocation; /* on a CRL beside the roots */
    /* apple */
    const char *serial, *udid;
    bool without_code, code_of_another_token;
    /* step */
    int yubikey; /* 0: none */
    const char *managed;
    bool signed_by_another_key, signed_another_text, signature_not_wrapped;
    int64_t algorithm; /* 0: the usual one */
    bool without_algorithm;
    bool pss; /* how RSA keys sign */
    int salt; /* 0: as long as the digest */
    /* tpm */
    const char *ak, *version; /* NULL: rsa-2048, "2.0" */
    const char *device;       /* permanentIdentifier of the AK's certificate */
    const char *module;
    bool with_subject, without_purpose, ak_is_ca, without_tpm, without_model;
    bool another_extra_data, another_key_is_certified, movable, imported, not_a_tpm, a_quote, storage_key, another_digest;
    bool cut_certified, cut_public, cut_signature, longer_public;
    /* the CBOR */
    size_t cut; /* octets at the end */
    int nested; /* arrays in each other under an unknown member */
    bool member_twice, with_tail, with_auth_data, indefinite, tagged, number_as_key, huge_array, without_statement;
};

/* ---- CBOR ---- */

static void
put_head(struct buffer *out, uint8_t major, uint64_t number)
{
    uint8_t octets[9] = {(uint8_t)(major << 5 | (number < 24 ? number : number < 256 ? 24 : number < 65536 ? 25 : 27))};
    size_t len = number < 24 ? 0 : number < 256 ? 1 : number < 65536 ? 2 : 8;

    for (size_t i = 0; i < len; i++)
        octets[1 + i] = (uint8_t)(number >> 8 * (len - 1 - i));
    buffer_append(out, octets, 1 + len);
}

static void
put_text(struct buffer *out, const char *text)
{
    put_head(out, 3, strlen(text));
    buffer_append_text(out, text);
}

static void
put_octets(struct buffer *out, struct bytes octets)
{
    put_head(out, 2, octets.len);
    buffer_append(out, octets.at, octets.len);
}

static void
put_member(struct buffer *out, const char *name, struct bytes octets)
{
    put_text(out, name);
    put_octets(out, octets);
}

/* ---- certificates ---- */

struct world {
    struct arena *arena;
    const struct shape *shape;
    EVP_PKEY *root_key, *issuer_key, *leaf_key, *device_key, *other_key;
    struct bytes root, issuer;
    const char *root_pem;
    struct kit_extension extensions[8];
    size_t extension_count;
};

static void
add_extension(struct world *world, const char *oid, struct bytes value)
{
    world->extensions[world->extension_count++] = (struct kit_extension){.oid = oid, .value = value};
}

static const char *
pem_of(struct arena *arena, struct bytes der)
{
    struct buffer pem = buffer_in(arena);

    pem_append(&pem, "CERTIFICATE", der);
    return buffer_text(&pem);
}

static void
make_chain(struct world *world)
{
    const struct shape *shape = world->shape;
    struct bytes other =
        kit_certificate(world->arena, &(struct kit_certificate){.key = world->other_key, .subject = "/CN=Other Root", .is_ca = true});

    world->root = kit_certificate(world->arena, &(struct kit_certificate){.key = world->root_key, .subject = "/CN=Maker Root", .is_ca = true});
    world->issuer = kit_certificate(world->arena, &(struct kit_certificate){.key = world->issuer_key,
                                                                            .subject = "/CN=Maker CA",
                                                                            .issuer_der = world->root,
                                                                            .issuer_key = world->root_key,
                                                                            .is_ca = !shape->issuer_is_no_ca,
                                                                            .key_usage = "keyCertSign"});
    world->root_pem = pem_of(world->arena, shape->other_root ? other : world->root);
}

/* ---- CRLs ---- */

static struct bytes
serial_of(struct world *world, struct bytes certificate)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct certificate parsed;

    assert_int_equal(certificate_parse(rq, certificate, &parsed), OK);
    return bytes_copy(world->arena, parsed.serial);
}

static void
put_crl(struct world *world, struct bytes leaf)
{
    enum revocation revocation = world->shape->revocation;
    bool by_root = revocation == OF_ISSUER;
    int64_t then_s = clock_now_s() - (revocation == OF_LEAF_LONG_AGO ? 1000 : 1) * INT64_C(86400);
    struct crl_entry entry = {.serial = revocation == OF_ANOTHER ? bytes_of_text("another") : serial_of(world, by_root ? world->issuer : leaf),
                              .revoked_at_s = then_s,
                              .reason = revocation == OF_LEAF_TAKEN_BACK ? 8 : 1};
    struct crl_plan plan = {.algorithm = by_root ? SIG_ECDSA_SHA384 : SIG_ECDSA_SHA256,
                            .issuer = kit_name(world->arena, by_root ? "/CN=Maker Root" : "/CN=Maker CA"),
                            .this_update_s = then_s,
                            .next_update_s = then_s + 2 * 86400,
                            .number = bytes_of_text("\x01"),
                            .authority_key_id = bytes_of_text("key"),
                            .entries = &entry,
                            .entry_count = 1};
    struct buffer pem = buffer_in(world->arena);
    EVP_PKEY *key = revocation == OF_LEAF_FORGED ? world->root_key : by_root ? world->root_key : world->issuer_key;

    if (revocation == OF_NOTHING)
        return;
    struct bytes tbs = crl_encode_tbs(world->arena, &plan);
    struct bytes signature = kit_sign(world->arena, key, by_root ? EVP_sha384() : EVP_sha256(), tbs);
    pem_append(&pem, "X509 CRL", signed_join(world->arena, tbs, plan.algorithm, signature));
    world->root_pem = arena_format(world->arena, "%s%s", world->root_pem, buffer_text(&pem));
}

static struct bytes
make_leaf(struct world *world, const char *subject, const char *extended_key_usage)
{
    const struct shape *shape = world->shape;
    int64_t now_s = clock_now_s();

    struct bytes leaf = kit_certificate(world->arena, &(struct kit_certificate){.key = world->leaf_key,
                                                                                .subject = subject,
                                                                                .issuer_der = world->issuer,
                                                                                .issuer_key = world->issuer_key,
                                                                                .extended_key_usage = extended_key_usage,
                                                                                .is_ca = shape->ak_is_ca,
                                                                                .not_before_s = shape->not_yet ? now_s + 3600 : now_s - 7200,
                                                                                .not_after_s = shape->expired ? now_s - 3600 : now_s + 7200,
                                                                                .more = world->extensions,
                                                                                .more_count = world->extension_count});
    put_crl(world, leaf);
    return leaf;
}

static void
put_certificates(struct world *world, struct buffer *out, struct bytes leaf)
{
    const struct shape *shape = world->shape;
    size_t count = shape->without_certificates ? 0 : shape->too_many_certificates ? 9 : shape->without_issuer ? 1 : 2;

    put_text(out, "x5c");
    put_head(out, 4, count);
    for (size_t i = 0; i < count; i++)
        put_octets(out, i > 0 ? world->issuer : shape->leaf_is_garbage ? bytes_of_text("garbage") : leaf);
}

/* ---- the formats; each answers with how many members it has put ---- */

static size_t
put_apple(struct world *world, struct buffer *out)
{
    const struct shape *shape = world->shape;
    const char *token = shape->code_of_another_token ? "another" : TOKEN;
    uint8_t digest[32];

    (void)SHA256((const uint8_t *)token, strlen(token), digest);
    if (!shape->without_code)
        add_extension(world, "1.2.840.113635.100.8.11.1", bytes_copy(world->arena, BYTES(digest, 32)));
    if (shape->serial != NULL)
        add_extension(world, "1.2.840.113635.100.8.9.1", bytes_of_text(shape->serial));
    if (shape->udid != NULL)
        add_extension(world, "1.2.840.113635.100.8.9.2", bytes_of_text(shape->udid));
    put_certificates(world, out, make_leaf(world, "/CN=device", NULL));
    return 1;
}

static int64_t
usual_algorithm(EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") ? -8 : EVP_PKEY_is_a(key, "RSA") ? -257 : EVP_PKEY_get_bits(key) == 384 ? -35 : -7;
}

static size_t
put_algorithm(struct world *world, struct buffer *out)
{
    const struct shape *shape = world->shape;

    if (shape->without_algorithm)
        return 0;
    put_text(out, "alg");
    put_head(out, 1, (uint64_t)(-1 - (shape->algorithm != 0 ? shape->algorithm : usual_algorithm(world->leaf_key))));
    return 1;
}

/* As kit_sign, or RSASSA-PSS. */
static struct bytes
sign(struct world *world, struct bytes message)
{
    EVP_PKEY *key = world->shape->signed_by_another_key ? world->other_key : world->leaf_key;
    size_t len = 512;
    uint8_t *signature = arena_alloc(world->arena, len);
    EVP_PKEY_CTX *padding;

    if (!world->shape->pss)
        return kit_sign(world->arena, key, NULL, message);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, &padding, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, world->shape->salt != 0 ? world->shape->salt : RSA_PSS_SALTLEN_DIGEST), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &len, message.at, message.len), 1);
    EVP_MD_CTX_free(context);
    return BYTES(signature, len);
}

static size_t
put_step(struct world *world, struct buffer *out)
{
    const struct shape *shape = world->shape;
    struct buffer serial = buffer_in(world->arena), managed = buffer_in(world->arena), wrapped = buffer_in(world->arena);
    struct bytes text = bytes_of_text(shape->signed_another_text ? "another" : KEY_AUTHORIZATION);
    struct bytes signature = sign(world, text);

    if (shape->yubikey != 0) {
        der_put_int(&serial, shape->yubikey);
        add_extension(world, "1.3.6.1.4.1.41482.3.7", buffer_bytes(&serial));
    }
    if (shape->managed != NULL) {
        size_t inside = der_open(&managed, DER_SEQUENCE);
        der_put(&managed, DER_UTF8_STRING, bytes_of_text(shape->managed));
        der_close(&managed, inside);
        add_extension(world, "1.3.6.1.4.1.37476.9000.64.4", buffer_bytes(&managed));
    }
    put_octets(&wrapped, signature);
    put_member(out, "sig", shape->signature_not_wrapped ? signature : buffer_bytes(&wrapped));
    put_certificates(world, out, make_leaf(world, "/CN=YubiKey PIV Attestation 9c", NULL));
    return 2 + put_algorithm(world, out);
}

/* ---- tpm ---- */

static void
put_number(struct buffer *out, uint64_t number, size_t len)
{
    for (size_t i = len; i-- > 0;) {
        uint8_t octet = (uint8_t)(number >> 8 * i);
        buffer_append(out, &octet, 1);
    }
}

static void
put_sized(struct buffer *out, struct bytes octets)
{
    put_number(out, octets.len, 2);
    buffer_append(out, octets.at, octets.len);
}

static struct bytes
public_area(struct world *world, EVP_PKEY *key)
{
    const struct shape *shape = world->shape;
    struct buffer out = buffer_in(world->arena);
    struct public_key parsed;
    bool is_rsa = EVP_PKEY_is_a(key, "RSA");

    public_key_parse_any(kit_spki(world->arena, key), &parsed);
    put_number(&out, is_rsa ? 0x0001 : 0x0023, 2);
    put_number(&out, 0x000b, 2);
    put_number(&out, 1u << 18 | 1u << 6 | (shape->movable ? 0 : 1u << 1) | (shape->imported ? 0 : 1u << 5), 4);
    put_sized(&out, BYTES_NONE);
    put_number(&out, shape->storage_key ? 0x0006 : 0x0010, 2);
    put_number(&out, 0x0010, 2);
    if (is_rsa) {
        put_number(&out, (uint64_t)parsed.bits, 2);
        put_number(&out, 0, 4);
        put_sized(&out, parsed.modulus);
    } else {
        size_t len = (parsed.point.len - 1) / 2;
        put_number(&out, parsed.type == KEY_P256 ? 3 : 4, 2);
        put_number(&out, 0x0010, 2);
        put_sized(&out, BYTES(parsed.point.at + 1, len));
        put_sized(&out, BYTES(parsed.point.at + 1 + len, len));
    }
    put_number(&out, 0, shape->longer_public ? 1 : 0);
    struct bytes whole = buffer_bytes(&out);
    return BYTES(whole.at, whole.len - shape->cut_public);
}

static struct bytes
certified(struct world *world, struct bytes area)
{
    const struct shape *shape = world->shape;
    const char *text = shape->another_extra_data ? "another" : KEY_AUTHORIZATION;
    struct buffer out = buffer_in(world->arena), name = buffer_in(world->arena);
    uint8_t digest[32], extra[32];

    (void)SHA256((const uint8_t *)text, strlen(text), extra);
    (void)SHA256(area.at, area.len, digest);
    put_number(&name, 0x000b, 2);
    buffer_append(&name, digest, 32);
    put_number(&out, shape->not_a_tpm ? 0xff544348 : 0xff544347, 4);
    put_number(&out, shape->a_quote ? 0x8018 : 0x8017, 2);
    put_sized(&out, bytes_of_text("qualified signer"));
    put_sized(&out, BYTES(extra, 32));
    for (int i = 0; i < 25; i++)
        put_number(&out, 0, 1);
    put_sized(&out, buffer_bytes(&name));
    put_sized(&out, bytes_of_text("qualified name"));
    struct bytes whole = buffer_bytes(&out);
    return BYTES(whole.at, whole.len - shape->cut_certified);
}

/* ECDSA-Sig-Value → r and s, as a TPM has them. */
static void
put_pair(struct buffer *out, struct bytes signature)
{
    struct der outer = der_of(signature), in;
    struct bytes number;

    assert_true(der_enter(&outer, DER_SEQUENCE, &in));
    while (der_take_unsigned(&in, &number))
        put_sized(out, number);
}

static struct bytes
tpm_signature(struct world *world, struct bytes message)
{
    const struct shape *shape = world->shape;
    struct buffer out = buffer_in(world->arena);
    bool is_pair = EVP_PKEY_is_a(world->leaf_key, "EC");
    struct bytes signature = sign(world, message);

    put_number(&out, shape->pss ? 0x0016 : is_pair ? 0x0018 : 0x0014, 2);
    put_number(&out, shape->another_digest ? 0x000c : 0x000b, 2);
    if (is_pair)
        put_pair(&out, signature);
    else
        put_sized(&out, signature);
    struct bytes whole = buffer_bytes(&out);
    return BYTES(whole.at, whole.len - shape->cut_signature);
}

static void
put_attribute(struct buffer *name, const char *oid, const char *value)
{
    struct bytes octets;

    assert_true(oid_parse_dotted(name->arena, oid, &octets));
    size_t set = der_open(name, DER_SET), attribute = der_open(name, DER_SEQUENCE);
    der_put_oid(name, octets);
    der_put(name, DER_UTF8_STRING, bytes_of_text(value));
    der_close(name, attribute);
    der_close(name, set);
}

/* GeneralNames of an AK certificate: which TPM it is, and which device. */
static struct bytes
ak_names(struct world *world)
{
    const struct shape *shape = world->shape;
    struct buffer out = buffer_in(world->arena);
    size_t names = der_open(&out, DER_SEQUENCE);

    if (!shape->without_tpm) {
        size_t tag = der_open(&out, DER_CONTEXT_CONSTRUCTED(4)), name = der_open(&out, DER_SEQUENCE);
        put_attribute(&out, "2.23.133.2.1", "id:00001014");
        if (!shape->without_model)
            put_attribute(&out, "2.23.133.2.2", "swtpm");
        put_attribute(&out, "2.23.133.2.3", "id:20191023");
        der_close(&out, name);
        der_close(&out, tag);
    }
    if (shape->device != NULL)
        identifier_encode_other(&out, &(struct identifier){IDENTIFIER_PERMANENT, shape->device});
    if (shape->module != NULL)
        identifier_encode_other(&out, &(struct identifier){IDENTIFIER_HARDWARE_MODULE, shape->module});
    der_close(&out, names);
    return buffer_bytes(&out);
}

static size_t
put_tpm(struct world *world, struct buffer *out)
{
    const struct shape *shape = world->shape;
    struct bytes area = public_area(world, world->device_key);
    struct bytes info = certified(world, shape->another_key_is_certified ? public_area(world, world->other_key) : area);

    add_extension(world, "2.5.29.17", ak_names(world));
    struct bytes leaf = make_leaf(world, shape->with_subject ? "/CN=AK" : NULL, shape->without_purpose ? "clientAuth" : "2.23.133.8.3");
    put_text(out, "ver");
    put_text(out, shape->version != NULL ? shape->version : "2.0");
    put_member(out, "sig", tpm_signature(world, info));
    put_certificates(world, out, leaf);
    put_member(out, "certInfo", info);
    put_member(out, "pubArea", area);
    return 5 + put_algorithm(world, out);
}

/* ---- the object ---- */

static size_t
put_statement(struct world *world, struct buffer *out)
{
    const char *format = world->shape->format;

    return strcmp(format, "apple") == 0 ? put_apple(world, out) : strcmp(format, "step") == 0 ? put_step(world, out) : put_tpm(world, out);
}

static void
put_oddities(const struct shape *shape, struct buffer *out)
{
    if (shape->with_auth_data)
        put_member(out, "authData", bytes_of_text("whatever"));
    if (shape->member_twice)
        put_member(out, "fmt", bytes_of_text("twice"));
    if (shape->number_as_key)
        buffer_append(out, "\x01\x01", 2);
    if (shape->indefinite)
        buffer_append(out, "\x61x\x9f\xff", 4);
    if (shape->tagged)
        buffer_append(out, "\x61x\xc1\x01", 4);
    if (shape->huge_array)
        buffer_append(out, "\x61x\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", 11);
    for (int i = 0; i < shape->nested; i++)
        buffer_append(out, i == 0 ? "\x61x\x81" : "\x81", i == 0 ? 3 : 1);
    if (shape->nested > 0)
        buffer_append(out, "\x01", 1);
}

static struct bytes
attestation_object(struct world *world)
{
    const struct shape *shape = world->shape;
    struct buffer out = buffer_in(world->arena), statement = buffer_in(world->arena);
    size_t members = put_statement(world, &statement);
    bool odd = shape->with_auth_data || shape->member_twice || shape->number_as_key || shape->indefinite || shape->tagged || shape->huge_array ||
               shape->nested > 0;

    put_head(&out, 5, (shape->without_statement ? 1 : 2) + (odd ? 1 : 0));
    put_oddities(shape, &out);
    put_text(&out, "fmt");
    put_text(&out, shape->said_format != NULL ? shape->said_format : shape->format);
    if (!shape->without_statement) {
        put_text(&out, "attStmt");
        put_head(&out, 5, members);
        buffer_append(&out, statement.at, statement.len);
    }
    if (shape->with_tail)
        buffer_append(&out, "\x01", 1);
    struct bytes whole = buffer_bytes(&out);
    return BYTES(whole.at, whole.len - shape->cut);
}

/* Keys are made once: they are slow, and not what is tested. */
static EVP_PKEY *
key_of(const char *kind, int number)
{
    static struct {
        const char *kind;
        int number;
        EVP_PKEY *key;
    } made[16];

    for (size_t i = 0; i < COUNT_OF(made); i++) {
        if (made[i].key != NULL && strcmp(made[i].kind, kind) == 0 && made[i].number == number)
            return made[i].key;
        if (made[i].key == NULL) {
            made[i].kind = kind;
            made[i].number = number;
            return made[i].key = kit_key(kind);
        }
    }
    fail_msg("too many keys");
    return NULL;
}

static struct world
make_world(struct arena *arena, const struct shape *shape)
{
    bool tpm = strcmp(shape->format, "tpm") == 0;
    const char *device = shape->key != NULL ? shape->key : "p256", *ak = shape->ak != NULL ? shape->ak : "rsa-2048";
    struct world world = {.arena = arena,
                          .shape = shape,
                          .root_key = key_of("p384", 1),
                          .issuer_key = key_of("p256", 1),
                          .device_key = key_of(device, 2),
                          .leaf_key = key_of(tpm ? ak : device, tpm ? 3 : 2),
                          .other_key = key_of(tpm ? ak : device, 4)};

    make_chain(&world);
    return world;
}

#endif
