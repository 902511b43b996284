/*
 * Issuance over the bus with ready CSRs: how many certificates a second ra stores and audits, and how long one caller waits.
 *
 *     issue ISSUER TEMPLATE COUNT CALLERS        (the bus by SIGNET_NATS_…, as signetctl)
 *
 * COUNT certification requests (P-256, a name each) are made before the clock starts; CALLERS calls of signet.ra.enroll are then kept under way.
 * A retriable answer is counted and the same request repeated. Prints one JSON object.
 *
 * The callers are no threads: each answer, on the thread of nats.c, sends the next request. The load shall take little of the processors that it
 * measures, and a hundred threads that wake each other took as much as the HSM.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "link/message.h"
#include "link/rpc.h"
#include "link/rpc_wire.h"
#include "pki/csr.h"
#include "pki/oid.h"
#include "signet/v1/ra.pb-c.h"

#define REPEATS_MAX 100
#define RUN_MOST_S 500

struct bench {
    struct bus *bus;
    const char *issuer, *template, *inbox;
    int64_t run; /* makes the idempotency keys of this run its own */
    struct bytes *csrs;
    int64_t *times_us;
    size_t count;
    struct caller *callers;
    size_t repeats;
    pthread_mutex_t mutex; /* for what follows: the first requests are not sent by nats.c's thread */
    size_t next, open;
    sem_t done;
};

struct caller {
    size_t number; /* of the request that is under way */
    int64_t begin_us;
    int repeats;
};

_Noreturn static void
die(const char *what, const char *why)
{
    fprintf(stderr, "issue: %s: %s\n", what, why);
    exit(1);
}

static struct bytes
sign(struct arena *arena, EVP_PKEY *key, struct bytes message)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t signature[80];
    size_t len = sizeof(signature);

    if (EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 || EVP_DigestSign(context, signature, &len, message.at, message.len) != 1)
        die("sign", "OpenSSL");
    EVP_MD_CTX_free(context);
    return bytes_copy(arena, BYTES(signature, len));
}

/* SEQUENCE OF Extension with one subjectAltName. */
static struct bytes
name_extension(struct arena *arena, const char *name)
{
    const struct identifier identifier = {IDENTIFIER_DNS, name};
    struct buffer out = buffer_in(arena);
    size_t all = der_open(&out, DER_SEQUENCE);
    size_t one = der_open(&out, DER_SEQUENCE);

    der_put_oid(&out, OID_SUBJECT_ALT_NAME);
    der_put(&out, DER_OCTET_STRING, identifiers_encode(arena, &identifier, 1));
    der_close(&out, one);
    der_close(&out, all);
    return buffer_bytes(&out);
}

static void
make_csrs(struct bench *bench, struct arena *arena)
{
    static const uint8_t no_subject[] = {DER_SEQUENCE, 0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    uint8_t *spki = NULL;
    int spki_len = key == NULL ? 0 : i2d_PUBKEY(key, &spki);

    if (spki_len <= 0)
        die("key", "OpenSSL");
    for (size_t i = 0; i < bench->count; i++) {
        struct bytes extensions = name_extension(arena, arena_format(arena, "host-%zu.bench.example", i));
        struct bytes info = csr_encode_info(arena, BYTES(no_subject, sizeof(no_subject)), BYTES(spki, spki_len), extensions);
        bench->csrs[i] = csr_join(arena, info, SIG_ECDSA_SHA256, sign(arena, key, info));
    }
    OPENSSL_free(spki);
    EVP_PKEY_free(key);
}

static void
send_request(struct bench *bench, size_t index)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(bus_link, link) = bus_hold(bench->bus);
    Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    size_t number = bench->callers[index].number;
    natsMsg *message = NULL;

    principal.kind = "operator";
    principal.id = "bench";
    request.channel = "operator/bench";
    request.idempotency_key = arena_format(rq->arena, "issue-%lld-%zu", (long long)bench->run, number);
    request.csr = message_data(bench->csrs[number]);
    request.template_ = bench->template;
    request.issuer = bench->issuer;
    request.principal = &principal;
    struct bytes body = message_pack(rq->arena, &request.base);
    const char *answer_to = arena_format(rq->arena, "%s.%zu", bench->inbox, index);
    if (natsMsg_Create(&message, rpc_subject_of_call(rq->arena, "signet.ra.enroll", bus_name(bench->bus)), answer_to, (const char *)body.at,
                       (int)body.len) != NATS_OK ||
        rpc_set_header(rq->arena, message, HEADER_TRACE, request_traceparent(rq)) != NATS_OK ||
        natsConnection_PublishMsg(link->nats, message) != NATS_OK)
        die("enroll", "the request cannot be sent");
    natsMsg_Destroy(message);
}

static void
check_reply(natsMsg *message)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes body = BYTES(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
    const Pb__EnrollReply *reply = (const Pb__EnrollReply *)message_unpack(rq->arena, &pb__enroll_reply__descriptor, body);

    if (reply == NULL)
        die("enroll", "the answer cannot be read");
    if (reply->certificate.len == 0)
        die("enroll", "the template wants an approval");
}

/* False when there is none left. */
static bool
take_next(struct bench *bench, size_t *ret_number)
{
    AUTO_LOCK(&bench->mutex);

    if (bench->next == bench->count) {
        if (--bench->open == 0)
            sem_post(&bench->done);
        return false;
    }
    *ret_number = bench->next++;
    return true;
}

static void
go_on(struct bench *bench, size_t index)
{
    size_t number;

    if (!take_next(bench, &number))
        return;
    bench->callers[index] = (struct caller){.number = number, .begin_us = clock_monotonic_us()};
    send_request(bench, index);
}

static void
on_answer(natsConnection *nats, natsSubscription *subscription, natsMsg *message, void *context)
{
    struct bench *bench = context;
    size_t index = (size_t)strtoul(strrchr(natsMsg_GetSubject(message), '.') + 1, NULL, 10);
    struct caller *caller = &bench->callers[index];
    const char *refusal = rpc_header(message, HEADER_ERROR);

    if (natsMsg_IsNoResponders(message) || (!text_is_empty(refusal) && error_is_retriable(error_from_name(refusal)))) {
        bench->repeats++;
        if (++caller->repeats > REPEATS_MAX)
            die("enroll", "no answer in many repeats");
        clock_sleep_ms(10);
        send_request(bench, index);
    } else if (!text_is_empty(refusal)) {
        die("enroll", rpc_header(message, HEADER_MESSAGE));
    } else {
        check_reply(message);
        bench->times_us[caller->number] = clock_monotonic_us() - caller->begin_us;
        go_on(bench, index);
    }
    natsMsg_Destroy(message);
}

static void
wait_for_end(struct bench *bench)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RUN_MOST_S;
    while (sem_timedwait(&bench->done, &until) != 0)
        if (errno == ETIMEDOUT)
            die("enroll", "an answer never came");
}

static int64_t
run(struct bench *bench, struct arena *arena, size_t callers)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(bench->bus);
    natsSubscription *subscription = NULL;

    bench->callers = arena_array(arena, callers, sizeof *bench->callers);
    bench->inbox = bus_new_inbox(bench->bus, arena);
    bench->open = callers;
    pthread_mutex_init(&bench->mutex, NULL);
    sem_init(&bench->done, 0, 0);
    if (natsConnection_Subscribe(&subscription, link->nats, arena_format(arena, "%s.*", bench->inbox), on_answer, bench) != NATS_OK)
        die("bus", "the answers cannot be subscribed to");
    int64_t begin_us = clock_monotonic_us();
    for (size_t i = 0; i < callers; i++)
        go_on(bench, i);
    wait_for_end(bench);
    int64_t took_us = clock_monotonic_us() - begin_us;
    natsSubscription_Destroy(subscription);
    return took_us;
}

static int
compare(const void *a, const void *b)
{
    int64_t difference = *(const int64_t *)a - *(const int64_t *)b;

    return (difference > 0) - (difference < 0);
}

int
main(int argc, char **argv)
{
    AUTO_STRUCT(request, rq) = request_new();

    int64_t count, callers;
    if (argc != 5 || !text_parse_number(argv[3], 1, 10000000, &count) || !text_parse_number(argv[4], 1, 1000, &callers))
        die("usage", "issue ISSUER TEMPLATE COUNT CALLERS");
    log_open("bench", "bench", LOG_LEVEL_ERROR);
    struct bench bench = {.issuer = argv[1], .template = argv[2], .run = clock_now_us(), .count = (size_t)count};
    const struct bus_options options = {.name = "signetctl",
                                        .url = getenv("SIGNET_NATS_URL"),
                                        .ca_file = getenv("SIGNET_NATS_CA_FILE"),
                                        .cert_file = getenv("SIGNET_NATS_CERT_FILE"),
                                        .key_file = getenv("SIGNET_NATS_KEY_FILE")};
    if (bus_open(rq, &options, &bench.bus) != OK)
        die("bus", rq->failure.message);
    bench.csrs = arena_array(rq->arena, bench.count, sizeof(*bench.csrs));
    bench.times_us = arena_array(rq->arena, bench.count, sizeof(*bench.times_us));
    make_csrs(&bench, rq->arena);

    int64_t took_us = run(&bench, rq->arena, (size_t)callers);
    qsort(bench.times_us, bench.count, sizeof(*bench.times_us), compare);
    int64_t p50_us = bench.times_us[bench.count / 2], p99_us = bench.times_us[bench.count * 99 / 100], max_us = bench.times_us[bench.count - 1];
    printf("{\"count\": %zu, \"callers\": %s, \"per_second\": %.0f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"repeats\": %zu}\n",
           bench.count, argv[4], (double)bench.count * 1e6 / (double)took_us, (double)p50_us / 1000.0, (double)p99_us / 1000.0,
           (double)max_us / 1000.0, bench.repeats);
    bus_close(bench.bus, 1000);
    return 0;
}
