/*
 * The present certificate of an order that is renewed automatically (RFC 8739 §3.3), for its account, and for everybody where client and policy have
 * agreed on that (§3.4). The resource changes, and says until when it does not.
 */
#include "acme.h"

#include "base/clock.h"

static enum error
check_state(struct request *rq, const struct held_certificate *held)
{
    if (held->star->end_s <= clock_now_s())
        return refuse(rq, ERR_DENIED, "autoRenewalExpired", "the order has ended, at %s", clock_format_rfc3339(rq->arena, held->star->end_s));
    /* The turn that ends the order for this reason may be hours away. */
    if (held->obstacle != NULL)
        return refuse(rq, ERR_DENIED, "autoRenewalCanceled", "its certificate is renewed no more: %s", held->obstacle);
    return OK;
}

/* What was agreed when the order was made holds as long as its policy agrees. */
static enum error
check_stranger(struct acme *acme, struct http_exchange *x, const struct held_certificate *held)
{
    const struct policy *policy;

    enum error error = policy_load(acme, &x->rq, held->policy, &policy);
    if (!error)
        error = policy_check_client(x, policy);
    if (error)
        return error;
    if (!held->star->certificate_get || !policy->star_certificate_get)
        return refuse(&x->rq, ERR_DENIED, "unauthorized", "this certificate is for requests of its account only (POST-as-GET)");
    return OK;
}

static enum error
answer(struct http_exchange *x, const struct held_certificate *held, const struct certificate *certificate)
{
    struct arena *arena = x->rq.arena;

    /* In double quotes: intermediaries may join what they take for lists. */
    http_header_out(x, "Cert-Not-Before", "\"%s\"", clock_format_http(arena, certificate->not_before_s));
    http_header_out(x, "Cert-Not-After", "\"%s\"", clock_format_http(arena, certificate->not_after_s));
    return http_answer_text(x, 200, certificate_media_type, certificate_pem(arena, held->leaf, held->chain_pem));
}

static enum error
give(struct acme *acme, struct http_exchange *x, const char *account_id, struct held_certificate *held, struct certificate *certificate)
{
    struct request *rq = &x->rq;

    enum error error = store_load_star_certificate(acme, rq, account_id, x->params[0], held);
    if (!error && account_id == NULL)
        error = check_stranger(acme, x, held);
    if (!error)
        error = check_state(rq, held);
    if (!error)
        error = certificate_parse(rq, held->leaf, certificate);
    return error ? error : answer(x, held, certificate);
}

enum error
star_certificate(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct signed_request signed_;
    struct held_certificate held;
    struct certificate *certificate = arena_alloc(x->rq.arena, sizeof *certificate);

    request_note(&x->rq, "order", "%s", x->params[0]);
    enum error error = post_as_get_check(acme, x, &signed_);
    return error ? error : give(acme, x, signed_.account->id, &held, certificate);
}

/* RFC 8739 §4.3: nobody on the way keeps it longer than it is the present one. */
enum error
star_certificate_by_get(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct held_certificate held;
    struct certificate *certificate = arena_alloc(x->rq.arena, sizeof *certificate);

    request_note(&x->rq, "order", "%s", x->params[0]);
    enum error error = give(acme, x, NULL, &held, certificate);
    if (error)
        return error;
    int64_t until_s = held.next_s != 0 && held.next_s < certificate->not_after_s ? held.next_s : certificate->not_after_s;
    int64_t left_s = until_s - clock_now_s();
    http_header_out(x, "Cache-Control", "public, max-age=%lld", (long long)(left_s > 0 ? left_s : 0));
    return OK;
}
