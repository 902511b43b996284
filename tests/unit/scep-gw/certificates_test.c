/* What is read for GetCRL, which strangers may ask for. */
#include "scep_fixture.h"

static void
a_crl_that_is_too_large_is_not_read(void **state)
{
    struct fixture *fixture = *state;
    struct bytes crl = BYTES("x", 1);
    int64_t len = 0;

    postgres_kit_run(postgres, "INSERT INTO crl.authority VALUES ('issuing', '\\x00', '', decode(repeat('00', 32), 'hex'), now())");
    postgres_kit_run(postgres,
                     "INSERT INTO crl.published VALUES ('issuing', decode(repeat('00', 20), 'hex'), decode(repeat('30', 1000), 'hex'), now(),"
                     " now() + interval '1 day', decode(repeat('00', 32), 'hex'), 0)");
    assert_int_equal(store_find_crl(&fixture->scep, fixture->rq, "issuing", 999, &len, &crl), OK);
    assert_int_equal(len, 1000);
    assert_int_equal(crl.len, 0);
    assert_int_equal(store_find_crl(&fixture->scep, fixture->rq, "issuing", 1000, &len, &crl), OK);
    assert_int_equal(len, 1000);
    assert_int_equal(crl.len, 1000);
    assert_int_equal(store_find_crl(&fixture->scep, fixture->rq, "nobody", 1000, &len, &crl), OK);
    assert_int_equal(len, 0);
    assert_int_equal(crl.len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {CASE(a_crl_that_is_too_large_is_not_read)};

    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
