/* Why an order is where it is: for each state the sentence that an operator needs, from the rows that the state has. */
#include "gateway_fixture.h"

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
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    return 0;
}

static Pb__ExplainOrderReply
explain(struct request *rq, const char *order)
{
    Pb__ExplainOrderRequest input = PB__EXPLAIN_ORDER_REQUEST__INIT;
    Pb__ExplainOrderReply reply = PB__EXPLAIN_ORDER_REPLY__INIT;

    input.order = order;
    assert_int_equal(explain_order(&gateway, rq, &input, &reply), OK);
    return reply;
}

static void
assert_says(const char *order, const char *status, const char *why, const char *next)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ExplainOrderReply reply = explain(rq, order);

    assert_string_equal(reply.status, status);
    if (strstr(reply.why, why) == NULL)
        fail_msg("why is \"%s\", without \"%s\"", reply.why, why);
    if (strstr(reply.next, next) == NULL)
        fail_msg("next is \"%s\", without \"%s\"", reply.next, next);
}

static void
a_pending_order_waits_for_its_client(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    assert_says(made.url, "pending", "1 of 1 name not proven", "the client must answer a challenge of dns:host.example");
}

static void
a_pending_order_waits_for_its_validation(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.challenge SET type = 'http-01', status = 'processing', due_at = now(), attempts = 3, "
                               "leased_until = now() + interval '20 seconds', lease_holder = 'replica-7'");
    assert_says(made.url, "pending", "not proven", "dns:host.example is being validated by replica-7, attempt 3");
    postgres_kit_run(postgres, "UPDATE acme.challenge SET leased_until = NULL, due_at = now() + interval '1 hour'");
    assert_says(made.url, "pending", "not proven", "dns:host.example is validated again at ");
}

static void
a_ready_order_waits_for_its_csr(void **state)
{
    assert_says(client_ready_order(&me, "host.example").url, "ready", "all names are proven", "the client must finalize it before ");
}

static struct made_order
finalize_in_vain(enum error error, bool pending)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct made_order made = client_ready_order(&me, "host.example");

    beyond.enroll_error = error;
    beyond.enroll_pending = pending;
    (void)client_post(&me, made.finalize, client_csr(&me, key, "DNS:host.example"));
    return made;
}

static void
a_processing_order_tells_the_last_trouble(void **state)
{
    struct made_order made = finalize_in_vain(ERR_UNAVAILABLE, false);

    assert_says(made.url, "processing", "unavailable: ra says unavailable (trace ", "any replica of acme-gw takes the next attempt, due at ");
    postgres_kit_run(postgres, "UPDATE acme.orders SET lease_holder = 'replica-7', leased_until = now() + interval '10 seconds'");
    assert_says(made.url, "processing", "ra says unavailable", "replica-7 is at it; should it die, another replica goes on at ");
}

static void
a_processing_order_waits_for_an_approval(void **state)
{
    assert_says(finalize_in_vain(OK, true).url, "processing", "the template wants an approval", "next attempt");
}

static void
a_processing_order_was_left_by_who_has_died(void **state)
{
    struct made_order made = finalize_in_vain(ERR_UNAVAILABLE, false);

    postgres_kit_run(postgres, "UPDATE acme.orders SET trouble = NULL, lease_holder = 'replica-7', leased_until = now() - interval '1 second'");
    assert_says(made.url, "processing", "has gone without an end", "any replica");
    postgres_kit_run(postgres, "UPDATE acme.orders SET leased_until = now() + interval '10 seconds'");
    assert_says(made.url, "processing", "being made at this moment", "replica-7 is at it");
}

static void
a_valid_order_is_done(void **state)
{
    struct made_order made = finalize_in_vain(OK, false);
    AUTO_STRUCT(request, rq) = request_new();

    assert_says(made.url, "valid", "issued", "");
    Pb__ExplainOrderReply reply = explain(rq, made.url);
    assert_int_equal(reply.serial.len, SERIAL_LEN);
    assert_int_equal(reply.n_authorizations, 1);
    assert_string_equal(reply.authorizations[0]->status, "valid");
    assert_string_equal(reply.account_status, "valid");
    assert_string_equal(reply.client_address, "127.0.0.1");
}

static void
an_invalid_order_says_why(void **state)
{
    assert_says(finalize_in_vain(ERR_BAD_CSR, false).url, "invalid", "ra says bad-csr", "a new order");
}

static void
an_expired_order_says_so(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.orders SET expires_at = now() - interval '1 second'");
    assert_says(made.url, "pending", "expired", "a new order");
}

static void
is_asked_by_id_as_well_and_refuses_the_rest(void **state)
{
    static const struct {
        const char *order;
        enum error error;
    } cases[] = {{"", ERR_BAD_REQUEST},
                 {"x", ERR_BAD_REQUEST},
                 {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ERR_BAD_REQUEST},
                 {"AAAAAAAAAAAAAAAAAAAAAA", ERR_NOT_FOUND}};
    struct made_order made = client_order(&me, "host.example");

    assert_says(strrchr(made.url, '/') + 1, "pending", "", "");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__ExplainOrderRequest input = PB__EXPLAIN_ORDER_REQUEST__INIT;
        Pb__ExplainOrderReply reply = PB__EXPLAIN_ORDER_REPLY__INIT;
        input.order = cases[i].order;
        assert_int_equal(explain_order(&gateway, rq, &input, &reply), cases[i].error);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_pending_order_waits_for_its_client),
        CASE(a_pending_order_waits_for_its_validation),
        CASE(a_ready_order_waits_for_its_csr),
        CASE(a_processing_order_tells_the_last_trouble),
        CASE(a_processing_order_waits_for_an_approval),
        CASE(a_processing_order_was_left_by_who_has_died),
        CASE(a_valid_order_is_done),
        CASE(an_invalid_order_says_why),
        CASE(an_expired_order_says_so),
        CASE(is_asked_by_id_as_well_and_refuses_the_rest),
    };

    return cmocka_run_group_tests_name("explain_order", tests, open_gateway, close_gateway);
}
