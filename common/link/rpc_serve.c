/*
 * The answering end of calls. nats.c delivers each request on its own thread to deliver(), which never waits: it hands over to the workers or
 * refuses. On a worker the request is unpacked, the generated table finds the handler, and RPC_HANDLER's adapter answers.
 *
 * Each method has a subscription of its own, so that the server's permissions can name exactly what a service serves.
 */
#include "link/rpc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"
#include "link/rpc_bundle.h"
#include "link/rpc_wire.h"
#include "link/workers.h"

#define BUSY_RETRY_AFTER_S 1

/* deliver() keeps this queue nearly empty; should it not, dropping is better than answering the dead. */
#define PENDING_MESSAGES_MAX 8192
#define PENDING_BYTES_MAX (64 * 1024 * 1024)

struct served_method {
    struct rpc_server *server;
    unsigned index;      /* in the table */
    const char *subject; /* "signet.signer.sign_certificates.*" */
    const char *step;    /* for the log: "signer.SignCertificates" */
    const ProtobufCMessageDescriptor *input;
    natsSubscription *subscription; /* changed by the bus only, under its lock */
};

struct rpc_server {
    struct arena *arena;
    struct bus *bus;
    ProtobufCService *table;
    void *context;
    const char *group; /* queue group, or NULL: every instance answers */
    struct served_method *methods;
    unsigned method_count;
    struct workers *workers;
    pthread_mutex_t mutex;
    pthread_cond_t completed;
    int subscriptions; /* that may still deliver, of all connections */
};

/* One call: a message, or a part of one. */
struct delivery {
    const struct served_method *method;
    natsMsg *message;
    struct rpc_bundle *bundle; /* NULL: it came alone */
    size_t part;               /* of the bundle */
    int64_t arrived_ms;
};

struct rpc_incoming {
    const struct served_method *method;
    natsMsg *message;
    struct rpc_bundle *bundle;
    size_t part;
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
    return ((struct rpc_incoming *)incoming)->method->server->context;
}

/* ---- answering ---- */

static natsStatus
send_body(const struct rpc_incoming *incoming, struct bytes body)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(incoming->method->server->bus);
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
    AUTO_STRUCT(bus_link, link) = bus_hold(incoming->method->server->bus);
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
    if (body.len > RPC_BODY_MAX) {
        failure_clear(rq);
        error = fail(rq, ERR_TOO_LARGE, "the answer is larger than %d bytes; ask for less", RPC_BODY_MAX);
    }
    incoming->result = error;
    if (incoming->bundle != NULL && arena_is_secret(rq->arena))
        rpc_bundle_keep_secret(incoming->bundle);
    if (incoming->bundle != NULL && error == OK) {
        rpc_bundle_answer(incoming->bundle, incoming->part, body);
        return;
    }
    if (incoming->bundle != NULL) {
        rpc_bundle_refuse(incoming->bundle, incoming->part, error, &rq->failure);
        return;
    }
    natsStatus status = error == OK ? send_body(incoming, body) : send_refusal(incoming, error);
    if (status != NATS_OK)
        request_note(rq, "answer_lost", "%s", natsStatus_GetText(status));
}

/* ---- one request ---- */

static const char *
trace_of(const struct delivery *delivery)
{
    return delivery->bundle != NULL ? rpc_bundle_call(delivery->bundle, delivery->part)->traceparent : rpc_header(delivery->message, HEADER_TRACE);
}

static int64_t
time_left_ms(const struct delivery *delivery)
{
    int64_t left_ms = RPC_DEADLINE_MS;

    if (delivery->bundle != NULL)
        left_ms = rpc_bundle_call(delivery->bundle, delivery->part)->deadline_ms;
    else
        (void)text_parse_number(rpc_header(delivery->message, HEADER_DEADLINE), 0, RPC_DEADLINE_MOST_MS, &left_ms);
    return left_ms < RPC_DEADLINE_MOST_MS ? left_ms : RPC_DEADLINE_MOST_MS;
}

static void
begin(struct rpc_incoming *incoming, const struct delivery *delivery)
{
    struct request *rq = &incoming->rq;
    incoming->method = delivery->method;
    incoming->message = delivery->message;
    incoming->bundle = delivery->bundle;
    incoming->part = delivery->part;
    incoming->answered = false;
    request_begin(rq, "rpc", delivery->method->step, trace_of(delivery));
    rq->caller = arena_text(rq->arena, rpc_caller_of_subject(natsMsg_GetSubject(delivery->message)));
    rq->deadline_ms = delivery->arrived_ms + time_left_ms(delivery);
}

static void
end(struct rpc_incoming *incoming)
{
    struct bytes answers;

    request_end(&incoming->rq, incoming->result);
    if (incoming->bundle != NULL) {
        if (!rpc_bundle_end_call(incoming->bundle, &answers))
            return;
        (void)send_body(incoming, answers); /* when it is lost, the callers ask again */
        rpc_bundle_close(incoming->bundle);
    }
    bus_bin_take(bus_bin(incoming->method->server->bus), incoming->message);
}

static struct bytes
body_of(const struct rpc_incoming *incoming)
{
    natsMsg *message = incoming->message;

    if (incoming->bundle != NULL)
        return message_bytes(rpc_bundle_call(incoming->bundle, incoming->part)->body);
    return BYTES(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
}

static void
run(struct rpc_incoming *incoming)
{
    const struct served_method *method = incoming->method;
    ProtobufCService *table = method->server->table;
    struct request *rq = &incoming->rq;
    if (text_is_empty(natsMsg_GetReply(incoming->message))) {
        incoming->result = fail(rq, ERR_BAD_REQUEST, "a call without an address for the answer");
        return;
    }
    if (request_time_left_ms(rq, RPC_DEADLINE_MOST_MS) == 0) {
        /* Nobody waits any more; doing the work would only delay those who do. */
        incoming->result = fail(rq, ERR_TIMEOUT, "the deadline passed before the work began; it was dropped");
        return;
    }
    const ProtobufCMessage *input = message_unpack(rq->arena, method->input, body_of(incoming));
    if (input == NULL) {
        rpc_incoming_answer(incoming, fail(rq, ERR_BAD_REQUEST, "the body is not a valid %s", method->input->short_name), NULL);
        return;
    }
    table->invoke(table, method->index, input, NULL, incoming);
    assert(incoming->answered);
}

static void
serve(void *argument)
{
    struct delivery *delivery = argument;
    struct rpc_incoming incoming;
    begin(&incoming, delivery);
    free(delivery);
    run(&incoming);
    end(&incoming);
}

/* Without a worker. */
static void
refuse(const struct delivery *delivery, enum error kind, const char *message)
{
    struct rpc_incoming incoming;
    begin(&incoming, delivery);
    (void)fail(&incoming.rq, kind, "%s", message);
    incoming.result = fail_retry_after(&incoming.rq, kind == ERR_BUSY ? BUSY_RETRY_AFTER_S : 0);
    if (!text_is_empty(natsMsg_GetReply(incoming.message)))
        rpc_incoming_answer(&incoming, incoming.result, NULL);
    end(&incoming);
}

static void
hand_over(const struct delivery *call)
{
    struct delivery *delivery = malloc(sizeof(*delivery));
    if (delivery == NULL)
        abort();
    *delivery = *call;
    if (workers_try(call->method->server->workers, serve, delivery))
        return;
    refuse(delivery, ERR_BUSY, "too many requests are waiting; try again shortly");
    free(delivery);
}

static void
deliver(natsConnection *nats, natsSubscription *subscription, natsMsg *message, void *context)
{
    struct delivery call = {.method = context, .message = message, .arrived_ms = clock_monotonic_ms()};
    if (text_is_empty(rpc_header(message, HEADER_BUNDLE))) {
        hand_over(&call);
        return;
    }
    struct rpc_bundle *bundle = rpc_bundle_open(BYTES(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)));
    if (bundle == NULL) {
        refuse(&call, ERR_BAD_REQUEST, "the body is no valid bundle of calls");
        return;
    }
    call.bundle = bundle;
    /* With the last call's end the bundle may be gone. */
    for (size_t count = rpc_bundle_count(bundle); call.part < count; call.part++)
        hand_over(&call);
}

/* ---- the table's life ---- */

/* The last that nats.c calls for a subscription. */
static void
complete(void *context)
{
    struct rpc_server *server = context;
    AUTO_LOCK(&server->mutex);
    server->subscriptions--;
    pthread_cond_signal(&server->completed);
}

static natsStatus
subscribe(struct served_method *method, natsConnection *nats, natsSubscription **ret_subscription)
{
    struct rpc_server *server = method->server;
    natsStatus status = server->group == NULL
                            ? natsConnection_Subscribe(ret_subscription, nats, method->subject, deliver, method)
                            : natsConnection_QueueSubscribe(ret_subscription, nats, method->subject, server->group, deliver, method);
    if (status != NATS_OK)
        return status;
    (void)natsSubscription_SetPendingLimits(*ret_subscription, PENDING_MESSAGES_MAX, PENDING_BYTES_MAX);
    AUTO_LOCK(&server->mutex);
    if (natsSubscription_SetOnCompleteCB(*ret_subscription, complete, server) == NATS_OK)
        server->subscriptions++;
    return NATS_OK;
}

static void
attach(void *context, natsConnection *nats)
{
    struct rpc_server *server = context;
    for (unsigned i = 0; i < server->method_count; i++) {
        struct served_method *method = &server->methods[i];
        natsSubscription *subscription = NULL;
        if (subscribe(method, nats, &subscription) != NATS_OK)
            return; /* the connection was closed meanwhile; the bus comes again with the next one */
        natsSubscription_Destroy(method->subscription);
        method->subscription = subscription;
    }
}

/* After this nothing is delivered any more. What cannot be drained in time, or without a connection, is dropped: its callers ask again. */
static void
end_subscriptions(struct rpc_server *server, int most_ms)
{
    for (unsigned i = 0; i < server->method_count; i++)
        if (server->methods[i].subscription != NULL)
            (void)natsSubscription_DrainTimeout(server->methods[i].subscription, most_ms);
    for (unsigned i = 0; i < server->method_count; i++) {
        if (server->methods[i].subscription != NULL)
            (void)natsSubscription_WaitForDrainCompletion(server->methods[i].subscription, most_ms);
        natsSubscription_Destroy(server->methods[i].subscription);
    }
    AUTO_LOCK(&server->mutex);
    while (server->subscriptions > 0)
        pthread_cond_wait(&server->completed, &server->mutex);
}

static void
stop(void *context, int most_ms)
{
    struct rpc_server *server = context;
    end_subscriptions(server, most_ms);
    workers_free(server->workers);
}

static void
free_server(void *context)
{
    struct rpc_server *server = context;
    pthread_cond_destroy(&server->completed);
    pthread_mutex_destroy(&server->mutex);
    arena_free(server->arena);
}

static void
list_methods(struct rpc_server *server, const char *service, const char *subject)
{
    const ProtobufCServiceDescriptor *descriptor = server->table->descriptor;
    server->method_count = descriptor->n_methods;
    server->methods = arena_array(server->arena, descriptor->n_methods, sizeof(*server->methods));
    for (unsigned i = 0; i < descriptor->n_methods; i++) {
        const ProtobufCMethodDescriptor *method = &descriptor->methods[i];
        server->methods[i] =
            (struct served_method){.server = server,
                                   .index = i,
                                   .subject = arena_format(server->arena, "%s.%s.*", subject, rpc_split_words(server->arena, method->name, '_')),
                                   .step = arena_format(server->arena, "%s.%s", service, method->name),
                                   .input = method->input};
    }
}

enum error
rpc_serve(struct bus *bus, struct request *rq, ProtobufCService *table, void *context, const struct rpc_options *options)
{
    struct arena *arena = arena_new();
    const char *service = rpc_split_words(arena, table->descriptor->short_name, '-');
    struct rpc_server *server = arena_alloc(arena, sizeof(*server));
    *server = (struct rpc_server){.arena = arena,
                                  .bus = bus,
                                  .table = table,
                                  .context = context,
                                  .group = options->every_instance ? NULL : service,
                                  .workers = workers_new(service, options->threads, options->queue_limit, nats_ReleaseThreadMemory)};
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->completed, NULL);
    list_methods(server, service, rpc_subject_of_service(arena, table->descriptor, options->subject_suffix));
    bus_add_part(bus, &(struct bus_part){.attach = attach, .stop = stop, .free = free_server, .context = server});
    return OK;
}
