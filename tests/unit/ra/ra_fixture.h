/*
 * The registration authority on a real PostgreSQL, under its own role and rights, with every migration of the house; a fake signer takes the
 * place of the bus (the seam rpc_call) and makes real certificates. Each case begins with empty tables.
 */
#ifndef SIGNET_TESTS_UNIT_RA_FIXTURE_H
#define SIGNET_TESTS_UNIT_RA_FIXTURE_H

#include "unit/kit.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/clock.h"
#include "base/text.h"
#include "kit/pki_kit.h"
#include "kit/postgres_kit.h"
#include "link/message.h"
#include "pki/audit_chain.h"
#include "pki/merkle.h"
#include "pki/name.h"
#include "ra.h"

#define ISSUER "test-issuing"
#define DAY_S 86400

/* ---- the signer ------------------------------------------------------------------------------------------------------------------------ */

struct fake_signer {
    pthread_mutex_t mutex;
    EVP_PKEY *key;
    EVP_PKEY *warrant_key;
    struct arena *arena;
    struct bytes certificate, root; /* of the issuing CA and of the one above it */
    Pb__Template *templates[8];
    size_t template_count;
    enum error failing; /* what calls to sign answer with; OK: they sign */
    enum error directory_failing;
    const char *failing_message;
    const char *refused_name; /* intents with this name are refused, others of the same call are signed */
    size_t most_at_once;      /* 0: any number */
    int calls, signed_certificates, signed_heads, directory_reads;
    bool answers_another;                 /* gives a certificate, or a head, that is not what was asked */
    void (*before_answer)(void *context); /* called once, after signing, with the answer on its way */
    void *before_answer_context;
    struct bytes last_serial; /* in `arena` */
};

static struct fake_signer signer = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static int outbox_wakes, outbox_soon_wakes;

void
outbox_wake(struct outbox *outbox)
{
    __atomic_add_fetch(&outbox_wakes, 1, __ATOMIC_SEQ_CST);
}

void
outbox_wake_soon(struct outbox *outbox)
{
    __atomic_add_fetch(&outbox_soon_wakes, 1, __ATOMIC_SEQ_CST);
}

static inline Pb__Template *
fake_template(const char *name)
{
    static const char *key_types[] = {"rsa", "p256"};
    static Pb__NameType name_types[] = {PB__NAME_TYPE__NAME_TYPE_DNS, PB__NAME_TYPE__NAME_TYPE_IP};
    Pb__Template *template = arena_alloc(signer.arena, sizeof *template);

    pb__template__init(template);
    template->name = name;
    template->version = 3;
    template->enabled = true;
    template->validity_days = 90;
    template->key_types = key_types;
    template->n_key_types = COUNT_OF(key_types);
    template->min_rsa_bits = 2048;
    template->name_types = name_types;
    template->n_name_types = COUNT_OF(name_types);
    template->san_required = true;
    template->subject = "common-name";
    template->backdate_s = 3600;
    template->max_names = 10;
    template->path_length = -1;
    signer.templates[signer.template_count++] = template;
    return template;
}

static inline void
start_signer(void)
{
    signer.arena = arena_new();
    signer.key = kit_key("p256");
    signer.warrant_key = kit_key("ed25519");
    signer.root = kit_certificate(signer.arena, &(struct kit_certificate){.key = signer.key, .subject = "/CN=Test Root", .is_ca = true});
    signer.certificate = kit_certificate(signer.arena, &(struct kit_certificate){.key = signer.key,
                                                                                 .subject = "/CN=Test Issuing",
                                                                                 .issuer_der = signer.root,
                                                                                 .issuer_key = signer.key,
                                                                                 .is_ca = true,
                                                                                 .not_before_s = clock_now_s() - DAY_S,
                                                                                 .not_after_s = clock_now_s() + 3650LL * DAY_S});
    fake_template("Web Server");
    Pb__Template *code = fake_template("Code-Signing");
    code->n_name_types = 0;
    code->san_required = false;
    code->subject = "csr";
    code->requires_approval = true;
}

static inline const ProtobufCMessage *
fake_list_cas(struct request *rq)
{
    Pb__ListCasReply *reply = arena_alloc(rq->arena, sizeof *reply);
    Pb__Ca *ca = arena_alloc(rq->arena, sizeof *ca);

    pb__list_cas_reply__init(reply);
    pb__ca__init(ca);
    ca->name = ISSUER;
    ca->status = "active";
    ca->is_default = true;
    ca->certificate = message_data(signer.certificate);
    ca->chain = arena_array(rq->arena, 1, sizeof *ca->chain);
    ca->chain[0] = message_data(signer.root);
    ca->n_chain = 1;
    reply->cas = arena_array(rq->arena, 1, sizeof(Pb__Ca *));
    reply->cas[0] = ca;
    reply->n_cas = 1;
    signer.directory_reads++;
    return &reply->base;
}

static inline const ProtobufCMessage *
fake_list_templates(struct request *rq)
{
    Pb__ListTemplatesReply *reply = arena_alloc(rq->arena, sizeof *reply);

    pb__list_templates_reply__init(reply);
    reply->templates = signer.templates;
    reply->n_templates = signer.template_count;
    return &reply->base;
}

/* As the real signer does: nothing is signed without a good warrant. */
static inline void
check_warrant(struct request *rq, const Pb__SignCertificatesRequest *request)
{
    struct buffer message = buffer_in(rq->arena);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t digest[32];

    buffer_append(&message, "signet-warrant-v2", sizeof "signet-warrant-v2");
    for (size_t i = 0; i < request->n_intents; i++)
        buffer_append(&message, SHA256(request->intents[i].data, request->intents[i].len, digest), sizeof digest);
    if (EVP_DigestVerifyInit(context, NULL, NULL, NULL, signer.warrant_key) != 1 ||
        EVP_DigestVerify(context, request->warrant.data, request->warrant.len, message.at, message.len) != 1)
        abort();
    EVP_MD_CTX_free(context);
}

static inline struct bytes
fake_certificate(struct request *rq, const Pb__CertificateIntent *intent)
{
    struct identifier names[16];
    struct certificate issuer;
    struct serial other = serial_new(intent->not_after_s);

    if (certificate_parse(rq, signer.certificate, &issuer) != OK || intent->n_names > COUNT_OF(names))
        abort();
    for (size_t i = 0; i < intent->n_names; i++)
        names[i] = (struct identifier){(enum identifier_type)intent->names[i]->type, intent->names[i]->value};
    struct certificate_plan plan = {
        .serial = signer.answers_another ? BYTES(other.octets, SERIAL_LEN) : message_bytes(intent->serial),
        .algorithm = SIG_ECDSA_SHA256,
        .issuer = issuer.subject,
        .subject = message_bytes(intent->subject),
        .not_before_s = intent->not_before_s,
        .not_after_s = intent->not_after_s,
        .spki = message_bytes(intent->public_key),
        .names = names,
        .name_count = intent->n_names,
    };
    struct bytes tbs = certificate_encode_tbs(rq->arena, &plan);
    return signed_join(rq->arena, tbs, SIG_ECDSA_SHA256, kit_sign(rq->arena, signer.key, EVP_sha256(), tbs));
}

static inline Pb__Signing *
fake_signing(struct request *rq, ProtobufCBinaryData packed)
{
    Pb__Signing *signing = arena_alloc(rq->arena, sizeof *signing);
    const Pb__CertificateIntent *intent =
        (const Pb__CertificateIntent *)message_unpack(rq->arena, &pb__certificate_intent__descriptor, message_bytes(packed));

    pb__signing__init(signing);
    if (signer.refused_name != NULL && text_equal(intent->names[0]->value, signer.refused_name)) {
        signing->error = "denied";
        signing->message = "the fake signer does not like this name";
        return signing;
    }
    pthread_mutex_lock(&signer.mutex);
    signer.signed_certificates++;
    signer.last_serial = bytes_copy(signer.arena, message_bytes(intent->serial));
    pthread_mutex_unlock(&signer.mutex);
    signing->certificate = message_data(fake_certificate(rq, intent));
    return signing;
}

static inline enum error
fake_sign_certificates(struct request *rq, const Pb__SignCertificatesRequest *request, const ProtobufCMessage **ret_reply)
{
    Pb__SignCertificatesReply *reply = arena_alloc(rq->arena, sizeof *reply);

    if (signer.failing != OK)
        return fail(rq, signer.failing, "%s", signer.failing_message != NULL ? signer.failing_message : "the fake signer fails");
    __atomic_add_fetch(&signer.calls, 1, __ATOMIC_SEQ_CST);
    if (signer.most_at_once > 0 && request->n_intents > signer.most_at_once)
        return fail(rq, ERR_BAD_REQUEST, "too many at once");
    check_warrant(rq, request);
    pb__sign_certificates_reply__init(reply);
    reply->n_signings = request->n_intents;
    reply->signings = arena_array(rq->arena, request->n_intents, sizeof(Pb__Signing *));
    for (size_t i = 0; i < request->n_intents; i++)
        reply->signings[i] = fake_signing(rq, request->intents[i]);
    pthread_mutex_lock(&signer.mutex);
    void (*before_answer)(void *) = TAKE(signer.before_answer);
    pthread_mutex_unlock(&signer.mutex);
    if (before_answer != NULL)
        before_answer(signer.before_answer_context);
    *ret_reply = &reply->base;
    return OK;
}

static inline enum error
fake_sign_head(struct request *rq, const Pb__SignAuditHeadRequest *request, const ProtobufCMessage **ret_reply)
{
    Pb__SignAuditHeadReply *reply = arena_alloc(rq->arena, sizeof *reply);
    struct merkle_hash *head = arena_alloc(rq->arena, sizeof *head);

    if (signer.failing != OK)
        return fail(rq, signer.failing, "the fake signer fails");
    struct audit_seal seal = {.seal = request->seal,
                              .first_position = request->first_position,
                              .last_position = request->last_position,
                              .sealed_at_us = request->sealed_at_us};
    memcpy(seal.root, request->root.data, sizeof seal.root);
    memcpy(seal.previous_head, request->previous_head.data, sizeof seal.previous_head);
    audit_head(&seal, head->octets);
    if (signer.answers_another)
        head->octets[0] ^= 1;
    pb__sign_audit_head_reply__init(reply);
    reply->head = message_data(BYTES(head->octets, 32));
    reply->signature = message_data(kit_sign(rq->arena, signer.key, EVP_sha256(), BYTES(head->octets, 32)));
    reply->public_key = message_data(kit_spki(rq->arena, signer.key));
    reply->key_uri = "pkcs11:token=test;object=audit";
    signer.signed_heads++;
    *ret_reply = &reply->base;
    return OK;
}

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    assert_ptr_equal(callee, &pb__signer__descriptor);
    if (text_equal(method, "SignCertificates"))
        return fake_sign_certificates(rq, (const Pb__SignCertificatesRequest *)input, ret_reply);
    if (text_equal(method, "SignAuditHead"))
        return fake_sign_head(rq, (const Pb__SignAuditHeadRequest *)input, ret_reply);
    if (signer.directory_failing != OK)
        return fail(rq, signer.directory_failing, "the fake signer is away");
    *ret_reply = text_equal(method, "ListCas") ? fake_list_cas(rq) : fake_list_templates(rq);
    return OK;
}

/* ---- the database ------------------------------------------------------------------------------------------------------------------------ */

static struct postgres_kit *postgres;

static inline void
run_file(const char *path)
{
    FILE *file = fopen(path, "re");
    static char sql[256 * 1024];

    assert_non_null(file);
    size_t len = fread(sql, 1, sizeof sql - 1, file);
    (void)fclose(file);
    sql[len] = '\0';
    postgres_kit_run(postgres, sql);
}

/* As signetctl migrate: by number first. */
static inline void
migrate_all(void)
{
    char pattern[64];

    for (int number = 1; number < 100; number++) {
        glob_t found;
        (void)snprintf(pattern, sizeof pattern, "services/*/sql/%03d_*.sql", number);
        if (glob(pattern, 0, NULL, &found) != 0)
            break;
        for (size_t i = 0; i < found.gl_pathc; i++)
            run_file(found.gl_pathv[i]);
        globfree(&found);
    }
    run_file("deploy/database/grants.sql");
}

static inline int64_t
ask_number(const char *sql)
{
    char *text = postgres_kit_ask(postgres, sql);
    int64_t number = strtoll(text, NULL, 10);

    free(text);
    return number;
}

static inline int
start_servers(void **state)
{
    postgres = postgres_kit_start();
    migrate_all();
    start_signer();
    return 0;
}

static inline int
stop_servers(void **state)
{
    EVP_PKEY_free(signer.key);
    EVP_PKEY_free(signer.warrant_key);
    arena_free(signer.arena);
    postgres_kit_stop(postgres);
    return 0;
}

/* ---- a case -------------------------------------------------------------------------------------------------------------------------------- */

struct fixture {
    struct ra ra;
    struct request *rq;
    EVP_PKEY *key; /* of the applicant */
};

static inline struct warrant_key *
load_warrant_key(struct request *rq)
{
    char path[] = "/tmp/signet-warrant-XXXXXX";
    int fd = mkstemp(path);
    const char *pem = kit_private_pem(rq->arena, signer.warrant_key);
    struct warrant_key *key = NULL;

    assert_true(fd >= 0 && write(fd, pem, strlen(pem)) == (ssize_t)strlen(pem));
    close(fd);
    assert_int_equal(warrant_key_load(rq, path, &key), OK);
    unlink(path);
    return key;
}

/* Another process of ra on the same database. */
static inline void
open_ra(struct ra *ra, struct request *rq)
{
    struct db_options options = {.name = "ra", .url = postgres_kit_url_of_role(postgres, "ra"), .password_file = "", .connections = 4};

    ra->config = (struct ra_config){.recover_after_s = 15};
    assert_int_equal(db_open(rq, &options, &ra->db), OK);
    ra->warrant_key = load_warrant_key(rq);
    ra->policy = snapshot_slot_new();
    ra->directory = snapshot_slot_new();
    ra->commits = commit_queue_new(issue_batch, ra);
}

static inline void
close_ra(struct ra *ra)
{
    db_close(ra->db);
    commit_queue_free(ra->commits);
    snapshot_slot_free(ra->directory);
    snapshot_slot_free(ra->policy);
    warrant_key_free(ra->warrant_key);
}

static inline int
open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    postgres_kit_run(postgres, "TRUNCATE ra.intent, ra.certificate, ra.revocation, ra.blocked_key, ra.outbox;"
                               "ALTER TABLE audit.record DISABLE TRIGGER ALL; ALTER TABLE audit.seal DISABLE TRIGGER ALL;"
                               "TRUNCATE audit.record RESTART IDENTITY; TRUNCATE audit.seal;"
                               "ALTER TABLE audit.record ENABLE TRIGGER ALL; ALTER TABLE audit.seal ENABLE TRIGGER ALL;"
                               "DELETE FROM ra.role WHERE name <> 'everyone'; DELETE FROM ra.asset;"
                               "UPDATE ra.role SET asset_required = false; DELETE FROM ra.role_name; DELETE FROM ra.role_template;"
                               "INSERT INTO ra.role_template VALUES ('everyone', '*'); INSERT INTO ra.role_name VALUES ('everyone', '*', true);");
    fixture->rq = request_new();
    open_ra(&fixture->ra, fixture->rq);
    fixture->key = kit_key("p256");
    signer.failing = signer.directory_failing = OK;
    signer.failing_message = signer.refused_name = NULL;
    signer.most_at_once = 0;
    signer.answers_another = false;
    signer.before_answer = NULL;
    signer.calls = signer.signed_certificates = signer.signed_heads = outbox_wakes = outbox_soon_wakes = 0;
    *state = fixture;
    return 0;
}

static inline int
close_fixture(void **state)
{
    struct fixture *fixture = *state;

    EVP_PKEY_free(fixture->key);
    close_ra(&fixture->ra);
    request_free(fixture->rq);
    free(fixture);
    return 0;
}

/* Events of issued certificates that wait in the outbox, bundled as they may be; each certificate's once. */
static inline size_t
count_announced(struct fixture *fixture)
{
    static const struct db_statement read_bundles = {
        "read_bundles", "SELECT body FROM ra.outbox WHERE subject = 'signet.event.certificate.issued' AND event_id LIKE 'bundle-%'"};
    struct db_options options = {.name = "test", .url = postgres_kit_url(postgres), .password_file = "", .connections = 1};
    AUTO_STRUCT(request, rq) = request_new();
    struct db_rows *rows;
    struct db *db;
    size_t count = 0;

    assert_int_equal(db_open(rq, &options, &db), OK);
    assert_int_equal(DB_QUERY0(db, rq, &read_bundles, &rows), OK);
    for (size_t i = 0; i < db_count(rows); i++) {
        const Pb__EventBundle *bundle = (const Pb__EventBundle *)message_unpack(rq->arena, &pb__event_bundle__descriptor, db_bytes(rows, i, 0));
        assert_non_null(bundle);
        for (size_t k = 0; k < bundle->n_events; k++) {
            const Pb__CertificateIssued *event =
                (const Pb__CertificateIssued *)message_unpack(rq->arena, &pb__certificate_issued__descriptor, message_bytes(bundle->events[k]->body));
            assert_non_null(event);
            assert_string_equal(bundle->events[k]->id, arena_format(rq->arena, "issued-%s", bytes_hex(rq->arena, message_bytes(event->serial), 0)));
        }
        count += bundle->n_events;
    }
    db_close(db);
    return count;
}

/* A good request, to be spoiled. In rq's arena. */
static inline Pb__EnrollRequest *
good_request(struct request *rq, EVP_PKEY *key, const char *idempotency_key, const char *name)
{
    Pb__EnrollRequest *request = arena_alloc(rq->arena, sizeof *request);
    Pb__Principal *principal = arena_alloc(rq->arena, sizeof *principal);
    char *names = arena_format(rq->arena, "DNS:%s", name);

    pb__enroll_request__init(request);
    pb__principal__init(principal);
    rq->caller = "acme-gw";
    principal->kind = "acme-account";
    principal->id = "alice";
    request->channel = "acme";
    request->idempotency_key = idempotency_key;
    request->csr = message_data(kit_csr(rq->arena, &(struct kit_csr){.key = key, .subject = "/", .names = names}));
    request->template_ = "Web Server";
    request->principal = principal;
    request->client_address = "192.0.2.1";
    return request;
}

static inline struct bytes
issue(struct fixture *fixture, const char *idempotency_key, const char *name)
{
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, idempotency_key, name), &reply), OK);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED);
    return message_bytes(reply.certificate);
}

#endif
