/*
 * The responder on a real PostgreSQL, under its own role and rights, with ra's tables; a fake signer takes the place of the bus (the seam rpc_call),
 * and exchanges are made by hand (the seams http_header_in and http_defer). Each case begins with empty tables and an empty cache.
 */
#ifndef SIGNET_TESTS_UNIT_OCSP_RESPONDER_FIXTURE_H
#define SIGNET_TESTS_UNIT_OCSP_RESPONDER_FIXTURE_H

#include "unit/kit.h"

#include <stdio.h>
#include <string.h>

#include <openssl/ocsp.h>

#include "base/clock.h"
#include "base/text.h"
#include "kit/pki_kit.h"
#include "kit/postgres_kit.h"
#include "link/rpc.h"
#include "ocsp_responder.h"
#include "pki/serial.h"

DEFINE_AUTO(X509, X509_free);
DEFINE_AUTO(OCSP_REQUEST, OCSP_REQUEST_free);

#define DAY_S 86400

/* ---- the signer ---- */

struct fake_signer {
    struct arena *arena;
    EVP_PKEY *key, *other_key;
    struct bytes root, issuing, other; /* certificates of CAs; `root` issued `issuing` */
    enum error failing;
    int signed_responses, lists;
    int64_t responder_not_after_s; /* 0: later than any answer */
    Pb__CertStatus last_status;    /* of the first CertID of the last response */
    size_t last_count;
    const char *last_issuer;
    struct bytes last_nonce;
    struct bytes stranger;                /* of issuers_test.c */
    void (*while_listing)(void *context); /* called once, when the list is made and not yet answered */
    void *while_listing_context;
    void (*while_signing)(void *context);
    void *while_signing_context;
    const char *revoked_ca; /* NULL: none */
};
static struct fake_signer signer;

static inline Pb__Ca *
fake_ca(struct request *rq, const char *name, const char *parent, struct bytes certificate)
{
    Pb__Ca *ca = arena_alloc(rq->arena, sizeof *ca);

    pb__ca__init(ca);
    ca->name = name;
    ca->parent = parent;
    ca->certificate = message_data(certificate);
    if (text_equal(name, signer.revoked_ca)) {
        ca->revoked_at_s = 1700000000;
        ca->revocation_reason = PB__REVOCATION_REASON__REVOCATION_REASON_CA_COMPROMISE;
    }
    return ca;
}

static inline const ProtobufCMessage *
fake_list(struct request *rq)
{
    Pb__ListCasReply *reply = arena_alloc(rq->arena, sizeof *reply);

    pb__list_cas_reply__init(reply);
    reply->cas = arena_array(rq->arena, 4, sizeof *reply->cas);
    reply->cas[reply->n_cas++] = fake_ca(rq, "waiting", "", BYTES_NONE);
    reply->cas[reply->n_cas++] = fake_ca(rq, "root", "", signer.root);
    reply->cas[reply->n_cas++] = fake_ca(rq, "issuing", "root", signer.issuing);
    if (signer.other.at != NULL)
        reply->cas[reply->n_cas++] = fake_ca(rq, "other", "", signer.other);
    signer.lists++;
    return &reply->base;
}

static inline const ProtobufCMessage *
fake_sign(struct request *rq, const Pb__SignOcspRequest *request)
{
    Pb__SignOcspReply *reply = arena_alloc(rq->arena, sizeof *reply);

    pb__sign_ocsp_reply__init(reply);
    signer.signed_responses++;
    signer.last_status = request->statuses[0]->status;
    signer.last_count = request->n_statuses;
    signer.last_issuer = arena_text(signer.arena, request->issuer);
    signer.last_nonce = bytes_copy(signer.arena, BYTES(request->nonce.data, request->nonce.len));
    reply->response = message_data(bytes_of_text(arena_format(rq->arena, "response %d", signer.signed_responses)));
    reply->produced_at_s = clock_now_s();
    reply->responder_not_after_s = signer.responder_not_after_s ? signer.responder_not_after_s : request->next_update_s + DAY_S;
    if (signer.while_signing != NULL)
        signer.while_signing(signer.while_signing_context);
    return &reply->base;
}

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    assert_ptr_equal(callee, &pb__signer__descriptor);
    if (signer.failing != OK)
        return fail(rq, signer.failing, "the fake signer fails");
    if (!text_equal(method, "ListCas")) {
        *ret_reply = fake_sign(rq, (const Pb__SignOcspRequest *)input);
        return OK;
    }
    *ret_reply = fake_list(rq);
    void (*while_listing)(void *) = TAKE(signer.while_listing);
    if (while_listing != NULL)
        while_listing(signer.while_listing_context);
    return OK;
}

static inline void
start_signer(void)
{
    signer = (struct fake_signer){.arena = arena_new(), .key = kit_key("p256"), .other_key = kit_key("p256")};
    signer.root = kit_certificate(signer.arena, &(struct kit_certificate){.key = signer.key, .subject = "/CN=Root", .is_ca = true});
    signer.issuing = kit_certificate(
        signer.arena, &(struct kit_certificate){
                          .key = signer.other_key, .subject = "/CN=Issuing", .issuer_der = signer.root, .issuer_key = signer.key, .is_ca = true});
}

static inline void
stop_signer(void)
{
    EVP_PKEY_free(signer.key);
    EVP_PKEY_free(signer.other_key);
    arena_free(signer.arena);
}

/* ---- requests ---- */

static inline X509 *
x509_of(struct bytes der)
{
    const unsigned char *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);

    assert_non_null(certificate);
    return certificate;
}

static inline void
ask_about(OCSP_REQUEST *request, struct bytes issuer_der, struct bytes serial, const EVP_MD *digest)
{
    AUTO(X509, issuer) = x509_of(issuer_der);
    BIGNUM *magnitude = BN_bin2bn(serial.at, (int)serial.len, NULL);
    ASN1_INTEGER *number = BN_to_ASN1_INTEGER(magnitude, NULL);

    assert_non_null(OCSP_request_add0_id(request, OCSP_cert_id_new(digest, X509_get_subject_name(issuer), X509_get0_pubkey_bitstr(issuer), number)));
    ASN1_INTEGER_free(number);
    BN_free(magnitude);
}

static inline struct bytes
request_der(struct arena *arena, OCSP_REQUEST *request)
{
    unsigned char *der = NULL;
    int len = i2d_OCSP_REQUEST(request, &der);
    struct bytes copy = bytes_copy(arena, BYTES(der, (size_t)len));

    OPENSSL_free(der);
    return copy;
}

static inline struct bytes
request_for(struct arena *arena, struct bytes issuer, struct bytes serial)
{
    AUTO(OCSP_REQUEST, request) = OCSP_REQUEST_new();

    ask_about(request, issuer, serial, EVP_sha1());
    return request_der(arena, request);
}

/* ---- the database ---- */

static struct postgres_kit *postgres;

static inline int
start_servers(void **state)
{
    postgres = postgres_kit_start();
    postgres_kit_run_file(postgres, "services/ra/sql/001_tables.sql");
    postgres_kit_grant(postgres, "ocsp_responder");
    start_signer();
    return 0;
}

static inline int
stop_servers(void **state)
{
    stop_signer();
    postgres_kit_stop(postgres);
    return 0;
}

/* ---- a case ---- */

/* They live as long as their process; a case leaves them empty. */
static struct cache *cache;
static struct recent *recent;
static struct issuers *issuers;

struct fixture {
    struct responder responder;
    struct request *rq;
    struct db *away; /* a database that is not there */
};

static inline struct db *
open_database(struct request *rq, const char *url)
{
    struct db_options options = {.name = "ocsp-responder", .url = url, .password_file = "", .connections = 2};
    struct db *db = NULL;

    assert_int_equal(db_open(rq, &options, &db), OK);
    return db;
}

static inline int
open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct responder *responder = &fixture->responder;

    postgres_kit_run(postgres, "TRUNCATE ra.certificate, ra.revocation");
    signer.failing = OK;
    signer.signed_responses = signer.lists = 0;
    signer.responder_not_after_s = 0;
    signer.while_signing = NULL;
    signer.other = BYTES_NONE;
    fixture->rq = request_new();
    fixture->away = open_database(fixture->rq, "host=/nonexistent connect_timeout=2");
    responder->db = open_database(fixture->rq, postgres_kit_url_of_role(postgres, "ocsp_responder"));
    responder->config = (struct responder_config){.validity_s = 14400, .max_age_s = 300};
    if (cache == NULL) {
        cache = cache_new(1000);
        recent = recent_new();
        issuers = issuers_new();
    }
    responder->cache = cache;
    responder->recents = &recent;
    responder->issuers = issuers;
    responder->live = true;
    responder->unshared = rate_limiter_new(0, 1);
    responder->refusals = metric_counter("refusals", "", NULL, NULL);
    responder->hits = metric_counter("hits", "", NULL, NULL);
    responder->misses = metric_counter("misses", "", NULL, NULL);
    responder->rechecks = metric_counter("rechecks", "", NULL, NULL);
    assert_int_equal(issuers_refresh(responder, fixture->rq), OK);
    *state = fixture;
    return 0;
}

static inline int
close_fixture(void **state)
{
    struct fixture *fixture = *state;

    cache_clear(cache);
    rate_limiter_free(fixture->responder.unshared);
    db_close(fixture->away);
    db_close(fixture->responder.db);
    request_free(fixture->rq);
    free(fixture);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

/* A certificate of "issuing" that ra knows. */
static inline struct bytes
issue(struct arena *arena)
{
    struct serial serial = serial_new(clock_now_s() + 90 * DAY_S);
    int month = 0;

    assert_true(serial_parse(BYTES(serial.octets, SERIAL_LEN), &month));
    postgres_kit_run(postgres, arena_format(arena,
                                            "SELECT ra.ensure_partition(%d);"
                                            "INSERT INTO ra.certificate (expiry_month, serial, issuer, template, certificate, not_before, not_after,"
                                            " intent_id, channel, principal_kind, principal_id, owner)"
                                            " VALUES (%d, '\\x%s', 'issuing', '', '', now(), now() + interval '90 days', '', '', '', '', '')",
                                            month, month, bytes_hex(arena, BYTES(serial.octets, SERIAL_LEN), 0)));
    return bytes_copy(arena, BYTES(serial.octets, SERIAL_LEN));
}

static inline void
mark_revoked(struct arena *arena, struct bytes serial)
{
    postgres_kit_run(postgres,
                     arena_format(arena,
                                  "INSERT INTO ra.revocation SELECT expiry_month, serial, issuer, '2026-01-02 03:04:05Z', 4, NULL, not_after, '', '',"
                                  " '', '' FROM ra.certificate WHERE serial = '\\x%s'",
                                  bytes_hex(arena, serial, 0)));
}

#define assert_ok(rq, call)                                                                                    \
    do {                                                                                                       \
        enum error assert_ok_error = (call);                                                                   \
        if (assert_ok_error != OK)                                                                             \
            fail_msg("%s: %s (%s)", error_name(assert_ok_error), (rq)->failure.message, (rq)->failure.detail); \
    } while (0)

#endif
