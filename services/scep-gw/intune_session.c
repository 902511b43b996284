/*
 * The way to Microsoft Intune's services, as Microsoft's own client goes it: a token for Graph, discovery of the services, a token for them, the
 * call. Tokens and addresses are kept until they end, or until any call fails.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "scep.h"

#define LOGIN_URL "https://login.microsoftonline.com"
#define GRAPH_URL "https://graph.microsoft.com"
#define GRAPH_SCOPE "https%3A%2F%2Fgraph.microsoft.com%2F.default"
#define INTUNE_SCOPE "https%3A%2F%2Fapi.manage.microsoft.com%2F%2F.default" /* the double slash is Microsoft's */
#define INTUNE_APPLICATION "0000000a-0000-0000-c000-000000000000"
#define SESSIONS_MAX 32
#define TOKEN_MARGIN_S 60
#define TOKEN_MOST_S 86400
#define ATTEMPTS 2

static const struct {
    const char *name, *version;
} services[INTUNE_SERVICE_COUNT] = {
    [INTUNE_VALIDATION] = {"scepRequestValidationFEService", "api-version: 2018-02-20"},
    [INTUNE_CONNECTOR] = {"pkiConnectorFEService", "api-version: 5019-05-05"},
};

struct session {
    struct arena *arena;
    const char *whose, *token;
    const char *urls[INTUNE_SERVICE_COUNT]; /* NULL: the tenant has no such service */
    int64_t until_ms;
};

struct intune_cache {
    pthread_mutex_t mutex;
    struct session sessions[SESSIONS_MAX];
    unsigned next;
};

struct intune_cache *
intune_cache_new(void)
{
    struct intune_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

static void
clear_session(struct session *session)
{
    if (session->arena != NULL)
        arena_free(session->arena);
    *session = (struct session){0};
}

void
intune_cache_free(struct intune_cache *cache)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        clear_session(&cache->sessions[i]);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static void
copy_urls(struct arena *arena, const struct session *from, struct session *to)
{
    for (size_t i = 0; i < INTUNE_SERVICE_COUNT; i++)
        to->urls[i] = from->urls[i] == NULL ? NULL : arena_text(arena, from->urls[i]);
}

static bool
copy_session(struct intune_cache *cache, struct arena *arena, const char *whose, struct session *ret_session)
{
    AUTO_LOCK(&cache->mutex);

    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        const struct session *session = &cache->sessions[i];
        if (!text_equal(session->whose, whose) || session->until_ms < clock_monotonic_ms())
            continue;
        *ret_session = (struct session){.token = arena_text(arena, session->token)};
        copy_urls(arena, session, ret_session);
        return true;
    }
    return false;
}

static void
forget_session(struct intune_cache *cache, const char *whose)
{
    AUTO_LOCK(&cache->mutex);

    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (text_equal(cache->sessions[i].whose, whose))
            clear_session(&cache->sessions[i]);
}

static void
keep_session(struct intune_cache *cache, const char *whose, const struct session *session, int64_t seconds)
{
    struct arena *arena = arena_new();
    AUTO_LOCK(&cache->mutex);
    struct session *place = &cache->sessions[cache->next++ % SESSIONS_MAX];

    clear_session(place);
    *place = (struct session){.arena = arena,
                              .whose = arena_text(arena, whose),
                              .token = arena_text(arena, session->token),
                              .until_ms = clock_monotonic_ms() + (seconds - TOKEN_MARGIN_S) * 1000};
    copy_urls(arena, session, place);
}

/* A profile that gets another tenant or other credentials has another session at once: the old tenant vouches for nobody any more. */
static const char *
whose(const struct intune *c)
{
    const Pb__ScepProfile *about = c->profile->about;

    return arena_format(c->rq->arena, "%s\n%s\n%s\n%s\n%s\n%s", about->name, about->intune_tenant, about->intune_application,
                        about->intune_secret_file, about->intune_login_url, about->intune_graph_url);
}

/* ---- the way to the service ---- */

enum error
intune_unreachable(const struct intune *c, const char *what, const char *why)
{
    why = arena_text(c->rq->arena, why); /* it may be the failure's own */
    failure_clear(c->rq);
    forget_session(c->scep->intune, whose(c));
    fail_privately(c->rq, ERR_UNAVAILABLE, "Intune cannot be asked now; come again", "%s: %s", what, why);
    return fail_retry_after(c->rq, 30);
}

/* For application/x-www-form-urlencoded: everything but letters and digits is escaped. */
static const char *
form_escaped(struct arena *arena, const char *text)
{
    struct buffer out = buffer_in(arena);

    for (; *text != '\0'; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9') || *text == '-';
        buffer_append_format(&out, plain ? "%c" : "%%%02X", (unsigned char)*text);
    }
    return buffer_text(&out);
}

/* Operators write them with a slash at the end, too. */
static const char *
base_url(struct arena *arena, const char *given, const char *usual)
{
    size_t len = given == NULL ? 0 : strlen(given);

    while (len > 0 && given[len - 1] == '/')
        len--;
    return len == 0 ? usual : arena_text_n(arena, given, len);
}

static enum error
get_token(const struct intune *c, const char *secret, const char *scope, const char **ret_token, int64_t *ret_seconds)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json", NULL};
    const Pb__ScepProfile *about = c->profile->about;
    struct arena *arena = c->rq->arena;
    const char *login = base_url(arena, about->intune_login_url, LOGIN_URL);
    struct outside_answer answer;

    const char *body = arena_format(arena, "grant_type=client_credentials&client_id=%s&client_secret=%s&scope=%s",
                                    form_escaped(arena, about->intune_application), form_escaped(arena, secret), scope);
    enum error error =
        outside_post(c->scep, c->rq, arena_format(arena, "%s/%s/oauth2/v2.0/token", login, about->intune_tenant), headers, body, &answer);
    if (error != OK)
        return intune_unreachable(c, "the token", c->rq->failure.message);
    const char *token = json_string_value(json_object_get(answer.json, "access_token"));
    if (answer.status != 200 || token == NULL)
        return intune_unreachable(c, "the token", arena_format(arena, "status %d", answer.status));
    *ret_token = arena_text(arena, token);
    int64_t seconds = json_integer_value(json_object_get(answer.json, "expires_in"));
    *ret_seconds = seconds < 0 ? 0 : seconds < TOKEN_MOST_S ? seconds : TOKEN_MOST_S;
    return OK;
}

static enum error
discover(const struct intune *c, const char *token, struct session *session)
{
    const char *graph = base_url(c->rq->arena, c->profile->about->intune_graph_url, GRAPH_URL);
    const char *url = arena_format(c->rq->arena, "%s/v1.0/servicePrincipals/appId=%s/endpoints", graph, INTUNE_APPLICATION);
    const char *headers[] = {arena_format(c->rq->arena, "Authorization: Bearer %s", token), "Accept: application/json", NULL};
    struct outside_answer answer;
    size_t index;
    json_t *one;

    enum error error = outside_get(c->scep, c->rq, url, headers, &answer);
    if (error != OK)
        return intune_unreachable(c, "discovery", c->rq->failure.message);
    if (answer.status != 200)
        return intune_unreachable(c, "discovery", arena_format(c->rq->arena, "status %d", answer.status));
    json_array_foreach(json_object_get(answer.json, "value"), index, one)
    {
        const char *name = json_string_value(json_object_get(one, "providerName")), *uri = json_string_value(json_object_get(one, "uri"));
        if (name == NULL)
            name = json_string_value(json_object_get(one, "serviceName"));
        for (size_t i = 0; name != NULL && uri != NULL && i < INTUNE_SERVICE_COUNT; i++)
            if (session->urls[i] == NULL && text_equal_nocase(name, services[i].name))
                session->urls[i] = arena_text(c->rq->arena, uri);
    }
    return OK;
}

static enum error
open_session(const struct intune *c, struct session *ret_session)
{
    const Pb__ScepProfile *about = c->profile->about;
    const char *secret, *graph_token;
    struct session session = {0};
    int64_t seconds;

    if (copy_session(c->scep->intune, c->rq->arena, whose(c), ret_session))
        return OK;
    enum error error = outside_secret(c->scep, c->rq, about->intune_secret_file, &secret);
    if (error == OK)
        error = get_token(c, secret, GRAPH_SCOPE, &graph_token, &seconds);
    if (error == OK)
        error = discover(c, graph_token, &session);
    if (error == OK)
        error = get_token(c, secret, INTUNE_SCOPE, &session.token, &seconds);
    if (error != OK)
        return error;
    keep_session(c->scep->intune, whose(c), &session, seconds);
    *ret_session = session;
    return OK;
}

/* ---- the calls ---- */

static const char *
new_guid(struct arena *arena)
{
    uint8_t r[16];

    random_bytes(r, sizeof r);
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    const char *hex = bytes_hex(arena, BYTES(r, sizeof r), 0);
    return arena_format(arena, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* What failed on the way is tried once more from the beginning: a token may have ended early. */
enum error
intune_post(const struct intune *c, enum intune_service service, const char *action, const char *body, const char *member, const json_t **ret_value)
{
    struct arena *arena = c->rq->arena;
    const char *why = "";

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct outside_answer answer;
        struct session session;
        enum error error = open_session(c, &session);
        if (error != OK)
            return error;
        if (session.urls[service] == NULL)
            return intune_unreachable(c, "discovery", arena_format(arena, "no %s", services[service].name));
        const char *headers[] = {arena_format(arena, "Authorization: Bearer %s", session.token),
                                 "Content-Type: application/json",
                                 "Accept: application/json",
                                 services[service].version,
                                 arena_format(arena, "client-request-id: %s", new_guid(arena)),
                                 NULL};
        error = outside_post(c->scep, c->rq, arena_format(arena, "%s/%s", session.urls[service], action), headers, body, &answer);
        const json_t *value = error != OK ? NULL : json_object_get(answer.json, member);
        if (value != NULL && answer.status == 200) {
            *ret_value = value;
            return OK;
        }
        why = error != OK ? arena_text(arena, c->rq->failure.message) : arena_format(arena, "status %d", answer.status);
        failure_clear(c->rq);
        forget_session(c->scep->intune, whose(c));
        if (error == OK && answer.status != 401)
            break;
    }
    return intune_unreachable(c, action, why);
}
