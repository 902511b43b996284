/* What is told and proven from memory, and what the database decides all the same. */
#include "unit/acme-gw/gateway_fixture.h"

static struct client me;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge, acme.limit_state");
    gateway.config.workers = 4;
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    gateway.config.workers = 0;
    return 0;
}

static void
a_quick_proof_is_the_answer(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    const struct http_kit_reply *reply = client_post(&me, made.challenge, "{}");
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "valid");
    assert_true(strlen(member(&me, reply, "validated")) > 0);
    assert_int_equal(beyond.validations, 1);
    assert_string_equal(client_status_of(&me, made.url), "ready");
    char *stored =
        postgres_kit_ask(postgres, "SELECT c.status || ' ' || c.type || ' ' || a.status || ' ' || o.authorizations_left FROM acme.challenge c, "
                                   "acme.authorization a, acme.orders o");
    assert_string_equal(stored, "valid http-01 valid 0");
    free(stored);
    assert_string_equal(client_status_of(&me, made.authorization), "valid");
    assert_string_equal(client_status_of(&me, made.authorization), "valid");
}

/* Nothing that was seen in so short a time is held against anybody. */
static void
what_does_not_hold_at_once_is_looked_at_again(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    beyond.validate_problem = "unauthorized";
    const struct http_kit_reply *reply = client_post(&me, made.challenge, "{}");
    assert_string_equal(member(&me, reply, "status"), "processing");
    wait_for_status(&me, made.url, "invalid");
    assert_int_equal(beyond.validations, 2);
}

static void
a_silent_validator_leaves_a_leased_row(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    beyond.validate_error = ERR_UNAVAILABLE;
    assert_string_equal(member(&me, client_post(&me, made.challenge, "{}"), "status"), "processing");
    wait_for_status(&me, made.challenge, "processing");
    beyond.validate_error = OK;
    for (int i = 0; i < 2000 && turn_validations() == 0; i++) {
        postgres_kit_run(postgres, "UPDATE acme.challenge SET due_at = now() - interval '1 second' WHERE lease_holder IS NULL");
        clock_sleep_ms(5);
    }
    assert_string_equal(client_status_of(&me, made.url), "ready");
}

static const struct change {
    const char *name, *sql;
    int status;
    const char *word; /* of the challenge, or of the problem */
} changes[] = {
    {"what_was_given_up_elsewhere_cannot_be_proven", "UPDATE acme.authorization SET status = 'deactivated'", 400, "malformed"},
    {"what_has_expired_cannot_be_proven", "UPDATE acme.authorization SET expires_at = now() - interval '1 s'", 400, "malformed"},
    {"what_was_begun_elsewhere_stays_there",
     "UPDATE acme.challenge SET type = 'http-01', status = 'processing', due_at = now(), lease_holder = 'other', leased_until = now() + interval '1 "
     "h'",
     200, "processing"},
};

static void
the_database_decides(void **state)
{
    const struct change *change = *state;
    struct made_order made = client_order(&me, "host.example");

    postgres_kit_run(postgres, change->sql);
    const struct http_kit_reply *reply = client_post(&me, made.challenge, "{}");
    assert_int_equal(reply->status, change->status);
    assert_true(text_ends_with(member(&me, reply, change->status == 200 ? "status" : "type"), change->word));
    assert_string_equal(client_status_of(&me, made.url), "pending");
}

/* Gives it up, and keeps that open until somebody waits for the row. */
static void *
give_up_slowly(void *argument)
{
    postgres_kit_run(postgres, "DO $$ BEGIN UPDATE acme.authorization SET status = 'deactivated'; "
                               "WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP PERFORM pg_sleep(0.002); END LOOP; END $$");
    return argument;
}

static void
what_is_given_up_in_that_instant_is_not_proven(void **state)
{
    struct made_order made = client_order(&me, "host.example");
    pthread_t other;

    pthread_create(&other, NULL, give_up_slowly, NULL);
    for (bool is_open = false; !is_open; clock_sleep_ms(2)) {
        char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
        is_open = strcmp(count, "0") != 0;
        free(count);
    }
    const struct http_kit_reply *reply = client_post(&me, made.challenge, "{}");
    pthread_join(other, NULL);
    assert_problem(&me, reply, 400, "malformed");
    assert_int_equal(beyond.validations, 1);
    assert_string_equal(client_status_of(&me, made.authorization), "deactivated");
    assert_string_equal(client_status_of(&me, made.challenge), "pending");
    assert_string_equal(client_status_of(&me, made.url), "pending");
}

static void
a_state_is_told_from_memory_once(void **state)
{
    struct made_order made = client_order(&me, "host.example"); /* which has read it */

    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'invalid'");
    assert_string_equal(client_status_of(&me, made.authorization), "invalid");
}

static void
a_stranger_is_told_nothing(void **state)
{
    const struct http_kit_reply *reply = client_post(&me, "/acme/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"host.example\"}]}");
    const char *url = arena_text(me.arena, first_of(&me, reply, "authorizations"));
    CLIENT(stranger);

    client_register(&stranger);
    assert_problem(&stranger, client_post(&stranger, url, ""), 404, "malformed");
    assert_string_equal(client_status_of(&me, url), "pending");
}

static void
what_its_client_gave_up_is_not_told_as_pending(void **state)
{
    const struct http_kit_reply *reply = client_post(&me, "/acme/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"host.example\"}]}");
    const char *url = arena_text(me.arena, first_of(&me, reply, "authorizations"));

    assert_status(client_post(&me, url, "{\"status\":\"deactivated\"}"), 200);
    assert_string_equal(client_status_of(&me, url), "deactivated");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define CASES_BY_HAND 7

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(changes)] = {
        CASE(a_quick_proof_is_the_answer),
        CASE(what_does_not_hold_at_once_is_looked_at_again),
        CASE(a_silent_validator_leaves_a_leased_row),
        CASE(what_is_given_up_in_that_instant_is_not_proven),
        CASE(a_state_is_told_from_memory_once),
        CASE(a_stranger_is_told_nothing),
        CASE(what_its_client_gave_up_is_not_told_as_pending),
    };

    for (size_t i = 0; i < COUNT_OF(changes); i++)
        tests[CASES_BY_HAND + i] = (struct CMUnitTest){.name = changes[i].name,
                                                       .test_func = the_database_decides,
                                                       .setup_func = begin,
                                                       .teardown_func = end,
                                                       .initial_state = (void *)&changes[i]};
    return _cmocka_run_group_tests("authorization_cache", tests, COUNT_OF(tests), open_gateway, close_gateway);
}
