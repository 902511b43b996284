/*
 * Microsoft Intune as the one who vouches for devices: the challenge is Intune's, inside of the certification request, and only Intune can read it.
 * The calls are those of Microsoft's own client: a token for Graph, discovery of the validation service, a token for that, validateRequest; and a
 * word of success before the device gets its certificate, or of failure. Tokens and the service's address are kept until they end, or until any call
 * fails.
 */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/text.h"
#include "link/service.h"
#include "pki/name.h"
#include "scep.h"

#define LOGIN_URL "https://login.microsoftonline.com"
#define GRAPH_URL "https://graph.microsoft.com"
#define GRAPH_SCOPE "https%3A%2F%2Fgraph.microsoft.com%2F.default"
#define INTUNE_SCOPE "https%3A%2F%2Fapi.manage.microsoft.com%2F%2F.default" /* the double slash is Microsoft's */
#define INTUNE_APPLICATION "0000000a-0000-0000-c000-000000000000"
#define VALIDATION_SERVICE "scepRequestValidationFEService"
#define API_VERSION "api-version: 2018-02-20"
#define E_FAIL 2147500037LL /* 0x80004005 */
#define DESCRIPTION_MAX 255
#define SESSIONS_MAX 32
#define TOKEN_MARGIN_S 60
#define ATTEMPTS 2

struct session {
    struct arena *arena;
    const char *profile, *token, *url;
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

static bool
copy_session(struct intune_cache *cache, struct arena *arena, const char *profile, struct session *ret_session)
{
    AUTO_LOCK(&cache->mutex);

    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        const struct session *session = &cache->sessions[i];
        if (!text_equal(session->profile, profile) || session->until_ms < clock_monotonic_ms())
            continue;
        *ret_session = (struct session){.token = arena_text(arena, session->token), .url = arena_text(arena, session->url)};
        return true;
    }
    return false;
}

static void
forget_session(struct intune_cache *cache, const char *profile)
{
    AUTO_LOCK(&cache->mutex);

    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (text_equal(cache->sessions[i].profile, profile))
            clear_session(&cache->sessions[i]);
}

static void
keep_session(struct intune_cache *cache, const char *profile, const struct session *session, int64_t seconds)
{
    struct arena *arena = arena_new();
    AUTO_LOCK(&cache->mutex);
    struct session *place = &cache->sessions[cache->next++ % SESSIONS_MAX];

    clear_session(place);
    *place = (struct session){.arena = arena,
                              .profile = arena_text(arena, profile),
                              .token = arena_text(arena, session->token),
                              .url = arena_text(arena, session->url),
                              .until_ms = clock_monotonic_ms() + (seconds - TOKEN_MARGIN_S) * 1000};
}

/* ---- the way to the service ---- */

static enum error
unreachable(struct conversation *c, const char *what, const char *why)
{
    failure_clear(c->rq);
    forget_session(c->scep->intune, c->profile->about->name);
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

static enum error
get_token(struct conversation *c, const char *secret, const char *scope, const char **ret_token, int64_t *ret_seconds)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json", NULL};
    const Pb__ScepProfile *about = c->profile->about;
    struct arena *arena = c->rq->arena;
    const char *login = text_is_empty(about->intune_login_url) ? LOGIN_URL : about->intune_login_url;
    struct outside_answer answer;

    const char *body = arena_format(arena, "grant_type=client_credentials&client_id=%s&client_secret=%s&scope=%s",
                                    form_escaped(arena, about->intune_application), form_escaped(arena, secret), scope);
    enum error error =
        outside_post(c->scep, c->rq, arena_format(arena, "%s/%s/oauth2/v2.0/token", login, about->intune_tenant), headers, body, &answer);
    if (error != OK)
        return unreachable(c, "the token", c->rq->failure.message);
    const char *token = json_string_value(json_object_get(answer.json, "access_token"));
    if (answer.status != 200 || token == NULL)
        return unreachable(c, "the token", arena_format(arena, "status %d", answer.status));
    *ret_token = arena_text(arena, token);
    *ret_seconds = json_integer_value(json_object_get(answer.json, "expires_in"));
    return OK;
}

static enum error
discover(struct conversation *c, const char *token, const char **ret_url)
{
    const char *graph = text_is_empty(c->profile->about->intune_graph_url) ? GRAPH_URL : c->profile->about->intune_graph_url;
    const char *url = arena_format(c->rq->arena, "%s/v1.0/servicePrincipals/appId=%s/endpoints", graph, INTUNE_APPLICATION);
    const char *headers[] = {arena_format(c->rq->arena, "Authorization: Bearer %s", token), "Accept: application/json", NULL};
    struct outside_answer answer;
    size_t index;
    json_t *one;

    enum error error = outside_get(c->scep, c->rq, url, headers, &answer);
    if (error != OK)
        return unreachable(c, "discovery", c->rq->failure.message);
    json_array_foreach(json_object_get(answer.json, "value"), index, one)
    {
        const char *name = json_string_value(json_object_get(one, "providerName")), *uri = json_string_value(json_object_get(one, "uri"));
        if (name == NULL)
            name = json_string_value(json_object_get(one, "serviceName"));
        if (answer.status != 200 || name == NULL || uri == NULL || !text_equal_nocase(name, VALIDATION_SERVICE))
            continue;
        *ret_url = arena_text(c->rq->arena, uri);
        return OK;
    }
    return unreachable(c, "discovery", arena_format(c->rq->arena, "status %d, no " VALIDATION_SERVICE, answer.status));
}

static enum error
open_session(struct conversation *c, struct session *ret_session)
{
    const Pb__ScepProfile *about = c->profile->about;
    const char *secret, *graph_token;
    struct session session = {0};
    int64_t seconds;

    if (copy_session(c->scep->intune, c->rq->arena, about->name, ret_session))
        return OK;
    enum error error = outside_secret(c->rq, about->intune_secret_file, &secret);
    if (error == OK)
        error = get_token(c, secret, GRAPH_SCOPE, &graph_token, &seconds);
    if (error == OK)
        error = discover(c, graph_token, &session.url);
    if (error == OK)
        error = get_token(c, secret, INTUNE_SCOPE, &session.token, &seconds);
    if (error != OK)
        return error;
    keep_session(c->scep->intune, about->name, &session, seconds);
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

/* The code that Intune answers, "Success" or why not. What failed on the way is tried once more from the beginning: a token may have ended early. */
static enum error
post_action(struct conversation *c, const char *action, const char *body, const char **ret_code)
{
    struct arena *arena = c->rq->arena;
    const char *why = "";

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct outside_answer answer;
        struct session session;
        enum error error = open_session(c, &session);
        if (error != OK)
            return error;
        const char *headers[] = {arena_format(arena, "Authorization: Bearer %s", session.token),
                                 "Content-Type: application/json",
                                 "Accept: application/json",
                                 API_VERSION,
                                 arena_format(arena, "client-request-id: %s", new_guid(arena)),
                                 NULL};
        error = outside_post(c->scep, c->rq, arena_format(arena, "%s/ScepActions/%s", session.url, action), headers, body, &answer);
        const char *code = error != OK ? NULL : json_string_value(json_object_get(answer.json, "code"));
        if (code != NULL && answer.status == 200) {
            *ret_code = arena_text(arena, code);
            return OK;
        }
        why = error != OK ? arena_text(arena, c->rq->failure.message) : arena_format(arena, "status %d", answer.status);
        failure_clear(c->rq);
        forget_session(c->scep->intune, c->profile->about->name);
        if (error == OK && answer.status != 401)
            break;
    }
    return unreachable(c, action, why);
}

static const char *
caller_info(struct arena *arena)
{
    return arena_format(arena, "Signet/%s", service_version());
}

enum error
intune_validate(struct conversation *c)
{
    struct arena *arena = c->rq->arena;
    const char *code;

    const char *body = outside_text(arena, json_pack("{s:{s:s, s:s, s:s}}", "request", "transactionId", c->message.transaction_id,
                                                     "certificateRequest", base64_encode(arena, c->content), "callerInfo", caller_info(arena)));
    enum error error = post_action(c, "validateRequest", body, &code);
    if (error != OK)
        return error;
    request_note(c->rq, "intune", "%s", code);
    if (!text_equal(code, "Success"))
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "intune", "Intune says %.60s", code);
    return OK;
}

enum error
intune_tell_success(struct conversation *c, const Pb__EnrollReply *reply)
{
    struct arena *arena = c->rq->arena;
    uint8_t sha1[SHA_DIGEST_LENGTH];
    const char *code;

    (void)SHA1(reply->certificate.data, reply->certificate.len, sha1);
    const char *until = clock_format_rfc3339(arena, reply->not_after_s);
    json_t *notification = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "transactionId", c->message.transaction_id, "certificateRequest",
        base64_encode(arena, c->content), "certificateThumbprint", bytes_hex(arena, BYTES(sha1, sizeof sha1), 0), "certificateSerialNumber",
        bytes_hex(arena, message_bytes(reply->serial), 0), "certificateExpirationDateUtc",
        arena_format(arena, "%.*s.000Z", (int)strcspn(until, "Z"), until), "issuingCertificateAuthority", name_format(arena, c->ras.issuer.subject),
        "callerInfo", caller_info(arena), "caConfiguration", reply->issuer, "certificateAuthority", reply->issuer);
    enum error error = post_action(c, "successNotification", outside_text(arena, json_pack("{s:o}", "notification", notification)), &code);
    if (error == OK && !text_equal(code, "Success"))
        return unreachable(c, "successNotification", code);
    return error;
}

void
intune_tell_failure(struct conversation *c)
{
    struct failure why = c->rq->failure;
    struct arena *arena = c->rq->arena;
    const char *code = "not told";

    failure_clear(c->rq);
    json_t *notification = json_pack("{s:s, s:s, s:I, s:s, s:s}", "transactionId", c->message.transaction_id, "certificateRequest",
                                     base64_encode(arena, c->content), "hResult", (json_int_t)E_FAIL, "errorDescription",
                                     arena_format(arena, "%.*s", DESCRIPTION_MAX, why.message), "callerInfo", caller_info(arena));
    if (post_action(c, "failureNotification", outside_text(arena, json_pack("{s:o}", "notification", notification)), &code) != OK)
        request_note(c->rq, "intune_failure", "not told: %s", c->rq->failure.detail);
    c->rq->failure = why;
}
