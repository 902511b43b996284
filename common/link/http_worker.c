/*
 * The hand-off to worker threads, and to those who answer many exchanges at once. Each gets an exchange that depends on nothing of the connection:
 * client and loop may go on without it. If it does not come back in time, the client is answered with ERR_TIMEOUT from a second exchange, and the
 * late answer is dropped.
 */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "http_internal.h"

/* Lower layers give up a little before the client is told, so that their reason is the answer. */
#define DEADLINE_HEAD_START_MS 250

static void
copy_headers(struct http_work *work)
{
    const h2o_headers_t *headers = &work->request->headers;

    work->headers = arena_array(work->arena, headers->size + 1, sizeof *work->headers);
    for (size_t i = 0; i < headers->size; i++) {
        const h2o_header_t *header = &headers->entries[i];
        work->headers[i].name = bytes_text(work->arena, BYTES(header->name->base, header->name->len));
        work->headers[i].value = bytes_text(work->arena, http_trimmed(header->value));
    }
    work->header_count = headers->size;
}

static void
copy_what_is_borrowed(struct http_work *work)
{
    struct http_exchange *x = &work->x;

    x->peer = arena_text(work->arena, x->peer);
    x->rq.caller = x->peer;
    if (work->tls_peer != NULL) {
        work->tls_peer = http_tls_peer_copy(work->arena, work->tls_peer);
        x->client_cert = work->tls_peer->certificate;
    }
}

/* On a worker thread. */
static void
run(void *argument)
{
    struct http_work *work = argument;
    struct http_exchange *x = &work->x;
    enum error result;

    if (work->rest != NULL)
        result = work->rest(work->rest_argument);
    else if (request_time_left_ms(&x->rq, 1) == 0)
        result = fail(&x->rq, ERR_TIMEOUT, "the request waited too long for a free worker");
    else
        result = x->route->handle(work->loop->server->options.context, x);
    http_finish(x, result);
}

void
http_finish(struct http_exchange *x, enum error result)
{
    struct http_work *work = x->internal;

    http_work_complete(work, result);
    h2o_multithread_send_message(&work->loop->receiver, &work->done);
}

/* On the loop: the client is not kept waiting any longer. The worker still has the exchange; only its links to the client are ours. */
static void
on_deadline(h2o_timeout_entry_t *entry)
{
    struct http_work *late = H2O_STRUCT_FROM_MEMBER(struct http_work, deadline, entry);
    struct http_connection *connection = late->connection;
    h2o_req_t *request = late->request;

    late->connection = NULL;
    late->request = NULL;
    struct http_work *work = http_work_begin(connection, request);
    http_work_route(work);
    memcpy(work->x.rq.trace_id, late->x.rq.trace_id, sizeof work->x.rq.trace_id);
    work->x.rq.started_us = late->x.rq.started_us;
    enum error error = fail(&work->x.rq, ERR_TIMEOUT, "there was no result in time; what was asked for may still happen");
    http_work_complete(work, fail_retry_after(&work->x.rq, error == ERR_TIMEOUT ? 1 : 0));
    http_send(work);
}

static void
refuse_as_busy(struct http_work *work)
{
    struct request *rq = &work->x.rq;

    (void)fail(rq, ERR_BUSY, "all workers are busy and the queue before them is full");
    http_work_complete(work, fail_retry_after(rq, 1));
    http_send(work);
}

/* From here on the exchange depends on nothing of the connection, and the client on it no longer than it is said to wait. */
static void
detach(struct http_work *work)
{
    const struct http_server_options *options = &work->loop->server->options;
    struct http_exchange *x = &work->x;
    int head_start_ms = options->handler_timeout_ms > 4 * DEADLINE_HEAD_START_MS ? DEADLINE_HEAD_START_MS : 0;

    copy_what_is_borrowed(work);
    x->on_loop = false;
    work->deferred = false;
    x->answer.header_count = 0; /* of a handler that looked first and deferred then */
    failure_clear(&x->rq);
    x->rq.deadline_ms = clock_monotonic_ms() + options->handler_timeout_ms - head_start_ms;
    /* Draws the ids now: on_deadline reads them while the worker has the exchange. */
    (void)request_traceparent(&x->rq);
    work->at_worker = true;
    work->done = (h2o_multithread_message_t){{NULL, NULL}};
    work->deadline = (h2o_timeout_entry_t){.cb = on_deadline};
    work->loop->at_workers++;
    h2o_timeout_link(work->loop->context.loop, &work->loop->handler_timeout, &work->deadline);
}

static void
attach(struct http_work *work)
{
    work->at_worker = false;
    work->loop->at_workers--;
    if (h2o_timeout_is_linked(&work->deadline))
        h2o_timeout_unlink(&work->deadline);
}

void
http_worker_hand_over(struct http_work *work)
{
    copy_headers(work);
    work->x.body = bytes_copy(work->arena, work->x.body);
    detach(work);
    if (workers_try(work->loop->server->workers, run, work))
        return;
    attach(work);
    refuse_as_busy(work);
}

void
http_leave(struct http_exchange *x)
{
    struct http_work *work = x->internal;

    assert(x->on_loop);
    x->body = BYTES_NONE;
    detach(work);
    work->left = true;
}

bool
http_go_on(struct http_exchange *x, enum error (*rest)(void *), void *argument)
{
    struct http_work *work = x->internal;

    work->rest = rest;
    work->rest_argument = argument;
    return workers_try(work->loop->server->workers, run, work);
}

static void
take_back(struct http_work *work)
{
    attach(work);
    if (work->request == NULL)
        http_work_release(work);
    else
        http_send(work);
}

/* Messages to a loop: finished exchanges, and the one that asks for the drain. */
void
http_worker_receive(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, receiver, receiver);

    for (h2o_linklist_t *at = messages->next, *next; at != messages; at = next) {
        h2o_multithread_message_t *message = H2O_STRUCT_FROM_MEMBER(h2o_multithread_message_t, link, at);
        next = at->next;
        h2o_linklist_unlink(at);
        if (message == &loop->drain_message) {
            http_accept_close(loop);
            h2o_context_request_shutdown(&loop->context);
            continue;
        }
        take_back(H2O_STRUCT_FROM_MEMBER(struct http_work, done, message));
    }
}
