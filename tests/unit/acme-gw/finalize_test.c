/* The way of an order, and every fork of it: who wins, what is final, what is tried again, and what each reader sees. */
#include "gateway_fixture.h"

#define NAMES "DNS:host.example"

static struct client me;
static EVP_PKEY *certificate_key;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    me = client_new();
    client_register(&me);
    certificate_key = kit_key("p256");
    return 0;
}

static int
end(void **state)
{
    EVP_PKEY_free(certificate_key);
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    gateway_forget_chains();
    return 0;
}

static const struct http_kit_reply *
finalize_with(const struct made_order *made, const char *names)
{
    return client_post(&me, made->finalize, client_csr(&me, certificate_key, names));
}

static const char *
order_status(const struct made_order *made)
{
    const struct http_kit_reply *reply = client_post(&me, made->url, "");
    assert_status(reply, 200);
    return member(&me, reply, "status");
}

static void
a_certificate_comes_at_once(void **state)
{
    struct made_order made = client_ready_order(&me, "Host.Example");

    assert_string_equal(order_status(&made), "ready");
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "valid");
    assert_string_equal(header_of(&me, reply, "Location"), made.url);
    assert_string_equal(beyond.enrolled_names, "host.example");
    assert_string_equal(beyond.enrolled_key, strrchr(made.url, '/') + 1);
    reply = client_post(&me, member(&me, reply, "certificate"), "");
    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Content-Type"), "application/pem-certificate-chain");
    const char *pem = arena_text_n(me.arena, reply->body, reply->body_len);
    assert_string_equal(pem, "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"
                             "-----BEGIN CERTIFICATE-----\nMAMCAQI=\n-----END CERTIFICATE-----\n");
}

static void
a_certificate_is_read_from_the_database_when_nobody_remembers_it(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");
    const char *url = arena_text(me.arena, member(&me, finalize_with(&made, NAMES), "certificate"));
    const struct http_kit_reply *reply = client_post(&me, url, "");
    const char *remembered = arena_text_n(me.arena, reply->body, reply->body_len);

    assert_status(reply, 200);
    struct certificate_cache *full = gateway.certificates;
    gateway.certificates = certificate_cache_new();
    reply = client_post(&me, url, "");
    assert_status(reply, 200);
    assert_string_equal(arena_text_n(me.arena, reply->body, reply->body_len), remembered);
    certificate_cache_free(gateway.certificates);
    gateway.certificates = full;
}

static void
a_repeated_finalize_returns_the_order(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    assert_status(finalize_with(&made, NAMES), 200);
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "valid");
    assert_int_equal(beyond.enrolments, 1);
    /* RFC 8555 §7.4: what is no repetition is told what the order is. */
    assert_problem(&me, client_post(&me, made.finalize, "{\"csr\":\"AAAA\"}"), 403, "orderNotReady");
}

static void
rejects_a_pending_order(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    assert_problem(&me, finalize_with(&made, NAMES), 403, "orderNotReady");
    /* RFC 8555 §7.4: so it must be called; that the CSR is bad, too, can wait. */
    assert_problem(&me, client_post(&me, made.finalize, "{\"csr\":\"AAAA\"}"), 403, "orderNotReady");
    assert_problem(&me, client_post(&me, made.finalize, client_csr(&me, me.key, NAMES)), 403, "orderNotReady");
    assert_problem(&me, client_post(&me, "/acme/order/AAAAAAAAAAAAAAAAAAAAAA/finalize", "{\"csr\":\"AAAA\"}"), 404, "malformed");
    assert_int_equal(beyond.enrolments, 0);
}

/* RFC 8739 §3.1.2. Told to finalize again, a client would for ever. */
static void
a_canceled_order_is_not_finalized_again(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.orders SET status = 'canceled'");
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    assert_problem(&me, reply, 403, "orderNotReady");
    assert_non_null(strstr(member(&me, reply, "detail"), "make a new one"));
    assert_int_equal(beyond.enrolments, 0);
}

static void
rejects_other_names_and_leaves_the_order_ready(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    assert_problem(&me, finalize_with(&made, "DNS:host.example,DNS:other.example"), 400, "badCSR");
    assert_problem(&me, finalize_with(&made, "DNS:other.example"), 400, "badCSR");
    assert_string_equal(order_status(&made), "ready");
    assert_int_equal(beyond.enrolments, 0);
    assert_status(finalize_with(&made, NAMES), 200);
}

static void
rejects_bad_csrs_and_leaves_the_order_ready(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");
    AUTO(EVP_PKEY, weak) = kit_key("rsa-1024");
    struct bytes ca = kit_csr(me.arena, &(struct kit_csr){.key = certificate_key, .subject = "/", .names = NAMES, .asks_ca = true});
    struct bytes staple = kit_csr(me.arena, &(struct kit_csr){.key = certificate_key, .subject = "/", .names = NAMES, .must_staple = true});
    struct bytes good = kit_csr(me.arena, &(struct kit_csr){.key = certificate_key, .subject = "/", .names = NAMES});
    uint8_t *changed = (uint8_t *)bytes_copy(me.arena, good).at;
    changed[good.len - 3] ^= 1;

    assert_problem(&me, client_post(&me, made.finalize, client_csr(&me, weak, NAMES)), 400, "badCSR");
    assert_problem(&me, client_post(&me, made.finalize, client_csr(&me, me.key, NAMES)), 400, "badCSR");
    assert_problem(&me, client_post(&me, made.finalize, arena_format(me.arena, "{\"csr\":\"%s\"}", base64url_encode(me.arena, ca))), 400, "badCSR");
    const struct http_kit_reply *reply =
        client_post(&me, made.finalize, arena_format(me.arena, "{\"csr\":\"%s\"}", base64url_encode(me.arena, staple)));
    assert_problem(&me, reply, 400, "badCSR");
    assert_non_null(strstr(reply->body, "must-staple"));
    assert_problem(&me,
                   client_post(&me, made.finalize, arena_format(me.arena, "{\"csr\":\"%s\"}", base64url_encode(me.arena, BYTES(changed, good.len)))),
                   400, "badCSR");
    assert_problem(&me, client_post(&me, made.finalize, "{\"csr\":\"AAAA\"}"), 400, "badCSR");
    assert_problem(&me, client_post(&me, made.finalize, "{}"), 400, "malformed");
    assert_string_equal(order_status(&made), "ready");
    assert_int_equal(beyond.enrolments, 0);
}

static void
accepts_a_csr_in_padded_base64(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");
    struct bytes der = kit_csr(me.arena, &(struct kit_csr){.key = certificate_key, .subject = "/", .names = NAMES});

    const struct http_kit_reply *reply = client_post(&me, made.finalize, arena_format(me.arena, "{\"csr\":\"%s\"}", base64_encode(me.arena, der)));
    assert_status(reply, 200);
}

static const struct refusal {
    const char *name;
    enum error error;
    const char *layer;
    int status;
    const char *type;
} refusals[] = {
    {"a_bad_csr_is_final", ERR_BAD_CSR, NULL, 400, "badCSR"},
    {"a_bad_name_is_final", ERR_BAD_NAME, NULL, 400, "rejectedIdentifier"},
    {"a_denied_role_is_final", ERR_DENIED, "AUTH-001", 403, "unauthorized"},
    {"a_denied_name_is_final", ERR_DENIED, "AUTH-002", 400, "rejectedIdentifier"},
    {"a_denied_template_is_final", ERR_DENIED, "AUTH-004", 403, "unauthorized"},
};

static void
refusal_is_final(void **state)
{
    const struct refusal *refusal = *state;
    struct made_order made = client_ready_order(&me, "host.example");

    beyond.enroll_error = refusal->error;
    beyond.enroll_layer = refusal->layer;
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    assert_problem(&me, reply, refusal->status, refusal->type);
    if (refusal->layer != NULL)
        assert_string_equal(member(&me, reply, "layer"), refusal->layer);
    reply = client_post(&me, made.url, "");
    assert_string_equal(member(&me, reply, "status"), "invalid");
    assert_non_null(strstr(reply->body, refusal->type));
    beyond.enroll_error = OK;
    assert_problem(&me, finalize_with(&made, NAMES), 403, "orderNotReady");
    assert_int_equal(beyond.enrolments, 1);
    assert_int_equal(turn_finalizations(), 0);
}

static const struct trouble {
    const char *name;
    enum error error;
} troubles[] = {
    {"an_absent_ra_leaves_the_order_processing", ERR_UNAVAILABLE}, {"a_busy_ra_leaves_the_order_processing", ERR_BUSY},
    {"a_late_ra_leaves_the_order_processing", ERR_TIMEOUT},        {"a_broken_ra_leaves_the_order_processing", ERR_INTERNAL},
    {"a_missing_ca_leaves_the_order_processing", ERR_NOT_FOUND},
};

static void
make_due(void)
{
    postgres_kit_run(postgres, "UPDATE acme.orders SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL");
    postgres_kit_run(postgres, "UPDATE acme.challenge SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL");
}

static void
trouble_is_survived(void **state)
{
    const struct trouble *trouble = *state;
    struct made_order made = client_ready_order(&me, "host.example");

    beyond.enroll_error = trouble->error;
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "processing");
    assert_string_equal(header_of(&me, reply, "Retry-After"), "3");
    assert_string_equal(header_of(&me, reply, "Location"), made.url);
    make_due();
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(order_status(&made), "processing");
    beyond.enroll_error = OK;
    make_due();
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(order_status(&made), "valid");
    assert_string_equal(beyond.enrolled_key, strrchr(made.url, '/') + 1);
    assert_int_equal(turn_finalizations(), 0);
}

static void
trouble_that_never_ends_is_told_in_the_end(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    beyond.enroll_error = ERR_UNAVAILABLE;
    assert_status(finalize_with(&made, NAMES), 200);
    postgres_kit_run(postgres, "UPDATE acme.orders SET attempts = 1000");
    make_due();
    assert_int_equal(turn_finalizations(), 1);
    const struct http_kit_reply *reply = client_post(&me, made.url, "");
    assert_string_equal(member(&me, reply, "status"), "invalid");
    assert_non_null(strstr(reply->body, "serverInternal"));
}

static void
an_approval_is_waited_for(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    beyond.enroll_pending = true;
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    assert_string_equal(member(&me, reply, "status"), "processing");
    /* A person approves: there is no hurry, now and whenever it is asked for. */
    assert_string_equal(header_of(&me, reply, "Retry-After"), "120");
    assert_string_equal(header_of(&me, client_post(&me, made.url, ""), "Retry-After"), "120");
    beyond.enroll_pending = false;
    make_due();
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(order_status(&made), "valid");
}

static void
a_long_approval_is_no_failed_attempt(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    beyond.enroll_pending = true;
    assert_status(finalize_with(&made, NAMES), 200);
    postgres_kit_run(postgres, "UPDATE acme.orders SET attempts = 1000"); /* as after a day */
    make_due();
    assert_int_equal(turn_finalizations(), 1);
    beyond.enroll_error = ERR_UNAVAILABLE;
    make_due();
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(order_status(&made), "processing");
}

/* The claim came before the last validation's end, the look at the order after it; here a trigger keeps the claim from the row. */
static void
an_order_that_becomes_ready_meanwhile_is_not_ready_yet(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    postgres_kit_run(postgres, "CREATE FUNCTION acme.skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
    postgres_kit_run(postgres, "CREATE TRIGGER skip BEFORE UPDATE ON acme.orders FOR EACH ROW EXECUTE FUNCTION acme.skip()");
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    postgres_kit_run(postgres, "DROP FUNCTION acme.skip() CASCADE");
    assert_problem(&me, reply, 403, "orderNotReady");
    assert_status(finalize_with(&made, NAMES), 200);
}

/* As after kill -9 between the claim and ra's answer: the order is claimed, its holder is gone. */
static void
a_dead_holders_order_is_finished_when_the_lease_runs_out(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    beyond.enroll_error = ERR_UNAVAILABLE;
    assert_status(finalize_with(&made, NAMES), 200);
    beyond.enroll_error = OK;
    make_due();
    postgres_kit_run(postgres, "UPDATE acme.orders SET lease_holder = 'dead', leased_until = now() + interval '1 hour' WHERE status = 'processing'");
    assert_int_equal(turn_finalizations(), 0);
    postgres_kit_run(postgres, "UPDATE acme.orders SET leased_until = now() - interval '1 second' WHERE lease_holder = 'dead'");
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(order_status(&made), "valid");
}

static void
what_cannot_be_written_down_is_left(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    be_away_when("acme.orders", "NEW.status = 'valid'");
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    be_back();
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "processing");
    assert_int_equal(turn_finalizations(), 0);
    give_up(&store_leave_finalizations, &finalizations, "acme.orders");
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(order_status(&made), "valid");
}

/* Nobody knows whether it was claimed. */
static void
an_order_that_was_claimed_or_not_is_left(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    finalizations.left[0] = '\0';
    be_away_when("acme.orders", "NEW.status = 'processing'");
    const struct http_kit_reply *reply = finalize_with(&made, NAMES);
    be_back();
    assert_problem(&me, reply, 503, "serverInternal");
    assert_string_equal(finalizations.left, strrchr(made.url, '/') + 1);
    assert_status(finalize_with(&made, NAMES), 200);
}

static void *
finalize_as_another_connection(void *argument)
{
    const struct made_order *made = argument;
    struct client other = {.arena = arena_new(), .key = me.key, .kid = me.kid, .http = http_kit_connect(http_server_port(server))};
    const char *body = client_csr(&other, certificate_key, NAMES);

    (void)client_post(&other, made->finalize, body);
    http_kit_free(other.http);
    arena_free(other.arena);
    return NULL;
}

static void
of_many_concurrent_finalizes_one_asks_ra(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");
    pthread_t threads[8];

    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_create(&threads[i], NULL, finalize_as_another_connection, &made);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(beyond.enrolments, 1);
    assert_string_equal(order_status(&made), "valid");
}

static void
an_expired_order_is_invalid(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.orders SET expires_at = now() - interval '1 second'");
    assert_string_equal(order_status(&made), "invalid");
    assert_problem(&me, finalize_with(&made, NAMES), 403, "orderNotReady");
    assert_int_equal(beyond.enrolments, 0);
}

static void
another_account_sees_nothing(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");
    CLIENT(stranger);

    client_register(&stranger);
    assert_problem(&stranger, client_post(&stranger, made.url, ""), 404, "malformed");
    assert_problem(&stranger, client_post(&stranger, made.authorization, ""), 404, "malformed");
    assert_problem(&stranger, client_post(&stranger, made.challenge, "{}"), 404, "malformed");
    assert_problem(&stranger, client_post(&stranger, made.finalize, client_csr(&stranger, certificate_key, NAMES)), 404, "malformed");
    assert_status(finalize_with(&made, NAMES), 200);
    const char *certificate_url = arena_text(me.arena, member(&me, client_post(&me, made.url, ""), "certificate"));
    assert_problem(&stranger, client_post(&stranger, certificate_url, ""), 404, "malformed");
    assert_int_equal(beyond.enrolments, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define CASES_BY_HAND 18

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(refusals) + COUNT_OF(troubles)] = {
        CASE(a_certificate_comes_at_once),
        CASE(a_certificate_is_read_from_the_database_when_nobody_remembers_it),
        CASE(a_repeated_finalize_returns_the_order),
        CASE(rejects_a_pending_order),
        CASE(a_canceled_order_is_not_finalized_again),
        CASE(rejects_other_names_and_leaves_the_order_ready),
        CASE(rejects_bad_csrs_and_leaves_the_order_ready),
        CASE(accepts_a_csr_in_padded_base64),
        CASE(trouble_that_never_ends_is_told_in_the_end),
        CASE(an_approval_is_waited_for),
        CASE(a_long_approval_is_no_failed_attempt),
        CASE(an_order_that_becomes_ready_meanwhile_is_not_ready_yet),
        CASE(a_dead_holders_order_is_finished_when_the_lease_runs_out),
        CASE(what_cannot_be_written_down_is_left),
        CASE(an_order_that_was_claimed_or_not_is_left),
        CASE(of_many_concurrent_finalizes_one_asks_ra),
        CASE(an_expired_order_is_invalid),
        CASE(another_account_sees_nothing),
    };
    size_t count = CASES_BY_HAND;

    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        tests[count++] = (struct CMUnitTest){.name = refusals[i].name,
                                             .test_func = refusal_is_final,
                                             .setup_func = begin,
                                             .teardown_func = end,
                                             .initial_state = (void *)&refusals[i]};
    for (size_t i = 0; i < COUNT_OF(troubles); i++)
        tests[count++] = (struct CMUnitTest){.name = troubles[i].name,
                                             .test_func = trouble_is_survived,
                                             .setup_func = begin,
                                             .teardown_func = end,
                                             .initial_state = (void *)&troubles[i]};
    return _cmocka_run_group_tests("finalize", tests, count, open_gateway, close_gateway);
}
