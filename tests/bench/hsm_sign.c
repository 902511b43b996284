/*
 * How fast the token signs through the signer's own pool: n workers kept busy by 2n callers, P-256 and RSA-2048. This is what issuance is
 * compared with. It makes a SoftHSM token of its own, and uses the module of SIGNET_HSM_MODULE or SoftHSM. One JSON object on stdout.
 *
 *     build/gcc/bench/hsm_sign [WORKERS [SECONDS]]
 */
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

static struct hsm_call
call_of(enum hsm_operation operation, enum hsm_key_kind kind)
{
    struct hsm_call call = {.operation = operation, .kind = kind, .id_len = 1, .id = {(uint8_t)kind}, .label = "bench"};

    call.mechanism = kind == HSM_P256 ? HSM_ECDSA : HSM_RSA_PKCS1;
    call.data_len = kind == HSM_P256 ? 32 : 51; /* a SHA-256 digest; its DigestInfo */
    memset(call.data, 0x30, call.data_len);
    return call;
}

static void
must_call(struct hsm_pool *pool, const struct hsm_call *call)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct hsm_answer answer;

    if (hsm_pool_call(pool, rq, call, &answer) == OK && answer.status == HSM_OK)
        return;
    fprintf(stderr, "hsm_sign: %s %s\n", rq->failure.message, rq->failure.detail);
    exit(1);
}

struct load {
    struct hsm_pool *pool;
    struct hsm_call call;
    int64_t until_us;
    atomic_long signatures;
};

static void *
caller(void *context)
{
    struct load *load = context;

    while (clock_monotonic_us() < load->until_us) {
        must_call(load->pool, &load->call);
        atomic_fetch_add(&load->signatures, 1);
    }
    return NULL;
}

static double
signatures_per_second(struct hsm_pool *pool, enum hsm_key_kind kind, int callers, int seconds)
{
    struct hsm_call generate = call_of(HSM_GENERATE, kind);
    struct load load = {.pool = pool, .call = call_of(HSM_SIGN, kind)};
    pthread_t threads[CALLERS_PER_WORKER * HSM_WORKERS_MAX];

    must_call(pool, &generate);
    int64_t begin_us = clock_monotonic_us();
    load.until_us = begin_us + seconds * INT64_C(1000000);
    for (int i = 0; i < callers; i++)
        if (pthread_create(&threads[i], NULL, caller, &load) != 0)
            abort();
    for (int i = 0; i < callers; i++)
        pthread_join(threads[i], NULL);
    return (double)load.signatures * 1e6 / (double)(clock_monotonic_us() - begin_us);
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
    printf("{\"workers\": %d, \"p256_per_s\": %.0f, \"rsa2048_per_s\": %.0f}\n", (int)workers, p256, rsa2048);
    hsm_pool_close(pool);
    softhsm_kit_stop(softhsm);
    return 0;
}
