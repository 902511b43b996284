/*
 * How often somebody may do something: so many times at once, and so many a minute after that.
 *
 *     struct rate_limiter *limiter = rate_limiter_new(300, 500);
 *     if (!rate_limiter_take(limiter, bytes_of_text(peer), clock_monotonic_us(), &wait_s))
 *         return fail(rq, ERR_RATE_LIMITED, "too many; the next is taken in %d s", wait_s);
 *
 * GCRA: a subject has one number, the time of its next turn if all took theirs one after the other, and may be ahead of it by its burst. In the
 * memory of this process, of a fixed size (256 KiB): a set of places for each hash, of which the one that is nearest to be forgotten gives way, so a
 * crowd that is larger than the table is let in rather than kept out. The hash has a secret: nobody can choose whom he shares a set with.
 *
 * Owner: the caller. Threads: any.
 */
#ifndef SIGNET_BASE_RATE_LIMITER_H
#define SIGNET_BASE_RATE_LIMITER_H

#include "base/bytes.h"

struct rate_limiter;

/* `per_minute` 0: no limit. */
struct rate_limiter *rate_limiter_new(int per_minute, int burst);
void rate_limiter_free(struct rate_limiter *limiter); /* NULL is allowed */
/* False: one too many; ret_wait_s says in how many seconds the next is taken. */
bool rate_limiter_take(struct rate_limiter *limiter, struct bytes subject, int64_t now_us, int *ret_wait_s);
/* Whether it would be taken now. */
bool rate_limiter_allows(struct rate_limiter *limiter, struct bytes subject, int64_t now_us, int *ret_wait_s);

#endif
