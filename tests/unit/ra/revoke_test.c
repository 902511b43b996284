/* Revocation: once, by whom it may, of what we issued, and known to everybody who must know. */
#include "ra_fixture.h"

static Pb__RevokeRequest *
good_revocation(struct request *rq, struct bytes der)
{
    Pb__RevokeRequest *request = arena_alloc(rq->arena, sizeof *request);
    Pb__Principal *principal = arena_alloc(rq->arena, sizeof *principal);

    pb__revoke_request__init(request);
    pb__principal__init(principal);
    rq->caller = "acme-gw";
    principal->kind = "acme-account";
    principal->id = "alice";
    request->channel = "acme";
    request->certificate = message_data(der);
    request->reason = PB__REVOCATION_REASON__REVOCATION_REASON_SUPERSEDED;
    request->principal = principal;
    request->authority = "account";
    return request;
}

static struct bytes
serial_of(struct request *rq, struct bytes der)
{
    struct certificate certificate;

    assert_int_equal(certificate_parse(rq, der, &certificate), OK);
    return certificate.serial;
}

static void
revokes_records_and_announces(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeRequest *request = good_revocation(fixture->rq, der);
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    outbox_wakes = 0;
    request->invalidity_s = clock_now_s() - 60;
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_false(reply.already_revoked);
    assert_int_equal(reply.reason, PB__REVOCATION_REASON__REVOCATION_REASON_SUPERSEDED);
    assert_int_equal(outbox_wakes, 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate_status WHERE revoked_at IS NOT NULL AND reason = 4"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.revoked_serial WHERE issuer = '" ISSUER "' AND reason = 4 "
                                "AND invalidity_at < revoked_at AND not_after > now()"),
                     1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.revoked' AND detail ->> 'authority' = 'account'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.outbox WHERE subject = 'signet.event.certificate.revoked'"), 1);
}

static void
repeat_answers_the_first_revocation(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeRequest *request = good_revocation(fixture->rq, der);
    Pb__RevokeReply first = PB__REVOKE_REPLY__INIT, second = PB__REVOKE_REPLY__INIT;

    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &first), OK);
    request->reason = PB__REVOCATION_REASON__REVOCATION_REASON_CESSATION_OF_OPERATION;
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &second), OK);
    assert_true(second.already_revoked);
    assert_int_equal(second.revoked_at_s, first.revoked_at_s);
    assert_int_equal(second.reason, PB__REVOCATION_REASON__REVOCATION_REASON_SUPERSEDED);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.revoked'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.outbox WHERE subject = 'signet.event.certificate.revoked'"), 1);
}

struct racer {
    struct fixture *fixture;
    struct bytes der;
    Pb__RevokeReply reply;
    enum error error;
};

static void *
race(void *argument)
{
    struct racer *racer = argument;
    AUTO_STRUCT(request, rq) = request_new();

    pb__revoke_reply__init(&racer->reply);
    racer->error = revoke_certificate(&racer->fixture->ra, rq, good_revocation(rq, racer->der), &racer->reply);
    return NULL;
}

static void
many_at_once_revoke_once(void **state)
{
    struct fixture *fixture = *state;
    struct racer racers[8];
    pthread_t threads[COUNT_OF(racers)];
    struct bytes der = issue(fixture, "order-1", "a.example");
    int first = 0;

    for (size_t i = 0; i < COUNT_OF(racers); i++) {
        racers[i] = (struct racer){.fixture = fixture, .der = der};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(racers); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(racers[i].error, OK);
        first += !racers[i].reply.already_revoked;
    }
    assert_int_equal(first, 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.revoked'"), 1);
}

static void
serial_and_issuer_name_a_certificate_too(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeRequest *request = good_revocation(fixture->rq, BYTES_NONE);
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    request->serial = message_data(serial_of(fixture->rq, der));
    request->issuer = "another-ca";
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), ERR_NOT_FOUND);
    failure_clear(fixture->rq);
    request->issuer = ISSUER;
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), OK);
}

static void
unknown_serials_are_not_found(void **state)
{
    struct fixture *fixture = *state;
    struct serial unknown = serial_new(clock_now_s() + DAY_S);
    struct bytes serials[] = {BYTES(unknown.octets, SERIAL_LEN), BYTES("\x02\x00", 2), BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10)};
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    for (size_t i = 0; i < COUNT_OF(serials); i++) {
        Pb__RevokeRequest *request = good_revocation(fixture->rq, BYTES_NONE);
        request->serial = message_data(serials[i]);
        request->issuer = ISSUER;
        assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), ERR_NOT_FOUND);
        failure_clear(fixture->rq);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'revoke.refused' AND result = 'not-found'"), 3);
}

/* Anybody can make a certificate with a serial number of ours. */
static void
forged_certificate_with_our_serial_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    uint8_t *forged = (uint8_t *)(uintptr_t)bytes_copy(fixture->rq->arena, der).at;
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    forged[der.len - 1] ^= 1;
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, good_revocation(fixture->rq, BYTES(forged, der.len)), &reply), ERR_NOT_FOUND);
    failure_clear(fixture->rq);
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, good_revocation(fixture->rq, der), &reply), OK);
}

static void
another_account_is_denied(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeRequest *request = good_revocation(fixture->rq, der);
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    request->principal->id = "mallory";
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), ERR_DENIED);
    failure_clear(fixture->rq);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.revocation"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'revoke.refused' AND principal = 'acme-account:mallory'"), 1);
    request->authority = "authorizations"; /* the gateway knows that mallory holds all names */
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), OK);
}

static void
reasons_are_those_of_rfc_5280(void **state)
{
    static const int wrong[] = {7, 8, 11, -1, 4711}, right[] = {0, 1, 2, 3, 4, 5, 6, 9, 10};
    struct fixture *fixture = *state;
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    for (size_t i = 0; i < COUNT_OF(right); i++) {
        struct bytes der = issue(fixture, arena_format(fixture->rq->arena, "order-%zu", i), "a.example");
        Pb__RevokeRequest *request = good_revocation(fixture->rq, der);
        if (i < COUNT_OF(wrong)) {
            request->reason = (Pb__RevocationReason)wrong[i];
            assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), ERR_BAD_REQUEST);
            failure_clear(fixture->rq);
        }
        request->reason = (Pb__RevocationReason)right[i];
        assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), OK);
        assert_int_equal(reply.reason, right[i]);
    }
}

static void
malformed_requests_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;
    Pb__RevokeRequest *requests[8];

    for (size_t i = 0; i < COUNT_OF(requests); i++)
        requests[i] = good_revocation(fixture->rq, der);
    requests[0]->principal = NULL;
    requests[1]->authority = "because";
    requests[2]->certificate.len = 0;
    requests[3]->serial = message_data(serial_of(fixture->rq, der));
    requests[4]->certificate.len = 0;
    requests[4]->serial = message_data(serial_of(fixture->rq, der)); /* without issuer */
    requests[5]->invalidity_s = clock_now_s() + 3600;
    requests[6]->certificate.len--;
    requests[7]->channel = "";
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, requests[i], &reply), ERR_BAD_REQUEST);
        failure_clear(fixture->rq);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM ra.revocation"), 0);
}

/* ---- compromised keys ------------------------------------------------------------------------------------------------------------------------ */

static Pb__RevokeRequest *
compromise(struct request *rq, struct bytes der, const char *authority)
{
    Pb__RevokeRequest *request = good_revocation(rq, der);

    request->reason = PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE;
    request->authority = authority;
    return request;
}

static void
key_that_signs_its_own_compromise_is_blocked(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;
    Pb__EnrollReply enrolled = PB__ENROLL_REPLY__INIT;

    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, compromise(fixture->rq, der, "certificate-key"), &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.blocked_key"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'key.blocked'"), 1);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, "order-2", "b.example"), &enrolled), ERR_BAD_CSR);
}

static void
key_that_revokes_is_blocked_for_whichever_reason(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeRequest *request = good_revocation(fixture->rq, der);
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    request->authority = "certificate-key";
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(reply.reason, PB__REVOCATION_REASON__REVOCATION_REASON_SUPERSEDED);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.blocked_key WHERE why = 'certificate-key'"), 1);
}

static void
account_that_claims_compromise_blocks_no_key(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, compromise(fixture->rq, der, "account"), &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.blocked_key"), 0);
    issue(fixture, "order-2", "b.example");
}

static void
compromise_after_another_revocation_still_blocks_the_key(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, good_revocation(fixture->rq, der), &reply), OK);
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, compromise(fixture->rq, der, "certificate-key"), &reply), OK);
    assert_int_equal(reply.reason, PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.blocked_key"), 1);
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, compromise(fixture->rq, der, "certificate-key"), &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'key.blocked'"), 1);
}

/* Revokes it twice, and tells what came of the second time. */
static Pb__RevokeReply
revoke_for_both(struct fixture *fixture, struct bytes der, int first, int second)
{
    Pb__RevokeRequest *request = good_revocation(fixture->rq, der);
    Pb__RevokeReply before = PB__REVOKE_REPLY__INIT, after = PB__REVOKE_REPLY__INIT;

    request->reason = (Pb__RevocationReason)first;
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &before), OK);
    request->reason = (Pb__RevocationReason)second;
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &after), OK);
    assert_int_equal(after.revoked_at_s, before.revoked_at_s);
    return after;
}

static void
a_reason_becomes_key_compromise_and_a_hold_any_other(void **state)
{
    static const struct {
        int first, second;
        bool changes;
    } cases[] = {{0, 1, true},  {4, 1, true},  {5, 1, true},  {6, 1, true},  {6, 4, true},  {6, 0, true},
                 {1, 4, false}, {1, 6, false}, {4, 6, false}, {4, 5, false}, {4, 4, false}, {10, 0, false}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes der = issue(fixture, arena_format(fixture->rq->arena, "order-%zu", i), arena_format(fixture->rq->arena, "n%zu.example", i));
        const char *serial = bytes_hex(fixture->rq->arena, serial_of(fixture->rq, der), 0);
        outbox_wakes = 0;
        Pb__RevokeReply reply = revoke_for_both(fixture, der, cases[i].first, cases[i].second);
        if (reply.reason_changed != cases[i].changes || reply.already_revoked == cases[i].changes)
            fail_msg("%d after %d", cases[i].second, cases[i].first);
        assert_int_equal(reply.reason, cases[i].changes ? cases[i].second : cases[i].first);
        assert_int_equal(outbox_wakes, cases[i].changes ? 2 : 1);
        assert_int_equal(ask_number(arena_format(fixture->rq->arena, "SELECT reason FROM ra.certificate_status WHERE serial = '\\x%s'", serial)),
                         reply.reason);
        assert_int_equal(ask_number(arena_format(fixture->rq->arena,
                                                 "SELECT count(*) FROM audit.event WHERE action = 'revocation.changed' AND serial = '%s'"
                                                 " AND (detail ->> 'former_reason')::int = %d AND (detail ->> 'reason')::int = %d",
                                                 serial, cases[i].first, cases[i].second)),
                         cases[i].changes);
        assert_int_equal(
            ask_number(arena_format(fixture->rq->arena, "SELECT count(DISTINCT event_id) FROM ra.outbox WHERE event_id LIKE 'revoked-%s%%'", serial)),
            cases[i].changes ? 2 : 1);
    }
}

static void
since_when_a_key_is_compromised_can_be_told_later(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    Pb__RevokeRequest *request = good_revocation(fixture->rq, der);
    Pb__RevokeReply reply = PB__REVOKE_REPLY__INIT;

    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), OK);
    request->reason = PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE;
    request->invalidity_s = clock_now_s() - 3600;
    assert_int_equal(revoke_certificate(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.revoked_serial WHERE reason = 1 AND invalidity_at < revoked_at"), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(revokes_records_and_announces),
        CASE(repeat_answers_the_first_revocation),
        CASE(many_at_once_revoke_once),
        CASE(serial_and_issuer_name_a_certificate_too),
        CASE(unknown_serials_are_not_found),
        CASE(forged_certificate_with_our_serial_is_not_found),
        CASE(another_account_is_denied),
        CASE(reasons_are_those_of_rfc_5280),
        CASE(malformed_requests_are_refused),
        CASE(key_that_signs_its_own_compromise_is_blocked),
        CASE(key_that_revokes_is_blocked_for_whichever_reason),
        CASE(account_that_claims_compromise_blocks_no_key),
        CASE(compromise_after_another_revocation_still_blocks_the_key),
        CASE(a_reason_becomes_key_compromise_and_a_hold_any_other),
        CASE(since_when_a_key_is_compromised_can_be_told_later),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
