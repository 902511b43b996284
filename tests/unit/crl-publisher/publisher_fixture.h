/*
 * The publisher on a real PostgreSQL, under its own role and rights; a fake signer takes the place of the bus (the seam rpc_call) and signs real
 * CRLs, or those that the case wants. Each case begins with empty tables.
 */
#ifndef SIGNET_TESTS_UNIT_PUBLISHER_FIXTURE_H
#define SIGNET_TESTS_UNIT_PUBLISHER_FIXTURE_H

#include "unit/kit.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "crl_publisher.h"
#include "kit/pki_kit.h"
#include "kit/postgres_kit.h"
#include "link/rpc.h"
#include "pki/pem.h"

#define DAY_S 86400
#define ISSUER "test-issuing"

static struct postgres_kit *postgres;

/* ---- the signer ------------------------------------------------------------------------------------------------------------------------- */

struct fake_ca {
    const char *name;
    EVP_PKEY *key;
    struct bytes certificate;
};

struct fake_signer {
    struct arena *arena;
    struct fake_ca cas[4];
    size_t ca_count;
    enum error failing;
    /* What the next CRLs are like; zero: as they should be. */
    struct bytes number;
    const char *issuer_name;
    EVP_PKEY *key;
    int64_t this_update_s, next_update_s;
    bool with_garbage;
    bool with_another;  /* has taken the place of the one that is told of */
    struct bytes given; /* instead of one made here */
    size_t entries;
    int crls_signed, lists;
    struct bytes asked_after;      /* after_number of the last call */
    int64_t deadline_ms;           /* and its deadline */
    void (*during)(void *context); /* called once, while a CRL is being signed */
    void *during_context;
};

static struct fake_signer signer;

static inline struct fake_ca *
add_ca(const char *name, const char *subject)
{
    struct fake_ca *ca = &signer.cas[signer.ca_count++];

    assert_true(signer.ca_count <= COUNT_OF(signer.cas));
    ca->name = name;
    ca->key = kit_key("p256");
    ca->certificate = kit_certificate(signer.arena, &(struct kit_certificate){.key = ca->key, .subject = subject, .is_ca = true});
    return ca;
}

static inline struct bytes
make_crl(struct arena *arena, const struct fake_ca *ca, int64_t this_update_s, int64_t next_update_s, struct bytes number)
{
    struct crl_entry *entries = arena_array(arena, signer.entries, sizeof(*entries));
    struct certificate *certificate = arena_alloc(arena, sizeof(*certificate));
    AUTO_STRUCT(request, parsing) = request_new();
    size_t i;

    assert_int_equal(certificate_parse(parsing, ca->certificate, certificate), OK);
    for (i = 0; i < signer.entries; i++) {
        uint8_t *serial = arena_alloc(arena, 17);
        memcpy(serial, "\x01\x02\x03\x04", 4);
        memcpy(serial + 17 - sizeof(i), &i, sizeof(i));
        entries[i] = (struct crl_entry){.serial = BYTES(serial, 17), .revoked_at_s = this_update_s, .reason = 1};
    }
    struct crl_plan plan = {
        .algorithm = SIG_ECDSA_SHA256,
        .issuer = signer.issuer_name != NULL ? kit_name(arena, signer.issuer_name) : certificate->subject,
        .this_update_s = this_update_s,
        .next_update_s = next_update_s,
        .number = number,
        .authority_key_id = BYTES("12345678901234567890", 20),
        .entries = entries,
        .entry_count = signer.entries,
    };
    struct bytes tbs = crl_encode_tbs(arena, &plan);
    return signed_join(arena, tbs, plan.algorithm, kit_sign(arena, signer.key != NULL ? signer.key : ca->key, EVP_sha256(), tbs));
}

/* One more than `number`, as the real signer does when it has no greater one. */
static inline struct bytes
next_number(struct arena *arena, struct bytes number)
{
    uint8_t *octets = arena_alloc(arena, number.len + 1);
    size_t at = number.len;

    memcpy(octets + 1, number.at, number.len);
    while (++octets[at] == 0)
        at--;
    return octets[0] == 0 ? BYTES(octets + 1, number.len) : BYTES(octets, number.len + 1);
}

/* In the signer's table, without the CA that its key refers to. */
static inline ProtobufCBinaryData
leave_crl(struct arena *arena, const char *issuer, struct bytes der)
{
    uint8_t *sha256 = arena_alloc(arena, 32);

    certificate_sha256(der, sha256);
    postgres_kit_run(postgres, arena_format(arena,
                                            "SET session_replication_role = replica; INSERT INTO ca.crl (authority, number, sha256, der)"
                                            " VALUES ('%s', 1, '\\x%s', '\\x%s') ON CONFLICT (authority) DO UPDATE"
                                            " SET sha256 = excluded.sha256, der = excluded.der; RESET session_replication_role",
                                            issuer, bytes_hex(arena, BYTES(sha256, 32), 0), bytes_hex(arena, der, 0)));
    if (signer.with_another)
        postgres_kit_run(postgres, "UPDATE ca.crl SET sha256 = sha256('another')");
    return (ProtobufCBinaryData){.data = sha256, .len = 32};
}

static inline enum error
sign_crl(struct request *work, const Pb__SignCrlRequest *request, const ProtobufCMessage **ret_reply)
{
    Pb__SignCrlReply *reply = arena_alloc(work->arena, sizeof(*reply));
    struct bytes after = BYTES(request->after_number.data, request->after_number.len), der;
    const struct fake_ca *ca = NULL;
    void (*during)(void *context) = TAKE(signer.during);
    size_t i;

    signer.asked_after = bytes_copy(signer.arena, after);
    signer.deadline_ms = work->deadline_ms;
    for (i = 0; i < signer.ca_count; i++)
        if (text_equal(signer.cas[i].name, request->issuer))
            ca = &signer.cas[i];
    if (ca == NULL)
        return fail(work, ERR_NOT_FOUND, "no such CA");
    if (during != NULL)
        during(signer.during_context);
    signer.crls_signed++;
    der = make_crl(work->arena, ca, signer.this_update_s ? signer.this_update_s : request->this_update_s,
                   signer.next_update_s ? signer.next_update_s : request->next_update_s,
                   signer.number.len ? signer.number : next_number(work->arena, after));
    if (signer.given.len > 0)
        der = signer.given;
    if (signer.with_garbage)
        der.len--;
    pb__sign_crl_reply__init(reply);
    reply->sha256 = leave_crl(work->arena, ca->name, der);
    *ret_reply = &reply->base;
    return OK;
}

static inline enum error
list_cas(struct request *work, const ProtobufCMessage **ret_reply)
{
    Pb__ListCasReply *reply = arena_alloc(work->arena, sizeof(*reply));
    size_t i;

    signer.lists++;
    pb__list_cas_reply__init(reply);
    reply->cas = arena_array(work->arena, signer.ca_count + 1, sizeof(*reply->cas));
    for (i = 0; i < signer.ca_count + 1; i++) {
        Pb__Ca *ca = arena_alloc(work->arena, sizeof(*ca));
        pb__ca__init(ca);
        reply->cas[reply->n_cas++] = ca;
        if (i == signer.ca_count) {
            ca->name = "still-waiting"; /* a CSR without a certificate: nothing is published for it */
            continue;
        }
        ca->name = signer.cas[i].name;
        ca->certificate = (ProtobufCBinaryData){.data = (uint8_t *)signer.cas[i].certificate.at, .len = signer.cas[i].certificate.len};
        if (i == 0)
            continue;
        ca->chain = arena_alloc(work->arena, sizeof(*ca->chain));
        ca->n_chain = 1; /* the first is the issuer of the others */
        ca->chain[0] = (ProtobufCBinaryData){.data = (uint8_t *)signer.cas[0].certificate.at, .len = signer.cas[0].certificate.len};
    }
    *ret_reply = &reply->base;
    return OK;
}

enum error
rpc_call(struct bus *bus, struct request *work, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    assert_string_equal(callee->short_name, "Signer");
    if (signer.failing)
        return fail(work, signer.failing, "the signer is away");
    if (strcmp(method, "SignCrl") == 0)
        return sign_crl(work, (const Pb__SignCrlRequest *)input, ret_reply);
    assert_string_equal(method, "ListCas");
    return list_cas(work, ret_reply);
}

/* ---- the clock: a second passes with every piece of work, so that no case has to wait for one ------------------------------------------------- */

static int64_t ahead_s;

int64_t
clock_now_s(void)
{
    return clock_now_us() / 1000000 + ahead_s;
}

/* ---- the loops of the process: what they would be woken for is counted, and done where a case says so --------------------------------------- */

static int lease_wakes, alarm_wakes;
static void (*on_lease_wake)(void);

void
lease_wake(struct lease *lease)
{
    lease_wakes++;
    if (on_lease_wake != NULL)
        on_lease_wake();
}

void
service_wake(struct service_loop *loop)
{
    alarm_wakes++;
}

/* ---- the publisher ----------------------------------------------------------------------------------------------------------------------- */

static struct publisher publisher;
static struct shelf *shelves[32]; /* of all cases: they live as long as the process, as its own does */
static size_t shelf_count;
static struct request *rq; /* of the case */

static inline char *
read_whole(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 1 << 20);

    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

/* The statements of the one table of rights that are ours. */
static inline void
grant_rights(void)
{
    char *grants = read_whole("deploy/database/grants.sql"), *rest = NULL;
    int count = 0;

    for (char *comment = strstr(grants, "--"); comment != NULL; comment = strstr(comment, "--"))
        memset(comment, ' ', strcspn(comment, "\n"));
    for (char *one = strtok_r(grants, ";", &rest); one != NULL; one = strtok_r(NULL, ";", &rest)) {
        if (!text_ends_with(one, " TO crl_publisher"))
            continue;
        postgres_kit_run(postgres, one);
        count++;
    }
    free(grants);
    assert_true(count >= 4);
}

static inline int
start_postgres(void **state)
{
    static const char *const files[] = {"services/signer/sql/001_tables.sql", "services/crl-publisher/sql/001_crl.sql",
                                        "services/signer/sql/009_crl.sql"};

    postgres = postgres_kit_start();
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *tables = read_whole(files[i]);
        postgres_kit_run(postgres, tables);
        free(tables);
    }
    postgres_kit_run(postgres, "CREATE ROLE crl_publisher LOGIN");
    grant_rights();
    return 0;
}

static inline int
stop_postgres(void **state)
{
    postgres_kit_stop(postgres);
    return 0;
}

static inline int
open_publisher(void **state)
{
    struct db_options options = {.name = "test", .url = postgres_kit_url_of_role(postgres, "crl_publisher"), .password_file = "", .connections = 4};

    postgres_kit_run(postgres, "TRUNCATE crl.authority CASCADE");
    rq = request_new();
    signer = (struct fake_signer){.arena = arena_new()};
    add_ca("test-root", "/O=Test/CN=Root");
    add_ca(ISSUER, "/O=Test/CN=Issuing");
    publisher = (struct publisher){.listing = PTHREAD_MUTEX_INITIALIZER,
                                   .config = {.validity_s = 7 * DAY_S, .interval_s = DAY_S, .max_age_s = 300, .delay_ms = 0}};
    assert_int_equal(db_open(rq, &options, &publisher.db), OK);
    publisher.shelf = shelves[shelf_count++] = shelf_new();
    publisher.alarm = (struct service_loop *)&publisher; /* only woken, and that is counted */
    lease_wakes = alarm_wakes = 0;
    ahead_s = 0;
    on_lease_wake = NULL;
    return 0;
}

static inline int
close_publisher(void **state)
{
    size_t i;

    db_close(publisher.db);
    for (i = 0; i < signer.ca_count; i++)
        EVP_PKEY_free(signer.cas[i].key);
    arena_free(signer.arena);
    request_free(rq);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_publisher, close_publisher)

/* Takes what is due as `holder` does, and works on it. Returns how many rows. */
static inline size_t
take_due(const char *holder, struct db_rows **ret_rows)
{
    if (DB_QUERY(publisher.db, rq, &store_take_due, ret_rows, DB_INT(10), DB_INT(40), DB_TEXT(holder)) != OK)
        fail_msg("%s (%s)", rq->failure.message, rq->failure.detail);
    return db_count(*ret_rows);
}

static inline size_t
work_off(void)
{
    struct db_rows *rows;
    size_t count = take_due("replica/1", &rows), i;

    ahead_s++;
    for (i = 0; i < count; i++) {
        AUTO_STRUCT(request, work) = request_new();
        schedule_work(&publisher, work, rows, i);
    }
    return count;
}

/* CAs known, their first CRLs made, and in memory. */
static inline void
settle(void)
{
    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_int_equal(work_off(), signer.ca_count);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
}

static inline char *
ask(const char *sql)
{
    char *answer = postgres_kit_ask(postgres, sql), *copy = arena_text(rq->arena, answer);

    free(answer);
    return copy;
}

#endif
