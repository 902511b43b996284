/*
 * Group commit: requests that come at the same moment have their rows written by one of them, in one transaction.
 *
 *     static enum error
 *     write_batch(void *context, struct request *rq, void *const *items, size_t count);   one statement over arrays
 *
 *     queue = commit_queue_new(write_batch, context);
 *     error = commit_queue_run(queue, rq, &row);   from any thread; `row` is on its stack
 *
 * Who has no thread to wait with, as on an event loop, posts the item, and is called when it is committed (commit_queue_post).
 *
 * Who comes alone waits for nobody. The batch runs in a request of its own, so that it ends neither with the deadline nor with the arena of whoever
 * leads it; what an item is to keep is copied into the arena of its own request.
 *
 * Errors: a batch that met trouble outside fails all its items. One that was refused is done again item by item, so that only who is at fault
 * suffers; `commit` must therefore leave nothing behind when it returns an error. Owner: commit_queue_free when nobody runs. Threads: any.
 */
#ifndef SIGNET_LINK_COMMIT_QUEUE_H
#define SIGNET_LINK_COMMIT_QUEUE_H

#include <stddef.h>

#include "base/request.h"
#include "link/workers.h"

#define COMMIT_BATCH_MAX 50 /* as many intents as the signer takes in one call */

/* Does the work of all items in one transaction, or none. */
typedef enum error commit_batch(void *context, struct request *rq, void *const *items, size_t count);

struct commit_queue;

struct commit_queue *commit_queue_new(commit_batch *commit, void *context);
/* One batch after the other: for those that would only wait for rows that the one before has locked. */
struct commit_queue *commit_queue_new_in_turn(commit_batch *commit, void *context);
void commit_queue_free(struct commit_queue *queue);
DEFINE_AUTO_STRUCT(commit_queue, commit_queue_free);
/* Returns when the item was committed, alone or with others; the failure is recorded in rq. */
enum error commit_queue_run(struct commit_queue *queue, struct request *rq, void *item) MUST_CHECK;

/* What commit_queue_run would return. Others wait until it returns: it must not wait for anybody. */
typedef void commit_done(void *item, enum error error);

/* The threads that batches of posted items run on, COMMIT_LEADERS of each queue; before the first of these. */
#define COMMIT_LEADERS 4
void commit_queue_lead_on(struct commit_queue *queue, struct workers *leaders);
/* Waits for nothing: `done` is called once, on one of these threads. The item stays until then. */
void commit_queue_post(struct commit_queue *queue, struct request *rq, void *item, commit_done *done);

/* For `commit`, around its waiting for somebody else: meanwhile the next batch may set out, when it has some company. */
void commit_queue_step_aside(struct commit_queue *queue);
void commit_queue_step_back(struct commit_queue *queue);

#endif
