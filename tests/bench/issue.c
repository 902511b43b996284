/*
 * Issuance over the bus with ready CSRs: how many certificates a second ra stores and audits, and how long one caller waits.
 *
 *     issue ISSUER TEMPLATE COUNT CALLERS        (the bus by SIGNET_NATS_…, as signetctl)
 *
 * COUNT certification requests (P-256, a name each) are made before the clock starts; CALLERS threads then take one after the other and call
 * signet.ra.enroll. A retriable answer is counted and the same request repeated. Prints one JSON object.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "link/rpc.h"
#include "pki/csr.h"
#include "pki/oid.h"
#include "signet/v1/ra.pb-c.h"

#define REPEATS_MAX 100

struct bench {
    struct bus *bus;
    const char *issuer, *template;
    int64_t run; /* makes the idempotency keys of this run its own */
    struct bytes *csrs;
    int64_t *times_us;
    size_t count;
    atomic_size_t next;
    atomic_size_t repeats;
};

static void
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

/* False when the same request should be sent again. */
static bool
enroll_once(struct bench *bench, size_t number)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    const Pb__EnrollReply *reply;

    principal.kind = "operator";
    principal.id = "bench";
    request.channel = "bench";
    request.idempotency_key = arena_format(rq->arena, "issue-%lld-%zu", (long long)bench->run, number);
    request.csr = (ProtobufCBinaryData){.data = (uint8_t *)bench->csrs[number].at, .len = bench->csrs[number].len};
    request.template_ = bench->template;
    request.issuer = bench->issuer;
    request.principal = &principal;
    enum error error = RPC_CALL(bench->bus, rq, ra, Enroll, &request, &reply);
    if (error_is_retriable(error))
        return false;
    if (error)
        die("enroll", rq->failure.message);
    if (reply->certificate.len == 0)
        die("enroll", "the template wants an approval");
    return true;
}

static void *
call(void *argument)
{
    struct bench *bench = argument;
    size_t number;

    while ((number = atomic_fetch_add(&bench->next, 1)) < bench->count) {
        int64_t begin_us = clock_monotonic_us();
        for (int repeat = 0; !enroll_once(bench, number); repeat++) {
            if (repeat == REPEATS_MAX)
                die("enroll", "no answer in many repeats");
            atomic_fetch_add(&bench->repeats, 1);
            clock_sleep_ms(10);
        }
        bench->times_us[number] = clock_monotonic_us() - begin_us;
    }
    return NULL;
}

static int
compare(const void *a, const void *b)
{
    int64_t difference = *(const int64_t *)a - *(const int64_t *)b;

    return (difference > 0) - (difference < 0);
}

static int64_t
run(struct bench *bench, size_t callers)
{
    pthread_t *threads = calloc(callers, sizeof(*threads));
    int64_t begin_us = clock_monotonic_us();

    for (size_t i = 0; i < callers; i++) {
        if (threads == NULL || pthread_create(&threads[i], NULL, call, bench) != 0)
            die("threads", "cannot be started");
    }
    for (size_t i = 0; i < callers; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return clock_monotonic_us() - begin_us;
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

    int64_t took_us = run(&bench, (size_t)callers);
    qsort(bench.times_us, bench.count, sizeof(*bench.times_us), compare);
    int64_t p50_us = bench.times_us[bench.count / 2], p99_us = bench.times_us[bench.count * 99 / 100], max_us = bench.times_us[bench.count - 1];
    printf("{\"count\": %zu, \"callers\": %s, \"per_second\": %.0f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"repeats\": %zu}\n",
           bench.count, argv[4], (double)bench.count * 1e6 / (double)took_us, (double)p50_us / 1000.0, (double)p99_us / 1000.0,
           (double)max_us / 1000.0, atomic_load(&bench.repeats));
    bus_close(bench.bus, 1000);
    return 0;
}
