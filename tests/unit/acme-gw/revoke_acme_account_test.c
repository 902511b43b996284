/* The end of an account by an operator: for its requests, its orders, what ra was asked for, and the record. */
#include "accounts_fixture.h"

#define NAMES "DNS:host.example"

static void
make_due(void)
{
    postgres_kit_run(postgres, "UPDATE acme.orders SET due_at = now() - interval '1 s' WHERE leased_until IS NULL");
}

static const char *
row_of(const struct made_order *made, const char *column)
{
    char *found =
        postgres_kit_ask(postgres, arena_format(me.arena, "SELECT %s FROM acme.orders WHERE id = '%s'", column, strrchr(made->url, '/') + 1));
    const char *copy = arena_text(me.arena, found);

    free(found);
    return copy;
}

/* An order that waits at ra: for a person, or for a signer. */
static struct made_order
order_in_work(void)
{
    struct made_order made = client_ready_order(&me, "host.example");
    AUTO(EVP_PKEY, key) = kit_key("p256");

    beyond.enroll_pending = true;
    assert_status(client_post(&me, made.finalize, client_csr(&me, key, NAMES)), 200);
    beyond.enroll_pending = false;
    assert_string_equal(row_of(&made, "status"), "processing");
    return made;
}

static void
each_request_of_it_is_refused_from_then_on(void **state)
{
    Pb__RevokeAcmeAccountReply reply;
    struct made_order made = client_order(&me, "host.example");

    assert_status(client_post(&me, me.kid, ""), 200); /* remembered here */
    assert_int_equal(revoke_named(me.kid, &reply), OK);
    assert_true(reply.changed);
    assert_string_equal(reply.status, "revoked");
    assert_problem(&me, client_post(&me, me.kid, ""), 401, "unauthorized");
    assert_problem(&me, client_post(&me, made.url, ""), 401, "unauthorized");
    assert_problem(&me, client_post(&me, "/acme/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}]}"), 401, "unauthorized");
    assert_problem(&me, client_post(&me, me.kid, "{\"status\":\"deactivated\"}"), 401, "unauthorized");
    me.kid = NULL;
    assert_problem(&me, client_post(&me, "/acme/new-account", "{\"termsOfServiceAgreed\":true}"), 401, "unauthorized");
}

static void
it_is_named_by_its_id_and_by_its_key_too_and_ends_once(void **state)
{
    CLIENT(other);
    Pb__RevokeAcmeAccountReply reply;

    client_register(&other);
    assert_int_equal(revoke_named(thumbprint_of(&me), &reply), OK);
    assert_true(reply.changed);
    assert_int_equal(revoke_named(id_of(&me), &reply), OK);
    assert_false(reply.changed);
    assert_string_equal(reply.status, "revoked");
    assert_answer("SELECT count(*) FROM acme.outbox WHERE position('revoked'::bytea IN body) > 0 AND position('olga'::bytea IN body) > 0 AND "
                  "position('its key was stolen'::bytea IN body) > 0 AND position('signetctl'::bytea IN body) > 0",
                  "1");
    assert_status(client_post(&other, other.kid, ""), 200);
}

static void
what_its_client_has_deactivated_stays_so(void **state)
{
    Pb__RevokeAcmeAccountReply reply;

    assert_status(client_post(&me, me.kid, "{\"status\":\"deactivated\"}"), 200);
    assert_int_equal(revoke_named(id_of(&me), &reply), OK);
    assert_false(reply.changed);
    assert_string_equal(reply.status, "deactivated");
}

static void
its_open_orders_end_and_those_of_others_do_not(void **state)
{
    CLIENT(other);
    Pb__RevokeAcmeAccountReply reply;
    struct made_order pending = client_order(&me, "pending.example"), ready = client_ready_order(&me, "ready.example");

    client_register(&other);
    struct made_order others = client_order(&other, "other.example");
    assert_int_equal(revoke_named(id_of(&me), &reply), OK);
    assert_int_equal(reply.orders_ended, 2);
    assert_int_equal(reply.orders_in_work, 0);
    assert_string_equal(row_of(&pending, "status"), "invalid");
    assert_string_equal(row_of(&ready, "status"), "invalid");
    assert_non_null(strstr(row_of(&ready, "problem"), "revoked by the operator"));
    assert_string_equal(client_status_of(&other, others.url), "pending");
}

static void
what_is_in_work_is_taken_back_from_ra_at_once(void **state)
{
    Pb__RevokeAcmeAccountReply reply;
    struct made_order made = order_in_work();

    postgres_kit_run(postgres, "UPDATE acme.orders SET due_at = now() + interval '1 hour'");
    assert_int_equal(revoke_named(id_of(&me), &reply), OK);
    assert_int_equal(reply.orders_ended, 0);
    assert_int_equal(reply.orders_in_work, 1);
    int enrolments = beyond.enrolments;
    assert_int_equal(turn_finalizations(), 1);
    assert_int_equal(beyond.enrolments, enrolments);
    assert_string_equal(row_of(&made, "status"), "invalid");
    assert_non_null(strstr(row_of(&made, "problem"), "unauthorized"));
    assert_string_equal(beyond.withdrawn, arena_format(me.arena, "acme %s acme-account:%s", strrchr(made.url, '/') + 1, id_of(&me)));
}

static void
of_a_client_that_deactivates_itself_too(void **state)
{
    struct made_order made = order_in_work(), open = client_order(&me, "open.example");

    assert_status(client_post(&me, me.kid, "{\"status\":\"deactivated\"}"), 200);
    assert_string_equal(row_of(&open, "status"), "invalid");
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(row_of(&made, "status"), "invalid");
}

static void
while_it_is_being_signed_it_is_tried_again(void **state)
{
    Pb__RevokeAcmeAccountReply reply;
    struct made_order made = order_in_work();

    assert_int_equal(revoke_named(id_of(&me), &reply), OK);
    beyond.withdraw_error = ERR_BUSY;
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(row_of(&made, "status"), "processing");
    beyond.withdraw_error = OK;
    make_due();
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(row_of(&made, "status"), "invalid");
}

/* Or whoever revokes its certificates would not find this one. */
static void
a_certificate_that_ra_has_made_before_is_written_down(void **state)
{
    Pb__RevokeAcmeAccountReply reply;
    struct made_order made = order_in_work();

    assert_int_equal(revoke_named(id_of(&me), &reply), OK);
    beyond.withdraw_finds_it_issued = true;
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(row_of(&made, "status || ' ' || (serial IS NOT NULL)"), "valid true");
    assert_problem(&me, client_post(&me, made.url, ""), 401, "unauthorized");
}

static void
refuses_what_names_no_account_and_an_operator_without_a_name(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__RevokeAcmeAccountRequest input = PB__REVOKE_ACME_ACCOUNT_REQUEST__INIT;
    Pb__RevokeAcmeAccountReply reply = PB__REVOKE_ACME_ACCOUNT_REPLY__INIT;

    assert_int_equal(revoke_named("AAAAAAAAAAAAAAAAAAAAAA", &reply), ERR_NOT_FOUND);
    assert_int_equal(revoke_named("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &reply), ERR_NOT_FOUND);
    assert_int_equal(revoke_named("", &reply), ERR_BAD_REQUEST);
    assert_int_equal(revoke_named("' OR true --", &reply), ERR_BAD_REQUEST);
    input.account = id_of(&me);
    assert_int_equal(revoke_acme_account(&gateway, rq, &input, &reply), ERR_BAD_REQUEST);
    assert_status(client_post(&me, me.kid, ""), 200);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_request_of_it_is_refused_from_then_on),
        CASE(it_is_named_by_its_id_and_by_its_key_too_and_ends_once),
        CASE(what_its_client_has_deactivated_stays_so),
        CASE(its_open_orders_end_and_those_of_others_do_not),
        CASE(what_is_in_work_is_taken_back_from_ra_at_once),
        CASE(of_a_client_that_deactivates_itself_too),
        CASE(while_it_is_being_signed_it_is_tried_again),
        CASE(a_certificate_that_ra_has_made_before_is_written_down),
        CASE(refuses_what_names_no_account_and_an_operator_without_a_name),
    };

    return cmocka_run_group_tests(tests, open_gateway_for_credentials, close_gateway);
}
