/* What the store promises beyond its callers: a bad day of the database, and rights. */
#include "inventory_fixture.h"

static void
what_is_written_while_the_database_is_away_is_refused_as_unavailable(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CertificateIssued *message = issued(rq, 1, "a.example");
    const struct event event = {.id = "1", .message = &message->base};
    enum error error;

    HEAR(fixture, on_certificate_issued, issued(fixture->rq, 2, "b.example"));
    postgres_kit_kill(postgres);
    rq->deadline_ms = clock_monotonic_ms() + 2000;
    error = store_add_certificates(&fixture->inventory, rq, &event, 1);
    postgres_kit_start_again(postgres);
    assert_true(error_is_retriable(error));

    /* The bus brings it again. */
    for (int turn = 0; turn < 50; turn++) {
        failure_clear(rq);
        rq->deadline_ms = clock_monotonic_ms() + 2000;
        error = store_add_certificates(&fixture->inventory, rq, &event, 1);
        if (error == OK)
            break;
        clock_sleep_ms(100);
    }
    assert_ok(rq, error);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.certificate"), 2);
}

/* The rights of the role are exactly those of its statements. */
static void
nothing_can_be_changed_or_removed(void **state)
{
    static const char *const statements[] = {"UPDATE inventory.certificate SET owner = 'me'", "DELETE FROM inventory.certificate",
                                             "UPDATE inventory.revocation SET revoked_at = now()", "DELETE FROM inventory.revocation",
                                             "TRUNCATE inventory.certificate_name"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(statements); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        assert_int_not_equal(db_script(fixture->inventory.db, rq, statements[i]), OK);
        assert_non_null(strstr(rq->failure.detail, "42501"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_written_while_the_database_is_away_is_refused_as_unavailable),
        CASE(nothing_can_be_changed_or_removed),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
