/* Other names for a certificate that is renewed: changeSubjectName of RFC 6402 §2.8. */
#include "unit/kit.h"

#include <string.h>

#include "kit/pki_kit.h"
#include "pki/csr.h"
#include "pki/name.h"
#include "pki/oid.h"

static EVP_PKEY *key;

static int
make_key(void **state)
{
    key = kit_key("p256");
    return 0;
}

static int
drop_key(void **state)
{
    EVP_PKEY_free(key);
    return 0;
}

/* A request for CN=old.example whose changeSubjectName has this value; none: it has no attributes. Nobody verifies its signature here. */
static struct bytes
request_with(struct arena *arena, struct bytes value)
{
    struct buffer out = buffer_in(arena);
    size_t info = der_open(&out, DER_SEQUENCE);

    der_put_int(&out, 0);
    der_put_whole(&out, kit_name(arena, "/CN=old.example"));
    der_put_whole(&out, kit_spki(arena, key));
    size_t attributes = der_open(&out, DER_CONTEXT_CONSTRUCTED(0));
    if (value.len > 0) {
        size_t attribute = der_open(&out, DER_SEQUENCE);
        der_put_oid(&out, OID_CHANGE_SUBJECT_NAME);
        der_put(&out, DER_SET, value);
        der_close(&out, attribute);
    }
    der_close(&out, attributes);
    der_close(&out, info);
    return csr_join(arena, buffer_bytes(&out), SIG_ECDSA_SHA256, kit_sign(arena, key, NULL, buffer_bytes(&out)));
}

static struct bytes
change_of(struct arena *arena, const char *subject, const char *dns_name)
{
    struct buffer out = buffer_in(arena);
    size_t change = der_open(&out, DER_SEQUENCE);

    if (subject != NULL)
        der_put_whole(&out, kit_name(arena, subject));
    if (dns_name != NULL) {
        size_t names = der_open(&out, DER_CONTEXT_CONSTRUCTED(1));
        der_put(&out, DER_CONTEXT(2), bytes_of_text(dns_name));
        der_close(&out, names);
    }
    der_close(&out, change);
    return buffer_bytes(&out);
}

static void
the_attribute_takes_the_place_of_what_the_request_repeats(void **state)
{
    static const struct {
        const char *subject, *dns_name, *expected_subject;
        size_t expected_count;
    } cases[] = {
        {"/CN=new.example", "new.example", "CN=new.example", 1},
        {"/CN=new.example", NULL, "CN=new.example", 0},
        {NULL, "new.example", "CN=old.example", 1},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct csr csr;
        bool changed = false;
        assert_int_equal(csr_parse(rq, request_with(rq->arena, change_of(rq->arena, cases[i].subject, cases[i].dns_name)), &csr), OK);
        assert_int_equal(csr_change_names(rq, &csr, &changed), OK);
        assert_true(changed);
        assert_string_equal(name_format(rq->arena, csr.subject), cases[i].expected_subject);
        assert_int_equal(csr.name_count, cases[i].expected_count);
        if (csr.name_count > 0)
            assert_string_equal(csr.names[0].value, "new.example");
    }
}

static void
without_the_attribute_nothing_changes(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct csr csr;
    bool changed = true;

    assert_int_equal(csr_parse(rq, request_with(rq->arena, BYTES_NONE), &csr), OK);
    assert_int_equal(csr_change_names(rq, &csr, &changed), OK);
    assert_false(changed);
    assert_string_equal(name_format(rq->arena, csr.subject), "CN=old.example");
}

static void
malformed_changes_are_refused(void **state)
{
    static const struct {
        const char *octets;
        size_t len;
    } values[] = {
        {"\x30\x00", 2},                         /* neither */
        {"\x05\x00", 2},                         /* no SEQUENCE */
        {"\x30\x02\x05\x00", 4},                 /* something else */
        {"\x30\x02\xa1\x00", 4},                 /* no name in the names */
        {"\x30\x00\x30\x00", 4},                 /* two values */
        {"\x30\x05\xa1\x03\x82\x01\x2e", 7},     /* "." */
        {"\x30\x04\x30\x02\x31\x00", 6},         /* an empty RDN */
        {"\x30\x06\xa1\x02\x82\x00\x30\x00", 8}, /* in the wrong order */
    };

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct csr csr;
        bool changed;
        assert_int_equal(csr_parse(rq, request_with(rq->arena, BYTES(values[i].octets, values[i].len)), &csr), OK);
        enum error error = csr_change_names(rq, &csr, &changed);
        if (error != ERR_BAD_CSR && error != ERR_BAD_NAME)
            fail_msg("case %zu: %s", i, error_name(error));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_attribute_takes_the_place_of_what_the_request_repeats),
        cmocka_unit_test(without_the_attribute_nothing_changes),
        cmocka_unit_test(malformed_changes_are_refused),
    };
    return cmocka_run_group_tests(tests, make_key, drop_key);
}
