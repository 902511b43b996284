/* The DER writer: what it writes is what OpenSSL and our own reader expect. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/asn1.h>

#include "pki/der.h"

static const char *
hex_of(const struct buffer *out)
{
    return bytes_hex(out->arena, buffer_bytes(out), 0);
}

static void
lengths_take_the_shortest_form(void **state)
{
    static const struct {
        size_t len;
        const char *header;
    } cases[] = {{0, "0400"}, {127, "047f"}, {128, "048180"}, {255, "0481ff"}, {256, "04820100"}, {65535, "0482ffff"}, {65536, "0483010000"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct buffer put = buffer_in(arena), opened = buffer_in(arena);
        struct bytes content = BYTES(arena_alloc(arena, cases[i].len), cases[i].len);
        der_put(&put, DER_OCTET_STRING, content);
        assert_memory_equal(hex_of(&put), cases[i].header, strlen(cases[i].header));
        assert_int_equal(put.len, strlen(cases[i].header) / 2 + cases[i].len);

        /* Opened and closed, with something around it that must not be moved wrongly. */
        size_t outer = der_open(&opened, DER_SEQUENCE);
        der_put_bool(&opened, true);
        size_t mark = der_open(&opened, DER_OCTET_STRING);
        buffer_append(&opened, content.at, content.len);
        der_close(&opened, mark);
        der_put_int(&opened, 5);
        der_close(&opened, outer);
        struct der in = der_of(buffer_bytes(&opened)), inside;
        struct bytes read;
        bool flag;
        int64_t five;
        assert_true(der_enter(&in, DER_SEQUENCE, &inside) && der_at_end(&in));
        assert_true(der_take_bool(&inside, &flag) && der_take_whole(&inside, NULL, &read) && bytes_equal(read, buffer_bytes(&put)));
        assert_true(der_take_int(&inside, &five) && five == 5 && der_at_end(&inside));
    }
}

static void
integers_are_what_openssl_writes(void **state)
{
    static const int64_t values[] = {0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, -32768, 65537, INT64_MAX, INT64_MIN};

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct buffer out = buffer_in(arena);
        ASN1_INTEGER *integer = ASN1_INTEGER_new();
        unsigned char *der = NULL;
        ASN1_INTEGER_set_int64(integer, values[i]);
        int len = i2d_ASN1_INTEGER(integer, &der);
        der_put_int(&out, values[i]);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.at, der, len);
        OPENSSL_free(der);
        ASN1_INTEGER_free(integer);
    }
}

static void
magnitudes_get_a_sign_octet_where_they_need_one(void **state)
{
    static const struct {
        const char *magnitude, *der;
    } cases[] = {{"", "020100"}, {"00", "020100"}, {"7f", "02017f"}, {"80", "02020080"}, {"0000ff", "020200ff"}, {"01ff", "020201ff"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct buffer out = buffer_in(arena);
        struct bytes magnitude;
        assert_true(bytes_from_hex(arena, cases[i].magnitude, &magnitude));
        der_put_unsigned(&out, magnitude);
        assert_string_equal(hex_of(&out), cases[i].der);
    }
}

static void
named_bits_are_cut_behind_the_last_one(void **state)
{
    for (unsigned bits = 0; bits < 512; bits++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct buffer out = buffer_in(arena);
        ASN1_BIT_STRING *judged = ASN1_BIT_STRING_new();
        unsigned char *der = NULL;
        for (int bit = 0; bit < 9; bit++)
            ASN1_BIT_STRING_set_bit(judged, bit, bits >> bit & 1);
        int len = i2d_ASN1_BIT_STRING(judged, &der);
        der_put_named_bits(&out, bits, 9);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.at, der, len);
        OPENSSL_free(der);
        ASN1_BIT_STRING_free(judged);
    }
}

static void
times_are_what_openssl_writes_and_are_read_back(void **state)
{
    static const int64_t times[] = {-631152000, -1,         0,          951782400,  951868800,   1709164800,  1709251199,
                                    1796083200, 2524607999, 2524608000, 4107542400, 13574563200, 253402300799};

    for (size_t i = 0; i < COUNT_OF(times); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct buffer out = buffer_in(arena);
        ASN1_TIME *judged = ASN1_TIME_set(NULL, times[i]);
        int64_t again = 1;
        der_put_time(&out, times[i]);
        struct der in = der_of(buffer_bytes(&out));
        assert_int_equal(der_peek(&in), ASN1_STRING_type(judged));
        assert_int_equal(out.len, 2 + ASN1_STRING_length(judged));
        assert_memory_equal(out.at + 2, ASN1_STRING_get0_data(judged), (size_t)ASN1_STRING_length(judged));
        assert_true(der_take_time(&in, &again) && again == times[i]);
        ASN1_TIME_free(judged);
    }
}

static void
every_day_is_read_back(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    for (int64_t day = -7305; day < 47482; day++) {
        struct buffer out = buffer_in(arena);
        int64_t unix_s = day * 86400 + (day * 7919) % 43200 + 43200, again = 0;
        der_put_generalized_time(&out, unix_s);
        struct der in = der_of(buffer_bytes(&out));
        assert_true(der_take_time(&in, &again) && again == unix_s);
        arena_reset(arena);
    }
}

static void
small_things_have_their_one_form(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer out = buffer_in(arena);

    der_put_bool(&out, true);
    der_put_bool(&out, false);
    der_put_bits(&out, BYTES("\xaa", 1));
    der_put_generalized_time(&out, 0);
    der_put_oid(&out, BYTES("\x55\x04\x03", 3));
    der_put_whole(&out, BYTES("\x05\x00", 2));
    assert_string_equal(hex_of(&out), "0101ff010100030200aa180f31393730303130313030303030305a06035504030500");
}

static void
put_two_values(void *out)
{
    der_put_whole(out, BYTES("\x05\x00\x05\x00", 4));
}

static void
put_time_of_1949(void *out)
{
    der_put_time(out, -631152001);
}

static void
put_time_of_10000(void *out)
{
    der_put_time(out, INT64_C(253402300800));
}

static void
values_that_have_no_der_form_are_bugs(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer out = buffer_in(arena);

    assert_true(aborts(put_two_values, &out));
    assert_true(aborts(put_time_of_1949, &out));
    assert_true(aborts(put_time_of_10000, &out));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_take_the_shortest_form),
        cmocka_unit_test(integers_are_what_openssl_writes),
        cmocka_unit_test(magnitudes_get_a_sign_octet_where_they_need_one),
        cmocka_unit_test(named_bits_are_cut_behind_the_last_one),
        cmocka_unit_test(times_are_what_openssl_writes_and_are_read_back),
        cmocka_unit_test(every_day_is_read_back),
        cmocka_unit_test(small_things_have_their_one_form),
        cmocka_unit_test(values_that_have_no_der_form_are_bugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
