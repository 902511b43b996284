/*
 * http-01 (RFC 8555 §8.3): fetch http://NAME/.well-known/acme-challenge/TOKEN and follow redirects, as far as strangers may lead us.
 *
 * Each hop: resolve once, choose among the addresses those that the rules allow, dial exactly the chosen one (one IPv6, then one IPv4 when nobody
 * takes the connection), and let the rules look at the socket once more.
 */
#include "validator.h"

#include <string.h>

#include "link/http_client.h"

#define CONNECT_MS 5000
#define FETCH_MS 10000

static struct hop
first_hop(struct arena *arena, const struct proof *proof)
{
    bool is_v6 = strchr(proof->name.value, ':') != NULL;
    return (struct hop){
        .url = arena_format(arena, is_v6 ? "http://[%s]/.well-known/acme-challenge/%s" : "http://%s/.well-known/acme-challenge/%s", proof->name.value,
                            proof->token),
        .host = proof->name.value,
        .port = proof->rules.http01_port,
    };
}

static bool
may_dial(void *context, const char *text, int port)
{
    const struct proof *proof = context;
    struct address address;

    return address_parse(text, &address) && address_refusal(&proof->rules, &address, port) == NULL;
}

static enum error
fetch_from(struct request *rq, struct proof *proof, const struct hop *hop, const struct address *address, struct http_fetch *ret_fetch)
{
    const char *dialled = proof_note_tried(rq, proof, address);
    /* The certificate of an https redirect is not verified: what is there may be what the client wants to replace. */
    *ret_fetch = (struct http_fetch){.url = hop->url,
                                     .address = dialled,
                                     .port = hop->port,
                                     .body_max = BODY_READ,
                                     .connect_ms = CONNECT_MS,
                                     .total_ms = FETCH_MS,
                                     .allow = may_dial,
                                     .context = proof};
    return http_fetch(rq, ret_fetch);
}

/* The client's own server's trouble, in the problem types of RFC 8555 §6.7. */
static enum error
explain(struct request *rq, const struct hop *hop, const char *address)
{
    const char *why = arena_text(rq->arena, rq->failure.message);
    bool is_tls = text_equal(rq->failure.reason, "tls");

    failure_clear(rq);
    return found(rq, is_tls ? "tls" : "connection", "fetching %.300s from %s: %s", hop->url, address, why);
}

static enum error
fetch(struct resolver *resolver, struct request *rq, struct proof *proof, const struct hop *hop, struct http_fetch *ret_fetch)
{
    struct addresses chosen = {.count = 0};

    enum error error = choose_addresses(resolver, rq, &proof->rules, hop->host, hop->port, &chosen);
    if (error)
        return error;
    for (size_t i = 0;; i++) {
        error = fetch_from(rq, proof, hop, &chosen.at[i], ret_fetch);
        if (error == OK)
            return OK;
        bool nobody_there = text_equal(rq->failure.reason, "connect");
        if (!nobody_there || i + 1 == chosen.count)
            return explain(rq, hop, proof->tried[proof->tried_count - 1]);
        failure_clear(rq);
    }
}

static bool
is_redirect(const struct http_fetch *fetch)
{
    return (fetch->ret_status == 301 || fetch->ret_status == 302 || fetch->ret_status == 307 || fetch->ret_status == 308) &&
           fetch->ret_redirect != NULL;
}

/* The text itself is shown only where the URL was ours: who may write a redirect could read on with our eyes in networks that are closed to him. */
static enum error
check_text(struct request *rq, const struct proof *proof, const char *where, const struct http_fetch *answer, bool sent_on)
{
    enum error error = http_01_body_check(rq, where, answer->ret_body, answer->ret_truncated, proof->key_authorization);

    if (error == OK || !sent_on)
        return error;
    failure_clear(rq);
    return found(rq, "incorrectResponse",
                 "%s: the key authorization \"%s\" was expected, something else was found; it is not shown, for a redirect led there", where,
                 proof->key_authorization);
}

enum error
http_01(struct resolver *resolver, struct request *rq, struct proof *proof)
{
    struct hop hop = first_hop(rq->arena, proof);
    struct http_fetch answer = {.url = hop.url};
    bool sent_on = false;

    for (int redirects = 0;; redirects++) {
        enum error error = fetch(resolver, rq, proof, &hop, &answer);
        if (error)
            return error;
        if (!is_redirect(&answer))
            break;
        if (redirects == REDIRECTS_MAX)
            return found(rq, "connection", "there are more than %d redirects, the last one to %.300s", REDIRECTS_MAX, answer.ret_redirect);
        error = redirect_parse(rq, &proof->rules, answer.ret_redirect, &hop);
        if (error)
            return error;
        sent_on = true;
    }
    const char *where = arena_format(rq->arena, "%.300s at %s", hop.url, proof->tried[proof->tried_count - 1]);
    if (answer.ret_status != 200)
        return found(rq, "unauthorized", "%s: the status %d was answered, 200 was expected", where, answer.ret_status);
    return check_text(rq, proof, where, &answer, sent_on);
}
