/*
 * What libunbound waits for, on the thread that asks: its sockets and timers in one poll. Libunbound brings its events through the table of
 * unbound-event.h, and is called back from event_loop_turn.
 *
 *     struct event_loop *loop = event_loop_new();
 *     struct ub_ctx *ub = ub_ctx_create_ub_event(event_loop_base(loop));
 *     ub_resolve_event(ub, …);
 *     while (open > 0 && clock_monotonic_ms() < until_ms)
 *         event_loop_turn(loop, until_ms);
 *
 * Owner: event_loop_free, after ub_ctx_delete. Threads: one at a time.
 */
#ifndef SIGNET_VALIDATOR_EVENT_LOOP_H
#define SIGNET_VALIDATOR_EVENT_LOOP_H

#include <stdint.h>

struct event_loop;
struct ub_event_base;

struct event_loop *event_loop_new(void);
void event_loop_free(struct event_loop *loop);
struct ub_event_base *event_loop_base(struct event_loop *loop);
/* Waits for the first that happens, until `until_ms` of the monotonic clock, and tells libunbound of all that has. */
void event_loop_turn(struct event_loop *loop, int64_t until_ms);

#endif
