/* The pool's own state, shared by hsm_pool.c (lending) and hsm_keeper.c (starting, burying). Everything is guarded by `mutex`. */
#ifndef SIGNET_SIGNER_HSM_POOL_INSIDE_H
#define SIGNET_SIGNER_HSM_POOL_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "hsm_process.h"
#include "link/metrics.h"

/* Calls in one worker at a time: one on the token, one behind it in the socket, so that the token does not wait for our threads to wake. */
#define CALLS_LENT_MOST 2

enum hsm_worker_state {
    WORKER_DOWN,   /* no process */
    WORKER_UP,     /* logged in */
    WORKER_DOOMED, /* takes no more calls; ended by the keeper when those it has are settled */
};

/* Why a worker is doomed. A retired one still answers what it has; from the others nothing more is expected. */
enum hsm_doom { DOOM_RETIRED, DOOM_HUNG, DOOM_CRASHED, DOOM_LOST, DOOM_COUNT };

struct hsm_worker {
    enum hsm_worker_state state;
    enum hsm_doom doom;
    struct hsm_process process;
    int64_t started_ms;
    int calls, retire_at;
    int lent;                   /* calls sent and not settled; their answers come in the order of sending */
    unsigned next_ticket, turn; /* of the next call; of the caller who may receive now */
    bool is_generating;         /* nobody stands behind a call that takes seconds */
    pthread_cond_t turn_passed;
};

/* A caller that waits, on its own stack. */
struct hsm_waiter {
    struct hsm_waiter *next;
    const struct hsm_call *call;
    struct hsm_worker *worker; /* set when one was lent; the call has then been sent */
    unsigned ticket;
    bool refused; /* no worker can be started */
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
void hsm_pool_serve_waiters(struct hsm_pool *pool, struct hsm_worker *worker);
void hsm_pool_refuse_waiters(struct hsm_pool *pool);
bool hsm_pool_is_manned(const struct hsm_pool *pool);
/* Sends the call and gives it its place among the answers. */
unsigned hsm_pool_lend(struct hsm_worker *worker, const struct hsm_call *call);
/* Waits for that place; false when the worker broke before. */
bool hsm_pool_await_turn(struct hsm_pool *pool, struct hsm_worker *worker, unsigned ticket);
/* Receives (without the mutex) and settles: true when the worker answered, false when it is doomed for it. */
bool hsm_pool_receive(struct hsm_pool *pool, struct hsm_worker *worker, const struct hsm_call *call, struct hsm_answer *ret_answer);
/* hsm_keeper.c, with the mutex held: counts a bad end and sets when the next start may be. */
void hsm_keeper_note_failure(struct hsm_pool *pool, const char *why);

#endif
