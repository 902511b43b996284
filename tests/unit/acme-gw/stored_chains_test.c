/* What is known of the chains that the database has: for a minute, and of no other chain. */
#include "unit/kit.h"

#include <string.h>

#include "acme.h"
#include "base/clock.h"

static int64_t now_ms = 1000000;

int64_t
clock_monotonic_ms(void)
{
    return now_ms;
}

static struct bytes
digest(uint8_t octets[32], uint8_t first, uint8_t last)
{
    memset(octets, 0, 32);
    octets[0] = first;
    octets[31] = last;
    return BYTES(octets, 32);
}

static void
a_stored_chain_is_known_for_a_minute(void **state)
{
    AUTO_STRUCT(stored_chains, chains) = stored_chains_new();
    uint8_t octets[32];

    assert_false(stored_chains_have(chains, digest(octets, 0, 0)));
    assert_false(stored_chains_have(chains, digest(octets, 1, 1)));
    stored_chains_add(chains, digest(octets, 1, 1));
    now_ms += 59000;
    assert_true(stored_chains_have(chains, digest(octets, 1, 1)));
    now_ms += 2000;
    assert_false(stored_chains_have(chains, digest(octets, 1, 1)));
}

static void
chains_in_one_place_are_not_mistaken(void **state)
{
    AUTO_STRUCT(stored_chains, chains) = stored_chains_new();
    uint8_t octets[32];

    stored_chains_add(chains, digest(octets, 1, 1));
    assert_false(stored_chains_have(chains, digest(octets, 1, 2)));
    stored_chains_add(chains, digest(octets, 2, 1));
    assert_true(stored_chains_have(chains, digest(octets, 1, 1)));
    stored_chains_add(chains, digest(octets, 1, 2));
    assert_false(stored_chains_have(chains, digest(octets, 1, 1)));
    assert_true(stored_chains_have(chains, digest(octets, 1, 2)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_chain_is_known_for_a_minute),
        cmocka_unit_test(chains_in_one_place_are_not_mistaken),
    };
    return cmocka_run_group_tests_name("stored_chains", tests, NULL, NULL);
}
