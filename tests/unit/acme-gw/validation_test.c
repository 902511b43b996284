/* Challenges: from "look at me" to ready or invalid, in one step for every reader, whoever dies in between. */
#include "gateway_fixture.h"

static struct client me;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    validations.wakes = 0;
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    return 0;
}

static void
a_challenge_is_processing_at_once_and_valid_soon(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    beyond.validator_is_slow = true;
    const struct http_kit_reply *reply = client_post(&me, made.challenge, "{}");
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "processing");
    assert_string_equal(header_of(&me, reply, "Retry-After"), "1");
    assert_non_null(strstr(reply->head, arena_format(me.arena, "Link: <%s>;rel=\"up\"", made.authorization)));
    const char *token = arena_text(me.arena, member(&me, reply, "token"));
    assert_string_equal(client_status_of(&me, made.authorization), "pending");
    assert_string_equal(client_status_of(&me, made.url), "pending");

    sem_post(&validator_gate);
    wait_for_status(&me, made.authorization, "valid");
    assert_string_equal(client_status_of(&me, made.url), "ready");
    reply = client_post(&me, made.challenge, "");
    assert_string_equal(member(&me, reply, "status"), "valid");
    assert_string_not_equal(member(&me, reply, "validated"), "");
    struct jwk jwk;
    AUTO_STRUCT(request, rq) = request_new();
    assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(jose_jwk(rq->arena, me.key))), &jwk), OK);
    assert_string_equal(beyond.key_authorization,
                        arena_format(me.arena, "%s.%s", token, base64url_encode(me.arena, BYTES(jwk.thumbprint, THUMBPRINT_LEN))));
}

static void
a_look_at_a_challenge_begins_nothing(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    assert_string_equal(client_status_of(&me, made.challenge), "pending");
    assert_int_equal(turn_validations(), 0);
    assert_string_equal(client_status_of(&me, made.challenge), "pending");
    assert_int_equal(beyond.validations, 0);
}

static void
a_second_post_begins_nothing_more(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    beyond.validator_is_slow = true;
    assert_status(client_post(&me, made.challenge, "{}"), 200);
    assert_string_equal(member(&me, client_post(&me, made.challenge, "{}"), "status"), "processing");
    assert_int_equal(turn_validations(), 0);
    sem_post(&validator_gate);
    wait_for_status(&me, made.challenge, "valid");
    assert_string_equal(member(&me, client_post(&me, made.challenge, "{}"), "status"), "valid");
    assert_int_equal(beyond.validations, 1);
}

static void
what_the_validator_found_makes_all_three_invalid(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    beyond.validate_problem = "incorrectResponse";
    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_for_status(&me, made.authorization, "invalid");
    const struct http_kit_reply *reply = client_post(&me, made.challenge, "");
    assert_string_equal(member(&me, reply, "status"), "invalid");
    assert_non_null(strstr(reply->body, "incorrectResponse"));
    assert_non_null(strstr(reply->body, "another text was found"));
    reply = client_post(&me, made.url, "");
    assert_string_equal(member(&me, reply, "status"), "invalid");
    assert_non_null(strstr(reply->body, "incorrectResponse"));
}

static void
an_order_is_ready_when_the_last_name_is(void **state)
{
    const struct http_kit_reply *reply = client_post(
        &me, "/acme/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"},{\"type\":\"dns\",\"value\":\"b.example\"}]}");
    const char *url = header_of(&me, reply, "Location");
    const json_t *list = json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "authorizations");

    for (size_t i = 0; i < 2; i++) {
        const char *authorization_url = json_string_value(json_array_get(list, i));
        assert_string_equal(client_status_of(&me, url), "pending");
        reply = client_post(&me, authorization_url, "");
        const json_t *challenges = json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "challenges");
        assert_status(client_post(&me, json_text(json_array_get(challenges, 0), "url"), "{}"), 200);
        wait_for_status(&me, authorization_url, "valid");
    }
    assert_string_equal(client_status_of(&me, url), "ready");
}

static void
make_due(void)
{
    postgres_kit_run(postgres, "UPDATE acme.challenge SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL");
}

static void
an_absent_validator_is_asked_again(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    beyond.validate_error = ERR_UNAVAILABLE;
    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_until_postponed();
    assert_string_equal(client_status_of(&me, made.challenge), "processing");
    beyond.validate_error = OK;
    make_due();
    assert_int_equal(turn_validations(), 1);
    assert_string_equal(client_status_of(&me, made.url), "ready");
    assert_int_equal(turn_validations(), 0);
}

static void
a_validator_that_never_comes_is_told_in_the_end(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    beyond.validate_error = ERR_UNAVAILABLE;
    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_until_postponed();
    postgres_kit_run(postgres, "UPDATE acme.challenge SET attempts = 1000");
    make_due();
    assert_int_equal(turn_validations(), 1);
    assert_string_equal(client_status_of(&me, made.challenge), "invalid");
    assert_string_equal(client_status_of(&me, made.url), "invalid");
}

/* RFC 8555 §8.2 */
static void
a_client_may_hasten_what_was_put_off(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    beyond.validate_error = ERR_UNAVAILABLE;
    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_until_postponed();
    postgres_kit_run(postgres, "UPDATE acme.challenge SET due_at = now() + interval '1 hour' WHERE status = 'processing'");
    assert_int_equal(turn_validations(), 0);
    beyond.validate_error = OK;
    int wakes = validations.wakes;
    assert_string_equal(member(&me, client_post(&me, made.challenge, "{}"), "status"), "processing");
    assert_int_equal(validations.wakes, wakes + 1);
    assert_int_equal(turn_validations(), 1);
    assert_string_equal(client_status_of(&me, made.url), "ready");
}

static void
the_validator_hears_of_account_and_policy(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_for_status(&me, made.authorization, "valid");
    assert_string_equal(beyond.validated,
                        arena_format(me.arena, "http-01 host.example %s - 2 http://acme.example/acme/account-hash/ 0", strrchr(me.kid, '/') + 1));
}

static struct made_order
order_by_persistent_record(const char *name)
{
    struct made_order made = client_order(&me, name);

    made.challenge = arena_format(me.arena, "%.*s/dns-persist-01", (int)(strrchr(made.challenge, '/') - made.challenge), made.challenge);
    return made;
}

/* draft-ietf-acme-dns-persist-02 §6, but not up to the registries. */
static void
a_persistent_record_counts_up_to_the_registered_domain(void **state)
{
    struct made_order made = order_by_persistent_record("a.b.host.co.uk");

    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_for_status(&me, made.authorization, "valid");
    assert_string_equal(beyond.top_domain, "host.co.uk");
    (void)client_ready_order(&me, "b.host.co.uk");
    assert_string_equal(beyond.top_domain, "");
}

/* draft-ietf-acme-dns-persist-02 §4.1: neither authorisation nor order outlives the record. */
static void
what_is_proven_until_some_time_ends_then(void **state)
{
    struct made_order made = order_by_persistent_record("host.example");
    int64_t until_s = clock_now_s() + 1000, ends_s = 0;

    beyond.validated_until_s = until_s;
    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_for_status(&me, made.authorization, "valid");
    assert_int_equal(clock_parse_rfc3339(member(&me, client_post(&me, made.authorization, ""), "expires"), &ends_s), 0);
    assert_int_equal(ends_s, until_s);
    assert_int_equal(clock_parse_rfc3339(member(&me, client_post(&me, made.url, ""), "expires"), &ends_s), 0);
    assert_int_equal(ends_s, until_s);
    char *kept = postgres_kit_ask(postgres, "SELECT extract(epoch FROM proof_ends_at)::bigint FROM acme.authorization");
    assert_string_equal(kept, arena_format(me.arena, "%lld", (long long)until_s));
    free(kept);
}

/* §4.2 */
static void
former_keys_of_the_account_are_told_with_the_present_one_first(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *id = strrchr(me.kid, '/') + 1;
    const char **thumbprints = NULL;
    size_t count = 0;

    postgres_kit_run(postgres, "UPDATE acme.account SET key_thumbprint = '\\x01'");
    postgres_kit_run(postgres, "UPDATE acme.account SET key_thumbprint = '\\x02'");
    assert_int_equal(store_load_thumbprints(&gateway, rq, id, &thumbprints, &count), OK);
    assert_int_equal(count, 3);
    assert_string_equal(thumbprints[0], "Ag");
    assert_string_equal(thumbprints[1], "AQ");
    assert_int_equal(strlen(thumbprints[2]), 43);
    postgres_kit_run(postgres, "UPDATE acme.account SET key_thumbprint = '\\x01'");
    assert_int_equal(store_load_thumbprints(&gateway, rq, id, &thumbprints, &count), OK);
    assert_int_equal(count, 3);
}

static void
a_persistent_record_of_a_deactivated_account_is_nothing(void **state)
{
    struct made_order made = order_by_persistent_record("host.example");

    beyond.validate_error = ERR_UNAVAILABLE;
    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_until_postponed();
    assert_non_null(strstr(beyond.validated, "dns-persist-01 host.example"));
    assert_true(text_ends_with(beyond.validated, " 1"));
    beyond.validate_error = OK;
    postgres_kit_run(postgres, "UPDATE acme.account SET status = 'deactivated'");
    make_due();
    assert_int_equal(turn_validations(), 1);
    char *status = postgres_kit_ask(postgres, "SELECT status FROM acme.challenge");
    assert_string_equal(status, "invalid");
    free(status);
}

/* One thread works, one validation waits: the third is the lease loop's, at once. */
static void
what_is_too_much_at_once_is_left_to_the_lease_loop(void **state)
{
    struct made_order made[3];

    beyond.validator_is_slow = true;
    for (size_t i = 0; i < 3; i++)
        made[i] = client_order(&me, "host.example");
    for (size_t i = 0; i < 3; i++)
        assert_status(client_post(&me, made[i].challenge, "{}"), 200);
    assert_int_equal(validations.wakes, 1);
    assert_int_equal(validations.kept, 2);
    for (size_t i = 0; i < 3; i++)
        sem_post(&validator_gate);
    assert_int_equal(turn_validations(), 1);
    for (size_t i = 0; i < 3; i++)
        wait_for_status(&me, made[i].url, "ready");
    for (int i = 0; validations.kept > 0 && i < 10000; i++)
        clock_sleep_ms(1);
    assert_int_equal(validations.kept, 0);
}

/* As after kill -9 while the validator was asked: the row is leased to somebody who is not there any more. */
static void
a_dead_holders_challenge_is_taken_when_the_lease_runs_out(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    postgres_kit_run(postgres,
                     "UPDATE acme.challenge SET type = 'http-01', status = 'processing', due_at = now(), attempts = 1, lease_holder = 'dead', "
                     "leased_until = now() + interval '1 hour'");
    assert_int_equal(turn_validations(), 0);
    postgres_kit_run(postgres, "UPDATE acme.challenge SET leased_until = now() - interval '1 second'");
    assert_int_equal(turn_validations(), 1);
    assert_string_equal(client_status_of(&me, made.url), "ready");
}

static void
a_verdict_that_cannot_be_written_down_is_left(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.challenge SET type = 'http-01', status = 'processing', due_at = now(), attempts = 0");
    be_away_when("acme.challenge", "NEW.status = 'valid'");
    assert_int_equal(turn_validations(), 1);
    be_back();
    assert_int_equal(turn_validations(), 0);
    give_up(&store_leave_validations, &validations, "acme.challenge");
    assert_int_equal(turn_validations(), 1);
    assert_string_equal(client_status_of(&me, made.url), "ready");
}

/* Nobody knows whether it was written down. */
static void
a_challenge_that_was_begun_or_not_is_left(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    validations.left[0] = '\0';
    be_away_when("acme.challenge", "NEW.status = 'processing'");
    const struct http_kit_reply *reply = client_post(&me, made.challenge, "{}");
    be_back();
    assert_problem(&me, reply, 503, "serverInternal");
    assert_int_equal(strlen(validations.left), ACME_ID_LEN);
    assert_non_null(strstr(made.challenge, validations.left));
    assert_string_equal(client_status_of(&me, made.challenge), "pending");
}

static void
a_late_holder_changes_nothing(void **state)
{
    struct made_order made = client_order(&me, "host.example");
    AUTO_STRUCT(request, rq) = request_new();

    postgres_kit_run(postgres, "UPDATE acme.challenge SET type = 'http-01', status = 'processing', due_at = now(), lease_holder = 'somebody else', "
                               "leased_until = now() + interval '1 hour'");
    const char *type = strrchr(made.challenge, '/');
    const char *id = arena_text_n(me.arena, type - ACME_ID_LEN, ACME_ID_LEN);
    assert_int_equal(store_end_validation(&gateway, rq, id, &(struct finding){.holds = false}, "{}"), OK);
    assert_int_equal(store_end_validation(&gateway, rq, id, &(struct finding){.holds = true}, NULL), OK);
    assert_int_equal(store_postpone_validation(&gateway, rq, id, 0), OK);
    assert_string_equal(client_status_of(&me, made.challenge), "processing");
    assert_string_equal(client_status_of(&me, made.url), "pending");
}

static void
an_expired_authorization_cannot_be_begun(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.authorization SET expires_at = now() - interval '1 second'");
    assert_string_equal(client_status_of(&me, made.authorization), "invalid");
    assert_problem(&me, client_post(&me, made.challenge, "{}"), 400, "malformed");
    assert_int_equal(turn_validations(), 0);
}

static void
a_valid_authorization_expires(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.authorization SET expires_at = now() - interval '1 second'");
    assert_string_equal(client_status_of(&me, made.authorization), "expired");
}

/* Two validations of one order that end in the same moment, each in a replica: whichever commits second must see the first. */
static void *
end_one(void *argument)
{
    AUTO_STRUCT(request, rq) = request_new();
    const struct finding proven = {.holds = true};
    struct order_move move = {.kind = MOVE_VERDICT, .rq = rq, .id = argument, .finding = &proven};
    void *item = &move;

    assert_int_equal(store_move_batch(&gateway, rq, &item, 1), OK);
    return NULL;
}

static void
concurrent_ends_make_the_order_ready(void **state)
{
    for (int round = 0; round < 20; round++) {
        const char *names = arena_format(me.arena,
                                         "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a%d.example\"},{\"type\":\"dns\",\"value\":"
                                         "\"b%d.example\"},{\"type\":\"dns\",\"value\":\"c%d.example\"}]}",
                                         round, round, round);
        const struct http_kit_reply *reply = client_post(&me, "/acme/new-order", names);
        const char *url = header_of(&me, reply, "Location");
        postgres_kit_run(postgres,
                         "UPDATE acme.challenge SET type = 'http-01', status = 'processing', due_at = now(), lease_holder = 'gateway/validations' "
                         "WHERE status = 'pending'");
        char *ids = postgres_kit_ask(postgres, "SELECT string_agg(id, ' ') FROM acme.challenge WHERE status = 'processing'");
        size_t count;
        char **each = text_split(me.arena, ids, ' ', &count);
        pthread_t threads[3];
        assert_int_equal(count, 3);
        for (size_t i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, end_one, each[i]);
        for (size_t i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        free(ids);
        assert_string_equal(client_status_of(&me, url), "ready");
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_challenge_is_processing_at_once_and_valid_soon),
        CASE(a_look_at_a_challenge_begins_nothing),
        CASE(a_second_post_begins_nothing_more),
        CASE(what_the_validator_found_makes_all_three_invalid),
        CASE(an_order_is_ready_when_the_last_name_is),
        CASE(an_absent_validator_is_asked_again),
        CASE(a_validator_that_never_comes_is_told_in_the_end),
        CASE(a_client_may_hasten_what_was_put_off),
        CASE(the_validator_hears_of_account_and_policy),
        CASE(what_is_proven_until_some_time_ends_then),
        CASE(former_keys_of_the_account_are_told_with_the_present_one_first),
        CASE(a_persistent_record_counts_up_to_the_registered_domain),
        CASE(a_persistent_record_of_a_deactivated_account_is_nothing),
        CASE(what_is_too_much_at_once_is_left_to_the_lease_loop),
        CASE(a_dead_holders_challenge_is_taken_when_the_lease_runs_out),
        CASE(a_verdict_that_cannot_be_written_down_is_left),
        CASE(a_challenge_that_was_begun_or_not_is_left),
        CASE(a_late_holder_changes_nothing),
        CASE(an_expired_authorization_cannot_be_begun),
        CASE(a_valid_authorization_expires),
        CASE(concurrent_ends_make_the_order_ready),
    };
    return cmocka_run_group_tests_name("validation", tests, open_gateway, close_gateway);
}
