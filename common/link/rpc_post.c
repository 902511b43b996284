/*
 * The asking end: a message to a callee, and its answer. Calls come here, alone (rpc_call.c) or together (rpc_gather.c); the other end is rpc_serve.c
 * in another process.
 *
 * A request that found nobody was not executed and is sent again until patience or deadline runs out. One whose connection broke while its answer was
 * awaited may have been executed: it is sent again too, because every contract is safe to repeat, but when that fails the outcome is unknown.
 */
#include "link/rpc.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"
#include "link/rpc_wire.h"

/* Long enough for a NATS server or a callee to be restarted, short enough for an HTTP client to be told. */
#define RPC_PATIENCE_MS 2000
#define RPC_PAUSE_FIRST_MS 5
#define RPC_PAUSE_MOST_MS 100
#define RPC_RETRY_AFTER_S 2

struct call {
    struct bus *bus;
    struct request *rq;
    const struct rpc_letter *letter;
    natsMsg *message;
    bool outcome_unknown; /* an attempt was under way when the connection broke */
};

static natsStatus
make_message(struct call *call, natsMsg **ret_message)
{
    const struct rpc_letter *letter = call->letter;
    struct arena *arena = call->rq->arena;
    AUTO(natsMsg, message) = NULL;
    const char *subject = rpc_subject_of_call(arena, letter->subject, bus_name(call->bus));
    natsStatus status = natsMsg_Create(&message, subject, NULL, (const char *)letter->body.at, (int)letter->body.len);
    if (status == NATS_OK)
        status = rpc_set_header(arena, message, HEADER_TRACE, request_traceparent(call->rq));
    if (status == NATS_OK && letter->is_bundle)
        status = rpc_set_header(arena, message, HEADER_BUNDLE, "1");
    if (status == NATS_OK)
        *ret_message = TAKE(message);
    return status;
}

/* One attempt. NATS_NOT_YET_CONNECTED: nothing was sent. */
static natsStatus
ask(struct call *call, int time_left_ms, natsMsg **ret_answer)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(call->bus);
    if (!bus_link_is_up(link))
        return NATS_NOT_YET_CONNECTED;
    char deadline[16];
    (void)snprintf(deadline, sizeof(deadline), "%d", time_left_ms);
    natsStatus status = natsMsgHeader_Set(call->message, HEADER_DEADLINE, deadline);
    if (status == NATS_OK)
        status = natsConnection_RequestMsg(ret_answer, link->nats, call->message, time_left_ms);
    if (status == NATS_CONNECTION_DISCONNECTED)
        call->outcome_unknown = true;
    return status;
}

static bool
is_worth_another_attempt(natsStatus status)
{
    return status == NATS_NO_RESPONDERS || status == NATS_NOT_YET_CONNECTED || status == NATS_CONNECTION_DISCONNECTED ||
           status == NATS_CONNECTION_CLOSED;
}

static enum error
fail_without_answer(struct call *call, natsStatus status)
{
    struct request *rq = call->rq;
    const char *why = natsStatus_GetText(status);
    if (status == NATS_TIMEOUT || call->outcome_unknown) {
        (void)fail_privately(rq, ERR_TIMEOUT, "no answer came in time; the request may still be carried out: repeat it", "%s: %s",
                             call->letter->subject, why);
        return fail_retry_after(rq, RPC_RETRY_AFTER_S);
    }
    if (is_worth_another_attempt(status)) {
        (void)fail_privately(rq, ERR_UNAVAILABLE, "a service that is needed cannot be reached now; try again later", "%s: %s", call->letter->subject,
                             why);
        return fail_retry_after(rq, RPC_RETRY_AFTER_S);
    }
    return fail_privately(rq, ERR_INTERNAL, "an internal call could not be made", "%s: %s", call->letter->subject, why);
}

static enum error
fail_as_told(struct request *rq, natsMsg *answer, const char *error)
{
    int64_t retry_after_s = 0;
    (void)text_parse_number(rpc_header(answer, HEADER_RETRY_AFTER), 0, RPC_RETRY_AFTER_MOST_S, &retry_after_s);
    return rpc_fail_as_told(rq, error, rpc_header(answer, HEADER_MESSAGE), rpc_header(answer, HEADER_LAYER), rpc_header(answer, HEADER_REASON),
                            (int)retry_after_s);
}

static enum error
read_answer(struct call *call, natsMsg *answer, const ProtobufCMessage **ret_reply)
{
    const char *error = rpc_header(answer, HEADER_ERROR);
    if (!text_is_empty(error))
        return fail_as_told(call->rq, answer, error);
    const ProtobufCMessage *reply =
        message_unpack(call->rq->arena, call->letter->reply_type, BYTES(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer)));
    if (reply == NULL)
        return fail_privately(call->rq, ERR_INTERNAL, "an internal answer could not be read", "%s: not a %s", call->letter->subject,
                              call->letter->reply_type->name);
    *ret_reply = reply;
    return OK;
}

static enum error
exchange(struct call *call, const ProtobufCMessage **ret_reply)
{
    const struct request *rq = call->rq;
    int64_t deadline_ms = rq->deadline_ms != 0 ? rq->deadline_ms : clock_monotonic_ms() + RPC_DEADLINE_MS;
    int64_t patience_ms = clock_monotonic_ms() + RPC_PATIENCE_MS;
    natsStatus status = NATS_TIMEOUT;
    for (int pause_ms = RPC_PAUSE_FIRST_MS;; pause_ms = pause_ms * 2 < RPC_PAUSE_MOST_MS ? pause_ms * 2 : RPC_PAUSE_MOST_MS) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0)
            return fail_without_answer(call, status);
        AUTO(natsMsg, answer) = NULL;
        status = ask(call, (int)(left_ms < RPC_DEADLINE_MOST_MS ? left_ms : RPC_DEADLINE_MOST_MS), &answer);
        if (status == NATS_OK) {
            enum error error = read_answer(call, answer, ret_reply);
            if (arena_is_secret(rq->arena)) /* the copy that nats.c has made for us, too */
                wipe((void *)(uintptr_t)natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
            bus_bin_take(bus_bin(call->bus), TAKE(answer));
            return error;
        }
        if (!is_worth_another_attempt(status) || clock_monotonic_ms() + pause_ms >= patience_ms)
            return fail_without_answer(call, status);
        clock_sleep_ms(pause_ms);
    }
}

enum error
rpc_post(struct bus *bus, struct request *rq, const struct rpc_letter *letter, const ProtobufCMessage **ret_reply)
{
    struct call call = {.bus = bus, .rq = rq, .letter = letter};
    AUTO(natsMsg, message) = NULL;

    if (letter->body.len > RPC_BODY_MAX)
        return fail(rq, ERR_TOO_LARGE, "the request is larger than %d bytes", RPC_BODY_MAX);
    natsStatus status = make_message(&call, &message);
    if (status != NATS_OK)
        return fail_without_answer(&call, status);
    call.message = message;
    enum error error = exchange(&call, ret_reply);
    bus_bin_take(bus_bin(bus), TAKE(message));
    return error;
}
