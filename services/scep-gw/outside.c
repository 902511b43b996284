/*
 * Calls to services that an operator has named in a profile: a webhook, Intune. JSON goes out and comes back; nothing is followed, no proxy is used,
 * and an answer is bounded in size and time.
 */
#include <assert.h>
#include <netdb.h>
#include <string.h>

#include "base/text.h"
#include "link/http_client.h"
#include "scep.h"

#define ANSWER_MAX (256 * 1024)
#define CONNECT_MS 3000
#define TOTAL_MS 8000
#define HOST_MAX 256
#define ADDRESSES_TRIED 3

static bool
take_host(const char *url, char ret_host[HOST_MAX])
{
    const char *at = strstr(url, "://");

    if (at == NULL)
        return false;
    at += 3;
    bool is_v6 = *at == '[';
    size_t len = strcspn(at + is_v6, is_v6 ? "]" : ":/?#");
    if (len == 0 || len >= HOST_MAX)
        return false;
    memcpy(ret_host, at + is_v6, len);
    ret_host[len] = '\0';
    return true;
}

DEFINE_AUTO_STRUCT(addrinfo, freeaddrinfo);

static enum error
unreachable(struct request *rq, const char *host, int code)
{
    return fail_privately(rq, ERR_UNAVAILABLE, "a service that decides cannot be reached", "%s: %s", host, gai_strerror(code));
}

/* http_fetch itself resolves nothing: what the system's resolver gives is dialled one by one, until somebody takes the connection. */
static enum error
fetch_from_any(struct request *rq, struct http_fetch *fetch)
{
    struct addrinfo wish = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    AUTO_STRUCT(addrinfo, found) = NULL;
    char host[HOST_MAX], address[NI_MAXHOST];

    if (!take_host(fetch->url, host))
        return fail(rq, ERR_BAD_REQUEST, "%.100s is no URL", fetch->url);
    int code = getaddrinfo(host, NULL, &wish, &found);
    if (code != 0)
        return unreachable(rq, host, code);
    const struct addrinfo *at = found;
    for (int tries = 1;; tries++, at = at->ai_next) {
        code = getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
        if (code != 0)
            return unreachable(rq, host, code);
        fetch->address = arena_text(rq->arena, address);
        enum error error = http_fetch(rq, fetch);
        bool nobody_there = error != OK && text_equal(rq->failure.reason, "connect");
        if (!nobody_there || at->ai_next == NULL || tries == ADDRESSES_TRIED)
            return error;
        failure_clear(rq);
    }
}

static void
free_json(void *json)
{
    json_decref(json);
}

static enum error
fetch_answer(struct scep *scep, struct request *rq, struct http_fetch *fetch, struct outside_answer *ret_answer)
{
    json_error_t why;

    fetch->body_max = ANSWER_MAX;
    fetch->connect_ms = CONNECT_MS;
    fetch->total_ms = TOTAL_MS;
    fetch->verify_tls = true;
    fetch->ca_file = scep->config.http_ca_file;
    enum error error = fetch_from_any(rq, fetch);
    if (error != OK)
        return error;
    json_t *json = json_loadb((const char *)fetch->ret_body.at, fetch->ret_body.len, JSON_REJECT_DUPLICATES, &why);
    if (json != NULL)
        arena_defer(rq->arena, free_json, json);
    *ret_answer = (struct outside_answer){.status = fetch->ret_status, .json = json};
    return OK;
}

enum error
outside_get(struct scep *scep, struct request *rq, const char *url, const char *const *headers, struct outside_answer *ret_answer)
{
    struct http_fetch fetch = {.url = url, .headers = headers};

    return fetch_answer(scep, rq, &fetch, ret_answer);
}

enum error
outside_post(struct scep *scep, struct request *rq, const char *url, const char *const *headers, const char *body, struct outside_answer *ret_answer)
{
    struct http_fetch fetch = {.url = url, .method = "POST", .headers = headers, .request_body = bytes_of_text(body)};

    return fetch_answer(scep, rq, &fetch, ret_answer);
}

const char *
outside_text(struct arena *arena, json_t *take)
{
    char *text = take == NULL ? NULL : json_dumps(take, JSON_COMPACT);

    if (text == NULL)
        abort();
    const char *kept = arena_text(arena, text);
    free(text);
    json_decref(take);
    return kept;
}

bool
outside_secret_is_named(const char *file)
{
    return text_is_empty(file) ||
           (file[0] != '.' && strspn(file, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == strlen(file));
}

enum error
outside_secret(const struct scep *scep, struct request *rq, const char *file, const char **ret_secret)
{
    AUTO_STRUCT(secret, secret) = NULL;

    if (text_is_empty(file)) {
        *ret_secret = "";
        return OK;
    }
    assert(outside_secret_is_named(file)); /* profile_check */
    enum error error = config_read_secret(rq, arena_format(rq->arena, "%s/%s", scep->config.secrets, file), &secret);
    if (error != OK) {
        struct failure why = rq->failure;
        failure_clear(rq);
        return fail_privately(rq, ERR_UNAVAILABLE, "the gateway's secret for this profile cannot be read", "%s", why.message);
    }
    *ret_secret = bytes_text(rq->arena, BYTES(secret->at, secret->len));
    return OK;
}
