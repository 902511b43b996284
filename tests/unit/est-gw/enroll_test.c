/* What a repetition gets: the same certificate while it is of late and holds, else the next generation; what waited for a person, whenever it comes.
 */
#include "est_fixture.h"

#include <string.h>

#include "base/clock.h"
#include "base/drawn_secret.h"
#include "pki/serial.h"

/* ---- the seam: ra, which gives one certificate for each key, and forgets nothing ---- */

#define GENERATIONS 20

static struct {
    uint8_t serials[GENERATIONS][SERIAL_LEN]; /* of generation 0, 1, … */
    bool decided[GENERATIONS];
    bool archived[GENERATIONS];
    bool wants_approval; /* of those that it decides from now on */
    bool pending[GENERATIONS];
    int calls;
} ra;

static int
month_of(int generation)
{
    int month;

    assert_true(serial_parse(BYTES(ra.serials[generation], SERIAL_LEN), &month));
    return month;
}

static const char *
serial_of(struct arena *arena, int generation)
{
    return bytes_hex(arena, BYTES(ra.serials[generation], SERIAL_LEN), 0);
}

/* As ra does it, with its column's default for the moment. */
static void
issue(int generation)
{
    struct serial serial = serial_new(clock_now_s() + 86400);
    AUTO_STRUCT(arena, arena) = arena_new();

    memcpy(ra.serials[generation], serial.octets, SERIAL_LEN);
    postgres_kit_run(postgres, arena_format(arena, "SELECT ra.ensure_partition(%d)", month_of(generation)));
    postgres_kit_run(postgres,
                     arena_format(arena,
                                  "INSERT INTO ra.certificate (expiry_month, serial, issuer, template, certificate, not_before, not_after, "
                                  "intent_id, channel, principal_kind, principal_id, owner) VALUES (%d, '\\x%s', 'ca', 't', '', now(), now(), "
                                  "'', '', '', '', '')",
                                  month_of(generation), serial_of(arena, generation)));
}

static void
decide(int generation)
{
    ra.decided[generation] = true;
    ra.pending[generation] = ra.wants_approval;
    if (!ra.pending[generation])
        issue(generation);
}

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    const Pb__EnrollRequest *request = (const Pb__EnrollRequest *)input;
    Pb__EnrollReply *reply = arena_alloc(rq->arena, sizeof *reply);
    int generation = (int)strtol(strrchr(request->idempotency_key, '.') + 1, NULL, 10);

    assert_string_equal(method, "Enroll");
    assert_true(generation < GENERATIONS);
    ra.calls++;
    pb__enroll_reply__init(reply);
    reply->repeated = ra.decided[generation];
    if (ra.archived[generation]) {
        (void)fail(rq, ERR_NOT_FOUND, "the certificate is no longer kept");
        return fail_reason(rq, "archived");
    }
    if (!reply->repeated)
        decide(generation);
    reply->status = ra.pending[generation] ? PB__ENROLL_STATUS__ENROLL_STATUS_PENDING : PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED;
    if (!ra.pending[generation])
        reply->serial = message_data(BYTES(ra.serials[generation], SERIAL_LEN));
    *ret_reply = &reply->base;
    return OK;
}

/* ---- a device ---- */

enum reply { WAITS = -1 };

/* The generation that it is given, or WAITS. */
static int
enroll(struct fixture *fixture)
{
    const Pb__EstProfile settings = {.base = PROTOBUF_C_MESSAGE_INIT(&pb__est_profile__descriptor), .name = "phones", .template_ = "t", .issuer = ""};
    const struct profile profile = {.settings = &settings, .incarnation = ""};
    const struct client client = {.kind = "est-user", .id = "alice", .user = "alice"};
    struct http_exchange x = {.peer = "192.0.2.1"};
    const Pb__EnrollReply *reply;
    int given = WAITS;

    request_begin(&x.rq, "test", "", NULL);
    assert_ok(&x.rq, enroll_ask(&fixture->est, &x, &profile, &client, BYTES("csr", 3), &reply));
    for (int i = 0; i < GENERATIONS && reply->serial.len > 0; i++)
        if (bytes_equal(message_bytes(reply->serial), BYTES(ra.serials[i], SERIAL_LEN)))
            given = i;
    request_drop(&x.rq);
    return given;
}

static void
let_hours_pass(void)
{
    postgres_kit_run(postgres, "UPDATE ra.certificate SET issued_at = issued_at - interval '2 hours'");
    postgres_kit_run(postgres, "UPDATE est.delivery SET delivered_at = delivered_at - interval '2 hours'");
}

static void
revoke_certificate(int generation)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    postgres_kit_run(postgres, arena_format(arena,
                                            "INSERT INTO ra.revocation (expiry_month, serial, issuer, revoked_at, reason, not_after, channel, "
                                            "principal_kind, principal_id, authority) VALUES (%d, '\\x%s', 'ca', now(), 4, now(), '', '', '', '')",
                                            month_of(generation), serial_of(arena, generation)));
}

static void
approve(int generation)
{
    ra.pending[generation] = false;
    issue(generation);
}

/* ---- cases ---- */

static void
who_comes_for_the_first_time_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(enroll(fixture), 0);
    assert_int_equal(ra.calls, 1);
    assert_row("SELECT count(*) FROM est.delivery", "0");
}

static void
a_repetition_gets_the_same_certificate_and_after_a_while_a_new_one(void **state)
{
    struct fixture *fixture = *state;

    for (int generation = 0; generation < 4; generation++) {
        assert_int_equal(enroll(fixture), generation);
        assert_int_equal(enroll(fixture), generation);
        let_hours_pass();
    }
    ra.calls = 0;
    assert_int_equal(enroll(fixture), 4);
    assert_int_equal(ra.calls, 3); /* for the first, the last and the next */
    assert_row("SELECT generation FROM est.delivery", "4");
}

static void
a_revoked_certificate_is_not_given_again(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(enroll(fixture), 0);
    revoke_certificate(0);
    assert_int_equal(enroll(fixture), 1);
    assert_int_equal(enroll(fixture), 1);
    revoke_certificate(1);
    assert_int_equal(enroll(fixture), 2);
}

static void
what_was_archived_is_followed_by_the_next(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(enroll(fixture), 0);
    ra.archived[0] = true;
    assert_int_equal(enroll(fixture), 1);
    assert_int_equal(enroll(fixture), 1);
    let_hours_pass();
    ra.archived[1] = true;
    assert_int_equal(enroll(fixture), 2);
}

/* The process died before it recorded a generation that ra had given, or what was recorded is forgotten, again and again. */
static void
generations_that_nobody_recorded_are_found(void **state)
{
    struct fixture *fixture = *state;

    for (int generation = 0; generation < 8; generation = 2 * generation + 1) {
        assert_int_equal(enroll(fixture), generation);
        postgres_kit_run(postgres, "TRUNCATE est.delivery");
        assert_int_equal(enroll(fixture), generation);
        postgres_kit_run(postgres, "TRUNCATE est.delivery");
        let_hours_pass();
    }
    ra.calls = 0;
    assert_int_equal(enroll(fixture), 15);
    assert_int_equal(ra.calls, 5);
    assert_int_equal(enroll(fixture), 15);
    let_hours_pass();
    assert_int_equal(enroll(fixture), 16);
}

static void
who_waited_for_a_person_gets_that_certificate_however_late(void **state)
{
    struct fixture *fixture = *state;

    ra.wants_approval = true;
    assert_int_equal(enroll(fixture), WAITS);
    assert_int_equal(enroll(fixture), WAITS);
    assert_row("SELECT count(*) FROM est.delivery WHERE waits", "1");
    approve(0);
    let_hours_pass();
    assert_int_equal(enroll(fixture), 0);
    assert_row("SELECT count(*) FROM est.delivery WHERE waits", "0");
    assert_int_equal(enroll(fixture), 0);
    let_hours_pass();
    assert_int_equal(enroll(fixture), WAITS);
    assert_row("SELECT generation FROM est.delivery WHERE waits", "1");
    approve(1);
    let_hours_pass();
    assert_int_equal(enroll(fixture), 1);
}

static void
what_was_delivered_long_ago_is_forgotten_and_what_waits_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct prune prune = {.db = fixture->est.db, .forget = &store_forget_deliveries, .keep_days = 30};
    size_t count = 0;

    postgres_kit_run(postgres,
                     "INSERT INTO est.delivery (request_sha256, generation, waits, delivered_at) SELECT number::text::bytea, generation, waits, "
                     "now() - make_interval(days => age) FROM (VALUES (1, 0, false, 31), (2, 1, false, 31), (3, 0, false, 29), "
                     "(4, 0, true, 31)) AS row (number, generation, waits, age)");
    assert_ok(fixture->rq, prune_now(&prune, fixture->rq, &count));
    assert_int_equal(count, 2);
    assert_row("SELECT string_agg(encode(request_sha256, 'escape'), ' ' ORDER BY request_sha256) FROM est.delivery", "3 4");
}

static void
who_log_in_together_are_told_apart(void **state)
{
    struct fixture *fixture = *state;
    struct login logins[] = {{fixture->rq, "phones", "alice", BYTES_NONE},
                             {fixture->rq, "phones", "nobody", BYTES_NONE},
                             {fixture->rq, "routers", "alice", BYTES_NONE},
                             {fixture->rq, "phones", "alice", BYTES_NONE}};
    void *items[] = {&logins[0], &logins[1], &logins[2], &logins[3]};

    must_store(fixture, "phones");
    must_store(fixture, "routers");
    const char *first = must_reset(fixture, "phones", "alice"), *second = must_reset(fixture, "routers", "alice");
    assert_ok(fixture->rq, store_find_users(&fixture->est, fixture->rq, items, 4));
    assert_true(drawn_secret_is(logins[0].hash, bytes_of_text(first)));
    assert_int_equal(logins[1].hash.len, 0);
    assert_true(drawn_secret_is(logins[2].hash, bytes_of_text(second)));
    assert_true(drawn_secret_is(logins[3].hash, bytes_of_text(first)));
}

static int
open_with_ra(void **state)
{
    memset(&ra, 0, sizeof ra);
    postgres_kit_run(postgres, "TRUNCATE ra.certificate, ra.revocation");
    return open_fixture(state);
}

#define CASE_WITH_RA(function) cmocka_unit_test_setup_teardown(function, open_with_ra, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE_WITH_RA(who_comes_for_the_first_time_leaves_nothing_behind),
        CASE_WITH_RA(a_repetition_gets_the_same_certificate_and_after_a_while_a_new_one),
        CASE_WITH_RA(a_revoked_certificate_is_not_given_again),
        CASE_WITH_RA(what_was_archived_is_followed_by_the_next),
        CASE_WITH_RA(generations_that_nobody_recorded_are_found),
        CASE_WITH_RA(who_waited_for_a_person_gets_that_certificate_however_late),
        CASE_WITH_RA(what_was_delivered_long_ago_is_forgotten_and_what_waits_is_not),
        CASE_WITH_RA(who_log_in_together_are_told_apart),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
