/* Versions of something that is read often and changes rarely. A reader counts itself in and is counted out when its arena goes. */
#include "base/snapshot.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/clock.h"

struct snapshot {
    struct arena *arena;
    const void *content;
    atomic_int holders;
    uint64_t begun;
};

struct snapshot_slot {
    pthread_mutex_t mutex;
    struct snapshot *current;
    int64_t put_ms;
    uint64_t begun; /* readings that were begun; they are counted */
};

static void
drop(void *held)
{
    struct snapshot *snapshot = held;

    if (atomic_fetch_sub(&snapshot->holders, 1) > 1)
        return;
    arena_free(snapshot->arena);
    free(snapshot);
}

static void *
allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        abort();
    return memory;
}

struct snapshot_slot *
snapshot_slot_new(void)
{
    struct snapshot_slot *slot = allocate(sizeof *slot);

    pthread_mutex_init(&slot->mutex, NULL);
    return slot;
}

void
snapshot_slot_free(struct snapshot_slot *slot)
{
    if (slot == NULL)
        return;
    if (slot->current != NULL)
        drop(slot->current);
    pthread_mutex_destroy(&slot->mutex);
    free(slot);
}

const void *
snapshot_hold(struct snapshot_slot *slot, struct request *rq)
{
    struct snapshot *snapshot;

    pthread_mutex_lock(&slot->mutex);
    snapshot = slot->current;
    if (snapshot != NULL)
        atomic_fetch_add(&snapshot->holders, 1);
    pthread_mutex_unlock(&slot->mutex);
    if (snapshot == NULL)
        return NULL;
    arena_defer(rq->arena, drop, snapshot);
    return snapshot->content;
}

uint64_t
snapshot_begin(struct snapshot_slot *slot)
{
    AUTO_LOCK(&slot->mutex);

    return ++slot->begun;
}

/* The one that is no longer of use. */
static struct snapshot *
replace(struct snapshot_slot *slot, uint64_t begun, struct snapshot *fresh)
{
    AUTO_LOCK(&slot->mutex);
    struct snapshot *old = slot->current;

    if (old != NULL && old->begun > begun)
        return fresh;
    slot->current = fresh;
    slot->put_ms = clock_monotonic_ms();
    return old;
}

void
snapshot_put_begun(struct snapshot_slot *slot, uint64_t begun, struct arena *arena, const void *content)
{
    struct snapshot *fresh = allocate(sizeof *fresh);

    *fresh = (struct snapshot){.arena = arena, .content = content, .begun = begun};
    atomic_init(&fresh->holders, 1);
    struct snapshot *useless = replace(slot, begun, fresh);
    if (useless != NULL)
        drop(useless);
}

void
snapshot_put(struct snapshot_slot *slot, struct arena *arena, const void *content)
{
    snapshot_put_begun(slot, snapshot_begin(slot), arena, content);
}

int64_t
snapshot_age_ms(struct snapshot_slot *slot)
{
    AUTO_LOCK(&slot->mutex);

    return slot->current == NULL ? -1 : clock_monotonic_ms() - slot->put_ms;
}
