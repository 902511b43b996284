/* The gateway's tables in a real PostgreSQL, under the rights of its role; a fake signer (the seam rpc_call) has a real RA key. Each case begins with
 * empty tables. */
#ifndef SIGNET_TESTS_UNIT_SCEP_FIXTURE_H
#define SIGNET_TESTS_UNIT_SCEP_FIXTURE_H

#include "unit/kit.h"

#include <string.h>

#include "base/drawn_secret.h"
#include "base/text.h"
#include "kit/pki_kit.h"
#include "kit/postgres_kit.h"
#include "link/rpc.h"
#include "scep.h"
#define OUTBOX_TABLE "scep.outbox"
#include "unit/outbox_fixture.h"

static struct postgres_kit *postgres;
static EVP_PKEY *ca_key, *ra_key;
static struct arena *house;
static struct bytes ca_der, ra_der;
static enum error signer_failing;
static const char *signer_successor = "";
static struct bytes signer_predecessor;
static int signatures;
/* What ra says, and the signer to all but GetScepRa, where a case wants them. */
static enum error (*others_answer)(struct request *rq, const char *method, const ProtobufCMessage *input, const ProtobufCMessage **ret_reply);

struct fixture {
    struct scep scep;
    struct request *rq;
};

static inline enum error
sign_next_ca(struct request *rq, const ProtobufCMessage **ret_reply)
{
    Pb__SignScepNextCaReply *reply = arena_alloc(rq->arena, sizeof *reply);

    pb__sign_scep_next_ca_reply__init(reply);
    reply->message = message_data(BYTES("signed", 6));
    signatures++;
    *ret_reply = &reply->base;
    return OK;
}

static inline void
add_predecessor(struct request *rq, Pb__GetScepRaReply *reply)
{
    Pb__PredecessorCa *old = arena_alloc(rq->arena, sizeof *old);

    pb__predecessor_ca__init(old);
    old->name = "old";
    old->certificate = message_data(signer_predecessor);
    reply->predecessors = arena_array(rq->arena, 1, sizeof(Pb__PredecessorCa *));
    reply->predecessors[reply->n_predecessors++] = old;
}

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    Pb__GetScepRaReply *reply = arena_alloc(rq->arena, sizeof *reply);

    if (signer_failing != OK)
        return fail(rq, signer_failing, "the signer says no");
    if (others_answer != NULL && !text_equal(method, "GetScepRa"))
        return others_answer(rq, method, input, ret_reply);
    if (text_equal(method, "SignScepNextCa"))
        return sign_next_ca(rq, ret_reply);
    assert_string_equal(method, "GetScepRa");
    pb__get_scep_ra_reply__init(reply);
    reply->successor = signer_successor;
    if (signer_predecessor.len > 0)
        add_predecessor(rq, reply);
    reply->certificate = message_data(ra_der);
    reply->chain = arena_array(rq->arena, 1, sizeof *reply->chain);
    reply->chain[reply->n_chain++] = message_data(ca_der);
    *ret_reply = &reply->base;
    return OK;
}

static inline int
start_postgres(void **state)
{
    house = arena_new();
    ca_key = kit_key("p256");
    ra_key = kit_key("rsa-2048");
    ca_der = kit_certificate(house, &(struct kit_certificate){.key = ca_key, .subject = "/CN=Test CA", .is_ca = true});
    ra_der = kit_certificate(house, &(struct kit_certificate){.key = ra_key, .subject = "/CN=Test RA", .issuer_der = ca_der, .issuer_key = ca_key});
    postgres = postgres_kit_start();
    postgres_kit_run_file(postgres, "services/ra/sql/001_tables.sql");
    postgres_kit_run_file(postgres, "services/ra/sql/006_enrolled.sql");
    postgres_kit_run_file(postgres, "services/ra/sql/012_enrolled_at.sql");
    postgres_kit_run_file(postgres, "services/ra/sql/013_enrolled_key.sql");
    postgres_kit_run_file(postgres, "services/crl-publisher/sql/001_crl.sql");
    postgres_kit_run_file(postgres, "services/crl-publisher/sql/002_current_crl.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/001_tables.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/002_notified.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/003_waiting.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/004_drawn_secrets.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/005_outbox.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/006_revocation_pull.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/007_delete_profile.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/008_forget.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/009_incarnation.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/010_retired_ra.sql");
    postgres_kit_run_file(postgres, "services/scep-gw/sql/011_challenge_mac.sql");
    postgres_kit_grant(postgres, "scep_gw");
    return 0;
}

static inline int
stop_postgres(void **state)
{
    postgres_kit_stop(postgres);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(ra_key);
    arena_free(house);
    return 0;
}

static inline int
open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct db_options options = {.name = "scep-gw", .url = postgres_kit_url_of_role(postgres, "scep_gw"), .password_file = "", .connections = 4};

    postgres_kit_run(postgres, "TRUNCATE scep.profile, scep.challenge, scep.revocation_pull, scep.transaction, scep.outbox, scep.retired_ra");
    fixture->rq = request_new();
    assert_int_equal(db_open(fixture->rq, &options, &fixture->scep.db), OK);
    fixture->scep.profiles = snapshot_slot_new();
    fixture->scep.ras = ra_cache_new();
    fixture->scep.admissions = commit_queue_new(store_add_transactions, &fixture->scep);
    fixture->scep.enrolments = rpc_gather_new(NULL, &pb__ra__descriptor, "Enroll");
    fixture->scep.openings = rpc_gather_new(NULL, &pb__signer__descriptor, "OpenScepEnvelope");
    fixture->scep.replies = rpc_gather_new(NULL, &pb__signer__descriptor, "SignScepReply");
    signer_failing = OK;
    signer_successor = "";
    signer_predecessor = BYTES_NONE;
    signatures = 0;
    *state = fixture;
    return 0;
}

static inline int
close_fixture(void **state)
{
    struct fixture *fixture = *state;

    request_free(fixture->rq);
    commit_queue_free(fixture->scep.admissions);
    rpc_gather_free(fixture->scep.enrolments);
    rpc_gather_free(fixture->scep.openings);
    rpc_gather_free(fixture->scep.replies);
    ra_cache_free(fixture->scep.ras);
    snapshot_slot_free(fixture->scep.profiles);
    db_close(fixture->scep.db);
    free(fixture);
    return 0;
}

static inline Pb__ScepProfile
good_profile(const char *name)
{
    Pb__ScepProfile profile = PB__SCEP_PROFILE__INIT;

    profile.name = name;
    profile.issuer = "issuing";
    profile.template_ = "Device-Certificate";
    profile.authorization = "challenge";
    return profile;
}

static inline enum error
save(struct fixture *fixture, Pb__ScepProfile *profile, bool create, bool *ret_changed)
{
    Pb__SaveScepProfileRequest request = PB__SAVE_SCEP_PROFILE_REQUEST__INIT;
    Pb__SaveScepProfileReply reply = PB__SAVE_SCEP_PROFILE_REPLY__INIT;

    failure_clear(fixture->rq);
    request.profile = profile;
    request.create = create;
    enum error error = save_scep_profile(&fixture->scep, fixture->rq, &request, &reply);
    *ret_changed = reply.changed;
    return error;
}

static inline const struct profile *
must_save(struct fixture *fixture, const char *name)
{
    Pb__ScepProfile profile = good_profile(name);
    const struct profile *found;
    bool changed;

    assert_int_equal(save(fixture, &profile, true, &changed), OK);
    assert_int_equal(profile_find(&fixture->scep, fixture->rq, name, &found), OK);
    return found;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

#endif
