/*
 * What is made once, never changed, and used by many requests at a time: CAs (authority.c) and the certificates of our own below them (delegate.c).
 * Each lies in an arena of its own, which is freed when the table has another one of that name and the last request that uses it has ended.
 */
#include "signer.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/text.h"

struct held_table {
    pthread_mutex_t mutex;
    struct held *first; /* as many as there are names */
};

struct held_table *
held_table_new(void)
{
    struct held_table *table = calloc(1, sizeof *table);

    if (table == NULL)
        abort();
    pthread_mutex_init(&table->mutex, NULL);
    return table;
}

static void
let_go(void *object)
{
    struct held *held = object;

    if (atomic_fetch_sub(&held->holders, 1) > 1)
        return;
    held->close(held);
    arena_free(held->arena); /* it lies in it */
}

void
held_table_free(struct held_table *table)
{
    for (struct held *held = table->first, *next; held != NULL; held = next) {
        next = held->next;
        let_go(held);
    }
    pthread_mutex_destroy(&table->mutex);
    free(table);
}

static struct held **
find_place(struct held_table *table, const char *name)
{
    struct held **at = &table->first;

    while (*at != NULL && !text_equal((*at)->name, name))
        at = &(*at)->next;
    return at;
}

static void
hold(struct request *rq, struct held *held)
{
    atomic_fetch_add(&held->holders, 1);
    arena_defer(rq->arena, let_go, held);
}

const struct held *
held_find(struct held_table *table, struct request *rq, const char *name)
{
    AUTO_LOCK(&table->mutex);
    struct held *held = *find_place(table, name);

    if (held != NULL)
        hold(rq, held);
    return held;
}

void
held_put(struct held_table *table, struct request *rq, struct held *held)
{
    AUTO_LOCK(&table->mutex);
    struct held **at = find_place(table, held->name), *old = *at;

    hold(rq, held);
    atomic_fetch_add(&held->holders, 1);
    held->next = old != NULL ? old->next : NULL;
    *at = held;
    if (old != NULL)
        let_go(old);
}
