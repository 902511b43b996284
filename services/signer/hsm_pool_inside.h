/* The pool's own state, shared by hsm_pool.c (lending) and hsm_keeper.c (starting, burying). Everything is guarded by `mutex`. */
#ifndef SIGNET_SIGNER_HSM_POOL_INSIDE_H
#define SIGNET_SIGNER_HSM_POOL_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "hsm_process.h"
#include "link/metrics.h"

enum hsm_worker_state {
    WORKER_DOWN,   /* no process */
    WORKER_FREE,   /* logged in, nobody's */
    WORKER_BUSY,   /* lent: its socket belongs to one caller */
    WORKER_DOOMED, /* to be ended by the keeper; nobody uses its socket any more */
};

/* Why a worker is doomed. */
enum hsm_doom { DOOM_RETIRED, DOOM_HUNG, DOOM_CRASHED, DOOM_LOST, DOOM_COUNT };

struct hsm_worker {
    enum hsm_worker_state state;
    enum hsm_doom doom;
    struct hsm_process process;
    int64_t started_ms;
    int calls, retire_at;
};

/* A caller that waits, on its own stack. */
struct hsm_waiter {
    struct hsm_waiter *next;
    const struct hsm_call *call;
    struct hsm_worker *worker; /* set when one was lent; the call has then been sent */
    bool refused;              /* no worker can be started */
    pthread_cond_t wake;
};

struct hsm_pool {
    struct hsm_pool_options options;
    pthread_mutex_t mutex;
    pthread_cond_t keeper_wake;
    pthread_t keeper;
    bool closing;

    struct hsm_worker workers[HSM_WORKERS_MAX];
    struct hsm_waiter *first_waiter, **behind_last_waiter;
    int waiting;

    int failures; /* bad ends since a call last succeeded */
    int64_t next_start_ms;
    char trouble[HSM_TEXT_MAX]; /* why the last worker did not start, or ended badly; "" while all is well */
    bool start_failed;          /* the trouble is of the last start */
    bool pin_refused;           /* latched: no start until the PIN file changes, or retry_pin */
    struct timespec pin_changed_at;
    atomic_bool retry_pin;
    char token_text[HSM_TEXT_MAX];

    struct metric *queue_length, *ended[DOOM_COUNT], *start_failures, *latency[HSM_RSA_PKCS1 + 1], *refused_busy;
};

/* hsm_keeper.c: the thread. Ends when `closing` is set, after it has ended all workers. */
void *hsm_keeper_run(void *pool);

/* hsm_pool.c, with the mutex held. */
void hsm_pool_hand_on(struct hsm_pool *pool, struct hsm_worker *worker);
void hsm_pool_refuse_waiters(struct hsm_pool *pool);
bool hsm_pool_is_manned(const struct hsm_pool *pool);
/* What a call came to: the worker is free again (true), or doomed. */
bool hsm_pool_settle(struct hsm_pool *pool, struct hsm_worker *worker, const struct hsm_call *call, enum hsm_received received,
                     const struct hsm_answer *answer);
/* hsm_keeper.c, with the mutex held: counts a bad end and sets when the next start may be. */
void hsm_keeper_note_failure(struct hsm_pool *pool, const char *why);

#endif
