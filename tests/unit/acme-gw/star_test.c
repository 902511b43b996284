/* Automatic renewal (RFC 8739): what may be asked, when what is due, and what becomes of it. Leases are turned by hand, and time is moved by rows. */
#include "gateway_fixture.h"

#define DAY_S INT64_C(86400)
#define LIFETIME_S 1000
#define ADJUST_S 667 /* two thirds of it, rounded up */

static struct client me;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    beyond.enroll_really = true;
    run_and_reload("UPDATE acme.policy SET star_max_duration_s = 864000, star_min_lifetime_s = 100, star_certificate_get = true");
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge, acme.star, acme.star_certificate, "
                               "ra.certificate_status, ra.issued_certificate");
    run_and_reload("UPDATE acme.policy SET star_max_duration_s = 0, star_min_lifetime_s = 0, star_certificate_get = false, caa = false, "
                   "preapproved_names = '{}', disabled = false, client_networks = '{}'");
    return 0;
}

/* ---- when ---- */

static int64_t
day(int of_january)
{
    int64_t time_s = 0;

    assert_int_equal(clock_parse_rfc3339("2016-01-01T00:00:00Z", &time_s), 0);
    return time_s + (of_january - 1) * DAY_S;
}

/* The example of RFC 8739 §3.5.1. */
static void
periods_are_those_of_the_rfc(void **state)
{
    const struct star star = {.start_s = day(10), .end_s = day(20), .lifetime_s = 4 * DAY_S, .adjust_s = 3 * DAY_S};
    static const int days[][2] = {{10, 14}, {11, 18}, {15, 20}};

    for (int n = 0; n < 3; n++) {
        struct star_period period = star_period(&star, star.start_s, n);
        assert_int_equal(period.not_before_s, day(days[n][0]));
        assert_int_equal(period.not_after_s, day(days[n][1]));
    }
}

static const struct next {
    const char *name;
    int64_t last, now_s, next;
} nexts[] = {
    {"the_second_follows_the_first", 0, 0, 1},
    {"the_next_is_the_next_however_early", 2, 0, 3},
    {"those_that_were_missed_are_left_out", 0, 3400, 4},
    {"one_is_not_missed_before_its_successor_is_due", 0, 1300, 1},
    {"the_last_ends_with_the_order", 3, 3500, 4},
    {"none_follows_the_last", 4, 4400, -1},
    {"none_follows_the_end", 0, 4500, -1},
};

static void
next_is(void **state)
{
    const struct next *one = *state;
    const struct star star = {.end_s = 1000000 + 4500, .lifetime_s = LIFETIME_S, .adjust_s = ADJUST_S};
    const struct order order = {.star = &star, .finalized_at_s = 1000000};

    assert_int_equal(star_next(&order, one->last, 1000000 + one->now_s), one->next);
}

static void
ra_is_asked_for_the_same_until_it_is_late(void **state)
{
    const struct star star = {.end_s = 1000000 + 4500, .lifetime_s = LIFETIME_S, .adjust_s = ADJUST_S};
    const struct order order = {.id = "it", .star = &star, .finalized_at_s = 1000000, .renewal = 1};
    struct star_period period;

    assert_string_equal(star_request(me.arena, &order, 1000333, &period), "it.1");
    assert_int_equal(period.not_before_s, 1000333);
    assert_string_equal(star_request(me.arena, &order, 1000572, &period), "it.1");
    assert_string_equal(star_request(me.arena, &order, 1000573, &period), "it.1.1");
    assert_int_equal(period.not_before_s, 1000573);
    assert_int_equal(period.not_after_s, 1002000);
}

/* ---- what may be asked ---- */

static const char *
later(int64_t seconds)
{
    return clock_format_rfc3339(me.arena, clock_now_s() + seconds);
}

static const struct http_kit_reply *
ask(const char *renewal, const char *more)
{
    return client_post(
        &me, "/acme/new-order",
        arena_format(me.arena, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"host.example\"}],\"auto-renewal\":%s%s}", renewal, more));
}

static const struct refused {
    const char *name, *members; /* $: in an hour */
    const char *more;
} refused[] = {
    {"rejects_no_end", "\"lifetime\":1000", ""},
    {"rejects_no_lifetime", "\"end-date\":\"$\"", ""},
    {"rejects_a_lifetime_of_nothing", "\"end-date\":\"$\",\"lifetime\":0", ""},
    {"rejects_a_negative_lifetime", "\"end-date\":\"$\",\"lifetime\":-1", ""},
    {"rejects_a_lifetime_as_a_text", "\"end-date\":\"$\",\"lifetime\":\"1000\"", ""},
    {"rejects_a_lifetime_below_the_policys", "\"end-date\":\"$\",\"lifetime\":99", ""},
    {"rejects_a_lifetime_of_centuries", "\"end-date\":\"$\",\"lifetime\":9999999999", ""},
    {"rejects_a_negative_adjustment", "\"end-date\":\"$\",\"lifetime\":1000,\"lifetime-adjust\":-5", ""},
    {"rejects_an_end_in_the_past", "\"end-date\":\"2020-01-01T00:00:00Z\",\"lifetime\":1000", ""},
    {"rejects_an_end_that_is_no_time", "\"end-date\":\"tomorrow\",\"lifetime\":1000", ""},
    {"rejects_an_end_beyond_the_policys", "\"end-date\":\"2190-01-01T00:00:00Z\",\"lifetime\":1000", ""},
    {"rejects_a_start_after_the_end", "\"start-date\":\"2190-01-01T00:00:00Z\",\"end-date\":\"$\",\"lifetime\":1000", ""},
    {"rejects_a_start_far_away", "\"start-date\":\"2190-01-01T00:00:00Z\",\"end-date\":\"2190-01-02T00:00:00Z\",\"lifetime\":1000", ""},
    {"rejects_a_start_that_is_a_number", "\"start-date\":7,\"end-date\":\"$\",\"lifetime\":1000", ""},
    {"rejects_not_after_beside_it", "\"end-date\":\"$\",\"lifetime\":1000", ",\"notAfter\":\"$\""},
    {"rejects_not_before_beside_it", "\"end-date\":\"$\",\"lifetime\":1000", ",\"notBefore\":\"$\""},
};

static const char *
with_hour(const char *text)
{
    struct buffer filled = buffer_in(me.arena);

    for (; *text != '\0'; text++)
        buffer_append_text(&filled, *text == '$' ? later(3600) : arena_format(me.arena, "%c", *text));
    return buffer_text(&filled);
}

static void
rejects(void **state)
{
    const struct refused *one = *state;

    assert_problem(&me, ask(arena_format(me.arena, "{%s}", with_hour(one->members)), with_hour(one->more)), 400, "malformed");
}

static void
rejects_all_where_the_policy_has_none(void **state)
{
    const struct http_kit_reply *reply = ask("[]", "");
    assert_problem(&me, reply, 400, "malformed");
    run_and_reload("UPDATE acme.policy SET star_max_duration_s = 0");
    assert_problem(&me, ask(with_hour("{\"end-date\":\"$\",\"lifetime\":1000}"), ""), 400, "malformed");
}

static const json_t *
json_of(const struct http_kit_reply *reply)
{
    return json_parse_object(me.arena, BYTES(reply->body, reply->body_len));
}

static const struct http_kit_reply *
get(const char *url)
{
    http_kit_say(me.http, arena_format(me.arena, "GET %s HTTP/1.1\r\nHost: acme.example\r\n\r\n", path_of(url)));
    return http_kit_reply(me.http);
}

static void
the_directory_says_what_is_offered(void **state)
{
    const json_t *meta = json_object_get(json_object_get(json_of(get("/acme/directory")), "meta"), "auto-renewal");

    assert_int_equal(json_integer_value(json_object_get(meta, "min-lifetime")), 100);
    assert_int_equal(json_integer_value(json_object_get(meta, "max-duration")), 864000);
    assert_true(json_is_true(json_object_get(meta, "allow-certificate-get")));
    run_and_reload("UPDATE acme.policy SET star_max_duration_s = 0");
    assert_null(json_object_get(json_object_get(json_of(get("/acme/directory")), "meta"), "auto-renewal"));
}

static void
the_order_shows_what_was_taken(void **state)
{
    const char *start = later(1800), *ends = later(7200);
    const struct http_kit_reply *reply =
        ask(arena_format(me.arena,
                         "{\"start-date\":\"%s\",\"end-date\":\"%s\",\"lifetime\":1000,\"lifetime-adjust\":5000,\"allow-certificate-get\":true}",
                         start, ends),
            "");

    assert_status(reply, 201);
    const json_t *shown = json_object_get(json_of(reply), "auto-renewal");
    assert_string_equal(json_text(shown, "start-date"), start);
    assert_string_equal(json_text(shown, "end-date"), ends);
    assert_int_equal(json_integer_value(json_object_get(shown, "lifetime")), 1000);
    assert_int_equal(json_integer_value(json_object_get(shown, "lifetime-adjust")), 1000);
    assert_true(json_is_true(json_object_get(shown, "allow-certificate-get")));
    assert_true(json_equal(json_object_get(json_of(client_post(&me, header_of(&me, reply, "Location"), "")), "auto-renewal"), shown));
}

static void
what_the_policy_does_not_allow_is_not_reflected(void **state)
{
    run_and_reload("UPDATE acme.policy SET star_certificate_get = false");
    const json_t *shown =
        json_object_get(json_of(ask(with_hour("{\"end-date\":\"$\",\"lifetime\":1000,\"allow-certificate-get\":true}"), "")), "auto-renewal");
    assert_null(json_object_get(shown, "allow-certificate-get"));
    assert_int_equal(json_integer_value(json_object_get(shown, "lifetime-adjust")), ADJUST_S);
    assert_null(json_object_get(shown, "start-date"));
}

/* ---- certificates ---- */

struct renewed {
    const char *url, *certificate, *id;
};

static struct renewed
order_it(const char *more)
{
    const struct http_kit_reply *reply =
        ask(arena_format(me.arena, "{\"end-date\":\"%s\",\"lifetime\":%d%s}", later(3 * LIFETIME_S), LIFETIME_S, more), "");
    AUTO(EVP_PKEY, key) = kit_key("p256");

    assert_status(reply, 201);
    const char *url = header_of(&me, reply, "Location");
    const char *finalize_url = arena_text(me.arena, member(&me, reply, "finalize"));
    if (!text_equal(member(&me, reply, "status"), "ready")) {
        reply = client_post(&me, first_of(&me, reply, "authorizations"), "");
        assert_status(client_post(&me, json_text(json_array_get(json_object_get(json_of(reply), "challenges"), 0), "url"), "{}"), 200);
        wait_for_status(&me, url, "ready");
    }
    reply = client_post(&me, finalize_url, client_csr(&me, key, "DNS:host.example"));
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "valid");
    assert_null(json_object_get(json_of(reply), "certificate"));
    return (struct renewed){url, arena_text(me.arena, member(&me, reply, "star-certificate")), strrchr(url, '/') + 1};
}

/* As if all had happened so much earlier. */
static void
let_pass(int64_t seconds)
{
    postgres_kit_run(
        postgres,
        arena_format(me.arena,
                     "UPDATE acme.orders SET finalized_at = finalized_at - interval '%lld s', auto_renewal = (auto_renewal::jsonb || "
                     "jsonb_build_object('end-date', to_char(((auto_renewal::json ->> 'end-date')::timestamptz - interval '%lld s') "
                     "AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))::text; UPDATE acme.star SET due_at = due_at - interval '%lld s'",
                     (long long)seconds, (long long)seconds, (long long)seconds));
}

static const char *
asked(const char *sql)
{
    char *found = postgres_kit_ask(postgres, sql);
    const char *copy = arena_text(me.arena, found == NULL ? "" : found);

    free(found);
    return copy;
}

static const char *
serial_now(void)
{
    return asked("SELECT encode(serial, 'hex') FROM acme.orders");
}

static void
the_first_certificate_is_asked_for_with_its_number(void **state)
{
    int64_t before_s = clock_now_s();
    struct renewed made = order_it("");

    assert_string_equal(beyond.enrolled_key, arena_format(me.arena, "%s.0", made.id));
    assert_true(beyond.enrolled_not_before_s >= before_s && beyond.enrolled_not_before_s <= clock_now_s());
    assert_int_equal(beyond.enrolled_not_after_s, beyond.enrolled_not_before_s + LIFETIME_S);
    const struct http_kit_reply *reply = client_post(&me, made.url, "");
    assert_string_equal(member(&me, reply, "expires"), json_text(json_object_get(json_of(reply), "auto-renewal"), "end-date"));
    assert_problem(&me, client_post(&me, arena_format(me.arena, "/acme/certificate/%s", made.id), ""), 404, "malformed");
}

static void
its_successor_is_planned_and_then_made(void **state)
{
    struct renewed made = order_it("");
    const char *first = serial_now();
    int64_t first_s = beyond.enrolled_not_before_s;

    assert_int_equal(turn_stars(), 1);
    assert_int_equal(beyond.enrolments, 1);
    assert_string_equal(asked("SELECT round(extract(epoch FROM s.due_at - date_trunc('second', o.finalized_at))) FROM acme.star s, acme.orders o"),
                        "333");
    assert_int_equal(turn_stars(), 0);
    let_pass(340);
    assert_int_equal(turn_stars(), 1);
    assert_int_equal(beyond.enrolments, 2);
    assert_string_equal(beyond.enrolled_key, arena_format(me.arena, "%s.1", made.id));
    assert_int_equal(beyond.enrolled_not_before_s, first_s - 340 + 333);
    assert_int_equal(beyond.enrolled_not_after_s, first_s - 340 + 2 * LIFETIME_S);
    assert_string_not_equal(serial_now(), first);
    assert_int_equal(turn_stars(), 0);
    assert_string_equal(asked("SELECT renewal FROM acme.star"), "1");
    assert_string_equal(asked("SELECT count(*) FROM acme.star_certificate"), "2");
}

static void
a_clock_that_is_behind_the_databases_does_not_spin(void **state)
{
    (void)order_it("");
    AUTO_STRUCT(request, rq) = request_new();
    const struct order order = {.id = asked("SELECT order_id FROM acme.star")};

    postgres_kit_run(postgres, "UPDATE acme.star SET lease_holder = 'gateway/stars'");
    assert_int_equal(store_plan_renewal(&gateway, rq, &order, clock_now_s() - 100), OK);
    assert_int_equal(turn_stars(), 0);
    assert_string_equal(asked("SELECT due_at > now() AND due_at < now() + interval '5 s' FROM acme.star"), "t");
}

static void
periods_that_were_missed_are_left_out_and_the_last_ends_it(void **state)
{
    struct renewed made = order_it("");

    let_pass(2 * LIFETIME_S);
    assert_int_equal(turn_stars(), 1);
    assert_string_equal(beyond.enrolled_key, arena_format(me.arena, "%s.2.2", made.id));
    assert_string_equal(asked("SELECT due_at IS NULL FROM acme.star"), "t");
    assert_int_equal(beyond.enrolments, 2);
}

static void
after_the_end_there_is_no_certificate(void **state)
{
    struct renewed made = order_it(",\"allow-certificate-get\":true");

    let_pass(3 * LIFETIME_S);
    assert_problem(&me, client_post(&me, made.certificate, ""), 403, "autoRenewalExpired");
    assert_problem(&me, get(made.certificate), 403, "autoRenewalExpired");
    assert_int_equal(turn_stars(), 1);
    assert_int_equal(turn_stars(), 0);
    assert_int_equal(beyond.enrolments, 1);
    assert_string_equal(member(&me, client_post(&me, made.url, ""), "status"), "valid");
}

static void
who_comes_late_ends_nothing(void **state)
{
    (void)order_it("");
    let_pass(340);
    AUTO_STRUCT(request, rq) = request_new();
    struct db_rows *rows;

    assert_int_equal(DB_QUERY(gateway.db, rq, &store_take_stars, &rows, DB_INT(10), DB_INT(30), DB_TEXT("gateway/other")), OK);
    assert_int_equal(db_count(rows), 1);
    assert_int_equal(turn_stars(), 0);
    stars.kept++;
    renew_star_work(&gateway, rq, rows, 0);
    stars.kept--;
    assert_int_equal(rq->failure.kind, ERR_BUSY);
    assert_string_equal(asked("SELECT renewal FROM acme.star"), "0");
    postgres_kit_run(postgres, "UPDATE acme.star SET leased_until = now() - interval '1 s'");
    const char *key = arena_text(me.arena, beyond.enrolled_key);
    assert_int_equal(turn_stars(), 1);
    assert_string_equal(beyond.enrolled_key, key);
    assert_string_equal(asked("SELECT renewal FROM acme.star"), "1");
}

static void
what_cannot_be_written_down_is_left(void **state)
{
    (void)order_it("");
    let_pass(340);
    be_away_when("acme.star", "NEW.renewal = 1");
    assert_int_equal(turn_stars(), 1);
    be_back();
    assert_int_equal(turn_stars(), 0);
    const char *key = arena_text(me.arena, beyond.enrolled_key);
    give_up(&store_leave_stars, &stars, "acme.star");
    assert_int_equal(turn_stars(), 1);
    assert_string_equal(beyond.enrolled_key, key);
    assert_string_equal(asked("SELECT renewal FROM acme.star"), "1");
}

static void
trouble_is_tried_again(void **state)
{
    (void)order_it("");
    let_pass(340);
    beyond.enroll_error = ERR_UNAVAILABLE;
    assert_int_equal(turn_stars(), 1);
    assert_int_equal(turn_stars(), 0);
    assert_string_equal(asked("SELECT trouble LIKE 'unavailable: ra says%' AND due_at < now() + interval '3 s' FROM acme.star"), "t");
    beyond.enroll_error = ERR_DENIED;
    postgres_kit_run(postgres, "UPDATE acme.star SET due_at = now()");
    assert_int_equal(turn_stars(), 1);
    assert_string_equal(asked("SELECT trouble LIKE 'denied: ra says%' AND due_at > now() + interval '20 s' FROM acme.star"), "t");
    beyond.enroll_error = OK;
    postgres_kit_run(postgres, "UPDATE acme.star SET due_at = now()");
    assert_int_equal(turn_stars(), 1);
    assert_string_equal(asked("SELECT trouble IS NULL AND attempts = 0 AND renewal = 1 FROM acme.star"), "t");
}

static void
a_disabled_policy_makes_it_wait(void **state)
{
    (void)order_it("");
    let_pass(340);
    run_and_reload("UPDATE acme.policy SET disabled = true");
    assert_int_equal(turn_stars(), 1);
    run_and_reload("UPDATE acme.policy SET disabled = false");
    assert_int_equal(beyond.enrolments, 1);
    assert_string_equal(asked("SELECT trouble LIKE '%is disabled (trace %' AND due_at > now() FROM acme.star"), "t");
    postgres_kit_run(postgres, "UPDATE acme.star SET due_at = now()");
    assert_int_equal(turn_stars(), 1);
    assert_int_equal(beyond.enrolments, 2);
}

static void
an_approval_that_was_taken_back_makes_it_wait(void **state)
{
    run_and_reload("UPDATE acme.policy SET preapproved_names = '{host.example}'");
    (void)order_it("");
    let_pass(340);
    run_and_reload("UPDATE acme.policy SET preapproved_names = '{}'");
    assert_int_equal(turn_stars(), 1);
    run_and_reload("UPDATE acme.policy SET preapproved_names = '{host.example}'");
    assert_int_equal(beyond.enrolments, 1);
    assert_string_equal(asked("SELECT trouble LIKE '%nobody has proven it (trace %' AND due_at > now() FROM acme.star"), "t");
    postgres_kit_run(postgres, "UPDATE acme.star SET due_at = now()");
    assert_int_equal(turn_stars(), 1);
    assert_int_equal(beyond.enrolments, 2);
    assert_string_equal(beyond.enrolled_preapproved, "host.example");
}

static void
caa_is_looked_at_before_each(void **state)
{
    (void)order_it("");
    run_and_reload("UPDATE acme.policy SET caa = true");
    postgres_kit_run(postgres, "UPDATE acme.challenge SET validated_at = now() - interval '8 hours'");
    let_pass(340);
    beyond.caa_problem = "caa";
    assert_int_equal(turn_stars(), 1);
    assert_string_equal(beyond.caa_asked, "host.example by http-01");
    assert_int_equal(beyond.enrolments, 1);
}

static void
a_template_with_approval_is_not_renewed(void **state)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct made_order made = client_ready_order(&me, "host.example");
    (void)made;
    const struct http_kit_reply *reply = ask(with_hour("{\"end-date\":\"$\",\"lifetime\":1000}"), "");
    assert_string_equal(member(&me, reply, "status"), "ready");
    beyond.enroll_pending = true;
    assert_problem(&me, client_post(&me, member(&me, reply, "finalize"), client_csr(&me, key, "DNS:host.example")), 403, "unauthorized");
}

/* ---- what ends it ---- */

static const struct obstacle_case {
    const char *name, *sql, *says;
} obstacles[] = {
    {"a_deactivated_account_ends_it", "UPDATE acme.account SET status = 'deactivated'", "the account is not valid any more"},
    {"a_given_up_authorization_ends_it", "UPDATE acme.authorization SET status = 'deactivated'", "an authorization of the order was given up"},
    {"a_proof_that_has_ended_ends_it", "UPDATE acme.authorization SET proof_ends_at = now() - interval '1 s'",
     "a proof of the order holds no longer"},
    {"a_revoked_certificate_ends_it",
     "INSERT INTO ra.certificate_status (serial, expiry_month, issuer, not_after, revoked_at) SELECT serial, expiry_month, 'x', now() + interval '1 "
     "h', "
     "now() FROM acme.orders",
     "revoked"},
};

static void
ends_it(void **state)
{
    const struct obstacle_case *one = *state;
    struct renewed made = order_it(",\"allow-certificate-get\":true");

    let_pass(340);
    assert_status(get(made.certificate), 200);
    postgres_kit_run(postgres, one->sql);
    /* At once, not at the next turn, which may be far away. */
    assert_problem(&me, get(made.certificate), 403, "autoRenewalCanceled");
    assert_int_equal(turn_stars(), 1);
    assert_int_equal(beyond.enrolments, 1);
    assert_string_equal(asked("SELECT status FROM acme.orders"), "canceled");
    assert_non_null(strstr(asked("SELECT problem FROM acme.orders"), one->says));
    assert_problem(&me, get(made.certificate), 403, "autoRenewalCanceled");
    assert_int_equal(turn_stars(), 0);
}

/* They have one key, and half of the time two of them hold. */
static void
the_certificate_before_ends_it_too_when_it_is_revoked(void **state)
{
    (void)order_it("");
    let_pass(340);
    assert_int_equal(turn_stars(), 1);
    assert_int_equal(beyond.enrolments, 2);
    postgres_kit_run(postgres, "INSERT INTO ra.certificate_status (serial, expiry_month, issuer, not_after, revoked_at) SELECT c.serial, "
                               "c.expiry_month, 'x', now() + interval '1 h', now() FROM acme.star_certificate c, acme.orders o "
                               "WHERE c.serial <> o.serial");
    let_pass(LIFETIME_S);
    assert_int_equal(turn_stars(), 1);
    assert_int_equal(beyond.enrolments, 2);
    assert_string_equal(asked("SELECT status FROM acme.orders"), "canceled");
}

static void
its_client_cancels_it(void **state)
{
    struct renewed made = order_it(",\"allow-certificate-get\":true");
    CLIENT(other);

    client_register(&other);
    assert_problem(&other, client_post(&other, made.url, "{\"status\":\"canceled\"}"), 404, "malformed");
    assert_problem(&me, client_post(&me, made.url, "{\"status\":\"valid\"}"), 400, "malformed");
    const struct http_kit_reply *reply = client_post(&me, made.url, "{\"status\":\"canceled\"}");
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "canceled");
    assert_null(json_object_get(json_of(reply), "star-certificate"));
    int64_t expires_s = 0;
    assert_int_equal(clock_parse_rfc3339(member(&me, reply, "expires"), &expires_s), 0);
    assert_true(expires_s <= clock_now_s());
    assert_problem(&me, client_post(&me, made.certificate, ""), 403, "autoRenewalCanceled");
    assert_problem(&me, get(made.certificate), 403, "autoRenewalCanceled");
    assert_problem(&me, client_post(&me, made.url, "{\"status\":\"canceled\"}"), 400, "autoRenewalCancellationInvalid");
    let_pass(340);
    assert_int_equal(turn_stars(), 0);
    assert_null(strstr(client_post(&me, arena_format(me.arena, "%s/orders", me.kid), "")->body, made.id));
}

static void
what_is_not_renewed_cannot_be_canceled(void **state)
{
    const char *pending = header_of(&me, ask(with_hour("{\"end-date\":\"$\",\"lifetime\":1000}"), ""), "Location");
    struct made_order made = client_order(&me, "other.example");

    assert_problem(&me, client_post(&me, made.url, "{\"status\":\"canceled\"}"), 400, "autoRenewalCancellationInvalid");
    assert_problem(&me, client_post(&me, pending, "{\"status\":\"canceled\"}"), 400, "autoRenewalCancellationInvalid");
}

static void
cancel_and_work(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    bool canceled = false;

    assert_int_equal(store_cancel_order(&gateway, rq, strrchr(me.kid, '/') + 1, db_text(rows, row, 0), &canceled), OK);
    assert_true(canceled);
    renew_star_work(context, rq, rows, row);
    assert_int_equal(rq->failure.kind, ERR_BUSY);
}

static void
what_was_under_way_when_it_was_canceled_is_not_given_out(void **state)
{
    struct renewed made = order_it("");
    const char *first = serial_now();

    let_pass(340);
    assert_int_equal(turn(&store_take_stars, &stars, cancel_and_work), 1);
    assert_string_equal(serial_now(), first);
    assert_problem(&me, client_post(&me, made.certificate, ""), 403, "autoRenewalCanceled");
}

/* ---- for whom ---- */

static void
everybody_fetches_it_where_that_was_agreed(void **state)
{
    struct renewed made = order_it(",\"allow-certificate-get\":true");

    (void)turn_stars();
    const struct http_kit_reply *reply = get(made.certificate);
    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Content-Type"), "application/pem-certificate-chain");
    assert_string_equal(header_of(&me, reply, "Cert-Not-Before"),
                        arena_format(me.arena, "\"%s\"", clock_format_http(me.arena, beyond.enrolled_not_before_s)));
    assert_string_equal(header_of(&me, reply, "Cert-Not-After"),
                        arena_format(me.arena, "\"%s\"", clock_format_http(me.arena, beyond.enrolled_not_after_s)));
    int64_t age_s = 0;
    assert_true(text_starts_with(header_of(&me, reply, "Cache-Control"), "public, max-age="));
    assert_true(text_parse_number(header_of(&me, reply, "Cache-Control") + strlen("public, max-age="), 300, 333, &age_s));
    assert_string_equal(header_of(&me, reply, "Replay-Nonce"), "");
    const char *body = arena_format(me.arena, "%.*s", (int)reply->body_len, (const char *)reply->body);
    reply = client_post(&me, made.certificate, "");
    assert_status(reply, 200);
    assert_string_equal(arena_format(me.arena, "%.*s", (int)reply->body_len, (const char *)reply->body), body);
    assert_int_equal(strlen(header_of(&me, reply, "Replay-Nonce")), NONCE_LEN);
    assert_string_equal(header_of(&me, reply, "Cache-Control"), "no-store");
    assert_problem(&me, get("/acme/star-certificate/AAAAAAAAAAAAAAAAAAAAAA"), 404, "malformed");
}

static void
its_account_alone_fetches_it_otherwise(void **state)
{
    struct renewed made = order_it("");
    CLIENT(other);

    client_register(&other);
    assert_problem(&me, get(made.certificate), 403, "unauthorized");
    assert_problem(&other, client_post(&other, made.certificate, ""), 404, "malformed");
    assert_status(client_post(&me, made.certificate, ""), 200);
    assert_problem(&me, client_post(&me, made.certificate, "{}"), 400, "malformed");
}

static const struct later_policy {
    const char *name, *set;
} later_policies[] = {
    {"a_policy_that_is_disabled_later_gives_it_to_nobody_else", "disabled = true"},
    {"a_policy_that_is_for_other_networks_later_gives_it_to_nobody_there", "client_networks = '{192.0.2.0/24}'"},
    {"a_policy_that_takes_it_back_gives_it_to_nobody_else", "star_certificate_get = false"},
};

static void
is_given_to_its_account_alone(void **state)
{
    const struct later_policy *one = *state;
    struct renewed made = order_it(",\"allow-certificate-get\":true");

    assert_status(get(made.certificate), 200);
    run_and_reload(arena_format(me.arena, "UPDATE acme.policy SET %s", one->set));
    assert_problem(&me, get(made.certificate), 403, "unauthorized");
    assert_status(client_post(&me, made.certificate, ""), 200);
}

static const char *
revocation_of(const char *serial)
{
    const char *der = asked(arena_format(me.arena, "SELECT encode(certificate, 'hex') FROM ra.issued_certificate WHERE serial = '\\x%s'", serial));
    struct bytes octets;

    assert_true(bytes_from_hex(me.arena, der, &octets));
    return arena_format(me.arena, "{\"certificate\":\"%s\"}", base64url_encode(me.arena, octets));
}

static void
none_of_its_certificates_is_revoked(void **state)
{
    (void)order_it("");
    const char *first = serial_now();

    let_pass(340);
    (void)turn_stars();
    assert_problem(&me, client_post(&me, "/acme/revoke-cert", revocation_of(first)), 403, "autoRenewalRevocationNotSupported");
    assert_problem(&me, client_post(&me, "/acme/revoke-cert", revocation_of(serial_now())), 403, "autoRenewalRevocationNotSupported");
    assert_int_equal(beyond.revocations, 0);
    /* What has expired needs no entry. */
    postgres_kit_run(postgres,
                     "INSERT INTO ra.certificate_status SELECT serial, expiry_month, 'x', now() - interval '1 s' FROM acme.star_certificate");
    let_pass(1000);
    (void)turn_stars();
    assert_string_equal(asked("SELECT count(*) FROM acme.star_certificate"), "1");
}

/* ---- explained ---- */

static const Pb__ExplainOrderReply *
explain(struct request *rq, const char *order)
{
    Pb__ExplainOrderRequest input = PB__EXPLAIN_ORDER_REQUEST__INIT;
    Pb__ExplainOrderReply *reply = arena_alloc(rq->arena, sizeof *reply);

    pb__explain_order_reply__init(reply);
    input.order = order;
    assert_int_equal(explain_order(&gateway, rq, &input, reply), OK);
    return reply;
}

static void
is_explained(void **state)
{
    struct renewed made = order_it("");
    AUTO_STRUCT(request, rq) = request_new();

    (void)turn_stars();
    const Pb__ExplainOrderReply *reply = explain(rq, made.url);
    assert_non_null(strstr(reply->why, "was renewed 0 times"));
    assert_non_null(strstr(reply->next, "the next certificate, due at"));
    assert_non_null(strstr(reply->auto_renewal->wishes, "\"lifetime\":1000"));
    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'deactivated'");
    assert_non_null(strstr(explain(rq, made.url)->why, "given to nobody: an authorization of the order was given up"));
    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'valid'");
    let_pass(340);
    beyond.enroll_error = ERR_UNAVAILABLE;
    (void)turn_stars();
    assert_non_null(strstr(explain(rq, made.url)->why, "ra says unavailable"));
    beyond.enroll_error = OK;
    let_pass(1800);
    (void)turn_stars();
    assert_non_null(strstr(explain(rq, made.url)->next, "this was the last certificate"));
    let_pass(1000);
    assert_non_null(strstr(explain(rq, made.url)->why, "it has ended"));
    assert_status(client_post(&me, made.url, "{\"status\":\"canceled\"}"), 200);
    assert_string_equal(explain(rq, made.url)->why, "its client has canceled it");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest by_hand[] = {
        CASE(periods_are_those_of_the_rfc),
        CASE(ra_is_asked_for_the_same_until_it_is_late),
        CASE(rejects_all_where_the_policy_has_none),
        CASE(the_directory_says_what_is_offered),
        CASE(the_order_shows_what_was_taken),
        CASE(what_the_policy_does_not_allow_is_not_reflected),
        CASE(the_first_certificate_is_asked_for_with_its_number),
        CASE(its_successor_is_planned_and_then_made),
        CASE(a_clock_that_is_behind_the_databases_does_not_spin),
        CASE(periods_that_were_missed_are_left_out_and_the_last_ends_it),
        CASE(after_the_end_there_is_no_certificate),
        CASE(who_comes_late_ends_nothing),
        CASE(what_cannot_be_written_down_is_left),
        CASE(trouble_is_tried_again),
        CASE(a_disabled_policy_makes_it_wait),
        CASE(an_approval_that_was_taken_back_makes_it_wait),
        CASE(caa_is_looked_at_before_each),
        CASE(a_template_with_approval_is_not_renewed),
        CASE(the_certificate_before_ends_it_too_when_it_is_revoked),
        CASE(its_client_cancels_it),
        CASE(what_is_not_renewed_cannot_be_canceled),
        CASE(what_was_under_way_when_it_was_canceled_is_not_given_out),
        CASE(everybody_fetches_it_where_that_was_agreed),
        CASE(its_account_alone_fetches_it_otherwise),
        CASE(none_of_its_certificates_is_revoked),
        CASE(is_explained),
    };
    struct CMUnitTest tests[COUNT_OF(by_hand) + COUNT_OF(nexts) + COUNT_OF(refused) + COUNT_OF(obstacles) + COUNT_OF(later_policies)];
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(by_hand); i++)
        tests[count++] = by_hand[i];
    for (size_t i = 0; i < COUNT_OF(nexts); i++)
        tests[count++] = (struct CMUnitTest){nexts[i].name, next_is, begin, end, (void *)&nexts[i]};
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        tests[count++] = (struct CMUnitTest){refused[i].name, rejects, begin, end, (void *)&refused[i]};
    for (size_t i = 0; i < COUNT_OF(obstacles); i++)
        tests[count++] = (struct CMUnitTest){obstacles[i].name, ends_it, begin, end, (void *)&obstacles[i]};
    for (size_t i = 0; i < COUNT_OF(later_policies); i++)
        tests[count++] = (struct CMUnitTest){later_policies[i].name, is_given_to_its_account_alone, begin, end, (void *)&later_policies[i]};
    return _cmocka_run_group_tests("star", tests, count, open_gateway, close_gateway);
}
