/* Who has a place, and who has to go. */
#include "unit/kit.h"

#include <stdio.h>
#include <string.h>

#include "places.h"

#define COMPANY 100 /* orders that are under way at once: few that come later than one of them fall into its set */

static const char *
id_of(char id[PLACE_ID_MAX + 1], int n)
{
    snprintf(id, PLACE_ID_MAX + 1, "order-%d", n);
    return id;
}

static void
an_id_keeps_its_place(void **state)
{
    static struct places places;
    size_t place;

    assert_false(places_find(&places, "order-1", &place));
    size_t taken = places_take(&places, "order-1");
    assert_true(places_find(&places, "order-1", &place));
    assert_int_equal(place, taken);
    assert_int_equal(places_take(&places, "order-1"), taken);
    assert_false(places_find(&places, "order-2", &place));
}

static void
what_came_a_moment_ago_is_there_whoever_came_since(void **state)
{
    static struct places places;
    char id[PLACE_ID_MAX + 1];
    size_t place;

    for (int n = 0; n < 20000; n++) {
        (void)places_take(&places, id_of(id, n));
        if (n >= COMPANY)
            assert_true(places_find(&places, id_of(id, n - COMPANY), &place));
    }
}

static void
no_two_ids_have_one_place_and_who_came_first_goes(void **state)
{
    static struct places places;
    static int owner[PLACES];
    char id[PLACE_ID_MAX + 1];
    size_t place, known = 0;

    for (int n = 1; n <= 3 * PLACES; n++) {
        size_t taken = places_take(&places, id_of(id, n));
        assert_true(taken < PLACES);
        if (owner[taken] != 0)
            assert_false(places_find(&places, id_of(id, owner[taken]), &place));
        owner[taken] = n;
    }
    for (int n = 1; n <= 3 * PLACES; n++)
        known += places_find(&places, id_of(id, n), &place) && owner[place] == n;
    assert_int_equal(known, PLACES);
    assert_false(places_find(&places, id_of(id, 1), &place));
    assert_false(places_find(&places, "an id that is longer than any of ours", &place));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_keeps_its_place),
        cmocka_unit_test(what_came_a_moment_ago_is_there_whoever_came_since),
        cmocka_unit_test(no_two_ids_have_one_place_and_who_came_first_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
