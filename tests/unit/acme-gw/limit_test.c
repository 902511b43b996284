/* Rate limits, quotas and paused names, as clients meet them. */
#include "gateway_fixture.h"

static struct client me;

static void
set_limits(const char *assignments)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    run_and_reload(arena_format(arena, "UPDATE acme.limits SET %s WHERE name = 'default'", assignments));
}

static int
begin(void **state)
{
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    beyond.validate_problem = NULL;
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge, acme.limit_state, acme.failing_name;"
                               "UPDATE acme.policy SET (orders_per_account, certificates_per_account) = (0, 0)");
    set_limits("(new_accounts_per_address, new_orders_per_account, failed_authorizations_per_name, certificates_per_domain, failures_before_pause) "
               "= (0, 0, 0, 0, 0)");
    return 0;
}

static const struct http_kit_reply *
order_for(const char *names)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer list = buffer_in(me.arena);
    size_t count;
    char **values = text_split(arena, names, ',', &count);

    for (size_t i = 0; i < count; i++)
        buffer_append_format(&list, "%s{\"type\":\"dns\",\"value\":\"%s\"}", i > 0 ? "," : "", values[i]);
    return client_post(&me, "/acme/new-order", arena_format(me.arena, "{\"identifiers\":[%s]}", buffer_text(&list)));
}

/* 429 with the rule's name, a way to help, and a time to come again, without which clients take it for the end. */
static void
assert_limited(const struct http_kit_reply *reply, const char *rule)
{
    int64_t wait_s = 0;

    assert_problem(&me, reply, 429, "rateLimited");
    assert_string_equal(member(&me, reply, "rule"), rule);
    assert_non_null(strstr(member(&me, reply, "detail"), rule));
    assert_non_null(memmem(reply->head, strlen(reply->head), "/acme/limits>;rel=\"help\"", 24));
    assert_true(text_parse_number(header_of(&me, reply, "Retry-After"), 1, 600, &wait_s));
}

static void
orders_of_an_account(void **state)
{
    set_limits("new_orders_per_account = 2");
    assert_status(order_for("a.example"), 201);
    assert_status(order_for("a.example"), 201);
    assert_limited(order_for("a.example"), "new-orders-per-account");
    CLIENT(other);
    client_register(&other);
    (void)client_order(&other, "a.example");
}

static void
what_was_spent_comes_back_with_time(void **state)
{
    set_limits("new_orders_per_account = 1, new_orders_period_s = 3600");
    assert_status(order_for("a.example"), 201);
    assert_limited(order_for("a.example"), "new-orders-per-account");
    postgres_kit_run(postgres, "UPDATE acme.limit_state SET tat = tat - interval '1 hour'");
    assert_status(order_for("a.example"), 201);
}

/* Proven and finalized at once. */
static void
issue(const struct http_kit_reply *made, const char *names)
{
    const char *finalize_url = arena_text(me.arena, member(&me, made, "finalize"));
    EVP_PKEY *key = kit_key("p256");

    assert_status(made, 201);
    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'valid' WHERE status = 'pending';"
                               "UPDATE acme.orders SET (status, authorizations_left) = ('ready', 0) WHERE status = 'pending'");
    const struct http_kit_reply *reply = client_post(&me, finalize_url, client_csr(&me, key, names));
    EVP_PKEY_free(key);
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "valid");
}

static void
certificates_of_a_registered_domain(void **state)
{
    set_limits("certificates_per_domain = 1");
    issue(order_for("a.one.example,b.one.example"), "DNS:a.one.example,DNS:b.one.example");
    assert_limited(order_for("c.one.example"), "certificates-per-domain");
    assert_status(order_for("a.two.example"), 201);
    assert_limited(order_for("x.three.example,c.one.example"), "certificates-per-domain");
    /* co.uk is nobody's domain. */
    issue(order_for("www.one.co.uk"), "DNS:www.one.co.uk");
    assert_status(order_for("www.two.co.uk"), 201);
    assert_limited(order_for("one.co.uk"), "certificates-per-domain");
}

static void
orders_without_a_certificate_cost_a_domain_nothing(void **state)
{
    set_limits("certificates_per_domain = 2");
    for (int i = 0; i < 5; i++) {
        assert_status(order_for("a.one.example"), 201);
        postgres_kit_run(postgres, "UPDATE acme.orders SET status = 'invalid'");
    }
    issue(order_for("a.one.example"), "DNS:a.one.example");
    issue(order_for("b.one.example"), "DNS:b.one.example");
    assert_limited(order_for("a.one.example"), "certificates-per-domain");
}

static const struct http_kit_reply *
finalize_order(const char *url)
{
    EVP_PKEY *key = kit_key("p256");
    const struct http_kit_reply *reply = client_post(&me, url, client_csr(&me, key, "DNS:a.one.example"));

    EVP_PKEY_free(key);
    return reply;
}

static void
make_orders_ready(void)
{
    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'valid'; UPDATE acme.orders SET (status, authorizations_left) = ('ready', 0)");
}

/* Orders that came while there was room; when they are finalized, others have had it. */
static void
a_domain_that_has_had_its_share_meanwhile_has_to_wait(void **state)
{
    const char *urls[2], *finalize_urls[2];

    set_limits("certificates_per_domain = 1");
    for (int i = 0; i < 2; i++) {
        const struct http_kit_reply *reply = order_for("a.one.example");
        urls[i] = header_of(&me, reply, "Location");
        finalize_urls[i] = arena_text(me.arena, member(&me, reply, "finalize"));
    }
    make_orders_ready();
    assert_status(finalize_order(finalize_urls[0]), 200);
    const struct http_kit_reply *reply = finalize_order(finalize_urls[1]);
    assert_limited(reply, "certificates-per-domain");
    assert_string_not_equal(header_of(&me, reply, "Retry-After"), "");
    assert_string_equal(member(&me, client_post(&me, urls[1], ""), "status"), "ready");
    postgres_kit_run(postgres, "UPDATE acme.limit_state SET tat = tat - period");
    assert_status(finalize_order(finalize_urls[1]), 200);
}

/* A replacement is not asked for (RFC 9773); and who has no limit looks at none. */
static void
replacements_are_finalized_whatever_the_domain_has_had(void **state)
{
    set_limits("certificates_per_domain = 1");
    const char *url = arena_text(me.arena, member(&me, order_for("a.one.example"), "finalize"));

    issue(order_for("b.one.example"), "DNS:b.one.example");
    make_orders_ready();
    postgres_kit_run(postgres, "UPDATE acme.orders SET replaces = 'aki.one' WHERE names = ARRAY['dns:a.one.example']");
    assert_status(finalize_order(url), 200);
}

/* What was claimed while there was room may come to more than the limit; then nobody waits longer than a period. */
static void
certificates_that_were_under_way_are_issued_and_counted(void **state)
{
    set_limits("certificates_per_domain = 1, certificates_period_s = 100");
    AUTO_STRUCT(request, rq) = request_new();
    static const char *const names[] = {"dns:a.one.example", NULL};
    struct spending spending = {.key = "default certificates-per-domain one.example", .limit = {.count = 1, .period_s = 100}};
    struct claim claim = {.names = names,
                          .name_count = 1,
                          .csr = bytes_of_text("csr"),
                          .key_sha256 = bytes_of_text("key"),
                          .spendings = &spending,
                          .spending_count = 1};
    struct order_move moves[3] = {0};
    void *items[COUNT_OF(moves)];

    for (size_t i = 0; i < COUNT_OF(moves); i++) {
        const char *id = strrchr(header_of(&me, order_for("a.one.example"), "Location"), '/') + 1;
        moves[i] = (struct order_move){.kind = MOVE_CLAIM, .rq = rq, .id = id, .account_id = strrchr(me.kid, '/') + 1, .claim = &claim};
        items[i] = &moves[i];
    }
    make_orders_ready();
    assert_int_equal(store_move_batch(&gateway, rq, items, COUNT_OF(moves)), OK);
    for (size_t i = 0; i < COUNT_OF(moves); i++)
        assert_true(moves[i].done);
    postgres_kit_run(postgres, "UPDATE acme.orders SET (due_at, leased_until) = (now() - interval '1 s', now() - interval '1 s')");
    assert_int_equal(turn_finalizations(), COUNT_OF(moves));
    assert_limited(order_for("a.one.example"), "certificates-per-domain");
    char *wait = postgres_kit_ask(postgres, "SELECT max(tat) <= now() + interval '100 s' FROM acme.limit_state");
    assert_string_equal(wait, "t");
    free(wait);
}

static const struct identifier a_name = {.type = IDENTIFIER_DNS, .value = "a.example"};

static struct order
order_of_mine(struct request *rq, const struct identifier *name, const char *replaces)
{
    return (struct order){.id = new_id(rq->arena),
                          .account_id = strrchr(me.kid, '/') + 1,
                          .names = name,
                          .name_count = 1,
                          .policy = DEFAULT_POLICY,
                          .owner = "",
                          .principal = "",
                          .client_address = "",
                          .expires_at_s = clock_now_s() + 3600,
                          .replaces = replaces};
}

static enum error
insert_order(struct request *rq, const char *replaces)
{
    struct order order = order_of_mine(rq, &a_name, replaces);
    const struct policy *policy;

    assert_int_equal(policy_load(&gateway, rq, DEFAULT_POLICY, &policy), OK);
    struct challenge challenge = new_challenge(&gateway, rq->arena, policy, &a_name, false, new_id(rq->arena));
    return limit_insert_order(&gateway, rq, policy, &challenge, &order);
}

/* As the commit queue gathers them: of the turns that are left each order gets its own, the first ones first; a paused name stops its own order
 * alone. */
static void
orders_of_one_batch_share_what_is_left(void **state)
{
    static const struct identifier names[] = {{.type = IDENTIFIER_DNS, .value = "paused.example"},
                                              {.type = IDENTIFIER_DNS, .value = "b.example"},
                                              {.type = IDENTIFIER_DNS, .value = "c.example"},
                                              {.type = IDENTIFIER_DNS, .value = "d.example"}};
    AUTO_STRUCT(request, rq) = request_new();
    const struct policy *policy;
    struct order orders[COUNT_OF(names)];
    struct challenge challenges[COUNT_OF(names)];
    struct new_order news[COUNT_OF(names)];
    struct spending spending = {.key = "default r s", .rule = "r", .subject = "s", .limit = {.count = 4, .period_s = 400}};
    void *items[COUNT_OF(names)];

    postgres_kit_run(postgres, "INSERT INTO acme.limit_state (key, tat, period) VALUES ('default r s', now() + interval '100 s', '400 s')");
    postgres_kit_run(postgres, arena_format(rq->arena, "INSERT INTO acme.failing_name VALUES ('%s', 'dns:paused.example', 9, now(), now(), now())",
                                            strrchr(me.kid, '/') + 1));
    assert_int_equal(policy_load(&gateway, rq, DEFAULT_POLICY, &policy), OK);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        orders[i] = order_of_mine(rq, &names[i], NULL);
        challenges[i] = new_challenge(&gateway, rq->arena, policy, &names[i], false, new_id(rq->arena));
        news[i] = (struct new_order){.order = &orders[i], .challenges = &challenges[i], .spendings = &spending, .spending_count = 1, .rq = rq};
        items[i] = &news[i];
    }
    assert_int_equal(store_insert_orders(&gateway, rq, items, COUNT_OF(names)), OK);
    assert_string_equal(news[0].obstacle.rule, "paused-names");
    assert_string_equal(news[0].obstacle.subject, "paused.example");
    assert_null(news[1].obstacle.rule);
    assert_int_equal(orders[1].status, ORDER_PENDING);
    assert_string_equal(orders[1].authorization_ids[0], challenges[1].authorization_id);
    assert_null(news[2].obstacle.rule);
    assert_string_equal(orders[2].authorization_ids[0], challenges[2].authorization_id);
    assert_string_equal(news[3].obstacle.rule, "r");
    assert_string_equal(news[3].obstacle.subject, "s");
    assert_in_range(news[3].obstacle.wait_s, 90, 100);
    char *stored = postgres_kit_ask(postgres, "SELECT (SELECT string_agg(names[1], ' ' ORDER BY names[1]) FROM acme.orders) || ' ' || "
                                              "(SELECT string_agg(name, ' ' ORDER BY name) FROM acme.authorization) || ' ' || "
                                              "(SELECT count(*) FROM acme.challenge) || ' ' || (SELECT round(extract(epoch FROM tat - now()) / 10) "
                                              "FROM acme.limit_state WHERE key = 'default r s')");
    assert_string_equal(stored, "dns:b.example dns:c.example dns:b.example dns:c.example 2 40");
    free(stored);
}

static void
a_replacement_counts_for_nothing(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    set_limits("certificates_per_domain = 1, new_orders_per_account = 1");
    assert_int_equal(insert_order(rq, "aki.one"), OK);
    assert_int_equal(insert_order(rq, "aki.two"), OK);
    assert_int_equal(insert_order(rq, NULL), OK);
    assert_int_equal(insert_order(rq, NULL), ERR_RATE_LIMITED);
}

static void
accounts_of_an_address(void **state)
{
    CLIENT(first);
    CLIENT(second);

    set_limits("new_accounts_per_address = 1");
    client_register(&first);
    const struct http_kit_reply *reply = client_post(&second, "/acme/new-account", "{\"termsOfServiceAgreed\":true}");
    assert_problem(&second, reply, 429, "rateLimited");
    assert_string_equal(member(&second, reply, "rule"), "new-accounts-per-address");
    /* Who has one finds it as often as he likes. */
    const char *again = "{\"termsOfServiceAgreed\":true}";
    assert_status(client_send(&first, "/acme/new-account", "application/jose+json", client_jws(&first, "/acme/new-account", again, true)), 200);
}

static void
fail_at(const char *name)
{
    beyond.validate_problem = "unauthorized";
    struct made_order made = client_order(&me, name);
    assert_status(client_post(&me, made.challenge, "{}"), 200);
    wait_for_status(&me, made.url, "invalid");
    beyond.validate_problem = NULL;
}

static void
resume(const char *name, enum error expected)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ResumeNameRequest input = PB__RESUME_NAME_REQUEST__INIT;
    Pb__ResumeNameReply reply = PB__RESUME_NAME_REPLY__INIT;

    input.name = name;
    assert_int_equal(resume_name(&gateway, rq, &input, &reply), expected);
}

static void
names_that_fail_often(void **state)
{
    set_limits("failed_authorizations_per_name = 2");
    fail_at("a.example");
    fail_at("a.example");
    assert_limited(order_for("a.example"), "failed-authorizations-per-name");
    assert_limited(order_for("b.example,a.example"), "failed-authorizations-per-name");
    assert_status(order_for("b.example"), 201);
    resume("a.example", OK);
    assert_status(order_for("a.example"), 201);
}

static void
a_name_that_fails_without_end_is_paused(void **state)
{
    set_limits("failures_before_pause = 2");
    fail_at("a.example");
    fail_at("a.example");
    assert_limited(order_for("a.example"), "paused-names");
    postgres_kit_run(postgres, "UPDATE acme.failing_name SET (failed_at, tat) = (now() - interval '1 year', now() - interval '1 year')");
    assert_limited(order_for("a.example"), "paused-names");
    resume("a.example", OK);
    resume("a.example", ERR_NOT_FOUND);
    assert_status(order_for("a.example"), 201);
}

static void
authorizations_without_an_order_are_no_way_around(void **state)
{
    static const char payload[] = "{\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"}}";

    set_limits("failures_before_pause = 1");
    fail_at("a.example");
    assert_limited(client_post(&me, "/acme/new-authz", payload), "paused-names");
    resume("a.example", OK);
    set_limits("failures_before_pause = 0, new_orders_per_account = 1");
    assert_status(client_post(&me, "/acme/new-authz", payload), 201);
    assert_limited(client_post(&me, "/acme/new-authz", payload), "new-orders-per-account");
    postgres_kit_run(postgres, "TRUNCATE acme.limit_state; UPDATE acme.account SET allowed_names = '{b.example}'");
    account_cache_forget(gateway.accounts, me.kid + strlen("http://acme.example/acme/account/"));
    assert_problem(&me, client_post(&me, "/acme/new-authz", payload), 400, "rejectedIdentifier");
}

static void
a_success_forgets_the_failures(void **state)
{
    set_limits("failures_before_pause = 2");
    fail_at("a.example");
    (void)client_ready_order(&me, "a.example");
    char *left = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.failing_name");
    assert_string_equal(left, "0");
    free(left);
}

static void
open_orders_of_an_account_have_a_quota(void **state)
{
    run_and_reload("UPDATE acme.policy SET orders_per_account = 1");
    assert_status(order_for("a.example"), 201);
    assert_limited(order_for("b.example"), "orders-per-account");
    postgres_kit_run(postgres, "UPDATE acme.orders SET status = 'invalid'");
    assert_status(order_for("b.example"), 201);
}

static void
living_certificates_of_an_account_have_a_quota(void **state)
{
    run_and_reload("UPDATE acme.policy SET certificates_per_account = 1");
    assert_status(order_for("a.example"), 201);
    postgres_kit_run(postgres,
                     "UPDATE acme.orders SET status = 'valid', serial = '\\x01', expiry_month = 1;"
                     "INSERT INTO ra.certificate_status (serial, expiry_month, issuer, not_after) VALUES ('\\x01', 1, '', now() + interval '1 day')");
    assert_limited(order_for("b.example"), "certificates-per-account");
    postgres_kit_run(postgres, "UPDATE ra.certificate_status SET not_after = now()");
    assert_status(order_for("b.example"), 201);
}

/* Each of them would find room for itself. */
static void
orders_at_one_moment_do_not_exceed_a_quota(void **state)
{
    static const char *const quotas[] = {"(2, 0)", "(0, 2)"};

    for (size_t i = 0; i < COUNT_OF(quotas); i++) {
        run_and_reload(arena_format(me.arena, "UPDATE acme.policy SET (orders_per_account, certificates_per_account) = %s", quotas[i]));
        struct at_once found = client_post_at_once(&me, "/acme/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}]}", 8, 429);
        assert_int_equal(found.done, 2);
        assert_int_equal(found.refused, 6);
        postgres_kit_run(postgres, "UPDATE acme.orders SET status = 'invalid'");
    }
}

static void
the_page_tells_the_limits(void **state)
{
    set_limits("new_orders_per_account = 7, new_orders_period_s = 70");
    http_kit_say(me.http, "GET /acme/limits HTTP/1.1\r\nHost: acme.example\r\n\r\n");
    const struct http_kit_reply *reply = http_kit_reply(me.http);
    assert_status(reply, 200);
    assert_non_null(memmem(reply->body, reply->body_len, "new-orders-per-account: 7 in 70 s", 33));
}

static void
what_is_used_up_no_more_is_swept(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    postgres_kit_run(postgres, "INSERT INTO acme.limit_state VALUES ('old', now() - interval '1 s', '1 s'), ('new', now() + interval '1 h', '1 h');"
                               "INSERT INTO acme.failing_name VALUES ('a', 'old', 1, now(), now() - interval '31 days', NULL), "
                               "('a', 'paused', 1, now(), now() - interval '31 days', now()), ('a', 'new', 1, now(), now(), NULL)");
    limits_sweep(&gateway, rq);
    char *left = postgres_kit_ask(postgres, "SELECT (SELECT string_agg(key, ' ') FROM acme.limit_state) || ' ' || "
                                            "(SELECT string_agg(name, ' ' ORDER BY name) FROM acme.failing_name)");
    assert_string_equal(left, "new new paused");
    free(left);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(orders_of_an_account),
        CASE(what_was_spent_comes_back_with_time),
        CASE(certificates_of_a_registered_domain),
        CASE(orders_without_a_certificate_cost_a_domain_nothing),
        CASE(a_domain_that_has_had_its_share_meanwhile_has_to_wait),
        CASE(replacements_are_finalized_whatever_the_domain_has_had),
        CASE(certificates_that_were_under_way_are_issued_and_counted),
        CASE(a_replacement_counts_for_nothing),
        CASE(orders_of_one_batch_share_what_is_left),
        CASE(accounts_of_an_address),
        CASE(names_that_fail_often),
        CASE(a_name_that_fails_without_end_is_paused),
        CASE(authorizations_without_an_order_are_no_way_around),
        CASE(a_success_forgets_the_failures),
        CASE(open_orders_of_an_account_have_a_quota),
        CASE(living_certificates_of_an_account_have_a_quota),
        CASE(orders_at_one_moment_do_not_exceed_a_quota),
        CASE(the_page_tells_the_limits),
        CASE(what_is_used_up_no_more_is_swept),
    };

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
