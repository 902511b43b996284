/*
 * The answering end of calls. nats.c delivers each request on its own thread to deliver(), which never waits: it hands over to the workers or
 * refuses. On a worker the request is unpacked, the generated table finds the handler, and RPC_HANDLER's adapter answers.
 */
#include "link/rpc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"
#include "link/rpc_wire.h"
#include "link/workers.h"

#define BUSY_RETRY_AFTER_S 1

/* deliver() keeps this queue nearly empty; should it not, dropping is better than answering the dead. */
#define PENDING_MESSAGES_MAX 8192
#define PENDING_BYTES_MAX (64 * 1024 * 1024)

struct served_method {
    const char *name; /* the last part of the subject: "sign_certificate" */
    const char *step; /* for the log: "signer.SignCertificate" */
    const ProtobufCMessageDescriptor *input;
};

struct rpc_server {
    struct arena *arena;
    struct bus *bus;
    ProtobufCService *table;
    void *context;
    const char *subject; /* "signet.signer.*" */
    const char *group;   /* queue group, or NULL: every instance answers */
    struct served_method *methods;
    struct workers *workers;
    natsSubscription *subscription;
};

struct delivery {
    struct rpc_server *server;
    natsMsg *message;
    int64_t arrived_ms;
};

struct rpc_incoming {
    struct rpc_server *server;
    natsMsg *message;
    bool answered;
    enum error result;
    struct request rq;
};

struct request *
rpc_incoming_request(void *incoming)
{
    return &((struct rpc_incoming *)incoming)->rq;
}

void *
rpc_incoming_context(void *incoming)
{
    return ((struct rpc_incoming *)incoming)->server->context;
}

/* ---- answering ---- */

static natsStatus
send_body(struct rpc_incoming *incoming, struct bytes body)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(incoming->server->bus);
    return natsConnection_Publish(link->nats, natsMsg_GetReply(incoming->message), body.at, (int)body.len);
}

static natsStatus
send_refusal(struct rpc_incoming *incoming, enum error error)
{
    struct arena *arena = incoming->rq.arena;
    const struct failure *failure = &incoming->rq.failure;
    AUTO(natsMsg, message) = NULL;
    natsStatus status = natsMsg_Create(&message, natsMsg_GetReply(incoming->message), NULL, NULL, 0);
    if (status == NATS_OK)
        status = rpc_set_header(arena, message, HEADER_ERROR, error_name(error));
    if (status == NATS_OK)
        status = rpc_set_header(arena, message, HEADER_MESSAGE, failure->message);
    if (status == NATS_OK)
        status = rpc_set_header(arena, message, HEADER_LAYER, failure->layer);
    if (status == NATS_OK)
        status = rpc_set_header(arena, message, HEADER_REASON, failure->reason);
    if (status == NATS_OK && failure->retry_after_s > 0)
        status = rpc_set_header(arena, message, HEADER_RETRY_AFTER, arena_format(arena, "%d", failure->retry_after_s));
    if (status != NATS_OK)
        return status;
    AUTO_STRUCT(bus_link, link) = bus_hold(incoming->server->bus);
    return natsConnection_PublishMsg(link->nats, message);
}

void
rpc_incoming_answer(void *context, enum error error, const ProtobufCMessage *reply)
{
    struct rpc_incoming *incoming = context;
    struct request *rq = &incoming->rq;
    assert(!incoming->answered);
    incoming->answered = true;
    struct bytes body = error == OK ? message_pack(rq->arena, reply) : BYTES_NONE;
    if (body.len > RPC_BODY_MAX)
        error = fail(rq, ERR_TOO_LARGE, "the answer is larger than %d bytes; ask for less", RPC_BODY_MAX);
    incoming->result = error;
    natsStatus status = error == OK ? send_body(incoming, body) : send_refusal(incoming, error);
    if (status != NATS_OK)
        request_note(rq, "answer_lost", "%s", natsStatus_GetText(status));
}

/* ---- one request ---- */

static const struct served_method *
find_method(const struct rpc_server *server, natsMsg *message)
{
    const char *name = strrchr(natsMsg_GetSubject(message), '.') + 1; /* the subscription has dots */
    for (unsigned i = 0; i < server->table->descriptor->n_methods; i++)
        if (strcmp(server->methods[i].name, name) == 0)
            return &server->methods[i];
    return NULL;
}

static const struct served_method *
begin(struct rpc_incoming *incoming, int64_t arrived_ms)
{
    struct request *rq = &incoming->rq;
    natsMsg *message = incoming->message;
    const struct served_method *method = find_method(incoming->server, message);
    request_begin(rq, "rpc", method == NULL ? "unknown" : method->step, rpc_header(message, HEADER_TRACE));
    rq->caller = arena_text(rq->arena, rpc_header(message, HEADER_CALLER));
    int64_t left_ms = RPC_DEADLINE_MS;
    (void)text_parse_number(rpc_header(message, HEADER_DEADLINE), 0, RPC_DEADLINE_MOST_MS, &left_ms);
    rq->deadline_ms = arrived_ms + left_ms;
    return method;
}

static void
end(struct rpc_incoming *incoming)
{
    request_end(&incoming->rq, incoming->result);
    natsMsg_Destroy(incoming->message);
}

static void
run(struct rpc_incoming *incoming, const struct served_method *method)
{
    struct rpc_server *server = incoming->server;
    struct request *rq = &incoming->rq;
    natsMsg *message = incoming->message;
    if (text_is_empty(natsMsg_GetReply(message))) {
        incoming->result = fail(rq, ERR_BAD_REQUEST, "a call without an address for the answer");
        return;
    }
    if (request_time_left_ms(rq, RPC_DEADLINE_MOST_MS) == 0) {
        /* Nobody waits any more; doing the work would only delay those who do. */
        incoming->result = fail(rq, ERR_TIMEOUT, "the deadline passed before the work began; it was dropped");
        return;
    }
    if (method == NULL) {
        rpc_incoming_answer(incoming, fail(rq, ERR_NOT_FOUND, "no such call: %s", natsMsg_GetSubject(message)), NULL);
        return;
    }
    struct bytes body = BYTES(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
    const ProtobufCMessage *input = message_unpack(rq->arena, method->input, body);
    if (input == NULL) {
        rpc_incoming_answer(incoming, fail(rq, ERR_BAD_REQUEST, "the body is not a valid %s", method->input->short_name), NULL);
        return;
    }
    server->table->invoke(server->table, (unsigned)(method - server->methods), input, NULL, incoming);
    assert(incoming->answered);
}

static void
serve(void *argument)
{
    struct delivery *delivery = argument;
    struct rpc_incoming incoming;
    incoming.server = delivery->server;
    incoming.message = delivery->message;
    incoming.answered = false;
    incoming.result = ERR_INTERNAL;
    const struct served_method *method = begin(&incoming, delivery->arrived_ms);
    free(delivery);
    run(&incoming, method);
    end(&incoming);
}

static void
refuse(const struct delivery *delivery)
{
    struct rpc_incoming incoming;
    incoming.server = delivery->server;
    incoming.message = delivery->message;
    incoming.answered = false;
    incoming.result = ERR_BUSY;
    (void)begin(&incoming, delivery->arrived_ms);
    (void)fail(&incoming.rq, ERR_BUSY, "too many requests are waiting; try again shortly");
    enum error error = fail_retry_after(&incoming.rq, BUSY_RETRY_AFTER_S);
    if (!text_is_empty(natsMsg_GetReply(incoming.message)))
        rpc_incoming_answer(&incoming, error, NULL);
    end(&incoming);
}

static void
deliver(natsConnection *nats, natsSubscription *subscription, natsMsg *message, void *context)
{
    struct rpc_server *server = context;
    struct delivery *delivery = malloc(sizeof(*delivery));
    if (delivery == NULL)
        abort();
    *delivery = (struct delivery){.server = server, .message = message, .arrived_ms = clock_monotonic_ms()};
    if (workers_try(server->workers, serve, delivery))
        return;
    refuse(delivery);
    free(delivery);
}

/* ---- the table's life ---- */

static void
attach(void *context, natsConnection *nats)
{
    struct rpc_server *server = context;
    natsSubscription *subscription = NULL;
    natsStatus status = server->group == NULL ? natsConnection_Subscribe(&subscription, nats, server->subject, deliver, server)
                                              : natsConnection_QueueSubscribe(&subscription, nats, server->subject, server->group, deliver, server);
    if (status != NATS_OK)
        return; /* the connection was closed meanwhile; the bus comes again with the next one */
    (void)natsSubscription_SetPendingLimits(subscription, PENDING_MESSAGES_MAX, PENDING_BYTES_MAX);
    natsSubscription_Destroy(server->subscription);
    server->subscription = subscription;
}

static void
stop(void *context, int most_ms)
{
    struct rpc_server *server = context;
    if (server->subscription != NULL && natsSubscription_DrainTimeout(server->subscription, most_ms) == NATS_OK)
        (void)natsSubscription_WaitForDrainCompletion(server->subscription, most_ms);
    workers_free(server->workers);
    natsSubscription_Destroy(server->subscription);
    arena_free(server->arena);
}

static struct served_method *
list_methods(struct arena *arena, const ProtobufCServiceDescriptor *descriptor, const char *service)
{
    struct served_method *methods = arena_array(arena, descriptor->n_methods, sizeof(*methods));
    for (unsigned i = 0; i < descriptor->n_methods; i++) {
        const ProtobufCMethodDescriptor *method = &descriptor->methods[i];
        methods[i] = (struct served_method){
            .name = rpc_split_words(arena, method->name, '_'), .step = arena_format(arena, "%s.%s", service, method->name), .input = method->input};
    }
    return methods;
}

enum error
rpc_serve(struct bus *bus, struct request *rq, ProtobufCService *table, void *context, const struct rpc_options *options)
{
    struct arena *arena = arena_new();
    const char *service = rpc_split_words(arena, table->descriptor->short_name, '-');
    const char *subject = rpc_subject_of_service(arena, table->descriptor, options->subject_suffix);
    struct rpc_server *server = arena_alloc(arena, sizeof(*server));
    *server = (struct rpc_server){.arena = arena,
                                  .bus = bus,
                                  .table = table,
                                  .context = context,
                                  .subject = arena_format(arena, "%s.*", subject),
                                  .group = options->every_instance ? NULL : service,
                                  .methods = list_methods(arena, table->descriptor, service),
                                  .workers = workers_new(service, options->threads, options->queue_limit, nats_ReleaseThreadMemory)};
    bus_add_part(bus, &(struct bus_part){.attach = attach, .stop = stop, .context = server});
    return OK;
}
