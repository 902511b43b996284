/* Serial numbers: their form, and the month that they carry. */
#include "unit/kit.h"

#include <time.h>

#include "pki/serial.h"

static void
months_count_from_january_2000_in_utc(void **state)
{
    assert_int_equal(serial_month_of(946684800), 0);
    assert_int_equal(serial_month_of(946684799), -1);
    assert_int_equal(serial_month_of(949363199), 0);
    assert_int_equal(serial_month_of(949363200), 1);
    assert_int_equal(serial_month_of(1796083200), 26 * 12 + 11); /* 2026-12-01 */
}

static void
months_begin_where_the_one_before_ends(void **state)
{
    for (int month = 0; month < 1200; month++) {
        struct tm first = {.tm_year = 100 + month / 12, .tm_mon = month % 12, .tm_mday = 1};
        int64_t begins_s = timegm(&first);
        assert_int_equal(serial_month_of(begins_s), month);
        assert_int_equal(serial_month_of(begins_s - 1), month - 1);
    }
}

static void
a_new_serial_carries_the_month_and_is_never_the_same(void **state)
{
    struct serial one = serial_new(1796083200), two = serial_new(1796083200);
    int month = -1;

    assert_true(serial_parse(BYTES(one.octets, SERIAL_LEN), &month));
    assert_int_equal(month, 26 * 12 + 11);
    assert_memory_equal(one.octets, two.octets, 3);
    assert_memory_not_equal(one.octets, two.octets, SERIAL_LEN);
}

static void
serials_of_another_form_are_not_ours(void **state)
{
    struct serial serial = serial_new(1796083200);
    int month = 77;

    assert_false(serial_parse(BYTES(serial.octets, SERIAL_LEN - 1), &month));
    assert_false(serial_parse(BYTES_NONE, &month));
    serial.octets[0] = 2;
    assert_false(serial_parse(BYTES(serial.octets, SERIAL_LEN), &month));
    assert_int_equal(month, 77);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(months_count_from_january_2000_in_utc),
        cmocka_unit_test(months_begin_where_the_one_before_ends),
        cmocka_unit_test(a_new_serial_carries_the_month_and_is_never_the_same),
        cmocka_unit_test(serials_of_another_form_are_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
