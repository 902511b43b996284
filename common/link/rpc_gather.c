/*
 * Gathering: the first of those that wait leads. It waits a moment for others, takes them, sends one message for all, and gives each its answer; who
 * comes meanwhile waits under a leader of its own. Messages do not wait for each other, so that a callee that hangs holds up only what it was asked.
 */
#include "link/rpc_gather.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"
#include "link/rpc_wire.h"
#include "signet/v1/call.pb-c.h"

#define ENOUGH 24 /* who leads so many waits for no more */
#define FEW 8     /* so many calls under way let nobody wait; each further one does for a millisecond */
#define OCTETS_MOST (256 * 1024)
#define ALONE_FROM (32 * 1024) /* octets of a call that shares its message with nobody */

enum turn { TURN_LEADS = 1, TURN_IS_DONE };

/* On the stack of who calls. */
struct gathered {
    struct gathered *next;
    sem_t woken;
    enum turn turn; /* set before `woken` */
    struct request *rq;
    struct bytes body;
    bool alone;
    enum error error;
    struct bytes answer; /* in rq's arena */
};

struct rpc_gather {
    struct bus *bus;
    const ProtobufCServiceDescriptor *callee;
    const ProtobufCMethodDescriptor *method;
    pthread_mutex_t mutex;
    pthread_cond_t enough;         /* wait: the leader waits no longer */
    struct gathered *first, *last; /* that wait; the first leads */
    size_t waiting, under_way;
};

struct rpc_gather *
rpc_gather_new(struct bus *bus, const ProtobufCServiceDescriptor *callee, const char *method)
{
    struct rpc_gather *gather = calloc(1, sizeof *gather);

    if (gather == NULL)
        abort();
    *gather = (struct rpc_gather){.bus = bus, .callee = callee, .method = rpc_method(callee, method)};
    pthread_mutex_init(&gather->mutex, NULL);
    pthread_cond_init(&gather->enough, NULL);
    return gather;
}

void
rpc_gather_free(struct rpc_gather *gather)
{
    if (gather == NULL)
        return;
    pthread_cond_destroy(&gather->enough);
    pthread_mutex_destroy(&gather->mutex);
    free(gather);
}

/* ---- together ---- */

static void
take_answer(struct gathered *call, const Pb__Answer *answer)
{
    call->alone = answer->alone;
    if (!text_is_empty(answer->error))
        call->error = rpc_fail_as_told(call->rq, answer->error, answer->message, answer->layer, answer->reason, (int)answer->retry_after_s);
    else
        call->answer = bytes_copy(call->rq->arena, message_bytes(answer->body));
}

/* Trouble around us is everybody's. A callee that refuses the message may be one that knows no bundles. */
static void
fail_all(const struct request *rq, struct gathered *const *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        calls[i]->alone = !error_is_retriable(rq->failure.kind);
        if (calls[i]->alone)
            continue;
        calls[i]->rq->failure = rq->failure;
        calls[i]->error = rq->failure.kind;
    }
}

static void
fill(struct request *rq, const struct gathered *call, Pb__Call *ret_call)
{
    int left_ms = call->rq->deadline_ms == 0 ? RPC_DEADLINE_MS : request_time_left_ms(call->rq, RPC_DEADLINE_MOST_MS);
    int64_t deadline_ms = clock_monotonic_ms() + left_ms;

    if (arena_is_secret(call->rq->arena))
        arena_keep_secret(rq->arena);
    pb__call__init(ret_call);
    ret_call->traceparent = request_traceparent(call->rq);
    ret_call->deadline_ms = (uint32_t)left_ms;
    ret_call->body = message_data(call->body);
    rq->deadline_ms = rq->deadline_ms > deadline_ms ? rq->deadline_ms : deadline_ms;
}

static void
ask_together(struct rpc_gather *gather, struct gathered *const *calls, size_t count)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CallBundle bundle = PB__CALL_BUNDLE__INIT;
    Pb__Call parts[RPC_BUNDLE_MOST], *list[RPC_BUNDLE_MOST];
    const Pb__AnswerBundle *reply = NULL;

    for (size_t i = 0; i < count; i++) {
        fill(rq, calls[i], &parts[i]);
        list[i] = &parts[i];
    }
    bundle.calls = list;
    bundle.n_calls = count;
    const struct rpc_letter letter = {.subject = rpc_subject_of_method(rq->arena, gather->callee, "", gather->method->name),
                                      .body = message_pack(rq->arena, &bundle.base),
                                      .is_bundle = true,
                                      .reply_type = &pb__answer_bundle__descriptor};
    enum error error = rpc_post(gather->bus, rq, &letter, (const ProtobufCMessage **)&reply);
    if (!error && reply->n_answers != count)
        error = fail(rq, ERR_INTERNAL, "%zu answers to %zu calls", reply->n_answers, count);
    if (error) {
        fail_all(rq, calls, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        take_answer(calls[i], reply->answers[i]);
}

/* ---- who goes with whom ---- */

static void
wake(struct gathered *call, enum turn turn)
{
    call->turn = turn;
    sem_post(&call->woken); /* from here on the call may be gone */
}

/* Those that wait, the leader first; the next of them, if any are left, leads the rest. */
static size_t
take_some(struct rpc_gather *gather, struct gathered **ret_calls)
{
    int64_t pause_ms = gather->under_way > FEW ? (int64_t)(gather->under_way - FEW) : 0, until_ms = clock_monotonic_ms() + pause_ms;
    size_t count = 0, octets = 0;

    while (pause_ms > 0 && gather->waiting < ENOUGH && clock_wait(&gather->enough, &gather->mutex, until_ms))
        continue;
    struct gathered *call = gather->first;
    for (; call != NULL && count < RPC_BUNDLE_MOST && octets < OCTETS_MOST; call = call->next) {
        ret_calls[count++] = call;
        octets += call->body.len;
    }
    gather->first = call;
    if (gather->first == NULL)
        gather->last = NULL;
    gather->waiting -= count;
    gather->under_way += count;
    if (gather->first != NULL)
        wake(gather->first, TURN_LEADS);
    return count;
}

static void
lead(struct rpc_gather *gather)
{
    struct gathered *calls[RPC_BUNDLE_MOST];

    pthread_mutex_lock(&gather->mutex);
    size_t count = take_some(gather, calls);
    pthread_mutex_unlock(&gather->mutex);
    assert(count > 0); /* who leads is one of them */
    if (count == 1)
        calls[0]->alone = true;
    else
        ask_together(gather, calls, count);
    for (size_t i = 1; i < count; i++)
        wake(calls[i], TURN_IS_DONE);
}

/* True: who comes leads. */
static bool
join(struct rpc_gather *gather, struct gathered *call)
{
    AUTO_LOCK(&gather->mutex);
    bool leads = gather->first == NULL;

    if (leads)
        gather->first = call;
    else
        gather->last->next = call;
    gather->last = call;
    if (++gather->waiting == ENOUGH)
        pthread_cond_signal(&gather->enough);
    return leads;
}

static enum error
ask_alone(const struct rpc_gather *gather, struct request *rq, const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    return rpc_call(gather->bus, rq, gather->callee, "", gather->method->name, input, ret_reply);
}

static enum error
read_answer(const struct rpc_gather *gather, struct gathered *call, const ProtobufCMessage **ret_reply)
{
    if (call->error)
        return call->error;
    const ProtobufCMessage *reply = message_unpack(call->rq->arena, gather->method->output, call->answer);
    if (reply == NULL)
        return fail_privately(call->rq, ERR_INTERNAL, "an internal answer could not be read", "not a %s", gather->method->output->name);
    *ret_reply = reply;
    return OK;
}

enum error
rpc_call_gathered(struct rpc_gather *gather, struct request *rq, const ProtobufCMessageDescriptor *type, const ProtobufCMessage *input,
                  const ProtobufCMessage **ret_reply)
{
    struct gathered call = {.rq = rq, .body = message_pack(rq->arena, input)};

    assert(type == gather->method->input);
    if (call.body.len >= ALONE_FROM)
        return ask_alone(gather, rq, input, ret_reply);
    sem_init(&call.woken, 0, 0);
    bool leads = join(gather, &call);
    while (!leads && sem_wait(&call.woken) != 0)
        continue; /* a signal */
    if (leads || call.turn == TURN_LEADS)
        lead(gather);
    sem_destroy(&call.woken);
    enum error error = call.alone ? ask_alone(gather, rq, input, ret_reply) : read_answer(gather, &call, ret_reply);
    pthread_mutex_lock(&gather->mutex);
    gather->under_way--;
    pthread_mutex_unlock(&gather->mutex);
    return error;
}

/* ---- calls that one thread has ---- */

void
rpc_call_together(struct bus *bus, const ProtobufCServiceDescriptor *callee, const char *method, struct rpc_part *parts, size_t count)
{
    struct rpc_gather gather = {.bus = bus, .callee = callee, .method = rpc_method(callee, method)};
    struct gathered calls[RPC_BUNDLE_MOST] = {0}, *together[RPC_BUNDLE_MOST] = {0};
    size_t taken = 0, octets = 0;

    if (count == 1)
        parts[0].error = ask_alone(&gather, parts[0].rq, parts[0].input, &parts[0].reply);
    if (count < 2)
        return;
    for (; taken < count && taken < RPC_BUNDLE_MOST && octets < OCTETS_MOST; taken++) {
        calls[taken] = (struct gathered){.rq = parts[taken].rq, .body = message_pack(parts[taken].rq->arena, parts[taken].input)};
        together[taken] = &calls[taken];
        octets += calls[taken].body.len;
    }
    ask_together(&gather, together, taken);
    for (size_t i = 0; i < taken; i++)
        if (!calls[i].alone)
            parts[i].error = read_answer(&gather, &calls[i], &parts[i].reply);
}
