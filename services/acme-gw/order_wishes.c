/*
 * What an order may ask for beside names: dates (RFC 8555 §7.4), automatic renewal (star.c), a profile (draft-ietf-acme-profiles), and to replace a
 * certificate (RFC 9773 §5). What cannot be given is refused here, not ignored: the client would get another certificate than the one that it asked
 * for.
 */
#include "acme.h"

#include <string.h>

#include "base/clock.h"

#define DAY_S INT64_C(86400)
/* A client's clock may be late; ra knows what its templates allow. */
#define LATE_CLOCK_S 3600

static enum error
take_profile(struct request *rq, const struct policy *policy, const json_t *payload, struct order *order)
{
    const json_t *member = json_object_get(payload, "profile");

    if (member == NULL)
        return OK;
    if (profile_find(policy, json_string_value(member)) == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "invalidProfile", "there is no profile \"%.60s\"; the directory's meta.profiles has those that there are",
                      json_is_string(member) ? json_string_value(member) : "");
    order->profile = json_string_value(member);
    return OK;
}

/* ---- dates ---- */

static enum error
take_date(struct request *rq, const json_t *payload, const char *member, int64_t *ret_time_s)
{
    const json_t *text = json_object_get(payload, member);

    if (text == NULL)
        return OK;
    if (!json_is_string(text) || clock_parse_rfc3339(json_string_value(text), ret_time_s) != 0 || *ret_time_s <= 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"%s\" must be a time as in RFC 3339", member);
    return OK;
}

static enum error
take_dates(struct request *rq, const struct policy *policy, const json_t *payload, struct order *order)
{
    const struct profile *profile = profile_find(policy, order->profile);
    int days = profile != NULL ? profile->validity_days : policy->validity_days;
    int64_t now_s = clock_now_s();

    enum error error = take_date(rq, payload, "notBefore", &order->not_before_s);
    if (!error)
        error = take_date(rq, payload, "notAfter", &order->not_after_s);
    if (error)
        return error;
    if (order->not_before_s != 0 && order->not_before_s < now_s - LATE_CLOCK_S)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"notBefore\" lies in the past");
    /* Who has a name today could have certificates for it for all years to come, however short they live. */
    if (order->not_before_s > now_s + ORDER_LIFETIME_S)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"notBefore\" is too far away: a certificate is ordered at most %d days before",
                      ORDER_LIFETIME_S / 86400);
    if (order->not_after_s == 0)
        return OK;
    int64_t begins_s = order->not_before_s != 0 ? order->not_before_s : now_s;
    if (order->not_after_s <= begins_s)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"notAfter\" lies %s", order->not_before_s != 0 ? "before \"notBefore\"" : "in the past");
    if (days > 0 && order->not_after_s - begins_s > days * DAY_S)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"notAfter\" is too late: certificates live for at most %d days", days);
    return OK;
}

/* ---- replacement ---- */

static bool
names_meet(const struct identifier *names, size_t count, const struct order *order)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < order->name_count; k++)
            if (names[i].type == order->names[k].type && text_equal(names[i].value, order->names[k].value))
                return true;
    return false;
}

static enum error
take_replaces(struct acme *acme, struct request *rq, const json_t *payload, struct order *order)
{
    const json_t *member = json_object_get(payload, "replaces");
    struct known_certificate *known = arena_alloc(rq->arena, sizeof *known);
    struct identifier *names = NULL;
    size_t count = 0;

    if (member == NULL)
        return OK;
    if (!json_is_string(member))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"replaces\" must be the identifier of a certificate (RFC 9773 §4.1)");
    enum error error = certificate_id_load(acme, rq, json_string_value(member), known);
    if (!error)
        error = certificate_names(rq, &known->certificate, &names, &count);
    if (error)
        return error;
    if (!text_equal(known->account_id, order->account_id))
        return refuse(rq, ERR_DENIED, "unauthorized", "the certificate that is to be replaced was issued to another account");
    if (!names_meet(names, count, order))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the order has no identifier in common with the certificate that it is to replace");
    order->replaces = json_string_value(member);
    return OK;
}

enum error
order_wishes_take(struct acme *acme, struct request *rq, const struct policy *policy, const json_t *payload, struct order *order)
{
    enum error error = take_profile(rq, policy, payload, order);
    if (!error)
        error = take_dates(rq, policy, payload, order);
    if (!error)
        error = star_take(rq, policy, payload, order);
    if (!error)
        error = take_replaces(acme, rq, payload, order);
    return error;
}
