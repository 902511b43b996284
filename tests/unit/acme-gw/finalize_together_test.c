/* A batch of finalizations: how far each order comes in it, and that each request goes on from there. */
#include "gateway_fixture.h"

#define ORDERS 6

static struct client me;
static EVP_PKEY *certificate_key;

static void
set_caa(bool caa)
{
    run_and_reload(caa ? "UPDATE acme.policy SET caa = true" : "UPDATE acme.policy SET caa = false");
}

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
    set_caa(false);
    EVP_PKEY_free(certificate_key);
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    gateway_forget_chains();
    return 0;
}

static struct finalization
finalization_of(struct request *rq, const char *order_url, const char *name)
{
    struct claim *claim = arena_alloc(rq->arena, sizeof *claim);
    const char **names = arena_array(rq->arena, 2, sizeof *names);

    names[0] = arena_format(rq->arena, "dns:%s", name);
    *claim = (struct claim){.names = names, .name_count = 1, .csr = bytes_of_text("csr"), .key_sha256 = bytes_of_text("key")};
    return (struct finalization){.rq = rq, .account_id = strrchr(me.kid, '/') + 1, .order_id = strrchr(order_url, '/') + 1, .claim = claim};
}

static void
each_order_of_a_batch_has_an_outcome_of_its_own(void **state)
{
    struct made_order good = client_ready_order(&me, "good.example"), bad = client_ready_order(&me, "bad.example");
    struct made_order pending = client_order(&me, "pending.example"), late = client_ready_order(&me, "late.example");
    AUTO_STRUCT(request, batch_rq) = request_new();
    AUTO_STRUCT(request, good_rq) = request_new();
    AUTO_STRUCT(request, bad_rq) = request_new();
    AUTO_STRUCT(request, pending_rq) = request_new();
    AUTO_STRUCT(request, late_rq) = request_new();
    struct finalization all[] = {finalization_of(bad_rq, bad.url, "bad.example"), finalization_of(pending_rq, pending.url, "pending.example"),
                                 finalization_of(good_rq, good.url, "good.example"), finalization_of(late_rq, late.url, "late.example")};
    void *items[] = {&all[0], &all[1], &all[2], &all[3]};

    beyond.enroll_refuses = "bad.example";
    beyond.goes_alone = "late.example";
    assert_int_equal(finalize_together(&gateway, batch_rq, items, COUNT_OF(items)), OK);
    assert_int_equal(batch_rq->sql_round_trips, 2);
    assert_int_equal(beyond.together, 3);
    assert_true(all[0].claimed);
    assert_int_equal(all[0].error, ERR_DENIED);
    assert_string_equal(bad_rq->failure.message, "ra does not want this one");
    assert_int_equal(all[0].order.status, ORDER_PROCESSING);
    assert_false(all[1].claimed);
    assert_true(all[2].claimed);
    assert_int_equal(all[2].order.status, ORDER_VALID);
    assert_int_equal(good_rq->failure.kind, OK);
    assert_string_equal(client_status_of(&me, good.url), "valid");
    assert_true(all[3].claimed);
    assert_int_equal(all[3].order.status, ORDER_PROCESSING);
    assert_int_equal(all[3].error, OK);
    assert_null(all[3].reply);
    assert_int_equal(finalizations.kept, 3); /* until their requests let go */
    finalizations.kept = 0;
}

static void
what_others_have_to_be_asked_about_is_only_claimed(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, batch_rq) = request_new();
    struct finalization one = finalization_of(rq, made.url, "host.example");
    void *items[] = {&one};

    set_caa(true);
    assert_int_equal(finalize_together(&gateway, batch_rq, items, 1), OK);
    assert_true(one.claimed);
    assert_int_equal(one.error, OK);
    assert_null(one.reply);
    assert_int_equal(beyond.enrolments, 0);
    finalizations.kept = 0;
}

struct finalizer {
    pthread_t thread;
    struct client client;
    const char *url, *payload;
};

static void *
finalize_it(void *argument)
{
    struct finalizer *finalizer = argument;

    assert_status(client_post(&finalizer->client, finalizer->url, finalizer->payload), 200);
    return NULL;
}

/* As it is when orders come at the same moment, with one that goes alone. */
static void
requests_go_on_from_where_the_batch_has_left_them(void **state)
{
    struct finalizer all[ORDERS];
    struct made_order made[ORDERS];

    beyond.goes_alone = "host3.example";
    for (size_t i = 0; i < ORDERS; i++) {
        const char *name = arena_format(me.arena, "host%zu.example", i);
        made[i] = client_ready_order(&me, name);
        all[i] =
            (struct finalizer){.client = {.arena = arena_new(), .key = me.key, .kid = me.kid, .http = http_kit_connect(http_server_port(server))},
                               .url = made[i].finalize,
                               .payload = client_csr(&me, certificate_key, arena_format(me.arena, "DNS:%s", name))};
    }
    for (size_t i = 0; i < ORDERS; i++)
        pthread_create(&all[i].thread, NULL, finalize_it, &all[i]);
    for (size_t i = 0; i < ORDERS; i++) {
        pthread_join(all[i].thread, NULL);
        http_kit_free(all[i].client.http);
        arena_free(all[i].client.arena);
        assert_string_equal(client_status_of(&me, made[i].url), "valid");
    }
    assert_int_equal(finalizations.kept, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_order_of_a_batch_has_an_outcome_of_its_own),
        CASE(what_others_have_to_be_asked_about_is_only_claimed),
        CASE(requests_go_on_from_where_the_batch_has_left_them),
    };
    return cmocka_run_group_tests_name("finalize_together", tests, open_gateway, close_gateway);
}
