/* Nonces of two replicas that share a key. The bus between them is this file: rpc_call is the seam. */
#include "unit/kit.h"

#include <string.h>

#include "acme.h"
#include "base/clock.h"

#define KEY "0123456789abcdef0123456789abcdef"

static struct acme here, there;
static bool there_is_gone;
static int calls;

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    struct acme *called = NULL;

    calls++;
    assert_string_equal(callee->short_name, "AcmeGw");
    assert_string_equal(method, "RedeemNonce");
    assert_true(request_time_left_ms(rq, 10000) <= 500);
    if (text_equal(subject_suffix, arena_format(rq->arena, ".%s", nonces_prefix(there.nonces))) && !there_is_gone)
        called = &there;
    if (text_equal(subject_suffix, arena_format(rq->arena, ".%s", nonces_prefix(here.nonces))))
        called = &here;
    if (called == NULL)
        return fail_privately(rq, ERR_UNAVAILABLE, "a service that is needed cannot be reached now", "no responders");
    Pb__RedeemNonceReply *reply = arena_alloc(rq->arena, sizeof *reply);
    pb__redeem_nonce_reply__init(reply);
    assert_int_equal(redeem_nonce(called, rq, (const Pb__RedeemNonceRequest *)input, reply), OK);
    *ret_reply = &reply->base;
    return OK;
}

static int
two_replicas(void **state)
{
    here.nonces = nonces_new(bytes_of_text(KEY));
    there.nonces = nonces_new(bytes_of_text(KEY));
    there_is_gone = false;
    calls = 0;
    return 0;
}

static int
no_replicas(void **state)
{
    nonces_free(here.nonces);
    nonces_free(there.nonces);
    return 0;
}

static void
must_be_refused(struct request *rq, const char *nonce)
{
    assert_int_equal(nonce_redeem(&here, rq, nonce), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.reason, "badNonce");
    failure_clear(rq);
}

static void
accepts_a_nonce_once(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *nonce = nonce_mint(here.nonces, rq->arena);

    assert_int_equal(strlen(nonce), NONCE_LEN);
    assert_int_equal(nonce_redeem(&here, rq, nonce), OK);
    must_be_refused(rq, nonce);
    assert_int_equal(calls, 0);
}

static void
accepts_nonces_in_any_order(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *first = nonce_mint(here.nonces, rq->arena);
    const char *second = nonce_mint(here.nonces, rq->arena);

    assert_int_equal(nonce_redeem(&here, rq, second), OK);
    assert_int_equal(nonce_redeem(&here, rq, first), OK);
    must_be_refused(rq, first);
    must_be_refused(rq, second);
}

static void
redeems_a_nonce_of_another_replica_there_once(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *nonce = nonce_mint(there.nonces, rq->arena);

    assert_int_equal(nonce_redeem(&here, rq, nonce), OK);
    assert_int_equal(calls, 1);
    must_be_refused(rq, nonce);
    assert_int_equal(nonce_use(there.nonces, rq->arena, nonce), NONCE_STALE);
}

static void
rejects_the_nonce_of_a_replica_that_is_gone(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *nonce = nonce_mint(there.nonces, rq->arena);

    there_is_gone = true;
    rq->deadline_ms = clock_monotonic_ms() + 30000;
    int64_t deadline_ms = rq->deadline_ms;
    must_be_refused(rq, nonce);
    assert_int_equal(rq->deadline_ms, deadline_ms);
}

static void
asks_nobody_about_what_the_suite_did_not_mint(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(nonces, foreign) = nonces_new(bytes_of_text("another key of another suite, 32 octets"));
    char *changed = nonce_mint(there.nonces, rq->arena);

    changed[15] = changed[15] == 'A' ? 'B' : 'A';
    must_be_refused(rq, nonce_mint(foreign, rq->arena));
    must_be_refused(rq, changed);
    must_be_refused(rq, "");
    must_be_refused(rq, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    must_be_refused(rq, "not base64url and not forty characters!!");
    must_be_refused(rq, NULL);
    assert_int_equal(calls, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, two_replicas, no_replicas)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(accepts_a_nonce_once),
        CASE(accepts_nonces_in_any_order),
        CASE(redeems_a_nonce_of_another_replica_there_once),
        CASE(rejects_the_nonce_of_a_replica_that_is_gone),
        CASE(asks_nobody_about_what_the_suite_did_not_mint),
    };
    return cmocka_run_group_tests_name("redeem_nonce", tests, NULL, NULL);
}
