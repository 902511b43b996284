/* Lists of extensions and the two values that are decoded everywhere. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "pki/certificate.h"
#include "pki/oid.h"

static struct bytes
hex(struct arena *arena, const char *text)
{
    struct bytes bytes;

    assert_true(bytes_from_hex(arena, text, &bytes));
    return bytes;
}

static void
reads_extensions_and_what_is_critical(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct extension extensions[4];
    size_t count;
    /* keyUsage critical; subjectKeyIdentifier; 2.5.29.99 with an explicit FALSE, as some encoders write it */
    struct der in = der_of(hex(arena, "3023"
                                      "300c0603551d0f0101ff04020500"
                                      "30070603551d0e0400"
                                      "300a0603551d630101000400"));

    assert_true(extensions_take(&in, extensions, COUNT_OF(extensions), &count));
    assert_true(der_at_end(&in));
    assert_int_equal(count, 3);
    assert_true(extensions[0].critical && !extensions[1].critical && !extensions[2].critical);
    assert_ptr_equal(extension_find(extensions, count, OID_SUBJECT_KEY_IDENTIFIER), &extensions[1]);
    assert_null(extension_find(extensions, count, OID_SUBJECT_ALT_NAME));
    assert_string_equal(bytes_hex(arena, extensions[0].value, 0), "0500");
}

static void
refuses_lists_that_are_malformed_too_long_or_repeat(void **state)
{
    static const char *const cases[] = {
        "",
        "3100",
        "30020500",
        "30023000",
        "300930070603551d0f0500",       /* no OCTET STRING */
        "3006300406000400",             /* an empty OID */
        "300b30090603551d0f04000500",   /* something behind the value */
        "300c300a0603551d0f0101010400", /* TRUE is 0xff */
        "301230070603551d0e040030070603551d0e0400",
        "302430070603551d0e040030070603551d0f040030070603551d10040030070603551d110400",
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct der in = der_of(hex(arena, cases[i]));
        struct extension extensions[3];
        size_t count = 77;
        if (extensions_take(&in, extensions, COUNT_OF(extensions), &count))
            fail_msg("%s", cases[i]);
        assert_int_equal(count, 77);
    }
}

static void
reads_basic_constraints(void **state)
{
    static const struct {
        const char *der;
        bool good, is_ca;
        int path_length;
    } cases[] = {
        {"3000", true, false, -1},
        {"30030101ff", true, true, -1},
        {"30060101ff020100", true, true, 0},
        {"30060101ff020105", true, true, 5},
        {"3003010100", true, false, -1},
        {"3003020100", true, false, 0},
        {"30060101ff0201ff", false, 0, 0},
        {"30030101fe", false, 0, 0},
        {"300a0101ff02050100000000", false, 0, 0},
        {"30050101ff0500", false, 0, 0},
        {"300000", false, 0, 0},
        {"0500", false, 0, 0},
        {"", false, 0, 0},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        bool is_ca = true;
        int path_length = 77;
        if (basic_constraints_decode(hex(arena, cases[i].der), &is_ca, &path_length) != cases[i].good)
            fail_msg("%s", cases[i].der);
        assert_int_equal(path_length, cases[i].good ? cases[i].path_length : 77);
        assert_int_equal(is_ca, cases[i].good ? cases[i].is_ca : true);
    }
}

static void
reads_key_usage_as_openssl_writes_it(void **state)
{
    for (unsigned bits = 0; bits < 512; bits++) {
        ASN1_BIT_STRING *made = ASN1_BIT_STRING_new();
        unsigned char *der = NULL;
        unsigned read = 0xffff;
        for (int bit = 0; bit < 9; bit++)
            ASN1_BIT_STRING_set_bit(made, bit, bits >> bit & 1);
        int len = i2d_ASN1_BIT_STRING(made, &der);
        assert_true(key_usage_decode(BYTES(der, (size_t)len), &read));
        assert_int_equal(read, bits);
        OPENSSL_free(der);
        ASN1_BIT_STRING_free(made);
    }
}

static void
refuses_malformed_key_usage(void **state)
{
    static const char *const cases[] = {"", "0300", "030108", "030101", "0303000040", "030406000000", "04020080", "0302078000"};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        unsigned bits = 77;
        if (key_usage_decode(hex(arena, cases[i]), &bits))
            fail_msg("%s", cases[i]);
        assert_int_equal(bits, 77);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_extensions_and_what_is_critical),
        cmocka_unit_test(refuses_lists_that_are_malformed_too_long_or_repeat),
        cmocka_unit_test(reads_basic_constraints),
        cmocka_unit_test(reads_key_usage_as_openssl_writes_it),
        cmocka_unit_test(refuses_malformed_key_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
