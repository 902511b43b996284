/* subjectAltName: OpenSSL's encodings are read, ours are OpenSSL's, and what should not be certified is refused. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "pki/identifier.h"

static struct bytes
openssl_names(struct arena *arena, const char *names)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

    assert_non_null(extension);
    ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    struct bytes copy = bytes_copy(arena, BYTES(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)));
    X509_EXTENSION_free(extension);
    return copy;
}

static void
reads_all_forms_in_their_order_and_encodes_the_same(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes der =
        openssl_names(rq->arena, "DNS:b.example,IP:192.0.2.1,email:me@example.org,URI:https://example.org/x,IP:2001:db8::1,DNS:*.a.example");
    struct identifier *names;
    size_t count;

    assert_int_equal(identifiers_decode(rq, der, &names, &count), OK);
    assert_int_equal(count, 6);
    assert_string_equal(names[0].value, "b.example");
    assert_string_equal(names[1].value, "192.0.2.1");
    assert_string_equal(names[2].value, "me@example.org");
    assert_string_equal(names[3].value, "https://example.org/x");
    assert_string_equal(names[4].value, "2001:db8::1");
    assert_string_equal(names[5].value, "*.a.example");
    assert_int_equal(names[4].type, IDENTIFIER_IP);
    assert_true(bytes_equal(identifiers_encode(rq->arena, names, count), der));
}

/* As OpenSSL's configuration would have them in sections: RFC 4043 and RFC 4108 §5. */
#define PERMANENT "\xa0\x16\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x03\xa0\x0a\x30\x08\x0c\x01\x41\x06\x03\x2a\x03\x04"
#define MODULE "\xa0\x16\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x04\xa0\x0a\x30\x08\x06\x03\x2a\x03\x04\x04\x01\x42"

static void
reads_and_encodes_the_names_of_devices(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes der = BYTES("\x30\x30" PERMANENT MODULE, 50);
    struct identifier *names;
    size_t count;

    assert_int_equal(identifiers_decode(rq, der, &names, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(names[0].type, IDENTIFIER_PERMANENT);
    assert_string_equal(names[0].value, "A/1.2.3.4");
    assert_int_equal(names[1].type, IDENTIFIER_HARDWARE_MODULE);
    assert_string_equal(names[1].value, "B/1.2.3.4");
    assert_true(bytes_equal(identifiers_encode(rq->arena, names, count), der));
}

static void
reads_and_encodes_user_principal_names(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes der = openssl_names(rq->arena, "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:Ada.L@corp.example,DNS:pc1.corp.example");
    struct identifier *names;
    size_t count;

    assert_int_equal(identifiers_decode(rq, der, &names, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(names[0].type, IDENTIFIER_UPN);
    assert_string_equal(names[0].value, "Ada.L@corp.example");
    assert_true(bytes_equal(identifiers_encode(rq->arena, names, count), der));
    /* A user is no device. */
    assert_true(identifiers_find_devices(rq->arena, der, &names, &count));
    assert_int_equal(count, 0);
}

static void
finds_devices_among_other_names(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct identifier *names;
    size_t count;

    /* A directoryName, and otherNames of another kind around it. */
    assert_true(identifiers_find_devices(
        arena, BYTES("\x30\x30\xa4\x02\x30\x00\xa0\x08\x06\x02\x2a\x03\xa0\x02\x05\x00" PERMANENT "\xa0\x08\x06\x02\x2a\x03\xa0\x02\x05\x00", 50),
        &names, &count));
    assert_int_equal(count, 1);
    assert_string_equal(names[0].value, "A/1.2.3.4");
    assert_false(identifiers_find_devices(arena, BYTES("\x30\x03\xa0\x02\x30", 5), &names, &count));
}

static void
names_of_devices_that_are_not_as_they_must_be_are_refused(void **state)
{
    static const struct {
        const char *der;
        size_t len;
    } cases[] = {
        /* without a number; a number that is no text; a slash in it; something behind; the type of a module missing */
        {"\x30\x12\xa0\x10\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x03\xa0\x04\x30\x02\x0c\x00", 20},
        {"\x30\x13\xa0\x11\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x03\xa0\x05\x30\x03\x0c\x01\x01", 21},
        {"\x30\x13\xa0\x11\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x03\xa0\x05\x30\x03\x0c\x01/", 21},
        {"\x30\x15\xa0\x13\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x03\xa0\x07\x30\x05\x0c\x01\x41\x05\x00", 23},
        {"\x30\x13\xa0\x11\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x04\xa0\x05\x30\x03\x04\x01\x41", 21},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct identifier *names;
        size_t count;
        assert_int_equal(identifiers_decode(rq, BYTES(cases[i].der, cases[i].len), &names, &count), ERR_BAD_NAME);
        assert_non_null(strstr(rq->failure.message, "otherName"));
    }
}

static void
the_same_name_in_two_spellings_is_one(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct identifier *names;
    size_t count;

    assert_int_equal(identifiers_decode(rq, openssl_names(rq->arena, "DNS:a.example,DNS:A.EXAMPLE,DNS:b.example,DNS:a.example."), &names, &count),
                     OK);
    assert_int_equal(count, 2);
    assert_string_equal(names[0].value, "a.example");
    assert_string_equal(names[1].value, "b.example");
}

static void
refuses_what_is_not_certified(void **state)
{
    static const struct {
        const char *names, *why;
    } cases[] = {
        {"otherName:1.3.6.1.4.1.311.20.2.3;UTF8:nobody", "otherName"},
        {"otherName:1.3.6.1.4.1.311.20.2.3;IA5:me@example.org", "otherName"},
        {"otherName:1.3.6.1.5.2.2;UTF8:me@example.org", "otherName"},
        {"RID:1.2.3", "registeredID"},
        {"DNS:192.0.2.1", "IP address"},
        {"DNS:a_b.example", "a_b.example"},
        {"DNS:good.example,DNS:*", "wildcard"},
        {"URI:relative", "absolute"},
        {"email:nobody", "local@domain"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct identifier *names;
        size_t count = 77;
        assert_int_equal(identifiers_decode(rq, openssl_names(rq->arena, cases[i].names), &names, &count), ERR_BAD_NAME);
        if (strstr(rq->failure.message, cases[i].why) == NULL)
            fail_msg("%s instead of %s", rq->failure.message, cases[i].why);
        assert_int_equal(count, 77);
    }
}

static void
refuses_malformed_lists(void **state)
{
    static const struct {
        const char *hex, *why;
    } cases[] = {
        {"", "malformed"},
        {"3000", "empty"},
        {"31038201"
         "61",
         "malformed"},
        {"30048201"
         "6100",
         "malformed"},
        {"3003820261", "malformed"},
        {"300382016100", "malformed"},
        {"3005820361006200", "malformed"},
        {"30058203610062", "not printable"},
        {"30038201ff", "not printable"},
        {"30028200", "is empty"},
        {"300587037f0000", "3 octets"},
        {"300a8708c0000200ffffff00", "8 octets"},
        {"3003a20161", "unknown"},
        {"30021f00", "malformed"},
        {"3004a4023000", "directoryName"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct identifier *names;
        size_t count;
        struct bytes der;
        assert_true(bytes_from_hex(rq->arena, cases[i].hex, &der));
        assert_int_equal(identifiers_decode(rq, der, &names, &count), ERR_BAD_NAME);
        if (strstr(rq->failure.message, cases[i].why) == NULL)
            fail_msg("%s: %s instead of %s", cases[i].hex, rq->failure.message, cases[i].why);
    }
}

static void
a_list_has_at_most_a_hundred_names(void **state)
{
    for (size_t count = IDENTIFIERS_MAX; count <= IDENTIFIERS_MAX + 1; count++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct identifier *many = arena_array(rq->arena, count, sizeof *many), *names;
        size_t read;
        for (size_t i = 0; i < count; i++)
            many[i] = (struct identifier){IDENTIFIER_DNS, arena_format(rq->arena, "h%zu.example", i)};
        struct bytes der = identifiers_encode(rq->arena, many, count);
        assert_int_equal(identifiers_decode(rq, der, &names, &read), count <= IDENTIFIERS_MAX ? OK : ERR_BAD_NAME);
        if (count <= IDENTIFIERS_MAX)
            assert_true(identifiers_equal(many, count, names, read));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_forms_in_their_order_and_encodes_the_same),
        cmocka_unit_test(reads_and_encodes_the_names_of_devices),
        cmocka_unit_test(reads_and_encodes_user_principal_names),
        cmocka_unit_test(finds_devices_among_other_names),
        cmocka_unit_test(names_of_devices_that_are_not_as_they_must_be_are_refused),
        cmocka_unit_test(the_same_name_in_two_spellings_is_one),
        cmocka_unit_test(refuses_what_is_not_certified),
        cmocka_unit_test(refuses_malformed_lists),
        cmocka_unit_test(a_list_has_at_most_a_hundred_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
