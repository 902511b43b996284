/* Dates, profiles and `replaces` of new orders: what comes back, what ra is asked, what is refused. */
#include "gateway_fixture.h"

#define DAY 86400
#define NAMES "\"identifiers\":[{\"type\":\"dns\",\"value\":\"host.example\"}]"

static struct client me;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge; TRUNCATE ra.issued_certificate");
    return 0;
}

static const struct http_kit_reply *
order_with(const char *members)
{
    return client_post(&me, "/acme/new-order", arena_format(me.arena, "{" NAMES ",%s}", members));
}

static const char *
day(int64_t days)
{
    return clock_format_rfc3339(me.arena, clock_now_s() / DAY * DAY + days * DAY);
}

/* The order is made valid and finalized; ra has been asked then. */
static void
issue(const struct http_kit_reply *made)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");

    assert_status(made, 201);
    const char *finalize_url = arena_text(me.arena, member(&me, made, "finalize"));
    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'valid'; UPDATE acme.orders SET status = 'ready' WHERE status = 'pending'");
    assert_status(client_post(&me, finalize_url, client_csr(&me, key, "DNS:host.example")), 200);
}

static void
dates_come_back_and_go_to_ra(void **state)
{
    const struct http_kit_reply *made = order_with(arena_format(me.arena, "\"notBefore\":\"%s\",\"notAfter\":\"%s\"", day(2), day(20)));

    assert_string_equal(member(&me, made, "notBefore"), day(2));
    assert_string_equal(member(&me, made, "notAfter"), day(20));
    issue(made);
    assert_int_equal(beyond.enrolled_not_before_s, clock_now_s() / DAY * DAY + 2 * DAY);
    assert_int_equal(beyond.enrolled_not_after_s, clock_now_s() / DAY * DAY + 20 * DAY);
}

static void
the_usual_validity_counts_from_not_before(void **state)
{
    issue(order_with(arena_format(me.arena, "\"notBefore\":\"%s\"", day(2))));
    assert_int_equal(beyond.enrolled_not_after_s, beyond.enrolled_not_before_s + 90 * DAY);
}

static void
a_profile_names_template_and_validity(void **state)
{
    const struct http_kit_reply *made = order_with("\"profile\":\"short\"");

    assert_string_equal(member(&me, made, "profile"), "short");
    issue(made);
    assert_string_equal(beyond.enrolled_template, "Web Server, short");
    assert_true(beyond.enrolled_not_after_s <= clock_now_s() + 6 * DAY);
}

static void
a_profile_that_is_not_offered_any_more_makes_the_order_invalid(void **state)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");
    const struct http_kit_reply *made = order_with("\"profile\":\"short\"");
    const char *url = header_of(&me, made, "Location");
    const char *finalize_url = arena_text(me.arena, member(&me, made, "finalize"));

    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'valid'; UPDATE acme.orders SET status = 'ready', profile = 'gone'");
    assert_problem(&me, client_post(&me, finalize_url, client_csr(&me, key, "DNS:host.example")), 400, "invalidProfile");
    assert_string_equal(member(&me, client_post(&me, url, ""), "status"), "invalid");
    assert_int_equal(beyond.enrolments, 0);
}

static void
refuses_wishes_that_cannot_be_granted(void **state)
{
    const struct {
        const char *members, *type;
    } refused[] = {
        {"\"notAfter\":\"tomorrow\"", "malformed"},
        {"\"notAfter\":7", "malformed"},
        {"\"notAfter\":\"1969-01-01T00:00:00Z\"", "malformed"},
        {arena_format(me.arena, "\"notAfter\":\"%s\"", day(-1)), "malformed"},
        {arena_format(me.arena, "\"notBefore\":\"%s\"", day(-1)), "malformed"},
        {arena_format(me.arena, "\"notBefore\":\"%s\"", day(9)), "malformed"},
        {arena_format(me.arena, "\"notBefore\":\"%s\",\"notAfter\":\"%s\"", day(1000), day(1030)), "malformed"},
        {arena_format(me.arena, "\"notAfter\":\"%s\"", day(92)), "malformed"},
        {arena_format(me.arena, "\"notBefore\":\"%s\",\"notAfter\":\"%s\"", day(3), day(2)), "malformed"},
        {arena_format(me.arena, "\"profile\":\"short\",\"notAfter\":\"%s\"", day(8)), "malformed"},
        {"\"profile\":\"unheard\"", "invalidProfile"},
        {"\"profile\":7", "invalidProfile"},
        {"\"replaces\":7", "malformed"},
        {"\"replaces\":\"x\"", "malformed"},
    };

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_problem(&me, order_with(refused[i].members), 400, refused[i].type);
    char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.orders");
    assert_string_equal(count, "0");
    free(count);
}

static const char *
my_certificate(const char *name)
{
    return put_certificate(me.arena, name, clock_now_s() - 60 * DAY, 90, me.kid + strlen("http://acme.example/acme/account/"));
}

static void
a_certificate_is_replaced_once(void **state)
{
    const char *replaces = arena_format(me.arena, "\"replaces\":\"%s\"", my_certificate("host.example"));
    const struct http_kit_reply *made = order_with(replaces);

    assert_status(made, 201);
    assert_true(text_starts_with(replaces + strlen("\"replaces\":\""), member(&me, made, "replaces")));
    assert_problem(&me, order_with(replaces), 409, "alreadyReplaced");
    /* An order that came to nothing replaces nothing. */
    postgres_kit_run(postgres, "UPDATE acme.orders SET expires_at = now() - interval '1 second' WHERE replaces IS NOT NULL");
    assert_status(order_with(replaces), 201);
    postgres_kit_run(postgres, "UPDATE acme.orders SET status = 'invalid' WHERE replaces IS NOT NULL");
    issue(order_with(replaces));
    assert_problem(&me, order_with(replaces), 409, "alreadyReplaced");
}

static void
of_many_at_once_one_replaces(void **state)
{
    const char *payload = arena_format(me.arena, "{" NAMES ",\"replaces\":\"%s\"}", my_certificate("host.example"));
    struct at_once found = client_post_at_once(&me, "/acme/new-order", payload, 8, 409);

    assert_int_equal(found.done, 1);
    assert_int_equal(found.refused, 7);
}

static void
only_a_certificate_of_this_account_with_one_of_the_names_is_replaced(void **state)
{
    const char *foreign = put_certificate(me.arena, "host.example", clock_now_s() - 60 * DAY, 90, NULL);

    assert_problem(&me, order_with(arena_format(me.arena, "\"replaces\":\"%s\"", foreign)), 403, "unauthorized");
    assert_problem(&me, order_with(arena_format(me.arena, "\"replaces\":\"%s\"", my_certificate("other.example"))), 400, "malformed");
    assert_problem(&me, order_with("\"replaces\":\"qrvM3Q.AQABAAAAAAAAAAAAAAAAAAAA\""), 404, "malformed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(dates_come_back_and_go_to_ra),          CASE(the_usual_validity_counts_from_not_before),
        CASE(a_profile_names_template_and_validity), CASE(a_profile_that_is_not_offered_any_more_makes_the_order_invalid),
        CASE(refuses_wishes_that_cannot_be_granted), CASE(a_certificate_is_replaced_once),
        CASE(of_many_at_once_one_replaces),          CASE(only_a_certificate_of_this_account_with_one_of_the_names_is_replaced),
    };

    return cmocka_run_group_tests_name("order_wishes", tests, open_gateway, close_gateway);
}
