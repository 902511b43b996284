/* The gateway's tables in a real PostgreSQL, under the rights of its role. Each case begins with empty tables. */
#ifndef SIGNET_TESTS_UNIT_EST_FIXTURE_H
#define SIGNET_TESTS_UNIT_EST_FIXTURE_H

#include "unit/kit.h"

#include <string.h>

#include "est.h"
#include "kit/postgres_kit.h"
#define OUTBOX_TABLE "est.outbox"
#include "unit/outbox_fixture.h"

static struct postgres_kit *postgres;

struct fixture {
    struct est est;
    struct request *rq;
};

static inline int
start_postgres(void **state)
{
    postgres = postgres_kit_start();
    postgres_kit_run_file(postgres, "services/ra/sql/001_tables.sql");
    postgres_kit_run_file(postgres, "services/ra/sql/006_enrolled.sql");
    postgres_kit_run_file(postgres, "services/ra/sql/012_enrolled_at.sql");
    postgres_kit_run_file(postgres, "services/ra/sql/013_enrolled_key.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/001_profiles.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/002_drawn_secrets.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/003_outbox.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/004_forget.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/005_client_crls.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/006_repetitions.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/007_incarnation.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/008_forget_all.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/009_crl_parts.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/010_login_memory.sql");
    postgres_kit_run_file(postgres, "services/est-gw/sql/011_waiting.sql");
    postgres_kit_grant(postgres, "est_gw");
    return 0;
}

static inline int
stop_postgres(void **state)
{
    postgres_kit_stop(postgres);
    return 0;
}

static inline int
open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct db_options options = {.name = "est-gw", .url = postgres_kit_url_of_role(postgres, "est_gw"), .password_file = "", .connections = 2};

    postgres_kit_run(postgres, "TRUNCATE est.profile, est.basic_user, est.delivery, est.outbox, est.client_crl, est.client_crl_part");
    fixture->rq = request_new();
    assert_int_equal(db_open(fixture->rq, &options, &fixture->est.db), OK);
    fixture->est.logins = logins_new(&fixture->est);
    fixture->est.profiles = snapshot_slot_new();
    fixture->est.authorities = snapshot_slot_new();
    fixture->est.client_crls = snapshot_slot_new();
    fixture->est.trust = trust_new();
    fixture->est.enrolments = rpc_gather_new(NULL, &pb__ra__descriptor, "Enroll");
    *state = fixture;
    return 0;
}

static inline int
close_fixture(void **state)
{
    struct fixture *fixture = *state;

    request_free(fixture->rq);
    rpc_gather_free(fixture->est.enrolments);
    trust_free(fixture->est.trust);
    snapshot_slot_free(fixture->est.profiles);
    snapshot_slot_free(fixture->est.authorities);
    snapshot_slot_free(fixture->est.client_crls);
    db_close(fixture->est.db);
    logins_free(fixture->est.logins);
    free(fixture);
    return 0;
}

static inline void
assert_ok(struct request *rq, enum error error)
{
    if (error != OK)
        fail_msg("%s: %s (%s)", error_name(error), rq->failure.message, rq->failure.detail);
}

/* One value of the database as text, for an assertion. */
static inline void
assert_row(const char *sql, const char *expected)
{
    char *found = postgres_kit_ask(postgres, sql);

    assert_string_equal(found, expected);
    free(found);
}

static inline Pb__EstProfile *
good_profile(struct arena *arena, const char *name)
{
    Pb__EstProfile *profile = arena_alloc(arena, sizeof *profile);

    pb__est_profile__init(profile);
    profile->name = name;
    profile->template_ = "Device-Certificate";
    profile->authentication = PB__EST_AUTHENTICATION__EST_AUTHENTICATION_BASIC;
    return profile;
}

static inline enum error
store(struct fixture *fixture, const Pb__EstProfile *profile, bool create, bool *ret_created)
{
    Pb__StoreEstProfileRequest request = PB__STORE_EST_PROFILE_REQUEST__INIT;
    Pb__StoreEstProfileReply reply = PB__STORE_EST_PROFILE_REPLY__INIT;

    request.profile = (Pb__EstProfile *)profile;
    request.create = create;
    enum error error = store_est_profile(&fixture->est, fixture->rq, &request, &reply);
    *ret_created = reply.created;
    return error;
}

static inline void
must_store(struct fixture *fixture, const char *name)
{
    bool created;

    assert_ok(fixture->rq, store(fixture, good_profile(fixture->rq->arena, name), true, &created));
    assert_true(created);
}

static inline const char *
must_reset(struct fixture *fixture, const char *profile, const char *user)
{
    Pb__ResetEstPasswordRequest request = PB__RESET_EST_PASSWORD_REQUEST__INIT;
    Pb__ResetEstPasswordReply reply = PB__RESET_EST_PASSWORD_REPLY__INIT;

    request.profile = profile;
    request.user = user;
    assert_ok(fixture->rq, reset_est_password(&fixture->est, fixture->rq, &request, &reply));
    return reply.password;
}

/* What is kept of a password; none when there is no such user. */
static inline struct bytes
hash_of(struct fixture *fixture, const char *profile, const char *user)
{
    struct login login = {.rq = fixture->rq, .profile = profile, .user = user};
    void *items[] = {&login};

    assert_ok(fixture->rq, store_find_users(&fixture->est, fixture->rq, items, 1));
    return login.hash;
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)

#endif
