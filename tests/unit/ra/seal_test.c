/* The audit chain: sealed in order, whatever dies in between, and closed against change by the service's own role. */
#include "ra_fixture.h"

static void
write_records(struct fixture *fixture, int count)
{
    postgres_kit_run(
        postgres,
        arena_format(fixture->rq->arena, "INSERT INTO audit.record (body) SELECT '{\"n\":' || n || '}' FROM generate_series(0, %d) AS n", count - 1));
}

static size_t
seal(struct fixture *fixture)
{
    size_t sealed = 0;

    assert_int_equal(seal_turn(&fixture->ra, fixture->rq, &sealed), OK);
    return sealed;
}

/* Recomputes everything from what is stored, as signetctl audit verify does; returns how many seals hold. */
static int64_t
verify_chain(struct fixture *fixture)
{
    static const struct db_statement list_seals = {
        "test_seals", "SELECT seal, first_position, last_position, root, previous_head, sealed_at_us, head, signature, public_key "
                      "FROM audit.seal ORDER BY seal"};
    static const struct db_statement list_bodies = {"test_bodies",
                                                    "SELECT body FROM audit.record WHERE position BETWEEN $1 AND $2 ORDER BY position"};
    struct request *rq = fixture->rq;
    struct db_rows *seals, *bodies;
    struct audit_seal sealed = {0};
    uint8_t head[32] = {0};

    assert_int_equal(DB_QUERY0(fixture->ra.db, rq, &list_seals, &seals), OK);
    for (size_t i = 0; i < db_count(seals); i++) {
        assert_int_equal(db_int(seals, i, 0), i + 1);
        assert_int_equal(db_int(seals, i, 1), sealed.last_position + 1);
        assert_int_equal(DB_QUERY(fixture->ra.db, rq, &list_bodies, &bodies, DB_BIGINT(db_int(seals, i, 1)), DB_BIGINT(db_int(seals, i, 2))), OK);
        struct merkle_hash *leaves = arena_array(rq->arena, db_count(bodies), sizeof *leaves);
        for (size_t r = 0; r < db_count(bodies); r++)
            leaves[r] = merkle_leaf(bytes_of_text(db_text(bodies, r, 0)));
        struct merkle_hash root = merkle_root(leaves, db_count(bodies));
        assert_true(bytes_equal(db_bytes(seals, i, 3), BYTES(root.octets, 32)));
        assert_true(bytes_equal(db_bytes(seals, i, 4), BYTES(head, 32)));
        sealed = (struct audit_seal){.seal = (uint64_t)db_int(seals, i, 0),
                                     .first_position = (uint64_t)db_int(seals, i, 1),
                                     .last_position = (uint64_t)db_int(seals, i, 2),
                                     .sealed_at_us = db_int(seals, i, 5)};
        memcpy(sealed.root, root.octets, 32);
        memcpy(sealed.previous_head, head, 32);
        audit_head(&sealed, head);
        assert_true(bytes_equal(db_bytes(seals, i, 6), BYTES(head, 32)));
        struct public_key key;
        assert_int_equal(public_key_parse(rq, db_bytes(seals, i, 8), &key), OK);
        assert_true(signature_verify(&key, SIG_ECDSA_SHA256, BYTES(head, 32), db_bytes(seals, i, 7)));
    }
    return (int64_t)db_count(seals);
}

static void
seals_all_records_in_a_chain(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(seal(fixture), 0);
    write_records(fixture, 5);
    assert_int_equal(seal(fixture), 5);
    write_records(fixture, 3);
    assert_int_equal(seal(fixture), 3);
    assert_int_equal(seal(fixture), 0);
    assert_int_equal(verify_chain(fixture), 2);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.record WHERE position IS NULL"), 0);
    assert_int_equal(ask_number("SELECT max(position) FROM audit.record"), 8);
}

static void
issuance_and_refusal_are_sealed(void **state)
{
    struct fixture *fixture = *state;

    issue(fixture, "order-1", "a.example");
    assert_int_equal(seal(fixture), 1);
    assert_int_equal(verify_chain(fixture), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.record_leaf l JOIN audit.seal s USING (seal) WHERE l.leaf = s.root"), 1);
}

static void
seal_of_a_dead_sealer_is_signed_unchanged(void **state)
{
    struct fixture *fixture = *state;
    size_t sealed;

    write_records(fixture, 4);
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(seal_turn(&fixture->ra, fixture->rq, &sealed), ERR_UNAVAILABLE);
    failure_clear(fixture->rq);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.seal WHERE head IS NULL AND last_position = 4"), 1);
    write_records(fixture, 2);
    signer.failing = OK;
    assert_int_equal(seal(fixture), 4); /* not 6: what was committed as a batch stays one */
    assert_int_equal(seal(fixture), 2);
    assert_int_equal(verify_chain(fixture), 2);
}

static void
wrong_head_is_not_stored(void **state)
{
    struct fixture *fixture = *state;
    size_t sealed;

    write_records(fixture, 1);
    signer.answers_another = true;
    assert_int_equal(seal_turn(&fixture->ra, fixture->rq, &sealed), ERR_INTERNAL);
    failure_clear(fixture->rq);
    signer.answers_another = false;
    assert_int_equal(seal(fixture), 1);
    assert_int_equal(verify_chain(fixture), 1);
}

struct sealer {
    struct ra ra;
    struct request *rq;
    pthread_t thread;
};

static void *
seal_for_a_while(void *argument)
{
    struct sealer *sealer = argument;
    size_t sealed;

    for (int i = 0; i < 30; i++) {
        failure_clear(sealer->rq);
        if (seal_turn(&sealer->ra, sealer->rq, &sealed) != OK)
            return sealer->rq->failure.message;
    }
    return NULL;
}

static void
replicas_seal_every_record_once(void **state)
{
    struct fixture *fixture = *state;
    struct sealer sealers[3] = {0};

    for (size_t i = 0; i < COUNT_OF(sealers); i++) {
        sealers[i].rq = request_new();
        open_ra(&sealers[i].ra, sealers[i].rq);
        assert_int_equal(pthread_create(&sealers[i].thread, NULL, seal_for_a_while, &sealers[i]), 0);
    }
    write_records(fixture, 200);
    for (size_t i = 0; i < COUNT_OF(sealers); i++) {
        void *trouble;
        assert_int_equal(pthread_join(sealers[i].thread, &trouble), 0);
        if (trouble != NULL)
            fail_msg("%s", (const char *)trouble);
        close_ra(&sealers[i].ra);
        request_free(sealers[i].rq);
    }
    while (seal(fixture) > 0)
        continue;
    assert_true(verify_chain(fixture) > 0);
    assert_int_equal(ask_number("SELECT count(DISTINCT position) FROM audit.record"), 200);
    assert_int_equal(ask_number("SELECT max(position) FROM audit.record"), 200);
}

/* ---- tampering -------------------------------------------------------------------------------------------------------------------------------- */

static bool
may(struct fixture *fixture, const char *url, const char *sql)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct db_options options = {.name = "test", .url = url, .password_file = "", .connections = 1};
    struct db *db;

    assert_int_equal(db_open(rq, &options, &db), OK);
    enum error error = db_script(db, rq, sql);
    if (error && strstr(rq->failure.detail, "42501") == NULL)
        fail_msg("%s: %s", sql, rq->failure.detail);
    db_close(db);
    return error == OK;
}

static void
role_can_neither_change_nor_remove_what_is_written(void **state)
{
    static const char *const attempts[] = {
        "UPDATE audit.record SET body = '{}'",
        "UPDATE audit.record SET body = '{}' WHERE position IS NULL",
        "DELETE FROM audit.record",
        "TRUNCATE audit.record",
        "UPDATE audit.record SET position = 99, seal = 99 WHERE position = 1",
        "UPDATE audit.record SET position = NULL, seal = NULL WHERE position = 1",
        "INSERT INTO audit.record (body, position, seal) VALUES ('{}', 7, 7)",
        "UPDATE audit.seal SET root = head",
        "UPDATE audit.seal SET signature = head WHERE seal = 1",
        "DELETE FROM audit.seal",
        "DELETE FROM ra.certificate",
        "UPDATE ra.certificate SET owner = 'me'",
        "DELETE FROM ra.revocation",
        "UPDATE ra.revocation SET revoked_at = now()",
        "DELETE FROM ra.intent",
        "UPDATE ra.intent SET intent = csr",
        "DELETE FROM ra.blocked_key",
        "UPDATE ra.role SET name = 'x'",
        "INSERT INTO ra.role_member VALUES ('everyone', 'x', 'y')",
        "CREATE TABLE ra.mine (x int)",
        "ALTER TABLE audit.record DISABLE TRIGGER ALL",
        "SELECT * FROM ca.authority",
    };
    struct fixture *fixture = *state;

    write_records(fixture, 1);
    seal(fixture);
    write_records(fixture, 1);
    const char *url = postgres_kit_url_of_role(postgres, "ra");
    for (size_t i = 0; i < COUNT_OF(attempts); i++) {
        if (may(fixture, url, attempts[i]))
            fail_msg("the role ra may: %s", attempts[i]);
    }
    assert_true(may(fixture, url, "INSERT INTO audit.record (body) VALUES ('{}')"));
}

static void
triggers_hold_for_the_owner_too(void **state)
{
    static const char *const attempts[] = {"UPDATE audit.record SET body = '{}'",
                                           "DELETE FROM audit.record",
                                           "TRUNCATE audit.record",
                                           "UPDATE audit.record SET position = 3, seal = 3 WHERE position = 1",
                                           "DELETE FROM audit.seal",
                                           "UPDATE audit.seal SET last_position = 5"};
    struct fixture *fixture = *state;

    write_records(fixture, 1);
    seal(fixture);
    for (size_t i = 0; i < COUNT_OF(attempts); i++) {
        if (may(fixture, postgres_kit_url(postgres), attempts[i]))
            fail_msg("the owner may, without disabling a trigger: %s", attempts[i]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(seals_all_records_in_a_chain),    CASE(issuance_and_refusal_are_sealed), CASE(seal_of_a_dead_sealer_is_signed_unchanged),
        CASE(wrong_head_is_not_stored),        CASE(replicas_seal_every_record_once), CASE(role_can_neither_change_nor_remove_what_is_written),
        CASE(triggers_hold_for_the_owner_too),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
