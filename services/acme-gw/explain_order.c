/* "Why is this order processing?": what the rows say, and in one sentence each, why, and who has to do what next. */
#include "acme.h"

#include <string.h>

#include "base/clock.h"

static const char *
plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* The last part of an order's URL; an id as it is. */
static const char *
id_of(const char *order)
{
    const char *slash = strrchr(order, '/');
    return slash == NULL ? order : slash + 1;
}

static const Pb__OrderAuthorization *
first_that_is_open(const Pb__ExplainOrderReply *order, size_t *ret_open)
{
    const Pb__OrderAuthorization *first = NULL;

    *ret_open = 0;
    for (size_t i = 0; i < order->n_authorizations; i++) {
        if (text_equal(order->authorizations[i]->status, "valid"))
            continue;
        *ret_open += 1;
        /* Those that somebody works at say more than those that nobody has begun. */
        if (first == NULL || text_equal(order->authorizations[i]->challenge_status, "processing"))
            first = order->authorizations[i];
    }
    return first;
}

static void
explain_pending(struct arena *arena, Pb__ExplainOrderReply *order)
{
    size_t open;
    const Pb__OrderAuthorization *first = first_that_is_open(order, &open);

    order->why = arena_format(arena, "%zu of %zu name%s not proven yet", open, order->n_authorizations, plural(order->n_authorizations));
    if (first == NULL)
        return;
    if (text_equal(first->challenge_status, "pending"))
        order->next = arena_format(arena, "the client must answer a challenge of %s and say so", first->name);
    else if (first->lease_ends_at_s > clock_now_s())
        order->next = arena_format(arena, "%s is being validated by %s, attempt %d", first->name, first->lease_holder, first->attempts);
    else
        order->next = arena_format(arena, "%s is validated again at %s, after %d attempt%s", first->name,
                                   clock_format_rfc3339(arena, first->next_attempt_at_s), first->attempts, plural((size_t)first->attempts));
}

static void
explain_processing(struct arena *arena, Pb__ExplainOrderReply *order)
{
    bool is_held = order->lease_ends_at_s > clock_now_s();

    if (order->trouble[0] != '\0')
        order->why = arena_format(arena, "the last attempt at the certificate came to nothing: %s", order->trouble);
    else if (is_held)
        order->why = "the certificate is being made at this moment";
    else
        order->why = "whoever was at it has gone without an end; the next replica takes it over";
    if (is_held)
        order->next = arena_format(arena, "%s is at it; should it die, another replica goes on at %s", order->lease_holder,
                                   clock_format_rfc3339(arena, order->lease_ends_at_s));
    else
        order->next =
            arena_format(arena, "any replica of acme-gw takes the next attempt, due at %s", clock_format_rfc3339(arena, order->next_attempt_at_s));
}

/* RFC 8739: the certificate is there, and others are to follow. */
static void
explain_renewed(struct arena *arena, Pb__ExplainOrderReply *order)
{
    const Pb__AutoRenewal *renewal = order->auto_renewal;
    int64_t now_s = clock_now_s();

    if (renewal->ends_at_s <= now_s) {
        order->why = "it has ended: its last certificate has expired";
        return;
    }
    if (renewal->obstacle[0] != '\0') {
        order->why = arena_format(arena, "it is renewed no more, and its certificate is given to nobody: %s", renewal->obstacle);
        order->next = "its next turn cancels it";
        return;
    }
    order->why = renewal->trouble[0] != '\0'
                     ? arena_format(arena, "the last attempt at the next certificate came to nothing: %s", renewal->trouble)
                     : arena_format(arena, "the certificate is issued, and was renewed %u time%s", renewal->renewals, plural(renewal->renewals));
    if (renewal->lease_ends_at_s > now_s)
        order->next = arena_format(arena, "%s is at the next certificate; should it die, another replica goes on at %s", renewal->lease_holder,
                                   clock_format_rfc3339(arena, renewal->lease_ends_at_s));
    else if (renewal->next_at_s != 0)
        order->next =
            arena_format(arena, "any replica of acme-gw makes the next certificate, due at %s", clock_format_rfc3339(arena, renewal->next_at_s));
    else
        order->next = arena_format(arena, "this was the last certificate: the order ends at %s", clock_format_rfc3339(arena, renewal->ends_at_s));
}

static void
explain_canceled(struct arena *arena, Pb__ExplainOrderReply *order)
{
    const json_t *problem = json_parse_object(arena, bytes_of_text(order->problem));
    const char *detail = json_text(problem, "detail");

    order->why = detail != NULL ? arena_text(arena, detail) : "its client has canceled it";
}

static void
explain_invalid(struct arena *arena, Pb__ExplainOrderReply *order)
{
    const json_t *problem = json_parse_object(arena, bytes_of_text(order->problem));
    const char *detail = json_text(problem, "detail");

    order->why = detail != NULL ? arena_text(arena, detail) : "it came to nothing";
    order->next = "the client must make a new order";
}

static void
explain(struct arena *arena, Pb__ExplainOrderReply *order)
{
    bool is_open = text_equal(order->status, "pending") || text_equal(order->status, "ready");

    if (is_open && order->expires_at_s <= clock_now_s()) {
        order->why = "it expired before it was finalized";
        order->next = "the client must make a new order";
    } else if (text_equal(order->status, "pending")) {
        explain_pending(arena, order);
    } else if (text_equal(order->status, "ready")) {
        order->why = "all names are proven, and no CSR has come yet";
        order->next = arena_format(arena, "the client must finalize it before %s", clock_format_rfc3339(arena, order->expires_at_s));
    } else if (text_equal(order->status, "processing")) {
        explain_processing(arena, order);
    } else if (text_equal(order->status, "valid") && order->auto_renewal != NULL) {
        explain_renewed(arena, order);
    } else if (text_equal(order->status, "canceled")) {
        explain_canceled(arena, order);
    } else if (text_equal(order->status, "valid")) {
        order->why = "the certificate is issued";
    } else {
        explain_invalid(arena, order);
    }
}

enum error
explain_order(struct acme *acme, struct request *rq, const Pb__ExplainOrderRequest *input, Pb__ExplainOrderReply *ret_reply)
{
    const char *id = id_of(input->order);

    if (strlen(id) != ACME_ID_LEN || !text_is_printable_ascii(bytes_of_text(id)))
        return fail(rq, ERR_BAD_REQUEST, "an order is named by its URL, or by the %d characters at the end of it", ACME_ID_LEN);
    request_note(rq, "order", "%s", id);
    enum error error = store_describe_order(acme, rq, id, ret_reply);
    if (!error)
        explain(rq->arena, ret_reply);
    return error;
}
