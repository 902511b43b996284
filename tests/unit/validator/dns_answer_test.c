/* What is taken from an answer of the DNS, and what is not. */
#include "unit/kit.h"

#include <string.h>

#include "validator.h"

#define NXDOMAIN 3
#define CNAME 5
#define QUESTION 12 /* octets before the name that was asked for, as a pointer to it says */

static struct {
    uint8_t at[8192];
    size_t len;
} packet;

static void
put(const void *octets, size_t len)
{
    memcpy(packet.at + packet.len, octets, len);
    packet.len += len;
}

static void
put_number(size_t number)
{
    put((const uint8_t[]){(uint8_t)(number >> 8), (uint8_t)number}, 2);
}

/* RFC 1035 §4.1.1: one question, for TXT of "asked.test", and so many answers. */
static void
begin(int rcode, size_t answers)
{
    packet.len = 0;
    put_number(1);
    put_number((size_t)(0x8180 | rcode));
    put_number(1);
    put_number(answers);
    put_number(0);
    put_number(0);
    put("\5asked\4test", 12);
    put_number(RRTYPE_TXT);
    put_number(1);
}

/* RFC 1035 §4.1.3. `name` as on the wire with its end; NULL: the one that was asked for. */
static void
answer(const char *name, int type, const char *data, size_t len)
{
    if (name == NULL)
        put_number(0xc000 | QUESTION);
    else
        put(name, strlen(name) + 1);
    put_number((size_t)type);
    put_number(1);
    put("\0\0\0\5", 4);
    put_number(len);
    put(data, len);
}

static bool
read_it(struct arena *arena, struct dns_answer *ret_answer)
{
    return dns_answer_read(arena, BYTES(packet.at, packet.len), RRTYPE_TXT, ret_answer);
}

static void
takes_the_records_of_the_name(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct dns_answer found;

    begin(0, 2);
    answer(NULL, RRTYPE_TXT, "\3one", 4);
    answer("\5ASKED\4TEST", RRTYPE_TXT, "\3two", 4);
    assert_true(read_it(arena, &found));
    assert_int_equal(found.rcode, 0);
    assert_false(found.aliased);
    assert_int_equal(found.count, 2);
    assert_true(bytes_equal(found.records[0], BYTES("\3one", 4)));
    assert_true(bytes_equal(found.records[1], BYTES("\3two", 4)));
}

static void
leaves_records_of_other_names_and_types(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct dns_answer found;

    begin(0, 2);
    answer("\5other\4test", RRTYPE_TXT, "\3one", 4);
    answer(NULL, RRTYPE_A, "\177\0\0\1", 4);
    assert_true(read_it(arena, &found));
    assert_int_equal(found.count, 0);
}

static void
follows_aliases_and_says_so(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct dns_answer found;

    begin(0, 4);
    answer(NULL, CNAME, "\1b\4test", 8);
    answer("\1B\4test", CNAME, "\1c\4test", 8);
    answer("\1c\4test", RRTYPE_TXT, "\3one", 4);
    answer(NULL, RRTYPE_TXT, "\3two", 4);
    assert_true(read_it(arena, &found));
    assert_true(found.aliased);
    assert_int_equal(found.count, 1);
    assert_true(bytes_equal(found.records[0], BYTES("\3one", 4)));
}

static void
an_alias_of_another_name_leads_nowhere(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct dns_answer found;

    begin(0, 2);
    answer("\5other\4test", CNAME, "\1b\4test", 8);
    answer("\1b\4test", RRTYPE_TXT, "\3one", 4);
    assert_true(read_it(arena, &found));
    assert_false(found.aliased);
    assert_int_equal(found.count, 0);
}

static void
counts_more_records_than_it_takes(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct dns_answer found;

    begin(0, RECORDS_MAX + 5);
    for (int i = 0; i < RECORDS_MAX + 5; i++)
        answer(NULL, RRTYPE_TXT, "\1x", 2);
    assert_true(read_it(arena, &found));
    assert_int_equal(found.count, RECORDS_MAX + 5);
}

static void
tells_what_went_wrong(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct dns_answer found;

    begin(NXDOMAIN, 0);
    assert_true(read_it(arena, &found));
    assert_int_equal(found.rcode, NXDOMAIN);
    assert_int_equal(found.count, 0);
}

static void
refuses_what_is_cut_off(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct dns_answer found;

    begin(0, 1);
    answer(NULL, RRTYPE_TXT, "\3one", 4);
    assert_true(read_it(arena, &found));
    for (packet.len--; packet.len > 0; packet.len--)
        assert_false(read_it(arena, &found));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_records_of_the_name),     cmocka_unit_test(leaves_records_of_other_names_and_types),
        cmocka_unit_test(follows_aliases_and_says_so),       cmocka_unit_test(an_alias_of_another_name_leads_nowhere),
        cmocka_unit_test(counts_more_records_than_it_takes), cmocka_unit_test(tells_what_went_wrong),
        cmocka_unit_test(refuses_what_is_cut_off),
    };
    return cmocka_run_group_tests_name("dns_answer", tests, NULL, NULL);
}
