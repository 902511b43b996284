/*
 * A whole gateway in the test program: its real routes on a real HTTP server, its real tables in a real PostgreSQL under the rights of its role.
 * Only what is beyond the bus is made here: rpc_call plays ra and the validator, and the lease loop turns when a test says so.
 */
#ifndef SIGNET_TESTS_ACME_GATEWAY_FIXTURE_H
#define SIGNET_TESTS_ACME_GATEWAY_FIXTURE_H

#include "unit/kit.h"

#include <glob.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "acme.h"
#include "base/clock.h"
#include "base/snapshot.h"
#include "jose_kit.h"
#include "kit/http_kit.h"
#include "kit/postgres_kit.h"
#include "pki/serial.h"
#define OUTBOX_TABLE "acme.outbox"
#include "unit/outbox_fixture.h"

static struct postgres_kit *postgres;
static struct acme gateway;
static struct http_server *server;
static struct request *process_rq;

/* ---- beyond the bus ---- */

static struct {
    enum error enroll_error; /* OK: a certificate */
    const char *enroll_layer;
    bool enroll_pending;
    bool enroll_really; /* with a certificate as it was asked for */
    size_t enroll_alternates;
    atomic_int enrolments;
    atomic_bool answered_on_loop; /* the last request */
    char enrolled_key[64];        /* the idempotency key of the last one */
    const char *enroll_refuses;   /* orders of this name */
    const char *goes_alone;       /* orders of this name go with no others */
    size_t together;              /* the last time that some went */
    char enrolled_names[256];
    char enrolled_channel[64], enrolled_template[64], enrolled_preapproved[256];
    char enrolled_owner[64], enrolled_for[64];
    int64_t enrolled_not_before_s, enrolled_not_after_s;
    enum error withdraw_error;
    bool withdraw_finds_it_issued;
    char withdrawn[128]; /* "channel key kind:id" of the last one */
    enum error revoke_error;
    bool revoke_denies_account;
    int revocations;
    bool already_revoked;
    char revoke_authority[32];
    int revoke_reason;
    enum error validate_error;
    const char *validate_problem; /* NULL: valid */
    char key_authorization[128];
    char validated[512]; /* the last request to the validator beside that: type, name, account, CAA, issuer names, prefix, keys */
    int64_t validated_until_s;
    enum error caa_error;
    const char *caa_problem; /* NULL: allowed */
    char caa_asked[256];     /* "name by method", … */
    char denied_networks[128], top_domain[256];
    bool check_caa;
    bool validator_is_slow; /* until the gate opens */
    atomic_int validations;
    char attestation[64], attestation_roots[128]; /* what the validator was given: the object, "format=PEM …" */
    struct bytes attested_key;
    char enrolled_attested[64];
    char redeemer[16]; /* the thread that asked another replica for a nonce */
} beyond;

static sem_t validator_gate;

static const uint8_t leaf_der[] = {0x30, 0x03, 0x02, 0x01, 0x01};
static const uint8_t issuer_der[] = {0x30, 0x03, 0x02, 0x01, 0x02};

static const uint8_t issuer_key_id[] = {0xaa, 0xbb, 0xcc, 0xdd};

/* Nobody looks at its signature. */
static inline struct bytes
certificate_of(struct arena *arena, struct bytes serial, const char *name, int64_t not_before_s, int64_t not_after_s)
{
    struct identifier identifier = {.type = IDENTIFIER_DNS, .value = name};
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct certificate_plan plan = {.serial = serial,
                                    .algorithm = SIG_ECDSA_SHA256,
                                    .issuer = kit_name(arena, "/CN=issuer"),
                                    .subject = kit_name(arena, "/"),
                                    .not_before_s = not_before_s,
                                    .not_after_s = not_after_s,
                                    .spki = kit_spki(arena, key),
                                    .authority_key_id = BYTES(issuer_key_id, sizeof issuer_key_id),
                                    .path_length = -1,
                                    .names = &identifier,
                                    .name_count = 1};

    return signed_join(arena, certificate_encode_tbs(arena, &plan), SIG_ECDSA_SHA256, BYTES(issuer_key_id, sizeof issuer_key_id));
}

struct lease {
    const char *holder;
    atomic_int wakes, kept;
    char left[64]; /* the last one */
};

static struct lease validations = {.holder = "gateway/validations"}, finalizations = {.holder = "gateway/finalizations"},
                    stars = {.holder = "gateway/stars"};

static inline enum error
play_enroll(struct request *rq, const Pb__EnrollRequest *input, const ProtobufCMessage **ret_reply)
{
    beyond.enrolments++;
    assert_true(finalizations.kept > 0 || stars.kept > 0); /* whoever is asked long is not taken for dead */
    snprintf(beyond.enrolled_key, sizeof beyond.enrolled_key, "%s", input->idempotency_key);
    snprintf(beyond.enrolled_channel, sizeof beyond.enrolled_channel, "%s", input->channel);
    snprintf(beyond.enrolled_template, sizeof beyond.enrolled_template, "%s", input->template_);
    beyond.enrolled_not_before_s = input->not_before_s;
    beyond.enrolled_not_after_s = input->not_after_s;
    snprintf(beyond.enrolled_owner, sizeof beyond.enrolled_owner, "%s", input->owner);
    snprintf(beyond.enrolled_for, sizeof beyond.enrolled_for, "%s:%s", input->on_behalf_of == NULL ? "" : input->on_behalf_of->kind,
             input->on_behalf_of == NULL ? "" : input->on_behalf_of->id);
    snprintf(beyond.enrolled_attested, sizeof beyond.enrolled_attested, "%s", input->attested);
    beyond.enrolled_preapproved[0] = '\0';
    for (size_t i = 0; i < input->n_preapproved; i++)
        snprintf(beyond.enrolled_preapproved + strlen(beyond.enrolled_preapproved),
                 sizeof beyond.enrolled_preapproved - strlen(beyond.enrolled_preapproved), "%s%s", i == 0 ? "" : " ", input->preapproved[i]);
    beyond.enrolled_names[0] = '\0';
    for (size_t i = 0; i < input->n_proven_names; i++)
        snprintf(beyond.enrolled_names + strlen(beyond.enrolled_names), sizeof beyond.enrolled_names - strlen(beyond.enrolled_names), "%s%s",
                 i == 0 ? "" : " ", input->proven_names[i]->value);
    if (beyond.enroll_error != OK) {
        (void)fail(rq, beyond.enroll_error, "ra says %s", error_name(beyond.enroll_error));
        return beyond.enroll_layer != NULL ? fail_layer(rq, beyond.enroll_layer) : beyond.enroll_error;
    }
    if (text_equal(beyond.enroll_refuses, input->proven_names[0]->value))
        return fail(rq, ERR_DENIED, "ra does not want this one");
    Pb__EnrollReply *reply = arena_alloc(rq->arena, sizeof *reply);
    pb__enroll_reply__init(reply);
    reply->status = beyond.enroll_pending ? PB__ENROLL_STATUS__ENROLL_STATUS_PENDING : PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED;
    int64_t not_after_s = beyond.enroll_really ? input->not_after_s : clock_now_s() + 90 * 86400;
    struct serial serial = serial_new(not_after_s);
    struct bytes octets = bytes_copy(rq->arena, BYTES(serial.octets, SERIAL_LEN));
    struct bytes leaf = BYTES(leaf_der, sizeof leaf_der);
    if (beyond.enroll_really)
        leaf = certificate_of(rq->arena, octets, input->proven_names[0]->value, input->not_before_s, not_after_s);
    reply->serial = (ProtobufCBinaryData){.data = (uint8_t *)octets.at, .len = octets.len};
    reply->certificate = (ProtobufCBinaryData){.data = (uint8_t *)leaf.at, .len = leaf.len};
    reply->chain = arena_array(rq->arena, 1, sizeof *reply->chain);
    reply->chain[0] = (ProtobufCBinaryData){.data = (uint8_t *)issuer_der, .len = sizeof issuer_der};
    reply->n_chain = 1;
    reply->alternates = arena_array(rq->arena, beyond.enroll_alternates, sizeof *reply->alternates);
    for (size_t i = 0; i < beyond.enroll_alternates; i++) {
        Pb__CertificateChain *chain = arena_alloc(rq->arena, sizeof *chain);
        pb__certificate_chain__init(chain);
        uint8_t other_der[] = {0x30, 0x03, 0x02, 0x01, (uint8_t)(0x10 + i)};
        chain->certificates = arena_array(rq->arena, 1, sizeof *chain->certificates);
        chain->certificates[chain->n_certificates++] =
            (ProtobufCBinaryData){.data = (uint8_t *)bytes_copy(rq->arena, BYTES(other_der, sizeof other_der)).at, .len = sizeof other_der};
        reply->alternates[reply->n_alternates++] = chain;
    }
    if (!beyond.enroll_pending)
        postgres_kit_run(postgres, arena_format(rq->arena, "INSERT INTO ra.issued_certificate VALUES ('\\x%s', %d, 'test', '\\x%s')",
                                                bytes_hex(rq->arena, octets, 0), serial_month_of(not_after_s), bytes_hex(rq->arena, leaf, 0)));
    *ret_reply = &reply->base;
    return OK;
}

static inline enum error
play_withdraw(struct request *rq, const Pb__WithdrawRequest *input, const ProtobufCMessage **ret_reply)
{
    snprintf(beyond.withdrawn, sizeof beyond.withdrawn, "%s %s %s:%s", input->channel, input->idempotency_key, input->principal->kind,
             input->principal->id);
    if (beyond.withdraw_error != OK)
        return fail(rq, beyond.withdraw_error, "ra says %s", error_name(beyond.withdraw_error));
    Pb__WithdrawReply *reply = arena_alloc(rq->arena, sizeof *reply);
    pb__withdraw_reply__init(reply);
    reply->issued = beyond.withdraw_finds_it_issued;
    *ret_reply = &reply->base;
    return OK;
}

static inline enum error
play_revoke(struct request *rq, const Pb__RevokeRequest *input, const ProtobufCMessage **ret_reply)
{
    beyond.revocations++;
    if (beyond.revoke_denies_account && text_equal(input->authority, "account"))
        return fail(rq, ERR_DENIED, "the certificate was issued to another account");
    snprintf(beyond.revoke_authority, sizeof beyond.revoke_authority, "%s", input->authority);
    beyond.revoke_reason = (int)input->reason;
    assert_true(input->principal->id[0] != '\0');
    if (beyond.revoke_error != OK)
        return fail(rq, beyond.revoke_error, "ra says %s", error_name(beyond.revoke_error));
    Pb__RevokeReply *reply = arena_alloc(rq->arena, sizeof *reply);
    pb__revoke_reply__init(reply);
    reply->already_revoked = beyond.already_revoked;
    *ret_reply = &reply->base;
    return OK;
}

static inline enum error
play_validate(struct request *rq, const Pb__ValidateChallengeRequest *input, const ProtobufCMessage **ret_reply)
{
    beyond.validations++;
    while (beyond.validator_is_slow && sem_wait(&validator_gate) != 0)
        continue;
    snprintf(beyond.key_authorization, sizeof beyond.key_authorization, "%s", input->key_authorization);
    beyond.check_caa = input->check_caa;
    snprintf(beyond.top_domain, sizeof beyond.top_domain, "%s", input->top_domain);
    snprintf(beyond.denied_networks, sizeof beyond.denied_networks, "%s", input->n_denied_networks == 1 ? input->denied_networks[0] : "");
    snprintf(beyond.validated, sizeof beyond.validated, "%s %s %s %s %zu %s %zu", input->type, input->identifier->value,
             strrchr(input->account_uri, '/') + 1, input->check_caa ? "caa" : "-", input->n_issuer_names, input->account_hash_prefix,
             input->n_thumbprints);
    snprintf(beyond.attestation, sizeof beyond.attestation, "%.*s", (int)input->attestation.len, (const char *)input->attestation.data);
    beyond.attestation_roots[0] = '\0';
    for (size_t i = 0; i < input->n_attestation_roots; i++)
        snprintf(beyond.attestation_roots + strlen(beyond.attestation_roots), sizeof beyond.attestation_roots - strlen(beyond.attestation_roots),
                 "%s=%s ", input->attestation_roots[i]->format, input->attestation_roots[i]->pem);
    if (beyond.validate_error != OK)
        return fail(rq, beyond.validate_error, "the validator says %s", error_name(beyond.validate_error));
    Pb__ValidateChallengeReply *reply = arena_alloc(rq->arena, sizeof *reply);
    pb__validate_challenge_reply__init(reply);
    reply->valid = beyond.validate_problem == NULL;
    reply->problem = beyond.validate_problem == NULL ? "" : beyond.validate_problem;
    reply->detail = beyond.validate_problem == NULL ? "" : "another text was found";
    reply->valid_until_s = beyond.validated_until_s;
    reply->attested_key = message_data(beyond.attested_key);
    reply->attestation = beyond.attested_key.len > 0 ? "a maker's word" : "";
    *ret_reply = &reply->base;
    return OK;
}

static inline enum error
play_check_caa(struct request *rq, const Pb__CheckCaaRequest *input, const ProtobufCMessage **ret_reply)
{
    beyond.caa_asked[0] = '\0';
    for (size_t i = 0; i < input->n_subjects; i++)
        snprintf(beyond.caa_asked + strlen(beyond.caa_asked), sizeof beyond.caa_asked - strlen(beyond.caa_asked), "%s%s by %s", i == 0 ? "" : ", ",
                 input->subjects[i]->name->value, input->subjects[i]->method);
    if (beyond.caa_error != OK)
        return fail(rq, beyond.caa_error, "the validator says %s", error_name(beyond.caa_error));
    Pb__CheckCaaReply *reply = arena_alloc(rq->arena, sizeof *reply);
    pb__check_caa_reply__init(reply);
    reply->allowed = beyond.caa_problem == NULL;
    reply->problem = beyond.caa_problem == NULL ? "" : beyond.caa_problem;
    reply->detail = "the records do not allow it";
    *ret_reply = &reply->base;
    return OK;
}

static inline enum error
play_redeem_nonce(struct request *rq, const ProtobufCMessage **ret_reply)
{
    Pb__RedeemNonceReply *reply = arena_alloc(rq->arena, sizeof *reply);

    pthread_getname_np(pthread_self(), beyond.redeemer, sizeof beyond.redeemer);
    pb__redeem_nonce_reply__init(reply);
    reply->fresh = true;
    *ret_reply = &reply->base;
    return OK;
}

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    if (text_equal(method, "Enroll"))
        return play_enroll(rq, (const Pb__EnrollRequest *)input, ret_reply);
    if (text_equal(method, "Withdraw"))
        return play_withdraw(rq, (const Pb__WithdrawRequest *)input, ret_reply);
    if (text_equal(method, "Revoke"))
        return play_revoke(rq, (const Pb__RevokeRequest *)input, ret_reply);
    if (text_equal(method, "ValidateChallenge"))
        return play_validate(rq, (const Pb__ValidateChallengeRequest *)input, ret_reply);
    if (text_equal(method, "CheckCaa"))
        return play_check_caa(rq, (const Pb__CheckCaaRequest *)input, ret_reply);
    if (text_equal(method, "RedeemNonce"))
        return play_redeem_nonce(rq, ret_reply);
    return fail(rq, ERR_UNAVAILABLE, "nobody serves %s", method);
}

void
rpc_call_together(struct bus *bus, const ProtobufCServiceDescriptor *callee, const char *method, struct rpc_part *parts, size_t count)
{
    if (count > 1)
        beyond.together = count;
    for (size_t i = 0; i < count; i++) {
        const Pb__EnrollRequest *input = (const Pb__EnrollRequest *)parts[i].input;
        if (!text_equal(beyond.goes_alone, input->proven_names[0]->value))
            parts[i].error = rpc_call(bus, parts[i].rq, callee, "", method, parts[i].input, &parts[i].reply);
    }
}

/* ---- a certificate that was issued before ---- */

/* Its ARI identifier. Of an order of this account, if one is given; nobody looks at its signature. */
static inline const char *
put_certificate(struct arena *arena, const char *name, int64_t not_before_s, int64_t days, const char *account_id)
{
    struct serial serial = serial_new(not_before_s + days * 86400 - 1);
    int64_t not_after_s = not_before_s + days * 86400 - 1;
    struct bytes der = certificate_of(arena, BYTES(serial.octets, SERIAL_LEN), name, not_before_s, not_after_s);
    const char *serial_hex = bytes_hex(arena, BYTES(serial.octets, SERIAL_LEN), 0);
    int month = serial_month_of(not_after_s);

    postgres_kit_run(postgres,
                     arena_format(arena,
                                  "INSERT INTO ra.issued_certificate VALUES ('\\x%s', %d, 'test', '\\x%s', to_timestamp(%lld), "
                                  "nullif('%s', ''))",
                                  serial_hex, month, bytes_hex(arena, der, 0), (long long)not_before_s, account_id == NULL ? "" : account_id));
    return arena_format(arena, "%s.%s", base64url_encode(arena, BYTES(issuer_key_id, sizeof issuer_key_id)),
                        base64url_encode(arena, BYTES(serial.octets, SERIAL_LEN)));
}

/* ---- leases, turned by hand ---- */

void
lease_wake(struct lease *lease)
{
    lease->wakes++;
}

void
lease_leave(struct lease *lease, const char *id)
{
    snprintf(lease->left, sizeof lease->left, "%s", id);
}

void
lease_keep(struct lease *lease, const char *id, struct kept_row *ret_row)
{
    lease->kept++;
}

void
lease_let_go(struct lease *lease, struct kept_row *row)
{
    lease->kept--;
}

const char *
lease_holder(const struct lease *lease)
{
    return lease->holder;
}

/* One taking as the lease loop does it; the number of rows worked on. */
static inline size_t
turn(const struct db_statement *take, struct lease *lease, void (*work)(void *context, struct request *rq, const struct db_rows *rows, size_t row))
{
    AUTO_STRUCT(request, rq) = request_new();
    struct db_rows *rows;

    assert_int_equal(DB_QUERY(gateway.db, rq, take, &rows, DB_INT(10), DB_INT(30), DB_TEXT(lease->holder)), OK);
    for (size_t i = 0; i < db_count(rows); i++) {
        AUTO_STRUCT(request, own) = request_new();
        lease->kept++; /* as lease.c does */
        work(&gateway, own, rows, i);
        lease->kept--;
    }
    return db_count(rows);
}

static inline size_t
turn_validations(void)
{
    return turn(&store_take_validations, &validations, validation_work);
}

static inline size_t
turn_finalizations(void)
{
    return turn(&store_take_finalizations, &finalizations, finalize_work);
}

static inline size_t
turn_stars(void)
{
    return turn(&store_take_stars, &stars, renew_star_work);
}

/* The lease loop gives up what was left, as it does when the database is back; then the row is due at once. */
static inline void
give_up(const struct db_statement *leave, const struct lease *lease, const char *table)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *ids[] = {lease->left};
    struct db_rows *left = NULL;

    assert_int_equal(DB_QUERY(gateway.db, rq, leave, &left, DB_TEXT_ARRAY(ids, 1), DB_TEXT("another holder")), OK);
    assert_int_equal(db_affected(left), 0);
    assert_int_equal(DB_QUERY(gateway.db, rq, leave, &left, DB_TEXT_ARRAY(ids, 1), DB_TEXT(lease->holder)), OK);
    assert_int_equal(db_affected(left), 1);
    char *due = postgres_kit_ask(
        postgres,
        arena_format(rq->arena, "SELECT count(*) FROM %s WHERE leased_until IS NULL AND due_at > now() AND due_at < now() + interval '2 s'", table));
    assert_string_equal(due, "1");
    free(due);
    postgres_kit_run(postgres, arena_format(rq->arena, "UPDATE %s SET due_at = now() - interval '1 s'", table));
}

/* The database is away whenever a row would become such a one. */
static inline void
be_away_when(const char *table, const char *condition)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    postgres_kit_run(postgres, arena_format(arena,
                                            "CREATE FUNCTION public.be_away() RETURNS trigger LANGUAGE plpgsql AS "
                                            "'BEGIN RAISE EXCEPTION ''away'' USING ERRCODE = ''57P01''; END'; "
                                            "CREATE TRIGGER away BEFORE UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION public.be_away()",
                                            table, condition));
}

static inline void
be_back(void)
{
    postgres_kit_run(postgres, "DROP FUNCTION public.be_away() CASCADE");
}

/* ---- the gateway ---- */

static const struct profile profiles[] = {{"classic", "Web Server", 90}, {"short", "Web Server, short", 6}};

static inline char *
read_whole(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 65536);

    if (file == NULL)
        fail_msg("%s cannot be read; run the tests from the top of the tree", path);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

/* Those statements of the one table of rights that are about this role. */
static inline void
grant_rights_of(const char *role)
{
    char *text = read_whole("deploy/database/grants.sql");
    char *rest = text;

    for (char *statement = strsep(&rest, ";"); statement != NULL; statement = strsep(&rest, ";"))
        if (strstr(statement, "GRANT") != NULL && strstr(statement, role) != NULL && strstr(statement, "DO $$") == NULL)
            postgres_kit_run(postgres, strstr(statement, "GRANT"));
    free(text);
}

/* All that there are, in the order of their numbers. */
static inline void
run_migrations(void)
{
    glob_t found;

    assert_int_equal(glob("services/acme-gw/sql/*.sql", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *tables = read_whole(found.gl_pathv[i]);
        postgres_kit_run(postgres, tables);
        free(tables);
    }
    globfree(&found);
}

static inline void
open_database(void)
{
    postgres = postgres_kit_start();
    run_migrations();
    postgres_kit_run(
        postgres, "CREATE SCHEMA ra; CREATE TABLE ra.issued_certificate (serial bytea, expiry_month int, issuer text, certificate bytea, "
                  "issued_at timestamptz DEFAULT now(), account_id text);"
                  "CREATE TABLE ra.certificate_status (serial bytea, expiry_month int, issuer text, not_after timestamptz, revoked_at timestamptz, "
                  "reason smallint)");
    postgres_kit_run(postgres, "CREATE ROLE acme_gw LOGIN");
    grant_rights_of("acme_gw");
    struct db_options options = {.name = "acme-gw", .url = postgres_kit_url_of_role(postgres, "acme_gw"), .password_file = "", .connections = 4};
    assert_int_equal(db_open(process_rq, &options, &gateway.db), OK);
}

/* Here and in the database. */
static inline void
gateway_forget_chains(void)
{
    postgres_kit_run(postgres, "TRUNCATE acme.chain");
    stored_chains_free(gateway.stored_chains);
    gateway.stored_chains = stored_chains_new();
}

static inline void
decorate_and_note(void *context, struct http_exchange *x)
{
    beyond.answered_on_loop = x->on_loop;
    acme_decorate(context, x);
}

static inline int
open_gateway(void **state)
{
    process_rq = request_new();
    open_database();
    gateway.config = (struct acme_config){.listen = "127.0.0.1:0",
                                          .url = "http://acme.example",
                                          .tls_cert_file = "",
                                          .template_name = "Web Server",
                                          .issuer = "",
                                          .validity_days = 90,
                                          .terms_url = "",
                                          .website = "",
                                          .caa_identities = "acme.example, ca.example"};
    gateway.nonces = nonces_new(bytes_of_text("0123456789abcdef0123456789abcdef"));
    gateway.new_orders = commit_queue_new_in_turn(store_insert_orders, &gateway);
    gateway.finalizing = commit_queue_new(finalize_together, &gateway);
    gateway.moves = commit_queue_new_in_turn(store_move_batch, &gateway);
    gateway.leaders = workers_new("together", 2 * COMMIT_LEADERS, 2 * COMMIT_LEADERS, NULL);
    commit_queue_lead_on(gateway.new_orders, gateway.leaders);
    commit_queue_lead_on(gateway.finalizing, gateway.leaders);
    gateway.accounts = account_cache_new();
    gateway.certificates = certificate_cache_new();
    gateway.stored_chains = stored_chains_new();
    gateway.authorizations = authorization_cache_new();
    gateway.policies = snapshot_slot_new();
    gateway.secrets = secret_box_new(bytes_of_text("fedcba9876543210fedcba9876543210"));
    sem_init(&validator_gate, 0, 0);
    gateway.validators = workers_new("validation", 1, 1, NULL);
    gateway.validations = &validations;
    gateway.finalizations = &finalizations;
    gateway.stars = &stars;
    gateway.profiles = profiles;
    gateway.profile_count = sizeof profiles / sizeof profiles[0];
    acme_name_urls(&gateway, process_rq->arena);
    struct http_server_options options = {.name = "acme",
                                          .listen = "127.0.0.1:0",
                                          .routes = acme_routes,
                                          .route_count = acme_route_count,
                                          .context = &gateway,
                                          .render_failure = problem_render,
                                          .decorate = decorate_and_note,
                                          .workers = 4,
                                          .body_max = ACME_BODY_MAX,
                                          .quiet = true};
    assert_int_equal(http_server_open(process_rq, &options, &server), OK);
    return 0;
}

static inline int
close_gateway(void **state)
{
    http_server_close(server, 2000);
    workers_free(gateway.leaders);
    workers_free(gateway.validators);
    snapshot_slot_free(gateway.policies);
    secret_box_free(gateway.secrets);
    stored_chains_free(gateway.stored_chains);
    certificate_cache_free(gateway.certificates);
    authorization_cache_free(gateway.authorizations);
    db_close(gateway.db);
    account_cache_free(gateway.accounts);
    commit_queue_free(gateway.new_orders);
    commit_queue_free(gateway.moves);
    nonces_free(gateway.nonces);
    request_free(process_rq);
    postgres_kit_stop(postgres);
    return 0;
}

/* Policies are rows; what NOTIFY brings about elsewhere is done by hand here. */
static inline void
run_and_reload(const char *sql)
{
    AUTO_STRUCT(request, rq) = request_new();

    postgres_kit_run(postgres, sql);
    assert_int_equal(policies_reload(&gateway, rq), OK);
}

/* ---- a client ---- */

struct client {
    struct arena *arena;
    EVP_PKEY *key;
    const char *kid; /* NULL before it has an account */
    struct http_kit *http;
};

static inline struct client
client_new(void)
{
    return (struct client){.arena = arena_new(), .key = kit_key("p256"), .http = http_kit_connect(http_server_port(server))};
}

static inline void
client_free(struct client *client)
{
    http_kit_free(client->http);
    EVP_PKEY_free(client->key);
    arena_free(client->arena);
}

#define CLIENT(name) __attribute__((cleanup(client_free))) struct client name = client_new()

static inline const char *
path_of(const char *url)
{
    return text_starts_with(url, gateway.base_url) ? url + strlen(gateway.base_url) : url;
}

static inline const char *
client_nonce(struct client *client)
{
    return nonce_mint(gateway.nonces, client->arena);
}

static inline const struct http_kit_reply *
client_send(struct client *client, const char *path, const char *content_type, const char *body)
{
    http_kit_say(client->http,
                 arena_format(client->arena, "POST %s HTTP/1.1\r\nHost: acme.example\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", path,
                              content_type, strlen(body), body));
    return http_kit_reply(client->http);
}

static inline const char *
client_algorithm(const struct client *client)
{
    int bits = EVP_PKEY_get_bits(client->key);
    return EVP_PKEY_is_a(client->key, "RSA") ? "RS256" : bits == 384 ? "ES384" : bits == 521 ? "ES512" : "ES256";
}

static inline const char *
client_jws(struct client *client, const char *path, const char *payload, bool with_jwk)
{
    const char *who = with_jwk || client->kid == NULL ? arena_format(client->arena, "\"jwk\":%s", jose_jwk(client->arena, client->key))
                                                      : arena_format(client->arena, "\"kid\":\"%s\"", client->kid);
    const char *algorithm = client_algorithm(client);
    const char *header = arena_format(client->arena, "{\"alg\":\"%s\",\"nonce\":\"%s\",\"url\":\"%s%s\",%s}", algorithm, client_nonce(client),
                                      gateway.base_url, path, who);
    return jose_jws(client->arena, client->key, algorithm, header, payload);
}

/* An URL or a path; payload "" is POST-as-GET. */
static inline const struct http_kit_reply *
client_post(struct client *client, const char *url, const char *payload)
{
    return client_send(client, path_of(url), "application/jose+json", client_jws(client, path_of(url), payload, false));
}

struct at_once {
    size_t done, refused; /* 201, and the status of the refusal */
};

struct racer {
    struct client client;
    const char *path, *payload;
    int status;
};

static inline void *
race(void *argument)
{
    struct racer *racer = argument;
    racer->status = client_post(&racer->client, racer->path, racer->payload)->status;
    return NULL;
}

/* The same request, so many times at one moment. */
static inline struct at_once
client_post_at_once(const struct client *client, const char *path, const char *payload, size_t count, int refusal)
{
    struct racer *racers = arena_array(client->arena, count, sizeof *racers);
    pthread_t *threads = arena_array(client->arena, count, sizeof *threads);
    struct at_once found = {0, 0};

    for (size_t i = 0; i < count; i++) {
        racers[i] = (struct racer){.client = *client, .path = path, .payload = payload};
        racers[i].client.arena = arena_new();
        racers[i].client.http = http_kit_connect(http_server_port(server));
    }
    for (size_t i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, race, &racers[i]);
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        found.done += racers[i].status == 201;
        found.refused += racers[i].status == refusal;
        http_kit_free(racers[i].client.http);
        arena_free(racers[i].client.arena);
    }
    return found;
}

static inline const char *
member(struct client *client, const struct http_kit_reply *reply, const char *name)
{
    const char *text = json_text(json_parse_object(client->arena, BYTES(reply->body, reply->body_len)), name);
    return text == NULL ? "" : text;
}

static inline const char *
first_of(struct client *client, const struct http_kit_reply *reply, const char *name)
{
    const json_t *list = json_object_get(json_parse_object(client->arena, BYTES(reply->body, reply->body_len)), name);
    const char *text = json_string_value(json_array_get(list, 0));
    return text == NULL ? "" : text;
}

static inline const char *
header_of(struct client *client, const struct http_kit_reply *reply, const char *name)
{
    const char *value = http_kit_header(reply, name);
    return value == NULL ? "" : arena_text(client->arena, value);
}

/* A problem document of this type, with what every answer carries. */
static inline void
assert_problem(struct client *client, const struct http_kit_reply *reply, int status, const char *type)
{
    const char *found = member(client, reply, "type");

    if (reply->status != status || !text_ends_with(found, type))
        fail_msg("%d %s, not %d %s: %.*s", reply->status, found, status, type, (int)reply->body_len, reply->body);
    assert_string_equal(header_of(client, reply, "Content-Type"), problem_media_type);
    assert_int_equal(strlen(header_of(client, reply, "Replay-Nonce")), NONCE_LEN);
}

static inline void
assert_status(const struct http_kit_reply *reply, int status)
{
    if (reply->status != status)
        fail_msg("%d, not %d: %.*s", reply->status, status, (int)reply->body_len, reply->body);
}

static inline void
client_register(struct client *client)
{
    const struct http_kit_reply *reply = client_post(client, "/acme/new-account", "{\"termsOfServiceAgreed\":true}");
    assert_status(reply, 201);
    client->kid = header_of(client, reply, "Location");
}

struct made_order {
    const char *url, *authorization, *finalize, *challenge;
};

static inline struct made_order
client_order_of(struct client *client, const char *type, const char *name)
{
    struct made_order made;
    const struct http_kit_reply *reply =
        client_post(client, "/acme/new-order", arena_format(client->arena, "{\"identifiers\":[{\"type\":\"%s\",\"value\":\"%s\"}]}", type, name));

    assert_status(reply, 201);
    made.url = header_of(client, reply, "Location");
    made.authorization = arena_text(client->arena, first_of(client, reply, "authorizations"));
    made.finalize = arena_text(client->arena, member(client, reply, "finalize"));
    reply = client_post(client, made.authorization, "");
    assert_status(reply, 200);
    const json_t *list = json_object_get(json_parse_object(client->arena, BYTES(reply->body, reply->body_len)), "challenges");
    made.challenge = arena_text(client->arena, json_text(json_array_get(list, 0), "url"));
    return made;
}

static inline struct made_order
client_order(struct client *client, const char *name)
{
    return client_order_of(client, "dns", name);
}

static inline const char *
client_status_of(struct client *client, const char *url)
{
    const struct http_kit_reply *reply = client_post(client, url, "");

    assert_status(reply, 200);
    return member(client, reply, "status");
}

/* Validations run on a thread of the gateway: the status comes soon. */
static inline void
wait_for_status(struct client *client, const char *url, const char *status)
{
    const struct http_kit_reply *reply = NULL;

    for (int i = 0; i < 2000; i++) {
        reply = client_post(client, url, "");
        assert_status(reply, 200);
        if (strcmp(member(client, reply, "status"), status) == 0)
            return;
        clock_sleep_ms(5);
    }
    fail_msg("%s is not %s: %.*s", url, status, (int)reply->body_len, reply->body);
}

static inline void
wait_until_postponed(void)
{
    for (int i = 0; i < 2000; i++) {
        char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.challenge WHERE status = 'processing' AND lease_holder IS NULL");
        bool postponed = strcmp(count, "1") == 0;
        free(count);
        if (postponed)
            return;
        clock_sleep_ms(5);
    }
    fail_msg("the validation was not postponed");
}

static inline struct made_order
client_ready_order(struct client *client, const char *name)
{
    struct made_order made = client_order(client, name);

    assert_status(client_post(client, made.challenge, "{}"), 200);
    wait_for_status(client, made.url, "ready");
    return made;
}

static inline const char *
client_csr(struct client *client, EVP_PKEY *key, const char *names)
{
    struct bytes der = kit_csr(client->arena, &(struct kit_csr){.key = key, .subject = "/", .names = names});
    return arena_format(client->arena, "{\"csr\":\"%s\"}", base64url_encode(client->arena, der));
}

#endif
