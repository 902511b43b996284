/*
 * A client says which names it wants in a certificate (RFC 8555 §7.4). Recorded with one authorisation per name and its challenges, in one round
 * trip. The order is `pending` until validation.c has made every authorisation valid.
 */
#include "acme.h"

#include "base/base64.h"
#include "base/clock.h"

#define TOKEN_OCTETS 32 /* RFC 8555 §8.1 asks for 128 bits of entropy at least */

static enum error
check_can_be_proven(struct acme *acme, struct request *rq, const struct identifier *name)
{
    if (text_is_empty(challenge_types_offer(acme, rq->arena, name, NULL)))
        return refuse(rq, ERR_BAD_NAME, "rejectedIdentifier", "%s: none of the challenges that this server offers can prove such a name",
                      name->value);
    return OK;
}

static enum error
take_names(struct acme *acme, struct request *rq, const json_t *payload, struct identifier **ret_names, size_t *ret_count)
{
    const json_t *list = json_object_get(payload, "identifiers");
    size_t count = json_array_size(list);

    if (count == 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"identifiers\" must be an array with at least one identifier");
    if (count > IDENTIFIERS_MAX)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "an order has at most %d identifiers, this one has %zu", IDENTIFIERS_MAX, count);
    struct identifier *names = arena_array(rq->arena, count, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        enum error error = name_from_json(rq, json_array_get(list, i), &names[i]);
        if (!error)
            error = check_can_be_proven(acme, rq, &names[i]);
        if (error)
            return error;
    }
    names_sort(names, &count);
    *ret_names = names;
    *ret_count = count;
    return OK;
}

/* What is not served must not be ignored: the client would get another certificate than the one that it asked for. */
static enum error
check_no_dates(struct request *rq, const json_t *payload)
{
    if (json_object_get(payload, "notBefore") == NULL && json_object_get(payload, "notAfter") == NULL)
        return OK;
    return refuse(rq, ERR_BAD_REQUEST, "malformed", "this server sets the validity of certificates itself: leave out notBefore and notAfter");
}

static char *
new_token(struct arena *arena)
{
    uint8_t octets[TOKEN_OCTETS];

    random_bytes(octets, sizeof octets);
    return base64url_encode(arena, BYTES(octets, sizeof octets));
}

enum error
new_order(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct identifier *names = NULL;
    size_t count = 0;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (!error)
        error = take_names(acme, rq, signed_.payload, &names, &count);
    if (!error)
        error = check_no_dates(rq, signed_.payload);
    if (error)
        return error;
    const char **authorization_ids = arena_array(rq->arena, count + 1, sizeof *authorization_ids);
    struct challenge *challenges = arena_array(rq->arena, count, sizeof *challenges);
    for (size_t i = 0; i < count; i++) {
        authorization_ids[i] = new_id(rq->arena);
        challenges[i] = (struct challenge){.id = new_id(rq->arena),
                                           .authorization_id = authorization_ids[i],
                                           .type = challenge_types_offer(acme, rq->arena, &names[i], NULL),
                                           .token = new_token(rq->arena)};
    }
    struct order order = {.id = new_id(rq->arena),
                          .account_id = signed_.account->id,
                          .status = ORDER_PENDING,
                          .names = names,
                          .name_count = count,
                          .authorization_ids = authorization_ids,
                          .authorization_count = count,
                          .expires_at_s = clock_now_s() + ORDER_LIFETIME_S,
                          .client_address = x->peer};
    request_note(rq, "order", "%s", order.id);
    error = store_insert_order(acme, rq, &order, challenges, count);
    if (error)
        return error;
    return order_answer(acme, x, 201, &order);
}
