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
        assert_int_equal(csr.key.type, cases[i].type);
        assert_int_equal(csr.key.bits, cases[i].bits);
        assert_string_equal(public_key_name(rq->arena, &csr.key), cases[i].name);
        assert_true(bytes_equal(csr.key.spki, kit_spki(rq->arena, key)));
        assert_string_equal(name_format(rq->arena, csr.subject), "CN=a.example,O=Example");
        assert_int_equal(csr.name_count, 1);
        assert_false(csr.asks_ca || csr.must_staple || csr.key_usage || csr.challenge_password.len || csr.extended_key_usage.len);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_verifies_every_kind_of_key),
    };
    return cmocka_run_group_tests(tests, make_key, drop_key);
}
