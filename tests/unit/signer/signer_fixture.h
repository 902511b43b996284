/*
 * A whole signer for its unit tests, but for the bus: a real PostgreSQL under the service's own role and rights, a real SoftHSM token behind real
 * hsm-worker processes (disturbed through softhsm_kit), and the contracts called as functions. What goes to the outbox is read from its table.
 */
#ifndef SIGNET_TESTS_UNIT_SIGNER_FIXTURE_H
#define SIGNET_TESTS_UNIT_SIGNER_FIXTURE_H

#include "unit/kit.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ocsp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "kit/pki_kit.h"
#include "kit/postgres_kit.h"
#include "kit/softhsm_kit.h"
#include "link/message.h"
#include "pki/name.h"
#include "pki/serial.h"
#include "signer.h"

#define DAY_S INT64_C(86400)

static struct postgres_kit *postgres;
static struct softhsm_kit *softhsm;
static struct signer signer;
static EVP_PKEY *warrant_key;

/* ---- seams: the relay needs a bus, the row does not ---- */

struct db_step
outbox_step(struct outbox *outbox, struct request *rq, const char *event_id, const char *subject, const ProtobufCMessage *event)
{
    static const struct db_statement insert = {"test_outbox", "INSERT INTO ca.outbox (event_id, subject, body) VALUES ($1, $2, $3)"};
    struct db_value *values = arena_array(rq->arena, 3, sizeof *values);

    values[0] = DB_TEXT(event_id);
    values[1] = DB_TEXT(subject);
    values[2] = DB_BYTES(message_pack(rq->arena, event));
    return (struct db_step){.statement = &insert, .values = values, .value_count = 3};
}

void
outbox_wake(struct outbox *outbox)
{
}

/* ---- the house ---- */

static inline void
run_file(const char *path)
{
    static char sql[256 * 1024];
    FILE *file = fopen(path, "re");

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
    for (int number = 1; number < 100; number++) {
        char pattern[64];
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

static inline void
open_signer(void)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct db_options options = {.name = "signer", .url = postgres_kit_url_of_role(postgres, "signer"), .password_file = "", .connections = 4};

    signer = (struct signer){
        .config = {.hsm_token = "signet", .ocsp_url = "http://ocsp.example/ocsp", .publish_url = "http://pki.example", .responder_days = 30}};
    signer_init(&signer);
    assert_int_equal(db_open(rq, &options, &signer.db), OK);
    signer.hsm = hsm_pool_open(&(struct hsm_pool_options){.worker_file = softhsm_kit_worker_file(softhsm),
                                                          .module = softhsm_kit_module(softhsm),
                                                          .token = "signet",
                                                          .pin_file = softhsm_kit_pin_file(softhsm),
                                                          .workers = 2,
                                                          .queue_limit = 64,
                                                          .start_ms = 10000,
                                                          .operation_ms = 5000,
                                                          .generate_ms = 30000,
                                                          .retire_after = 1000000});
    assert_int_equal(EVP_PKEY_up_ref(warrant_key), 1);
    signer.warrant_keys[signer.warrant_key_count++] = warrant_key;
}

static inline void
close_signer(void)
{
    hsm_pool_close(signer.hsm);
    db_close(signer.db);
    signer_free(&signer);
}

/* As after kill -9: what was only in memory is gone. */
static inline void
restart_signer(void)
{
    close_signer();
    open_signer();
}

static inline int
start_house(void **state)
{
    postgres = postgres_kit_start();
    softhsm = softhsm_kit_start();
    migrate_all();
    warrant_key = kit_key("ed25519");
    open_signer();
    return 0;
}

static inline int
stop_house(void **state)
{
    close_signer();
    EVP_PKEY_free(warrant_key);
    softhsm_kit_stop(softhsm);
    postgres_kit_stop(postgres);
    return 0;
}

static inline long
ask_number(const char *sql)
{
    char *text = postgres_kit_ask(postgres, sql);
    long number = strtol(text, NULL, 10);

    free(text);
    return number;
}

/* ---- CAs ---- */

static inline Pb__CreateCaRequest
ca_request(const char *name, const char *key_type, const char *parent)
{
    Pb__CreateCaRequest request = PB__CREATE_CA_REQUEST__INIT;

    request.name = name;
    request.common_name = name;
    request.organization = "Example";
    request.country = "DE";
    request.key_type = key_type;
    request.validity_days = text_is_empty(parent) ? 3650 : 1800;
    request.path_length = -1;
    request.parent = parent;
    return request;
}

/* In rq's arena. */
static inline const Pb__Ca *
make_ca(struct request *rq, const char *name, const char *key_type, const char *parent)
{
    Pb__CreateCaRequest request = ca_request(name, key_type, parent);
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    if (create_ca(&signer, rq, &request, &reply) != OK)
        fail_msg("%s: %s (%s)", name, rq->failure.message, rq->failure.detail);
    return reply.ca;
}

static inline X509 *
x509_of(struct bytes der)
{
    const uint8_t *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);

    assert_non_null(certificate);
    assert_ptr_equal(at, der.at + der.len);
    return certificate;
}

/* OpenSSL's verdict on `certificate` below `issuers` (nearest first, root last). */
static inline bool
openssl_verifies_with(struct bytes certificate, const struct bytes *issuers, size_t count, unsigned long flags)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    X509 *leaf = x509_of(certificate), *root = x509_of(issuers[count - 1]);

    for (size_t i = 0; i + 1 < count; i++)
        sk_X509_push(between, x509_of(issuers[i]));
    X509_STORE_add_cert(store, root);
    X509_STORE_CTX_init(context, store, leaf, between);
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), flags);
    bool good = X509_verify_cert(context) == 1;
    if (!good)
        print_error("openssl: %s\n", X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    sk_X509_pop_free(between, X509_free);
    X509_free(leaf);
    X509_free(root);
    return good;
}

static inline bool
openssl_verifies(struct bytes certificate, const struct bytes *issuers, size_t count)
{
    return openssl_verifies_with(certificate, issuers, count, X509_V_FLAG_X509_STRICT);
}

static inline struct bytes
common_name(struct arena *arena, const char *value)
{
    struct name_part part = {.type = OID_COMMON_NAME, .value = value};

    return name_encode(arena, &part, 1);
}

#endif
