/* The DER reader: what it takes, what it refuses, and that a refusal moves nothing. */
#include "unit/kit.h"

#include "pki/der.h"

static struct bytes
hex(struct arena *arena, const char *text)
{
    struct bytes bytes;

    assert_true(bytes_from_hex(arena, text, &bytes));
    return bytes;
}

static void
takes_a_value_and_moves_behind_it(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct der in = der_of(hex(arena, "0403aabbcc0500"));
    struct bytes content;

    assert_int_equal(der_peek(&in), DER_OCTET_STRING);
    assert_true(der_take(&in, DER_OCTET_STRING, &content));
    assert_string_equal(bytes_hex(arena, content, 0), "aabbcc");
    assert_true(der_take(&in, DER_NULL, &content));
    assert_int_equal(content.len, 0);
    assert_true(der_at_end(&in));
    assert_int_equal(der_peek(&in), 0);
}

static void
refuses_another_tag_and_stays_in_place(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct der in = der_of(hex(arena, "0403aabbcc"));
    struct bytes content;

    assert_false(der_take(&in, DER_INTEGER, &content));
    assert_int_equal(in.len, 5);
}

static void
takes_lengths_in_the_shortest_form_only(void **state)
{
    static const struct {
        const char *header;
        size_t content;
        bool good;
    } cases[] = {
        {"0400", 0, true},
        {"047f", 127, true},
        {"048180", 128, true},
        {"0481ff", 255, true},
        {"04820100", 256, true},
        {"0483010000", 65536, true},
        {"04817f", 127, false},
        {"048200ff", 255, false},
        {"04820080", 128, false},
        {"0480", 0, false},
        {"0485000000000a", 10, false},
        {"048400000100", 256, false},
        {"048501000000000a", 10, false},
        {"04", 0, false},
        {"0481", 0, false},
        {"04ff", 0, false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct buffer whole = buffer_in(arena);
        struct bytes header = hex(arena, cases[i].header), content;
        buffer_append(&whole, header.at, header.len);
        buffer_append(&whole, arena_alloc(arena, cases[i].content), cases[i].content);
        struct der in = der_of(buffer_bytes(&whole));
        assert_int_equal(der_take(&in, DER_OCTET_STRING, &content), cases[i].good);
        assert_int_equal(der_is_one_value(buffer_bytes(&whole)), cases[i].good);
        if (cases[i].good)
            assert_int_equal(content.len, cases[i].content);
    }
}

static void
refuses_a_value_that_is_cut_off(void **state)
{
    static const char *const cases[] = {"", "30", "3003", "30030201", "308201", "30820100", "0402aa"};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct der in = der_of(hex(arena, cases[i]));
        size_t before = in.len;
        assert_false(der_skip(&in));
        assert_int_equal(in.len, before);
    }
}

static void
refuses_tags_of_several_octets_and_end_of_contents(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_false(der_is_one_value(hex(arena, "1f810100")));
    assert_false(der_is_one_value(hex(arena, "bf810100")));
    assert_false(der_is_one_value(hex(arena, "0000")));
}

static void
one_value_has_nothing_behind_it(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_true(der_is_one_value(hex(arena, "3003020101")));
    assert_false(der_is_one_value(hex(arena, "300302010100")));
}

static void
takes_integers_that_are_minimal_and_fit(void **state)
{
    static const struct {
        const char *der;
        bool good;
        int64_t value;
    } cases[] = {
        {"020100", true, 0},
        {"02017f", true, 127},
        {"02020080", true, 128},
        {"0201ff", true, -1},
        {"020180", true, -128},
        {"02087fffffffffffffff", true, INT64_MAX},
        {"02088000000000000000", true, INT64_MIN},
        {"0200", false, 0},
        {"0202007f", false, 0},
        {"0202ff80", false, 0},
        {"020900ffffffffffffffff", false, 0},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct der in = der_of(hex(arena, cases[i].der));
        int64_t value = 77;
        assert_int_equal(der_take_int(&in, &value), cases[i].good);
        assert_true(value == (cases[i].good ? cases[i].value : 77));
        assert_int_equal(der_at_end(&in), cases[i].good);
    }
}

static void
takes_magnitudes_without_their_sign_octet(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes magnitude;
    struct der large = der_of(hex(arena, "020300ff01")), zero = der_of(hex(arena, "020100"));
    struct der negative = der_of(hex(arena, "0201ff")), padded = der_of(hex(arena, "02020001"));

    assert_true(der_take_unsigned(&large, &magnitude));
    assert_string_equal(bytes_hex(arena, magnitude, 0), "ff01");
    assert_true(der_take_unsigned(&zero, &magnitude));
    assert_string_equal(bytes_hex(arena, magnitude, 0), "00");
    assert_false(der_take_unsigned(&negative, &magnitude));
    assert_false(der_take_unsigned(&padded, &magnitude));
}

static void
takes_booleans_in_their_two_forms_only(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct der yes = der_of(hex(arena, "0101ff")), no = der_of(hex(arena, "010100"));
    struct der one = der_of(hex(arena, "010101")), two = der_of(hex(arena, "0102ffff"));
    bool value = false;

    assert_true(der_take_bool(&yes, &value) && value);
    assert_true(der_take_bool(&no, &value) && !value);
    assert_false(der_take_bool(&one, &value));
    assert_false(der_take_bool(&two, &value));
}

static void
takes_times_of_rfc_5280_only(void **state)
{
    static const struct {
        unsigned tag;
        const char *text;
        bool good;
        int64_t unix_s;
    } cases[] = {
        {DER_UTC_TIME, "700101000000Z", true, 0},
        {DER_UTC_TIME, "491231235959Z", true, 2524607999},
        {DER_UTC_TIME, "500101000000Z", true, -631152000},
        {DER_UTC_TIME, "240229120000Z", true, 1709208000},
        {DER_UTC_TIME, "230229120000Z", false, 0},
        {DER_UTC_TIME, "2402291200Z", false, 0},
        {DER_UTC_TIME, "240229120000+0100", false, 0},
        {DER_UTC_TIME, "241301120000Z", false, 0},
        {DER_UTC_TIME, "240001120000Z", false, 0},
        {DER_UTC_TIME, "240100120000Z", false, 0},
        {DER_UTC_TIME, "240101240000Z", false, 0},
        {DER_UTC_TIME, "240101006000Z", false, 0},
        {DER_UTC_TIME, "240101000060Z", false, 0},
        {DER_UTC_TIME, "24010100000xZ", false, 0},
        {DER_GENERALIZED_TIME, "20500101000000Z", true, 2524608000},
        {DER_GENERALIZED_TIME, "99991231235959Z", true, 253402300799},
        {DER_GENERALIZED_TIME, "21000228000000Z", true, 4107456000},
        {DER_GENERALIZED_TIME, "21000229000000Z", false, 0},
        {DER_GENERALIZED_TIME, "20500101000000.5Z", false, 0},
        {DER_GENERALIZED_TIME, "20500101000000", false, 0},
        {DER_OCTET_STRING, "20500101000000Z", false, 0},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct buffer out = buffer_in(arena);
        der_put(&out, cases[i].tag, bytes_of_text(cases[i].text));
        struct der in = der_of(buffer_bytes(&out));
        int64_t unix_s = 0;
        assert_int_equal(der_take_time(&in, &unix_s), cases[i].good);
        assert_true(unix_s == cases[i].unix_s);
    }
}

static void
takes_bit_strings_of_whole_octets(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct der good = der_of(hex(arena, "03020055")), odd = der_of(hex(arena, "03020154")), empty = der_of(hex(arena, "0300"));
    struct bytes octets;

    assert_true(der_take_bits(&good, &octets));
    assert_string_equal(bytes_hex(arena, octets, 0), "55");
    assert_false(der_take_bits(&odd, &octets));
    assert_false(der_take_bits(&empty, &octets));
}

static void
takes_oids_with_whole_and_minimal_arcs(void **state)
{
    static const struct {
        const char *der;
        bool good;
    } cases[] = {{"0603550403", true},           {"060488378001", false}, {"060488378100", true}, {"06028100", true},  {"0600", false},
                 {"0603550480", false},          {"06025584", false},     {"0603558001", false},  {"06028001", false}, {"0403550403", false},
                 {"06080180808080808001", false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct der in = der_of(hex(arena, cases[i].der));
        size_t before = in.len;
        struct bytes oid;
        assert_int_equal(der_take_oid(&in, &oid), cases[i].good);
        assert_int_equal(in.len, cases[i].good ? 0 : before);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_value_and_moves_behind_it),
        cmocka_unit_test(refuses_another_tag_and_stays_in_place),
        cmocka_unit_test(takes_lengths_in_the_shortest_form_only),
        cmocka_unit_test(refuses_a_value_that_is_cut_off),
        cmocka_unit_test(refuses_tags_of_several_octets_and_end_of_contents),
        cmocka_unit_test(one_value_has_nothing_behind_it),
        cmocka_unit_test(takes_integers_that_are_minimal_and_fit),
        cmocka_unit_test(takes_magnitudes_without_their_sign_octet),
        cmocka_unit_test(takes_booleans_in_their_two_forms_only),
        cmocka_unit_test(takes_times_of_rfc_5280_only),
        cmocka_unit_test(takes_bit_strings_of_whole_octets),
        cmocka_unit_test(takes_oids_with_whole_and_minimal_arcs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
