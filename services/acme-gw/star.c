/*
 * What may be asked of automatic renewal (RFC 8739 §3.1.1), and when which certificate is due (§3.5). Pure functions of the order: whoever computes
 * them, in whichever replica, asks ra for the same certificate.
 */
#include "acme.h"

#include "base/clock.h"

#define ADJUST_MAX_S (10 * 365 * INT64_C(86400))
/* RFC 8739 §3.5: f of the lifetime, .5 <= f < 1. A sixth of it is there for everything that can go wrong before half of the time is over. */
#define SERVER_ADJUST(lifetime_s) (((lifetime_s)*2 + 2) / 3)
/* ra takes a notBefore that lies five minutes back. */
#define LATE_S 240

/* ---- what is asked ---- */

static enum error
take_date(struct request *rq, const json_t *object, const char *member, int64_t *ret_time_s)
{
    const json_t *text = json_object_get(object, member);

    if (text == NULL)
        return OK;
    if (!json_is_string(text) || clock_parse_rfc3339(json_string_value(text), ret_time_s) != 0 || *ret_time_s <= 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"%s\" of \"auto-renewal\" must be a time as in RFC 3339", member);
    return OK;
}

static enum error
take_seconds(struct request *rq, const json_t *object, const char *member, int64_t *ret_seconds)
{
    const json_t *number = json_object_get(object, member);

    if (number == NULL)
        return OK;
    if (!json_is_integer(number) || json_integer_value(number) < 0 || json_integer_value(number) > ADJUST_MAX_S)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"%s\" of \"auto-renewal\" must be a number of seconds", member);
    *ret_seconds = json_integer_value(number);
    return OK;
}

static enum error
take_members(struct request *rq, const json_t *object, struct star *star)
{
    enum error error = take_date(rq, object, "start-date", &star->start_s);

    if (!error)
        error = take_date(rq, object, "end-date", &star->end_s);
    if (!error)
        error = take_seconds(rq, object, "lifetime", &star->lifetime_s);
    if (!error)
        error = take_seconds(rq, object, "lifetime-adjust", &star->adjust_s);
    if (error)
        return error;
    if (star->end_s == 0 || star->lifetime_s == 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"auto-renewal\" must have an \"end-date\" and a \"lifetime\" in seconds");
    star->certificate_get = json_is_true(json_object_get(object, "allow-certificate-get"));
    return OK;
}

static enum error
check_times(struct request *rq, const struct policy *policy, const struct star *star, int64_t now_s)
{
    int64_t begins_s = star->start_s > now_s ? star->start_s : now_s;

    if (star->end_s <= begins_s)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"end-date\" lies %s", star->start_s > now_s ? "before \"start-date\"" : "in the past");
    if (begins_s - now_s > ORDER_LIFETIME_S)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"start-date\" is too far away: an order is made at most %d days before",
                      ORDER_LIFETIME_S / 86400);
    if (star->lifetime_s < policy->star_min_lifetime_s)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"lifetime\" is at least %d s under the policy %s", policy->star_min_lifetime_s,
                      policy->name);
    if (star->end_s - begins_s > policy->star_max_duration_s)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"end-date\" is at most %d s after \"start-date\" under the policy %s",
                      policy->star_max_duration_s, policy->name);
    return OK;
}

enum error
star_take(struct request *rq, const struct policy *policy, const json_t *payload, struct order *order)
{
    const json_t *object = json_object_get(payload, "auto-renewal");
    struct star *star = arena_alloc(rq->arena, sizeof *star);

    if (object == NULL)
        return OK;
    if (!json_is_object(object))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"auto-renewal\" must be an object");
    if (policy->star_max_duration_s == 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the policy %s offers no automatic renewal: its directory says nothing about it",
                      policy->name);
    if (order->not_before_s != 0 || order->not_after_s != 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "an order with \"auto-renewal\" has no \"notBefore\" and no \"notAfter\" (RFC 8739 §3.1.1)");
    enum error error = take_members(rq, object, star);
    if (!error)
        error = check_times(rq, policy, star, clock_now_s());
    if (error)
        return error;
    /* The server may adjust what was asked; the client sees it in the order. */
    star->adjust_s = star->adjust_s < star->lifetime_s ? star->adjust_s : star->lifetime_s;
    star->adjust_s = star->adjust_s > SERVER_ADJUST(star->lifetime_s) ? star->adjust_s : SERVER_ADJUST(star->lifetime_s);
    star->certificate_get = star->certificate_get && policy->star_certificate_get;
    order->star = star;
    if (order->expires_at_s > star->end_s)
        order->expires_at_s = star->end_s;
    return OK;
}

json_t *
star_json(struct arena *arena, const struct star *star)
{
    json_t *json = json_pack("{s:s, s:I, s:I}", "end-date", clock_format_rfc3339(arena, star->end_s), "lifetime", (json_int_t)star->lifetime_s,
                             "lifetime-adjust", (json_int_t)star->adjust_s);

    if (star->start_s != 0)
        (void)json_object_set_new(json, "start-date", json_string(clock_format_rfc3339(arena, star->start_s)));
    if (star->certificate_get)
        (void)json_object_set_new(json, "allow-certificate-get", json_true());
    return json;
}

const char *
star_text(struct arena *arena, const struct star *star)
{
    AUTO(json_t, json) = star == NULL ? NULL : star_json(arena, star);

    return json == NULL ? NULL : json_format(arena, json);
}

const struct star *
star_of_text(struct arena *arena, const char *text)
{
    struct star *star = arena_alloc(arena, sizeof *star);

    if (text == NULL)
        return NULL;
    const json_t *json = json_parse_object(arena, bytes_of_text(text));
    const char *start = json_text(json, "start-date");
    (void)clock_parse_rfc3339(json_text(json, "end-date"), &star->end_s);
    if (start != NULL)
        (void)clock_parse_rfc3339(start, &star->start_s);
    star->lifetime_s = json_integer_value(json_object_get(json, "lifetime"));
    star->adjust_s = json_integer_value(json_object_get(json, "lifetime-adjust"));
    star->certificate_get = json_is_true(json_object_get(json, "allow-certificate-get"));
    return star;
}

json_t *
star_meta(const struct policy *policy)
{
    json_t *json = json_pack("{s:i, s:i}", "min-lifetime", policy->star_min_lifetime_s, "max-duration", policy->star_max_duration_s);

    if (policy->star_certificate_get)
        (void)json_object_set_new(json, "allow-certificate-get", json_true());
    return json;
}

/* ---- when ---- */

int64_t
star_base_s(const struct order *order)
{
    return order->star->start_s > order->finalized_at_s ? order->star->start_s : order->finalized_at_s;
}

struct star_period
star_period(const struct star *star, int64_t base_s, int64_t n)
{
    int64_t nominal_s = base_s + n * star->lifetime_s, end_s = nominal_s + star->lifetime_s;
    struct star_period period = {.not_before_s = nominal_s - star->adjust_s, .not_after_s = end_s < star->end_s ? end_s : star->end_s};
    int64_t first_s = star->start_s != 0 ? star->start_s : base_s;

    /* RFC 8739 §3.5: the first one is not valid before the start-date, which is the beginning when none was named. */
    if (n == 0 && period.not_before_s < first_s)
        period.not_before_s = first_s;
    return period;
}

int64_t
star_next(const struct order *order, int64_t last, int64_t now_s)
{
    const struct star *star = order->star;
    int64_t base_s = star_base_s(order), due = (now_s - base_s + star->adjust_s) / star->lifetime_s;
    int64_t count = (star->end_s - base_s + star->lifetime_s - 1) / star->lifetime_s;
    int64_t next = due > last + 1 ? due : last + 1;

    /* RFC 8739 §3.3: none beyond the end-date. */
    if (next > count - 1)
        next = count - 1;
    return next > last && star_period(star, base_s, next).not_after_s > now_s ? next : -1;
}

const char *
star_request(struct arena *arena, const struct order *order, int64_t now_s, struct star_period *ret_period)
{
    struct star_period period = star_period(order->star, star_base_s(order), order->renewal);
    int64_t late = now_s > period.not_before_s ? (now_s - period.not_before_s) / LATE_S : 0;

    /* What could not be made for minutes begins later: ra signs no dates long past. Until then every repetition asks for the same. */
    period.not_before_s += late * LATE_S;
    *ret_period = period;
    if (late == 0)
        return arena_format(arena, "%s.%lld", order->id, (long long)order->renewal);
    return arena_format(arena, "%s.%lld.%lld", order->id, (long long)order->renewal, (long long)late);
}
