/* Asks many at once: `signetctl status` publishes one request to a subject that every instance answers, and reads until its wait is over. */
#include "link/rpc.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"
#include "link/rpc_wire.h"

#define SURVEY_REPLIES_MAX 4096

static natsStatus
ask_all(struct bus *bus, struct request *rq, natsConnection *nats, const char *subject, const char *inbox, struct bytes body, int wait_ms)
{
    AUTO(natsMsg, message) = NULL;
    const char *call_subject = rpc_subject_of_call(rq->arena, subject, bus_name(bus));
    natsStatus status = natsMsg_Create(&message, call_subject, inbox, (const char *)body.at, (int)body.len);
    if (status == NATS_OK)
        status = rpc_set_header(rq->arena, message, HEADER_TRACE, request_traceparent(rq));
    if (status == NATS_OK)
        status = rpc_set_header(rq->arena, message, HEADER_DEADLINE, arena_format(rq->arena, "%d", wait_ms));
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(nats, message);
    return status;
}

static size_t
collect(struct request *rq, natsSubscription *inbox, const ProtobufCMessageDescriptor *reply_type, int wait_ms, const ProtobufCMessage **replies)
{
    int64_t until_ms = clock_monotonic_ms() + wait_ms;
    size_t count = 0;
    while (count < SURVEY_REPLIES_MAX) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        AUTO(natsMsg, answer) = NULL;
        if (left_ms <= 0 || natsSubscription_NextMsg(&answer, inbox, left_ms) != NATS_OK)
            break;
        if (!text_is_empty(rpc_header(answer, HEADER_ERROR)))
            continue;
        const ProtobufCMessage *reply = message_unpack(rq->arena, reply_type, BYTES(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer)));
        if (reply != NULL)
            replies[count++] = reply;
    }
    return count;
}

enum error
rpc_survey(struct bus *bus, struct request *rq, const char *subject, const ProtobufCMessage *input, const ProtobufCMessageDescriptor *reply_type,
           int wait_ms, size_t *ret_count, const ProtobufCMessage ***ret_replies)
{
    enum error error = bus_check(bus, rq);
    if (error)
        return error;
    AUTO_STRUCT(bus_link, link) = bus_hold(bus);
    const char *inbox = bus_new_inbox(bus, rq->arena);
    AUTO(natsSubscription, subscription) = NULL;
    natsStatus status = natsConnection_SubscribeSync(&subscription, link->nats, inbox);
    if (status == NATS_OK)
        status = ask_all(bus, rq, link->nats, subject, inbox, message_pack(rq->arena, input), wait_ms);
    if (status != NATS_OK)
        return fail_privately(rq, ERR_UNAVAILABLE, "the bus cannot be asked now", "%s: %s", subject, natsStatus_GetText(status));
    const ProtobufCMessage **replies = arena_array(rq->arena, SURVEY_REPLIES_MAX, sizeof(const ProtobufCMessage *));
    *ret_count = collect(rq, subscription, reply_type, wait_ms, replies);
    *ret_replies = replies;
    return OK;
}
