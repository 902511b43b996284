/* BER to DER: what devices send becomes what we read; what is DER stays as it is; nothing runs away. */
#include "unit/kit.h"

#include "scep.h"

struct pair {
    const char *name, *ber, *der; /* hexadecimal; der NULL: refused */
};

static const struct pair pairs[] = {
    {"der_stays", "3003020105", "3003020105"},
    {"indefinite_length", "30800201050000", "3003020105"},
    {"nested_indefinite_lengths", "3080308002010500000000", "30053003020105"},
    {"long_winded_length", "308400000003020105", "3003020105"},
    {"long_winded_primitive", "0281020105", "02020105"},
    {"pieces_of_an_octet_string", "2480040261620401630000", "0403616263"},
    {"pieces_with_a_definite_length", "24070402616204016300", NULL},
    {"pieces_of_pieces", "24802480040161000004016200 00", "04026162"},
    {"a_piece_that_is_no_octet_string", "248002010500 00", NULL},
    {"an_implicit_value_in_pieces_keeps_them", "a080040161040162 0000", "a006040161040162"},
    {"empty_content", "30800000", "3000"},
    {"no_end", "3080020105", NULL},
    {"primitive_of_indefinite_length", "0480616200 00", NULL},
    {"longer_than_the_input", "3004020105", NULL},
    {"longer_than_any_number", "3089ffffffffffffffffff", NULL},
    {"octets_behind_it", "300302010500", NULL},
    {"end_of_contents_alone", "0000", NULL},
    {"a_tag_of_many_octets", "1f2001ff", NULL},
    {"nothing", "", NULL},
    {"half_a_header", "30", NULL},
};

static void
each_pair(void **state)
{
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct buffer hex = buffer_in(arena);
        struct bytes ber, der, got;
        for (const char *at = pairs[i].ber; *at != '\0'; at++)
            if (*at != ' ')
                buffer_append(&hex, at, 1);
        assert_true(bytes_from_hex(arena, buffer_text(&hex), &ber));
        bool taken = ber_to_der(arena, ber, &got);
        if (taken != (pairs[i].der != NULL))
            fail_msg("%s: %s", pairs[i].name, taken ? "taken" : "refused");
        if (!taken)
            continue;
        assert_true(bytes_from_hex(arena, pairs[i].der, &der));
        if (!bytes_equal(got, der))
            fail_msg("%s: %s", pairs[i].name, bytes_hex(arena, got, 0));
    }
}

static void
depth_is_bounded(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    static uint8_t deep[20000];
    struct bytes der;

    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = i % 2 == 0 ? 0x30 : 0x80;
    assert_false(ber_to_der(arena, BYTES(deep, sizeof deep), &der));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_pair), cmocka_unit_test(depth_is_bounded)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
