/* An order as its client sees it (RFC 8555 §7.1.3), for order, new_order and finalize. */
#include "acme.h"

#include "base/clock.h"

/* Validation and issuance take milliseconds; a client that came too early is asked to come again in as few seconds as clients take well. */
#define RETRY_AFTER_S 3
/* Who approves takes minutes at least, and may take days. Clients that give up sooner than this (certbot: 90 s) would not see it by asking more
 * often. */
#define RETRY_AFTER_APPROVAL_S 120

static const char *
status_name(enum order_status status)
{
    switch (status) {
    case ORDER_PENDING:
        return "pending";
    case ORDER_READY:
        return "ready";
    case ORDER_PROCESSING:
        return "processing";
    case ORDER_VALID:
        return "valid";
    case ORDER_INVALID:
        return "invalid";
    case ORDER_CANCELED: /* RFC 8739 §3.1.1 */
        return "canceled";
    }
    return "";
}

static json_t *
names_json(const struct order *order)
{
    json_t *list = json_array();

    for (size_t i = 0; i < order->name_count; i++)
        (void)json_array_append_new(list, name_to_json(&order->names[i]));
    return list;
}

static json_t *
authorizations_json(struct acme *acme, struct arena *arena, const struct order *order)
{
    json_t *list = json_array();

    for (size_t i = 0; i < order->authorization_count; i++)
        (void)json_array_append_new(list, json_string(acme_url(acme, arena, "authorization", order->authorization_ids[i])));
    return list;
}

/* RFC 8555 §7.1.6: an order that was not finalized in time is invalid. Nobody has to write that down. */
static bool
is_too_late(const struct order *order)
{
    return (order->status == ORDER_PENDING || order->status == ORDER_READY) && order->expires_at_s <= clock_now_s();
}

static void
put(json_t *object, const char *member, json_t *value)
{
    (void)json_object_set_new(object, member, value);
}

static json_t *
order_json(struct acme *acme, struct arena *arena, const struct order *order)
{
    const char *url = acme_url(acme, arena, "order", order->id);
    bool too_late = is_too_late(order);
    const char *problem = too_late ? problem_format(arena, "malformed", "the order expired before it was finalized") : order->problem;

    json_t *json = json_object();
    put(json, "status", json_string(status_name(too_late ? ORDER_INVALID : order->status)));
    put(json, "expires", json_string(clock_format_rfc3339(arena, order->expires_at_s)));
    put(json, "identifiers", names_json(order));
    put(json, "authorizations", authorizations_json(acme, arena, order));
    put(json, "finalize", json_string(arena_format(arena, "%s/finalize", url)));
    if (order->not_before_s != 0)
        put(json, "notBefore", json_string(clock_format_rfc3339(arena, order->not_before_s)));
    if (order->not_after_s != 0)
        put(json, "notAfter", json_string(clock_format_rfc3339(arena, order->not_after_s)));
    if (order->profile != NULL)
        put(json, "profile", json_string(order->profile));
    if (order->replaces != NULL)
        put(json, "replaces", json_string(order->replaces));
    if (order->star != NULL)
        put(json, "auto-renewal", star_json(arena, order->star));
    if (order->status == ORDER_VALID && order->star != NULL)
        put(json, "star-certificate", json_string(acme_url(acme, arena, "star-certificate", order->id)));
    else if (order->status == ORDER_VALID)
        put(json, "certificate", json_string(acme_url(acme, arena, "certificate", order->id)));
    if (problem != NULL)
        put(json, "error", json_loads(problem, 0, NULL));
    return json;
}

enum error
order_answer(struct acme *acme, struct http_exchange *x, int status, const struct order *order)
{
    http_header_out(x, "Location", "%s", acme_url(acme, x->rq.arena, "order", order->id));
    if (order->status == ORDER_PROCESSING)
        http_header_out(x, "Retry-After", "%d", order->attempts == 0 ? RETRY_AFTER_APPROVAL_S : RETRY_AFTER_S);
    AUTO(json_t, json) = order_json(acme, x->rq.arena, order);
    return acme_answer_json(x, status, json);
}

enum error
order(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct signed_request signed_;
    struct order found;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (error)
        return error;
    request_note(&x->rq, "order", "%s", x->params[0]);
    if (signed_.payload != NULL)
        return cancel_order(acme, x, &signed_);
    error = store_load_order(acme, &x->rq, signed_.account->id, x->params[0], &found);
    if (error)
        return error;
    return order_answer(acme, x, 200, &found);
}
