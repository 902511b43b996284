/* Calls that came together; see the header. */
#include "link/rpc_bundle.h"

#include <pthread.h>

#include "link/message.h"
#include "link/rpc.h"
#include "link/rpc_wire.h"

/* Octets that an answer has at most beside its body: the texts of a failure, and what the wire adds. */
#define ANSWER_FRAME (sizeof(struct failure) + 64)

struct rpc_bundle {
    struct arena *arena; /* the calls; and under the mutex, their answers */
    const Pb__CallBundle *calls;
    pthread_mutex_t mutex;
    Pb__Answer *answers;
    size_t octets; /* of all bodies */
    size_t open;   /* calls without an end */
};

struct rpc_bundle *
rpc_bundle_open(struct bytes body)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    const Pb__CallBundle *calls = (const Pb__CallBundle *)message_unpack(arena, &pb__call_bundle__descriptor, body);

    if (calls == NULL || calls->n_calls == 0 || calls->n_calls > RPC_BUNDLE_MOST)
        return NULL;
    struct rpc_bundle *bundle = arena_alloc(arena, sizeof *bundle);
    *bundle = (struct rpc_bundle){.calls = calls, .open = calls->n_calls};
    pthread_mutex_init(&bundle->mutex, NULL);
    bundle->answers = arena_array(arena, calls->n_calls, sizeof *bundle->answers);
    for (size_t i = 0; i < calls->n_calls; i++) {
        pb__answer__init(&bundle->answers[i]);
        bundle->answers[i].error = error_name(ERR_TIMEOUT);
        bundle->answers[i].message = "the deadline passed before the work began; it was dropped";
    }
    bundle->arena = TAKE(arena);
    return bundle;
}

size_t
rpc_bundle_count(const struct rpc_bundle *bundle)
{
    return bundle->calls->n_calls;
}

const Pb__Call *
rpc_bundle_call(const struct rpc_bundle *bundle, size_t call)
{
    return bundle->calls->calls[call];
}

void
rpc_bundle_answer(struct rpc_bundle *bundle, size_t call, struct bytes body)
{
    AUTO_LOCK(&bundle->mutex);
    Pb__Answer *answer = &bundle->answers[call];

    answer->error = "";
    answer->message = "";
    if (bundle->octets + body.len + (bundle->calls->n_calls + 1) * ANSWER_FRAME > RPC_BODY_MAX) {
        answer->alone = true;
        return;
    }
    bundle->octets += body.len;
    answer->body = message_data(bytes_copy(bundle->arena, body));
}

void
rpc_bundle_keep_secret(struct rpc_bundle *bundle)
{
    AUTO_LOCK(&bundle->mutex);

    arena_keep_secret(bundle->arena);
}

void
rpc_bundle_refuse(struct rpc_bundle *bundle, size_t call, enum error error, const struct failure *failure)
{
    AUTO_LOCK(&bundle->mutex);
    Pb__Answer *answer = &bundle->answers[call];

    answer->error = error_name(error);
    answer->message = arena_text(bundle->arena, failure->message);
    answer->layer = arena_text(bundle->arena, failure->layer);
    answer->reason = arena_text(bundle->arena, failure->reason);
    answer->retry_after_s = (uint32_t)failure->retry_after_s;
}

bool
rpc_bundle_end_call(struct rpc_bundle *bundle, struct bytes *ret_body)
{
    AUTO_LOCK(&bundle->mutex);
    Pb__AnswerBundle all = PB__ANSWER_BUNDLE__INIT;
    size_t count = bundle->calls->n_calls;

    if (--bundle->open > 0)
        return false;
    all.answers = arena_array(bundle->arena, count, sizeof(Pb__Answer *));
    all.n_answers = count;
    for (size_t i = 0; i < count; i++)
        all.answers[i] = &bundle->answers[i];
    *ret_body = message_pack(bundle->arena, &all.base);
    return true;
}

void
rpc_bundle_close(struct rpc_bundle *bundle)
{
    pthread_mutex_destroy(&bundle->mutex);
    arena_free(bundle->arena);
}
