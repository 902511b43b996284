/*
 * What is read a thousand times a second and changes once a day (policies, directories): each version is an arena of its own, counted by its
 * readers. A request holds the version that it began with until its own arena goes; a new version never waits for old readers.
 *
 *     snapshot_put(slot, TAKE(own->arena), policy);               // whoever has read a new version
 *     const struct policy *policy = snapshot_hold(slot, rq);      // whoever needs it
 *
 * Owner: the slot owns the arenas. Threads: any.
 */
#ifndef SIGNET_BASE_SNAPSHOT_H
#define SIGNET_BASE_SNAPSHOT_H

#include <stdint.h>

#include "base/request.h"

struct snapshot_slot;

struct snapshot_slot *snapshot_slot_new(void);
void snapshot_slot_free(struct snapshot_slot *slot);
/* The content in force, kept alive as long as rq's arena; NULL before the first one is put. */
const void *snapshot_hold(struct snapshot_slot *slot, struct request *rq);
/* Before reading what is to be put, by who may not be the only one to read: of two versions the one that was begun later counts. */
uint64_t snapshot_begin(struct snapshot_slot *slot);
/* As snapshot_put, unless one that was begun later is in force: then this one is dropped. */
void snapshot_put_begun(struct snapshot_slot *slot, uint64_t begun, struct arena *arena, const void *content);
/* Takes the arena; `content` lives in it. */
void snapshot_put(struct snapshot_slot *slot, struct arena *arena, const void *content);
/* Milliseconds since the last put; -1: never. */
int64_t snapshot_age_ms(struct snapshot_slot *slot);

#endif
