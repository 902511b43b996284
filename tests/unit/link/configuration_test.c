/* What operators change, and what is announced of it: one transaction. */
#include "db_fixture.h"

#define OUTBOX_TABLE "outbox"
#include "unit/outbox_fixture.h"

#include "base/text.h"
#include "link/configuration.h"
#include "signet/v1/acme_gw.pb-c.h"
#include "signet/v1/est_gw.pb-c.h"
#include "signet/v1/signer.pb-c.h"

/* ---- the difference of two messages ---- */

static void
fields_that_differ_are_told_with_both_values(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    Pb__AcmePolicy before = PB__ACME_POLICY__INIT, after = PB__ACME_POLICY__INIT;
    const char *names[] = {"a.test", "*.b.test"};
    char **texts;

    before.name = after.name = "intra";
    before.validity_days = -1;
    before.description = "old";
    after.caa = true;
    after.identifiers_max = 4000000000U;
    after.preapproved_names = names;
    after.n_preapproved_names = 2;
    assert_int_equal(configuration_compare(arena, &before.base, &after.base, &texts), 5);
    assert_string_equal(texts[0], "description: old → \"\"");
    assert_string_equal(texts[1], "validity_days: -1 → 0");
    assert_string_equal(texts[2], "preapproved_names: \"\" → a.test,*.b.test");
    assert_string_equal(texts[3], "caa: false → true");
    assert_string_equal(texts[4], "identifiers_max: 0 → 4000000000");
    assert_int_equal(configuration_compare(arena, &before.base, &before.base, &texts), 0);
}

static void
what_was_made_or_taken_away_is_told_whole(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    Pb__EstProfile profile = PB__EST_PROFILE__INIT;
    char **texts;

    profile.name = "phones";
    profile.authentication = PB__EST_AUTHENTICATION__EST_AUTHENTICATION_BASIC;
    assert_int_equal(configuration_compare(arena, NULL, &profile.base, &texts), 2);
    assert_string_equal(texts[0], "name: \"\" → phones");
    assert_string_equal(texts[1], "authentication: EST_AUTHENTICATION_UNSPECIFIED → EST_AUTHENTICATION_BASIC");
    assert_int_equal(configuration_compare(arena, &profile.base, NULL, &texts), 2);
    assert_string_equal(texts[0], "name: phones → \"\"");
    assert_int_equal(configuration_compare(arena, NULL, NULL, &texts), 0);
}

static void
lists_of_words_are_told_too(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    Pb__Template before = PB__TEMPLATE__INIT, after = PB__TEMPLATE__INIT;
    Pb__NameType types[] = {PB__NAME_TYPE__NAME_TYPE_DNS, PB__NAME_TYPE__NAME_TYPE_IP};
    char **texts;

    before.name_types = after.name_types = types;
    before.n_name_types = 1;
    after.n_name_types = 2;
    assert_int_equal(configuration_compare(arena, &before.base, &after.base, &texts), 1);
    assert_string_equal(texts[0], "name_types: NAME_TYPE_DNS → NAME_TYPE_DNS,NAME_TYPE_IP");
}

static void
what_is_long_is_named_by_its_digest(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    Pb__EstProfile before = PB__EST_PROFILE__INIT, after = PB__EST_PROFILE__INIT;
    char pem[200], **texts;

    memset(pem, 'x', sizeof pem);
    pem[sizeof pem - 1] = '\0';
    after.anchors = pem;
    assert_int_equal(configuration_compare(arena, &before.base, &after.base, &texts), 1);
    assert_string_equal(texts[0], "anchors: \"\" → sha256:f18029ae3f973208860c668e7b0c042ef65cf2409d8532c0cfb1fb7de5a07f9e");
}

/* ---- one transaction ---- */

static const struct db_statement insert_thing = {"insert_thing", "INSERT INTO thing VALUES ($1)"};

struct thing {
    const char *name;
    const char *action; /* as the writer says */
    enum error error;
};

static enum error
write_thing(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct thing *thing = context;
    enum error error = DB_QUERY(db, rq, &insert_thing, NULL, DB_TEXT(thing->name));

    if (error || thing->error)
        return error ? error : fail(rq, thing->error, "the writer refuses");
    change->action = thing->action;
    return OK;
}

static enum error
write_as(struct fixture *fixture, struct thing thing)
{
    struct configuration_change change = {.what = "thing", .name = thing.name, .by = "olga", .also = "7 accounts"};

    fixture->rq->caller = "signetctl";
    failure_clear(fixture->rq);
    return configuration_write(NULL, fixture->db, fixture->rq, write_thing, &thing, &change);
}

static void
assert_tables(const char *things_and_events)
{
    char *found = postgres_kit_ask(postgres, "SELECT (SELECT count(*) FROM thing) || ' ' || (SELECT count(*) FROM outbox)");
    assert_string_equal(found, things_and_events);
    free(found);
}

static void
a_change_and_its_record_are_one(void **state)
{
    struct fixture *fixture = *state;

    postgres_kit_run(postgres, "CREATE TABLE thing (name text UNIQUE); CREATE TABLE outbox (event_id text, subject text, body bytea)");
    assert_int_equal(write_as(fixture, (struct thing){"a", "created", OK}), OK);
    assert_string_equal(announced, "thing a created by olga as signetctl: 7 accounts");
    assert_tables("1 1");
    /* What came to nothing is not announced. */
    assert_int_equal(write_as(fixture, (struct thing){"a", "created", OK}), ERR_CONFLICT);
    assert_int_equal(write_as(fixture, (struct thing){"b", "created", ERR_BAD_REQUEST}), ERR_BAD_REQUEST);
    assert_tables("1 1");
    /* Nor what the writer does not call a change. */
    assert_int_equal(write_as(fixture, (struct thing){"c", NULL, OK}), OK);
    assert_tables("2 1");
    /* And what cannot be announced is not done. */
    postgres_kit_run(postgres, "ALTER TABLE outbox ADD CHECK (event_id = '') NOT VALID");
    assert_int_not_equal(write_as(fixture, (struct thing){"d", "created", OK}), OK);
    assert_tables("2 1");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_that_differ_are_told_with_both_values),
        cmocka_unit_test(what_was_made_or_taken_away_is_told_whole),
        cmocka_unit_test(lists_of_words_are_told_too),
        cmocka_unit_test(what_is_long_is_named_by_its_digest),
        CASE(a_change_and_its_record_are_one),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
