/* An operator wants a CRL now: it waits for the CRL that was made for it, and tells what stood in the way. */
#include "publisher_fixture.h"

static void
work_as_replica(void)
{
    (void)work_off();
}

static enum error
publish(struct request *call, const char *issuer, uint32_t *ret_published)
{
    Pb__PublishCrlRequest request = PB__PUBLISH_CRL_REQUEST__INIT;
    Pb__PublishCrlReply reply = PB__PUBLISH_CRL_REPLY__INIT;
    enum error error;

    request.issuer = issuer;
    call->deadline_ms = clock_monotonic_ms() + 1000;
    error = publish_crl(&publisher, call, &request, &reply);
    *ret_published = reply.published;
    return error;
}

static const struct document *
served(void)
{
    const struct document *document;

    assert_int_equal(shelf_find(publisher.shelf, rq, ISSUER, SHELF_CRL, &document), OK);
    return document;
}

static void
publishes_one_and_serves_it_at_once(void **state)
{
    AUTO_STRUCT(request, call) = request_new();
    struct crl crl;
    uint32_t published;

    settle();
    on_lease_wake = work_as_replica;
    assert_int_equal(publish(call, ISSUER, &published), OK);
    assert_int_equal(published, 1);
    assert_int_equal(signer.crls_signed, 3);
    const struct document *document = served();
    assert_int_equal(crl_parse(rq, document->body, &crl), OK);
    assert_string_equal(bytes_hex(rq->arena, crl.number, 0), "02");
    shelf_release((void *)document);
}

static void
publishes_all(void **state)
{
    AUTO_STRUCT(request, call) = request_new();
    uint32_t published;

    settle();
    on_lease_wake = work_as_replica;
    assert_int_equal(publish(call, "", &published), OK);
    assert_int_equal(published, 2);
    assert_int_equal(signer.crls_signed, 4);
}

static void
publishes_none_where_there_is_no_ca(void **state)
{
    AUTO_STRUCT(request, call) = request_new();
    uint32_t published = 7;

    assert_int_equal(publish(call, "", &published), OK);
    assert_int_equal(published, 0);
}

static void
refuses_a_ca_that_does_not_exist(void **state)
{
    AUTO_STRUCT(request, call) = request_new();
    uint32_t published;

    settle();
    assert_int_equal(publish(call, "nobody", &published), ERR_NOT_FOUND);
}

static void
refuses_a_ca_that_has_expired(void **state)
{
    AUTO_STRUCT(request, call) = request_new();
    uint32_t published;

    settle();
    postgres_kit_run(postgres, "UPDATE crl.authority SET not_after = now() - interval '1 second'");
    assert_int_equal(publish(call, ISSUER, &published), ERR_NOT_FOUND);
}

static void
tells_why_it_could_not(void **state)
{
    AUTO_STRUCT(request, call) = request_new();
    uint32_t published;

    settle();
    on_lease_wake = work_as_replica;
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(publish(call, ISSUER, &published), ERR_UNAVAILABLE);
    assert_string_equal(call->failure.message, "0 of 1 were published; " ISSUER " failed, and is tried again by itself: the signer is away");
}

static void
does_not_take_an_old_failure_for_a_new_one(void **state)
{
    struct outcome outcome;
    struct demand *demands;
    size_t count;

    settle();
    signer.failing = ERR_UNAVAILABLE;
    postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = now()");
    assert_int_equal(work_off(), 2);
    assert_int_equal(store_want_now(&publisher, rq, ISSUER, &demands, &count), OK);
    assert_int_equal(store_find_outcome(&publisher, rq, demands, count, &outcome), OK);
    assert_int_equal(outcome.failed, 0);
    assert_int_equal(work_off(), 1); /* at once, whatever the back-off was */
    assert_int_equal(store_find_outcome(&publisher, rq, demands, count, &outcome), OK);
    assert_int_equal(outcome.failed, 1);
}

static void
does_not_wait_beyond_the_deadline(void **state)
{
    AUTO_STRUCT(request, call) = request_new();
    uint32_t published;

    settle();
    assert_int_equal(publish(call, ISSUER, &published), ERR_TIMEOUT);
    assert_non_null(strstr(call->failure.message, "0 of 1 were published in time"));
    assert_int_equal(work_off(), 1); /* what was wanted is done still */
}

static void
want_one_more(void *context)
{
    AUTO_STRUCT(request, other) = request_new();
    struct demand *demands;
    size_t count;

    assert_int_equal(store_want_now(&publisher, other, ISSUER, &demands, &count), OK);
}

static void
is_not_content_with_a_crl_that_was_begun_before(void **state)
{
    struct outcome outcome;
    struct demand *demands;
    size_t count;

    settle();
    assert_int_equal(store_want_now(&publisher, rq, ISSUER, &demands, &count), OK);
    signer.during = want_one_more;
    assert_int_equal(work_off(), 1);
    assert_int_equal(store_find_outcome(&publisher, rq, demands, count, &outcome), OK);
    assert_int_equal(outcome.met, 1);
    demands[0].wanted++; /* of the one that came during the signing */
    assert_int_equal(store_find_outcome(&publisher, rq, demands, count, &outcome), OK);
    assert_int_equal(outcome.met, 0);
    assert_int_equal(work_off(), 1);
    assert_int_equal(store_find_outcome(&publisher, rq, demands, count, &outcome), OK);
    assert_int_equal(outcome.met, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(publishes_one_and_serves_it_at_once),
        CASE(publishes_all),
        CASE(publishes_none_where_there_is_no_ca),
        CASE(refuses_a_ca_that_does_not_exist),
        CASE(refuses_a_ca_that_has_expired),
        CASE(tells_why_it_could_not),
        CASE(does_not_take_an_old_failure_for_a_new_one),
        CASE(does_not_wait_beyond_the_deadline),
        CASE(is_not_content_with_a_crl_that_was_begun_before),
    };

    return cmocka_run_group_tests_name("publish_crl", tests, start_postgres, stop_postgres);
}
