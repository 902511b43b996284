/*
 * audit verify against a chain that was sealed here, in the tables of ra, as ra and the signer do it; then against everything that somebody with all
 * rights in the database could do to it.
 */
#include "unit/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "kit/pki_kit.h"
#include "kit/postgres_kit.h"
#include "pki/audit_chain.h"
#include "pki/merkle.h"
#include "pki/public_key.h"
#include "said.h"
#include "signetctl.h"

static struct postgres_kit *postgres;

static int
start_postgres(void **state)
{
    static char sql[64 * 1024];
    FILE *file = fopen("services/ra/sql/002_audit.sql", "re");

    assert_non_null(file);
    sql[fread(sql, 1, sizeof sql - 1, file)] = '\0';
    (void)fclose(file);
    postgres = postgres_kit_start();
    postgres_kit_run(postgres, sql);
    return 0;
}

static int
stop_postgres(void **state)
{
    postgres_kit_stop(postgres);
    return 0;
}

struct fixture {
    struct ctl ctl;
    struct request *rq;
    EVP_PKEY *key;
    struct audit_seal last;
    uint8_t head[32]; /* of the last seal */
};

static int
open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct db_options options = {.name = "signetctl", .url = postgres_kit_url(postgres), .password_file = "", .connections = 2};

    /* An intruder with the owner's rights is not stopped by triggers. */
    postgres_kit_run(postgres, "ALTER TABLE audit.record DISABLE TRIGGER ALL; ALTER TABLE audit.seal DISABLE TRIGGER ALL;"
                               "TRUNCATE audit.record RESTART IDENTITY; TRUNCATE audit.seal");
    fixture->rq = request_new();
    fixture->key = kit_key("p256");
    assert_int_equal(db_open(fixture->rq, &options, &fixture->ctl.db), OK);
    *state = fixture;
    return 0;
}

static int
close_fixture(void **state)
{
    struct fixture *fixture = *state;

    db_close(fixture->ctl.db);
    EVP_PKEY_free(fixture->key);
    request_free(fixture->rq);
    free(fixture);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

/* One batch, as ra chooses it: records with their places, and the seal without signature. */
static void
place(struct fixture *fixture, size_t count)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct merkle_hash *leaves = arena_array(arena, count, sizeof *leaves), root;
    struct buffer sql = buffer_in(arena);
    struct audit_seal seal = {.seal = fixture->last.seal + 1,
                              .first_position = fixture->last.last_position + 1,
                              .last_position = fixture->last.last_position + count,
                              .sealed_at_us = 1700000000000000};

    buffer_append_text(&sql, "BEGIN;");
    for (size_t i = 0; i < count; i++) {
        const char *body =
            arena_format(arena, "{\"at\": \"2026-01-02T03:04:05Z\", \"action\": \"record %llu\"}", (unsigned long long)seal.first_position + i);
        leaves[i] = merkle_leaf(bytes_of_text(body));
        buffer_append_format(&sql, "INSERT INTO audit.record (body, position, seal) VALUES ('%s', %llu, %llu);", body,
                             (unsigned long long)seal.first_position + i, (unsigned long long)seal.seal);
    }
    root = merkle_root(leaves, count);
    memcpy(seal.root, root.octets, 32);
    memcpy(seal.previous_head, fixture->head, 32);
    buffer_append_format(&sql,
                         "INSERT INTO audit.seal (seal, first_position, last_position, root, previous_head, sealed_at_us)"
                         " VALUES (%llu, %llu, %llu, '\\x%s', '\\x%s', %lld); COMMIT",
                         (unsigned long long)seal.seal, (unsigned long long)seal.first_position, (unsigned long long)seal.last_position,
                         bytes_hex(arena, BYTES(seal.root, 32), 0), bytes_hex(arena, BYTES(seal.previous_head, 32), 0), (long long)seal.sealed_at_us);
    postgres_kit_run(postgres, buffer_text(&sql));
    fixture->last = seal;
}

/* …and the signature. */
static void
sign(struct fixture *fixture)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    audit_head(&fixture->last, fixture->head);
    struct bytes head = BYTES(fixture->head, 32), signature = kit_sign(arena, fixture->key, EVP_sha256(), head);
    postgres_kit_run(postgres,
                     arena_format(arena,
                                  "UPDATE audit.seal SET head = '\\x%s', signature = '\\x%s', public_key = '\\x%s', key_uri = 'x' WHERE seal = %llu",
                                  bytes_hex(arena, head, 0), bytes_hex(arena, signature, 0), bytes_hex(arena, kit_spki(arena, fixture->key), 0),
                                  (unsigned long long)fixture->last.seal));
}

static void
seal(struct fixture *fixture, size_t count)
{
    place(fixture, count);
    sign(fixture);
}

/* Three seals: records 1 to 4, 5 to 7, 8. */
static void
seal_three(struct fixture *fixture)
{
    seal(fixture, 4);
    seal(fixture, 3);
    seal(fixture, 1);
}

static void
set_option(struct fixture *fixture, const char *name, const char *value)
{
    struct arguments *arguments = &fixture->ctl.arguments;

    arguments->options[arguments->option_count].name = name;
    arguments->options[arguments->option_count++].value = value;
}

static const char *
head_of(struct fixture *fixture)
{
    return bytes_hex(fixture->rq->arena, BYTES(fixture->head, 32), 0);
}

static const char *
key_of(struct fixture *fixture, EVP_PKEY *key)
{
    struct public_key read;
    uint8_t digest[32];

    assert_int_equal(public_key_parse(fixture->rq, kit_spki(fixture->rq->arena, key), &read), OK);
    public_key_sha256(&read, digest);
    return bytes_hex(fixture->rq->arena, BYTES(digest, 32), 0);
}

/* What verify returns; what it prints goes to `ret_said` or nowhere. */
static enum error
verify(struct fixture *fixture, struct request *rq, const char **ret_said)
{
    struct said said;

    said_begin(&said);
    enum error error = audit_verify(&fixture->ctl, rq);
    const char *text = said_end(&said, rq->arena);
    if (ret_said != NULL)
        *ret_said = text;
    return error;
}

#define assert_verifies(fixture)                        \
    do {                                                \
        AUTO_STRUCT(request, verified) = request_new(); \
        if (verify(fixture, verified, NULL) != OK)      \
            fail_msg("%s", verified->failure.message);  \
    } while (0)

static void
assert_unverified(struct fixture *fixture, const char *says)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(verify(fixture, rq, NULL), ERR_CONFLICT);
    assert_string_equal(rq->failure.reason, "unverified");
    if (strstr(rq->failure.message, says) == NULL)
        fail_msg("%s", rq->failure.message);
}

static void
verifies_what_is_whole_and_tells_head_and_key(void **state)
{
    struct fixture *fixture = *state;
    const char *said;

    seal_three(fixture);
    postgres_kit_run(postgres, "INSERT INTO audit.record (body) VALUES ('{\"action\": \"later\"}')");
    assert_int_equal(verify(fixture, fixture->rq, &said), OK);
    assert_non_null(strstr(said, "8 records in 3 seals"));
    assert_non_null(strstr(said, "1 not sealed yet"));
    assert_non_null(strstr(said, head_of(fixture)));
    assert_non_null(strstr(said, key_of(fixture, fixture->key)));
    fixture->ctl.json = true;
    assert_int_equal(verify(fixture, fixture->rq, &said), OK);
    json_t *json = json_loads(said, 0, NULL);
    assert_true(json_is_true(json_object_get(json, "verified")));
    assert_int_equal(json_integer_value(json_object_get(json, "records")), 8);
    assert_string_equal(json_string_value(json_object_get(json, "head")), head_of(fixture));
    json_decref(json);
}

/* More seals than one page of the walk. */
static void
verifies_long_chains(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < 100; i++)
        seal(fixture, 1);
    assert_verifies(fixture);
    seal(fixture, 2);
    assert_verifies(fixture);
    postgres_kit_run(postgres, "UPDATE audit.record SET body = '{}' WHERE position = 102");
    assert_unverified(fixture, "seal 101: a record in it was changed");
}

static void
notices_every_change(void **state)
{
    static const struct {
        const char *sql, *says;
    } cases[] = {
        {"UPDATE audit.record SET body = body || ' ' WHERE position = 2", "seal 1: a record in it was changed"},
        {"UPDATE audit.record SET body = replace(body, '6', '5') WHERE position = 6", "seal 2: a record in it was changed"},
        {"DELETE FROM audit.record WHERE position = 1", "seal 1: records are missing"},
        {"DELETE FROM audit.record WHERE position = 6", "seal 2: records are missing"},
        {"DELETE FROM audit.record WHERE position = 8", "seal 3: records are missing"},
        /* the last of a batch, with the seal made shorter */
        {"DELETE FROM audit.record WHERE position = 7; UPDATE audit.seal SET last_position = 6 WHERE seal = 2", "seal 2: a record in it was changed"},
        {"UPDATE audit.record a SET body = b.body FROM audit.record b WHERE a.position + b.position = 7 AND a.position IN (3, 4)",
         "seal 1: a record in it was changed"},
        {"UPDATE audit.record SET seal = 1 WHERE position = 5", "seal 2: records are out of order"},
        /* two records change places across seals */
        {"UPDATE audit.record SET position = CASE position WHEN 1004 THEN 5 ELSE 4 END, seal = CASE position WHEN 1004 THEN 2 ELSE 1 END"
         " WHERE position IN (1004, 1005)",
         "seal 1: a record in it was changed"},
        {"DELETE FROM audit.seal WHERE seal = 2", "seal 2: it is missing"},
        {"DELETE FROM audit.seal WHERE seal = 1", "seal 1: it is missing"},
        /* a seal with its records, and the rest moved up */
        {"DELETE FROM audit.record WHERE seal = 2; DELETE FROM audit.seal WHERE seal = 2; UPDATE audit.record SET seal = 2, position = 5 WHERE seal "
         "= 3;"
         "UPDATE audit.seal SET seal = 2, first_position = 5, last_position = 5 WHERE seal = 3",
         "seal 2: it does not follow the one before"},
        {"UPDATE audit.seal SET root = sha256('x') WHERE seal = 2", "seal 2: a record in it was changed"},
        {"UPDATE audit.seal SET previous_head = sha256('x') WHERE seal = 1", "seal 1: it does not follow"},
        {"UPDATE audit.seal SET sealed_at_us = sealed_at_us - 1 WHERE seal = 2", "seal 2: its head is not the hash"},
        {"UPDATE audit.seal SET head = sha256('x') WHERE seal = 3", "seal 3: its head is not the hash"},
        {"UPDATE audit.seal a SET signature = b.signature FROM audit.seal b WHERE a.seal = 2 AND b.seal = 3", "seal 2: its signature is wrong"},
        {"UPDATE audit.seal SET signature = '' WHERE seal = 1", "seal 1: its signature is wrong"},
        {"UPDATE audit.seal SET public_key = '' WHERE seal = 1", "seal 1: its key cannot be read"},
        {"UPDATE audit.seal SET first_position = 6 WHERE seal = 2", "seal 2: it does not begin where"},
        {"UPDATE audit.seal SET last_position = 1000000 WHERE seal = 3", "seal 3: its positions make no sense"},
        /* the end, with seals only, or by taking signatures away */
        {"DELETE FROM audit.seal WHERE seal = 3", "records claim places that no seal covers"},
        {"UPDATE audit.seal SET head = NULL, signature = NULL, public_key = NULL, key_uri = NULL WHERE seal > 1", "more than one seal waits"},
        {"INSERT INTO audit.record (body, position, seal) VALUES ('{}', 9, 3)", "records claim places that no seal covers"},
    };
    struct fixture *fixture = *state;

    seal_three(fixture);
    postgres_kit_run(postgres, "CREATE TABLE kept_record AS SELECT * FROM audit.record; CREATE TABLE kept_seal AS SELECT * FROM audit.seal");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (strstr(cases[i].sql, "1004") != NULL) /* a position is unique at every moment */
            postgres_kit_run(postgres, "UPDATE audit.record SET position = position + 1000 WHERE position IN (4, 5)");
        postgres_kit_run(postgres, cases[i].sql);
        assert_unverified(fixture, cases[i].says);
        postgres_kit_run(postgres, "TRUNCATE audit.record; TRUNCATE audit.seal; INSERT INTO audit.seal SELECT * FROM kept_seal;"
                                   "INSERT INTO audit.record OVERRIDING SYSTEM VALUE SELECT * FROM kept_record");
        assert_verifies(fixture);
    }
    postgres_kit_run(postgres, "DROP TABLE kept_record; DROP TABLE kept_seal");
}

/* A chain cannot tell by itself that its end is gone. */
static void
notices_a_cut_end_by_the_head_that_was_written_down(void **state)
{
    struct fixture *fixture = *state;

    seal_three(fixture);
    set_option(fixture, "head", text_lower(fixture->rq->arena, head_of(fixture)));
    assert_verifies(fixture);
    seal(fixture, 1);
    assert_verifies(fixture);
    postgres_kit_run(postgres, "DELETE FROM audit.record WHERE seal > 2; DELETE FROM audit.seal WHERE seal > 2");
    assert_unverified(fixture, "its end was cut off");
    fixture->ctl.arguments.option_count = 0;
    assert_verifies(fixture);
}

static void
the_head_of_an_empty_log_is_in_every_log(void **state)
{
    struct fixture *fixture = *state;
    const char *said;

    assert_int_equal(verify(fixture, fixture->rq, &said), OK);
    assert_non_null(strstr(said, head_of(fixture)));
    set_option(fixture, "head", head_of(fixture));
    assert_verifies(fixture);
    seal_three(fixture);
    assert_verifies(fixture);
}

/* All of it made anew by somebody with a key of his own. */
static void
notices_another_key(void **state)
{
    struct fixture *fixture = *state;
    AUTO(EVP_PKEY, other) = kit_key("p256");
    const char *expected = key_of(fixture, fixture->key);
    char *upper = arena_text(fixture->rq->arena, expected);

    for (char *at = upper; *at != '\0'; at++)
        *at = *at >= 'a' ? (char)(*at - 32) : *at;
    seal_three(fixture);
    set_option(fixture, "key", upper);
    assert_verifies(fixture);
    fixture->ctl.arguments.options[0].value = key_of(fixture, other);
    assert_unverified(fixture, "seal 1: it was signed with another key");

    fixture->ctl.arguments.option_count = 0;
    EVP_PKEY *first = fixture->key;
    fixture->key = other;
    seal(fixture, 1);
    fixture->key = first;
    assert_unverified(fixture, "seal 4: it was signed with another key");
}

static void
heads_and_keys_that_nobody_printed_are_wrong_usage(void **state)
{
    static const char *const options[] = {"head", "key"}, *const values[] = {"", "00", "not hexadecimal",
                                                                             "00000000000000000000000000000000000000000000000000000000000000000000"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(options); i++) {
        for (size_t k = 0; k < COUNT_OF(values); k++) {
            AUTO_STRUCT(request, rq) = request_new();
            fixture->ctl.arguments.option_count = 0;
            set_option(fixture, options[i], values[k]);
            assert_int_equal(verify(fixture, rq, NULL), ERR_BAD_REQUEST);
            assert_string_equal(rq->failure.reason, "usage");
        }
    }
}

/* A batch that waits for its signature is in nobody's way. */
static void
what_waits_for_its_signature_is_no_fault(void **state)
{
    struct fixture *fixture = *state;
    const char *said;

    seal_three(fixture);
    place(fixture, 5);
    assert_int_equal(verify(fixture, fixture->rq, &said), OK);
    assert_non_null(strstr(said, "8 records in 3 seals"));
    assert_non_null(strstr(said, "5 not sealed yet"));
}

static atomic_bool enough;

static void *
go_on_sealing(void *context)
{
    while (!atomic_load(&enough))
        seal(context, 3);
    return NULL;
}

static void
raises_no_false_alarm_while_sealing_goes_on(void **state)
{
    struct fixture *fixture = *state;
    pthread_t sealer;

    seal_three(fixture);
    set_option(fixture, "head", head_of(fixture));
    atomic_store(&enough, false);
    assert_int_equal(pthread_create(&sealer, NULL, go_on_sealing, fixture), 0);
    for (int i = 0; i < 50; i++)
        assert_verifies(fixture);
    atomic_store(&enough, true);
    pthread_join(sealer, NULL);
    assert_verifies(fixture);
}

/* However long the log is: the time of one command bounds a single answer, not the walk. */
static void
takes_the_time_that_it_needs(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(request, rq) = request_new();

    seal_three(fixture);
    rq->deadline_ms = 1; /* long ago */
    assert_int_equal(verify(fixture, rq, NULL), OK);
}

static void
a_database_that_is_away_is_no_verdict(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl there = fixture->ctl;
    struct db_options options = {.name = "signetctl", .url = "host=/nonexistent", .password_file = "", .connections = 1};

    assert_int_equal(db_open(rq, &options, &fixture->ctl.db), OK);
    assert_int_equal(verify(fixture, rq, NULL), ERR_UNAVAILABLE);
    assert_string_not_equal(rq->failure.reason, "unverified");
    db_close(fixture->ctl.db);
    fixture->ctl = there;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(verifies_what_is_whole_and_tells_head_and_key),
        CASE(verifies_long_chains),
        CASE(notices_every_change),
        CASE(notices_a_cut_end_by_the_head_that_was_written_down),
        CASE(the_head_of_an_empty_log_is_in_every_log),
        CASE(notices_another_key),
        CASE(heads_and_keys_that_nobody_printed_are_wrong_usage),
        CASE(what_waits_for_its_signature_is_no_fault),
        CASE(raises_no_false_alarm_while_sealing_goes_on),
        CASE(takes_the_time_that_it_needs),
        CASE(a_database_that_is_away_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
