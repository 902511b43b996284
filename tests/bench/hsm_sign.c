/*
 * How fast the token signs through the signer's own pool: n workers kept busy by 2n callers, P-256 and RSA-2048. This is what issuance is
 * compared with. Then what an enrolment by SCEP asks of it: an envelope's key opened and two RSA-2048 signatures, one after the other. It makes a
 * SoftHSM token of its own, and uses the module of SIGNET_HSM_MODULE or SoftHSM. One JSON object on stdout.
 *
 * SoftHSM 2.6 makes an RSA key anew for each operation, and blinding factors for it: of 640 us for RSA-2048 OpenSSL's private operation takes 280,
 * the blinding 250, reading and unsealing the key's attributes 45. Session objects instead of token objects and mechanisms that hash take as long.
 *
 *     build/gcc/bench/hsm_sign [WORKERS [SECONDS]]
 */
#include <openssl/bn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "../../services/signer/hsm_pool.h"
#include "kit/softhsm_kit.h"

#define CALLERS_PER_WORKER 4
#define CALLS_MOST 3
#define RA_KEY 0x77        /* its id; those of the others are their kinds */
#define CONTENT_KEY_LEN 16 /* AES-128 */

DEFINE_AUTO(BIGNUM, BN_free);
DEFINE_AUTO(BN_CTX, BN_CTX_free);

static struct hsm_call
call_of(enum hsm_operation operation, enum hsm_key_kind kind)
{
    struct hsm_call call = {.operation = operation, .kind = kind, .id_len = 1, .id = {(uint8_t)kind}, .label = "bench"};

    call.mechanism = kind == HSM_P256 ? HSM_ECDSA : HSM_RSA_PKCS1;
    call.data_len = kind == HSM_P256 ? 32 : 51; /* a SHA-256 digest; its DigestInfo */
    memset(call.data, 0x30, call.data_len);
    return call;
}

static struct hsm_answer
must_call(struct hsm_pool *pool, const struct hsm_call *call)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct hsm_answer answer;

    if (hsm_pool_call(pool, rq, call, &answer) == OK && answer.status == HSM_OK)
        return answer;
    fprintf(stderr, "hsm_sign: %s %s\n", rq->failure.message, rq->failure.detail);
    exit(1);
}

/* A content key, padded by PKCS#1 v1.5 (RFC 8017 §7.2.1) and encrypted for the RSA key that the token has made. */
static struct hsm_call
decryption_of(const struct hsm_answer *generated)
{
    struct hsm_call call = {.operation = HSM_DECRYPT, .mechanism = HSM_RSA_PKCS1, .id_len = 1, .id = {generated->facts.id[0]}, .label = "bench"};
    int len = (int)generated->facts.modulus_len;
    AUTO(BN_CTX, context) = BN_CTX_new();
    AUTO(BIGNUM, modulus) = BN_bin2bn(generated->data, len, NULL);
    AUTO(BIGNUM, exponent) = BN_bin2bn(generated->data + len, (int)generated->data_len - len, NULL);

    memset(call.data, 0xff, (size_t)len);
    call.data[0] = 0;
    call.data[1] = 2;
    call.data[len - CONTENT_KEY_LEN - 1] = 0;
    AUTO(BIGNUM, message) = BN_bin2bn(call.data, len, NULL);
    if (context == NULL || modulus == NULL || exponent == NULL || message == NULL || BN_mod_exp(message, message, exponent, modulus, context) != 1 ||
        BN_bn2binpad(message, call.data, len) != len)
        abort();
    call.data_len = (uint32_t)len;
    return call;
}

/* What each caller does over and over; a round is all of the calls. */
struct load {
    struct hsm_pool *pool;
    struct hsm_call calls[CALLS_MOST];
    size_t count;
    int64_t until_us;
    atomic_long rounds;
};

static void *
caller(void *context)
{
    struct load *load = context;

    while (clock_monotonic_us() < load->until_us) {
        for (size_t i = 0; i < load->count; i++)
            (void)must_call(load->pool, &load->calls[i]);
        atomic_fetch_add(&load->rounds, 1);
    }
    return NULL;
}

static double
rounds_per_second(struct load *load, int callers, int seconds)
{
    pthread_t threads[CALLERS_PER_WORKER * HSM_WORKERS_MAX];

    load->rounds = 0;
    int64_t begin_us = clock_monotonic_us();
    load->until_us = begin_us + seconds * INT64_C(1000000);
    for (int i = 0; i < callers; i++)
        if (pthread_create(&threads[i], NULL, caller, load) != 0)
            abort();
    for (int i = 0; i < callers; i++)
        pthread_join(threads[i], NULL);
    return (double)load->rounds * 1e6 / (double)(clock_monotonic_us() - begin_us);
}

static double
signatures_per_second(struct hsm_pool *pool, enum hsm_key_kind kind, int callers, int seconds)
{
    struct hsm_call generate = call_of(HSM_GENERATE, kind);
    struct load load = {.pool = pool, .calls = {call_of(HSM_SIGN, kind)}, .count = 1};

    (void)must_call(pool, &generate);
    return rounds_per_second(&load, callers, seconds);
}

/* One decryption, the RA's signature and the CA's. The CA's key is the one that signatures_per_second has made. */
static void
envelopes_per_second(struct hsm_pool *pool, int callers, int seconds, double *ret_decryptions, double *ret_enrolments)
{
    struct hsm_call generate = call_of(HSM_GENERATE, HSM_RSA_2048);
    struct load load = {.pool = pool, .count = 1};

    generate.usage = HSM_FOR_ENVELOPES;
    generate.id[0] = RA_KEY;
    struct hsm_answer generated = must_call(pool, &generate);
    load.calls[0] = decryption_of(&generated);
    *ret_decryptions = rounds_per_second(&load, callers, seconds);
    load.calls[1] = call_of(HSM_SIGN, HSM_RSA_2048);
    load.calls[1].id[0] = RA_KEY;
    load.calls[2] = call_of(HSM_SIGN, HSM_RSA_2048);
    load.count = 3;
    *ret_enrolments = rounds_per_second(&load, callers, seconds);
}

int
main(int argc, char **argv)
{
    int64_t workers = 2, seconds = 3;
    const char *module = getenv("SIGNET_HSM_MODULE");

    if ((argc > 1 && !text_parse_number(argv[1], 1, HSM_WORKERS_MAX, &workers)) || (argc > 2 && !text_parse_number(argv[2], 1, 60, &seconds))) {
        fprintf(stderr, "usage: hsm_sign [WORKERS [SECONDS]]\n");
        return 2;
    }
    log_open("hsm_sign", "1", LOG_LEVEL_ERROR);
    struct softhsm_kit *softhsm = softhsm_kit_start();
    struct hsm_pool *pool = hsm_pool_open(&(struct hsm_pool_options){.worker_file = softhsm_kit_worker_file(softhsm),
                                                                     .module = module != NULL ? module : "/usr/lib/softhsm/libsofthsm2.so",
                                                                     .token = "signet",
                                                                     .pin_file = softhsm_kit_pin_file(softhsm),
                                                                     .workers = (int)workers,
                                                                     .queue_limit = 1024,
                                                                     .start_ms = 10000,
                                                                     .operation_ms = 5000,
                                                                     .generate_ms = 30000,
                                                                     .retire_after = 100000000});
    int callers = (int)workers * CALLERS_PER_WORKER;
    double p256 = signatures_per_second(pool, HSM_P256, callers, (int)seconds);
    double rsa2048 = signatures_per_second(pool, HSM_RSA_2048, callers, (int)seconds);
    double decryptions, enrolments;
    envelopes_per_second(pool, callers, (int)seconds, &decryptions, &enrolments);
    printf("{\"workers\": %d, \"p256_per_s\": %.0f, \"rsa2048_per_s\": %.0f, \"rsa2048_decrypt_per_s\": %.0f, \"scep_rsa2048_per_s\": %.0f}\n",
           (int)workers, p256, rsa2048, decryptions, enrolments);
    hsm_pool_close(pool);
    softhsm_kit_stop(softhsm);
    return 0;
}
