/*
 * The only place that turns our kinds of error into ACME's words: application/problem+json (RFC 7807) with the types of RFC 8555 §6.7.
 * A refusal that was made with `refuse` names its type; the others get the type that their kind usually means.
 */
#include "acme.h"

#include <stdarg.h>

#define TYPE_PREFIX "urn:ietf:params:acme:error:"
#define TRY_AGAIN_S 60

const char problem_media_type[] = "application/problem+json";
const char problem_location[] = "location";

/* `word` is what refuse() is given; it is the type, too, where no other is named. */
static const struct type {
    const char *word;
    int status;
    const char *type;
} types[] = {
    {"accountDeactivated", 401, "unauthorized"}, /* RFC 8555 §7.3.6 */
    {"accountDoesNotExist", 400},
    {"alreadyReplaced", 409}, /* RFC 9773 §7.4 */
    {"alreadyRevoked", 400},
    {"badAttestationStatement", 400}, /* draft-ietf-acme-device-attest */
    {"autoRenewalCanceled", 403},     /* RFC 8739 §6.2 */
    {"autoRenewalCancellationInvalid", 400},
    {"autoRenewalExpired", 403},
    {"autoRenewalRevocationNotSupported", 403},
    {"badCSR", 400},
    {"badNonce", 400},
    {"badPublicKey", 400},
    {"badRevocationReason", 400},
    {"badSignatureAlgorithm", 400},
    {"caa", 403},
    {"compound", 400},
    {"connection", 400},
    {"dns", 400},
    {"externalAccountRequired", 403},
    {"incorrectResponse", 403},
    {"invalidContact", 400},
    {"invalidProfile", 400},          /* draft-ietf-acme-profiles */
    {"keyInUse", 409, "malformed"},   /* RFC 8555 §7.3.5 */
    {"keyNotAllowed", 400, "badCSR"}, /* by the template: of ra */
    {"malformed", 400},
    {"orderNotReady", 403},
    {"rateLimited", 429},
    {"rejectedIdentifier", 400},
    {"serverInternal", 500},
    {"tls", 400},
    {"unauthorized", 403},
    {"unknownCertificate", 404, "malformed"},
    {"unsupportedContact", 400},
    {"unsupportedIdentifier", 400},
    {"userActionRequired", 403},
    {"wrongMediaType", 415, "malformed"},
};

static const struct type *
find_type(const char *word)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (text_equal(types[i].word, word))
            return &types[i];
    return NULL;
}

static const char *
usual_type(const struct failure *failure)
{
    switch (failure->kind) {
    case ERR_BAD_REQUEST:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_TOO_LARGE:
        return "malformed";
    case ERR_BAD_CSR:
        return "badCSR";
    case ERR_BAD_NAME:
        return "rejectedIdentifier";
    case ERR_UNAUTHENTICATED:
        return "unauthorized";
    case ERR_DENIED:
        /* AUTH-002 is the layer of names (docs: the four layers). */
        return text_equal(failure->layer, "AUTH-002") ? "rejectedIdentifier" : "unauthorized";
    case ERR_RATE_LIMITED:
        return "rateLimited";
    case OK:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_INTERNAL:
    case ERR_COUNT:
        return "serverInternal";
    }
    return "serverInternal";
}

/* The status of a named type; of the others, the kind's where that says more. */
static int
status_of_failure(const struct failure *failure)
{
    const struct type *named = find_type(failure->reason);
    if (named != NULL)
        return named->status;
    if (failure->kind == ERR_NOT_FOUND || failure->kind == ERR_TOO_LARGE || error_is_retriable(failure->kind))
        return http_status_of(failure->kind);
    return find_type(usual_type(failure))->status;
}

static const char *
type_of_failure(const struct failure *failure)
{
    const struct type *named = find_type(failure->reason);
    if (named == NULL)
        return usual_type(failure);
    return named->type != NULL ? named->type : named->word;
}

static void
put(json_t *object, const char *member, json_t *value)
{
    (void)json_object_set_new(object, member, value);
}

static json_t *
problem_json(struct arena *arena, const char *type, const char *detail, int status)
{
    json_t *problem = json_object();
    put(problem, "type", json_string(arena_format(arena, TYPE_PREFIX "%s", type)));
    put(problem, "detail", json_string(detail));
    put(problem, "status", json_integer(status));
    return problem;
}

static void
add_members(json_t *problem, const char *members)
{
    AUTO(json_t, object) = members == NULL ? NULL : json_loads(members, 0, NULL);

    if (object != NULL)
        (void)json_object_update_missing(problem, object);
}

static json_t *
failure_json(struct request *rq, int status)
{
    const struct failure *failure = &rq->failure;
    const char *type = type_of_failure(failure);
    json_t *problem = problem_json(rq->arena, type, failure->message, status);

    (void)request_traceparent(rq); /* answers on the loop draw their trace only when somebody asks */
    put(problem, "instance", json_string(arena_format(rq->arena, "urn:signet:trace:%s", rq->trace_id)));
    if (failure->layer[0] != '\0')
        put(problem, "layer", json_string(failure->layer));
    add_members(problem, rq->failure_members);
    /* RFC 8555 §6.2: the problem lists what can be used. */
    if (text_equal(type, "badSignatureAlgorithm") && json_object_get(problem, "algorithms") == NULL)
        put(problem, "algorithms", jws_algorithms_json());
    return problem;
}

enum error
refuse(struct request *rq, enum error kind, const char *type, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    char *message = arena_vformat(rq->arena, format, values);
    va_end(values);
    (void)fail(rq, kind, "%s", message);
    return fail_reason(rq, type);
}

const char *
problem_of_failure(struct request *rq)
{
    AUTO(json_t, problem) = failure_json(rq, status_of_failure(&rq->failure));
    return json_format(rq->arena, problem);
}

const char *
problem_format(struct arena *arena, const char *type, const char *detail)
{
    const struct type *known = find_type(type);
    if (known == NULL)
        known = find_type("serverInternal");
    AUTO(json_t, problem) = problem_json(arena, known->word, detail, known->status);
    return json_format(arena, problem);
}

static const char *
noted(const struct request *rq, const char *key)
{
    for (size_t i = 0; i < rq->note_count; i++)
        if (text_equal(rq->notes[i].key, key))
            return rq->notes[i].value;
    return NULL;
}

/* Of the policy that has refused; where none was looked at, of the one that the request is for. */
static const char *
limits_url(struct acme *acme, const struct http_exchange *x)
{
    const char *policy = noted(&x->rq, "policy");

    if (policy == NULL && x->route != NULL && text_starts_with(x->route->path, "/acme/{policy}/"))
        policy = x->params[0];
    if (policy == NULL || text_equal(policy, DEFAULT_POLICY))
        return arena_format(x->rq.arena, "%s/acme/limits", acme->base_url);
    return arena_format(x->rq.arena, "%s/acme/%s/limits", acme->base_url, policy);
}

void
problem_render(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    /* The server has a status of its own for what never reached a handler: a wrong method, a body in parts too large. */
    bool before_handler = x->route == NULL || (x->answer.status == 405 || x->answer.status == 413 || x->answer.status == 431);
    int status = before_handler ? x->answer.status : status_of_failure(&rq->failure);

    AUTO(json_t, problem) = failure_json(rq, status);
    if (text_equal(rq->failure.reason, "userActionRequired")) {
        /* RFC 8555 §6.7, §7.3.3: where somebody must go; what he has to do stands there. */
        put(problem, "instance", json_string(acme->terms_url));
        http_header_out(x, "Link", "<%s>;rel=\"terms-of-service\"", acme->terms_url);
    }
    (void)http_answer_text(x, status, problem_media_type, json_format(rq->arena, problem));
    /* RFC 8555 §6.6; clients take a bare 429 for the end of everything. */
    if (text_equal(type_of_failure(&rq->failure), "rateLimited"))
        http_header_out(x, "Link", "<%s>;rel=\"help\"", limits_url(acme, x));
    const char *location = noted(rq, problem_location);
    if (location != NULL)
        http_header_out(x, "Location", "%s", location);
    if (rq->failure.retry_after_s == 0 && status >= 500)
        http_header_out(x, "Retry-After", "%d", TRY_AGAIN_S);
}
