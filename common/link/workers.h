/*
 * A bounded pool of threads with a bounded queue before it. A full queue refuses at once: callers answer "busy".
 *
 * Owner: workers_free waits for begun work. Threads: workers_try may be called from any thread.
 */
#ifndef SIGNET_LINK_WORKERS_H
#define SIGNET_LINK_WORKERS_H

#include <stdbool.h>

#include "base/auto.h"

struct workers;

/* `at_thread_end` (may be NULL) runs on each thread as it ends: nats_ReleaseThreadMemory and the like. */
struct workers *workers_new(const char *name, int threads, int queue_limit, void (*at_thread_end)(void));
/* False when the queue is full or the pool is closing; then `work` was not and will not be called. */
bool workers_try(struct workers *workers, void (*work)(void *), void *argument) __attribute__((warn_unused_result));
/* Refuses new work, finishes what is queued, joins. */
void workers_free(struct workers *workers);
DEFINE_AUTO_STRUCT(workers, workers_free);

#endif
