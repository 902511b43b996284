/*
 * One client: an account of its own, then order after order (RFC 8555 §7.1): newOrder, authorisation, challenge, polls, finalize with a CSR that
 * was ready before the clock started, download. An order that fails is counted and told, and the client goes on with the next.
 */
#include "acme.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define NONCE_MAX 256
#define FIRST_PAUSE_MS 4
#define LONGEST_PAUSE_MS 64
#define POLLS_MAX 600
#define ERRORS_MAX 5 /* then the clients give up: each may be as long as patience lasts */

DEFINE_AUTO(json_t, json_decref);

struct session {
    struct load *load;
    size_t place;
    struct connection *connection;
    struct account_key key;
    const char *kid, *new_order_url, *new_account_url, *new_nonce_url; /* in `arena` */
    struct arena *arena;
    char nonce[NONCE_MAX];
};

static void
release(void *json)
{
    json_decref(json);
}

/* ---- one request ---- */

static const json_t *
json_of_body(struct request *rq, const struct answer *answer)
{
    json_t *json = json_loadb((const char *)answer->body.at, answer->body.len, 0, NULL);

    if (json != NULL)
        arena_defer(rq->arena, release, json);
    return json;
}

/* "": there is no such member. */
static const char *
text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text == NULL ? "" : text;
}

static const char *
format_json(struct request *rq, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    if (text == NULL)
        abort();
    const char *copy = arena_text(rq->arena, text);
    free(text);
    return copy;
}

static enum error
call(struct session *session, struct request *rq, const char *url, struct bytes body, struct answer *ret_answer)
{
    enum error error = connection_call(session->connection, rq, url, body, ret_answer);

    if (!error && ret_answer->nonce != NULL)
        snprintf(session->nonce, sizeof session->nonce, "%s", ret_answer->nonce);
    return error;
}

/* A signed POST; an empty payload reads (RFC 8555 §6.3). */
static enum error
post(struct session *session, struct request *rq, const char *url, const char *payload, struct answer *ret_answer)
{
    struct answer answer;

    enum error error = session->nonce[0] != '\0' ? OK : call(session, rq, session->new_nonce_url, BYTES_NONE, &answer);
    if (error)
        return error;
    struct bytes body = jws_format(rq->arena, session->load->signer, &session->key, session->kid, session->nonce, url, payload);
    session->nonce[0] = '\0';
    if (session->kid != NULL)
        atomic_fetch_add(&session->load->requests, 1);
    error = call(session, rq, url, body, &answer);
    if (error)
        return error;
    if (answer.status != 200 && answer.status != 201)
        return fail(rq, ERR_CONFLICT, "%s: status %d: %.500s", url, answer.status, bytes_text(rq->arena, answer.body));
    *ret_answer = answer;
    return OK;
}

static enum error
post_json(struct session *session, struct request *rq, const char *url, const char *payload, struct answer *ret_answer, const json_t **ret_json)
{
    enum error error = post(session, rq, url, payload, ret_answer);
    const json_t *json = error ? NULL : json_of_body(rq, ret_answer);

    if (!error && json == NULL)
        error = fail(rq, ERR_BAD_REQUEST, "%s: the answer is no JSON", url);
    if (!error)
        *ret_json = json;
    return error;
}

/* Reads until the status is another than `pending` and `processing`, with pauses much shorter than a client on the Internet would make. */
static enum error
poll_json(struct session *session, struct request *rq, const char *url, const json_t **ret_json)
{
    int pause_ms = FIRST_PAUSE_MS;

    for (int polls = 0; polls < POLLS_MAX; polls++) {
        struct answer answer;
        const json_t *json;
        clock_sleep_ms(pause_ms);
        enum error error = post_json(session, rq, url, "", &answer, &json);
        if (error)
            return error;
        atomic_fetch_add(&session->load->polls, 1);
        const char *status = text_of(json, "status");
        if (!text_equal(status, "pending") && !text_equal(status, "processing")) {
            *ret_json = json;
            return OK;
        }
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
        if (answer.retry_after_s > 1)
            pause_ms = answer.retry_after_s * 1000;
    }
    return fail(rq, ERR_TIMEOUT, "%s: no end in %d polls", url, POLLS_MAX);
}

static enum error
must_be(struct request *rq, const json_t *json, const char *what, const char *status)
{
    if (text_equal(text_of(json, "status"), status))
        return OK;
    return fail(rq, ERR_CONFLICT, "%s is not %s: %.500s", what, status, format_json(rq, (json_t *)json));
}

/* ---- once per client ---- */

static enum error
load_directory(struct session *session, struct request *rq)
{
    struct answer answer;

    enum error error = call(session, rq, session->load->directory_url, BYTES_NONE, &answer);
    if (error)
        return error;
    const json_t *json = json_of_body(rq, &answer);
    session->new_nonce_url = arena_text(session->arena, text_of(json, "newNonce"));
    session->new_account_url = arena_text(session->arena, text_of(json, "newAccount"));
    session->new_order_url = arena_text(session->arena, text_of(json, "newOrder"));
    if (text_is_empty(session->new_nonce_url) || text_is_empty(session->new_account_url) || text_is_empty(session->new_order_url))
        return fail(rq, ERR_BAD_REQUEST, "%s is no ACME directory", session->load->directory_url);
    return OK;
}

static enum error
make_account(struct session *session, struct request *rq)
{
    struct answer answer;

    enum error error = load_directory(session, rq);
    if (!error)
        error = post(session, rq, session->new_account_url, "{\"termsOfServiceAgreed\":true}", &answer);
    if (error)
        return error;
    if (answer.location == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the new account has no Location");
    session->kid = arena_text(session->arena, answer.location);
    return OK;
}

/* ---- one order ---- */

static const json_t *
find_http_01(const json_t *authorization)
{
    const json_t *list = json_object_get(authorization, "challenges");

    for (size_t i = 0; i < json_array_size(list); i++)
        if (text_equal(text_of(json_array_get(list, i), "type"), "http-01"))
            return json_array_get(list, i);
    return NULL;
}

static enum error
prove(struct session *session, struct request *rq, const char *url)
{
    struct answer answer;
    const json_t *authorization = NULL;

    enum error error = post_json(session, rq, url, "", &answer, &authorization);
    if (error)
        return error;
    const json_t *challenge = find_http_01(authorization);
    if (challenge == NULL)
        return fail(rq, ERR_NOT_FOUND, "%s offers no http-01", url);
    const char *token = text_of(challenge, "token");
    responder_publish(session->load->responder, session->place, token, arena_format(rq->arena, "%s.%s", token, session->key.thumbprint));
    error = post(session, rq, text_of(challenge, "url"), "{}", &answer);
    if (!error)
        error = poll_json(session, rq, url, &authorization);
    return error ? error : must_be(rq, authorization, "the authorisation", "valid");
}

static enum error
prove_all(struct session *session, struct request *rq, const json_t *order)
{
    const json_t *urls = json_object_get(order, "authorizations");
    enum error error = OK;

    if (session->load->responder == NULL)
        return must_be(rq, order, "the order", "ready");
    for (size_t i = 0; !error && i < json_array_size(urls); i++)
        error = prove(session, rq, json_string_value(json_array_get(urls, i)));
    return error;
}

static enum error
finish(struct session *session, struct request *rq, const char *order_url, const char *finalize_url, const char *csr)
{
    struct answer answer;
    const json_t *order = NULL;

    enum error error = post_json(session, rq, finalize_url, arena_format(rq->arena, "{\"csr\":\"%s\"}", csr), &answer, &order);
    if (!error && text_equal(text_of(order, "status"), "processing"))
        error = poll_json(session, rq, order_url, &order);
    if (!error)
        error = must_be(rq, order, "the order", "valid");
    if (!error)
        error = post(session, rq, text_of(order, "certificate"), "", &answer);
    if (error)
        return error;
    if (!text_starts_with(bytes_text(rq->arena, answer.body), "-----BEGIN CERTIFICATE-----"))
        return fail(rq, ERR_BAD_REQUEST, "no certificate came");
    return OK;
}

static enum error
order_once(struct session *session, struct request *rq, size_t number)
{
    AUTO(json_t, wish) = json_pack("{s:[{s:s, s:s}]}", "identifiers", "type", "dns", "value", session->load->names[number]);
    struct answer answer;
    const json_t *order = NULL;

    enum error error = post_json(session, rq, session->new_order_url, format_json(rq, wish), &answer, &order);
    if (error)
        return error;
    if (answer.location == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the new order has no Location");
    error = prove_all(session, rq, order);
    return error ? error : finish(session, rq, answer.location, text_of(order, "finalize"), session->load->csrs[number]);
}

static void
count_error(struct session *session, const struct request *rq, const char *name)
{
    atomic_fetch_add(&session->load->errors, 1);
    fprintf(stderr, "acme: %s: %s\n", name, rq->failure.message);
    connection_drop(session->connection);
    session->nonce[0] = '\0';
}

void *
client_run(void *context)
{
    const struct client *client = context;
    struct load *load = client->load;
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO_STRUCT(connection, connection) = connection_new(load->server);
    struct session session = {.load = load, .place = client->place, .arena = arena, .connection = connection, .key = account_key_new(arena)};
    AUTO_STRUCT(request, first) = request_new();
    size_t number;

    if (make_account(&session, first) != OK)
        count_error(&session, first, "the account");
    pthread_barrier_wait(&load->begin);
    while (session.kid != NULL && atomic_load(&load->errors) < ERRORS_MAX && (number = atomic_fetch_add(&load->next, 1)) < load->orders) {
        AUTO_STRUCT(request, rq) = request_new();
        int64_t begin_us = clock_monotonic_us();
        if (order_once(&session, rq, number) == OK)
            load->times_us[number] = clock_monotonic_us() - begin_us;
        else
            count_error(&session, rq, load->names[number]);
    }
    account_key_free(&session.key);
    return NULL;
}
