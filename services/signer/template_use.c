/*
 * Templates that are out of use: their newest version is disabled, so that no version of them is signed any more, whoever has warranted it, and
 * however long the intent has waited. Which these are is remembered like CAs (authority.c): read anew after an import here, on NOTIFY after one at
 * another replica, and when for a few seconds nobody could be sure to have heard of such. An issuance costs no look into the database.
 */
#include "signer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/snapshot.h"
#include "base/text.h"

struct template_use {
    struct snapshot_slot *slot;
    atomic_uint epoch;
    atomic_int_least64_t heard_ms;
};

/* What a snapshot holds. */
struct disabled {
    const char *const *names;
    size_t count;
    int64_t read_ms;
    unsigned epoch;
};

struct template_use *
template_use_new(void)
{
    struct template_use *use = calloc(1, sizeof *use);

    if (use == NULL)
        abort();
    use->slot = snapshot_slot_new();
    return use;
}

void
template_use_free(struct template_use *use)
{
    snapshot_slot_free(use->slot);
    free(use);
}

void
template_use_forget(struct template_use *use)
{
    atomic_fetch_add(&use->epoch, 1);
}

void
template_use_heard(struct template_use *use, int64_t until_ms)
{
    atomic_store(&use->heard_ms, until_ms);
}

/* NULL: not known, or perhaps not true any more. */
static const struct disabled *
hold(struct template_use *use, struct request *rq)
{
    const struct disabled *disabled = snapshot_hold(use->slot, rq);

    if (disabled == NULL || disabled->epoch != atomic_load(&use->epoch))
        return NULL;
    return db_still_holds(disabled->read_ms, atomic_load(&use->heard_ms), clock_monotonic_ms()) ? disabled : NULL;
}

static enum error
read_anew(struct signer *signer, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new(); /* its arena becomes the snapshot's */
    struct disabled *disabled = arena_alloc(own->arena, sizeof *disabled);

    own->deadline_ms = rq->deadline_ms;
    uint64_t begun = snapshot_begin(signer->template_use->slot);
    disabled->epoch = atomic_load(&signer->template_use->epoch); /* before reading: what is written meanwhile makes this snapshot old */
    disabled->read_ms = clock_monotonic_ms();
    enum error error = store_list_disabled_templates(signer->db, own, &disabled->names, &disabled->count);
    rq->sql_round_trips += own->sql_round_trips;
    if (error != OK) {
        rq->failure = own->failure;
        return error;
    }
    snapshot_put_begun(signer->template_use->slot, begun, TAKE(own->arena), disabled);
    return OK;
}

/* While the database is away the last one stays in force: who could have changed it? */
static enum error
load(struct signer *signer, struct request *rq, const struct disabled **ret_disabled)
{
    struct template_use *use = signer->template_use;

    *ret_disabled = hold(use, rq);
    if (*ret_disabled != NULL)
        return OK;
    enum error error = read_anew(signer, rq);
    *ret_disabled = snapshot_hold(use->slot, rq);
    if (*ret_disabled == NULL)
        return error;
    failure_clear(rq);
    return OK;
}

enum error
template_check_use(struct signer *signer, struct request *rq, const char *name)
{
    const struct disabled *disabled;

    enum error error = load(signer, rq, &disabled);
    if (error != OK)
        return error;
    for (size_t i = 0; i < disabled->count; i++)
        if (text_equal(disabled->names[i], name))
            return fail(rq, ERR_DENIED, "the template %s is disabled", name);
    return OK;
}
