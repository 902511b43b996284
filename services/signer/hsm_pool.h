/*
 * The hsm-worker children: started, watched, lent to one call at a time, killed, replaced.
 *
 *     struct hsm_call call = {.operation = HSM_SIGN, .mechanism = HSM_ECDSA, …};
 *     enum error error = hsm_pool_call(pool, rq, &call, &answer);
 *     if (error == OK && answer.status == HSM_NO_KEY) …
 *
 * A worker that does not answer within its bound is killed, one that dies is restarted with back-off, one that lost its session is replaced; a call
 * that may be repeated is then made once more by another worker. A wrong PIN is tried once, by the first worker, while the others wait: then nothing
 * is tried until the PIN file changes or hsm_pool_retry_pin says so. A missing token is tried again with back-off.
 *
 * Owner: hsm_pool_open's caller. Errors of a call: ERR_BUSY (queue full), ERR_UNAVAILABLE with the reason (no worker; nothing was done),
 * ERR_TIMEOUT (a key may have been generated). Threads: any number of callers; one thread of the pool's own starts and buries the children.
 */
#ifndef SIGNET_SIGNER_HSM_POOL_H
#define SIGNET_SIGNER_HSM_POOL_H

#include "base/request.h"
#include "hsm-worker/protocol.h"

#define HSM_WORKERS_MAX 64

struct hsm_pool;

struct hsm_pool_options {
    const char *worker_file; /* "": hsm-worker beside this program */
    const char *module, *token, *pin_file;
    int workers;
    int queue_limit;  /* callers that may wait for a worker */
    int start_ms;     /* until a new worker has logged in */
    int operation_ms; /* until it has answered a call */
    int generate_ms;  /* until it has made a key */
    int retire_after; /* calls, and signatures of a call that wants many, after which a worker is replaced */
};

/* Returns at once; the workers start in the background. */
struct hsm_pool *hsm_pool_open(const struct hsm_pool_options *options);
/* No call may be under way. Ends the workers in order, and kills those that do not end. */
void hsm_pool_close(struct hsm_pool *pool);

/* OK means that a worker answered with HSM_OK, HSM_NO_KEY, HSM_KEY_EXISTS, HSM_REFUSED or HSM_KEY_UNSAFE. */
enum error hsm_pool_call(struct hsm_pool *pool, struct request *rq, const struct hsm_call *call, struct hsm_answer *ret_answer) MUST_CHECK;

/* Readiness: OK, or ERR_UNAVAILABLE with the reason. */
enum error hsm_pool_check(void *pool, struct request *rq);

/* The operator says that the PIN is right now. Safe in a signal handler. */
void hsm_pool_retry_pin(struct hsm_pool *pool);

/* "SoftHSM project SoftHSM v2, serial …" of the last worker that started, in rq's arena. */
const char *hsm_pool_token_text(struct hsm_pool *pool, struct request *rq);

#endif
