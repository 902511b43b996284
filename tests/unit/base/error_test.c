/* Kinds of error and their names. */
#include "unit/kit.h"

#include <string.h>

#include "base/error.h"

static void
every_kind_has_a_name_that_leads_back_to_it(void **state)
{
    for (unsigned kind = OK; kind < ERR_COUNT; kind++) {
        assert_true(strlen(error_name((enum error)kind)) > 0);
        assert_int_equal(error_from_name(error_name((enum error)kind)), kind);
    }
}

static void
names_are_the_ones_on_the_bus(void **state)
{
    assert_string_equal(error_name(OK), "ok");
    assert_string_equal(error_name(ERR_BAD_CSR), "bad-csr");
    assert_string_equal(error_name(ERR_RATE_LIMITED), "rate-limited");
    assert_string_equal(error_name(ERR_INTERNAL), "internal");
}

static void
a_name_of_a_newer_build_is_internal(void **state)
{
    assert_int_equal(error_from_name("quantum-flux"), ERR_INTERNAL);
    assert_int_equal(error_from_name(""), ERR_INTERNAL);
    assert_int_equal(error_from_name("OK"), ERR_INTERNAL);
    assert_int_equal(error_from_name(NULL), ERR_INTERNAL);
}

static void
only_trouble_that_passes_is_retriable(void **state)
{
    static const bool retriable[ERR_COUNT] = {[ERR_RATE_LIMITED] = true, [ERR_BUSY] = true, [ERR_UNAVAILABLE] = true, [ERR_TIMEOUT] = true};

    for (unsigned kind = OK; kind < ERR_COUNT; kind++)
        assert_int_equal(error_is_retriable((enum error)kind), retriable[kind]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_name_that_leads_back_to_it),
        cmocka_unit_test(names_are_the_ones_on_the_bus),
        cmocka_unit_test(a_name_of_a_newer_build_is_internal),
        cmocka_unit_test(only_trouble_that_passes_is_retriable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
