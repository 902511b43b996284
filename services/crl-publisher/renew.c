/*
 * One new CRL: asked from the signer, who leaves it in the view ca.signed_crl, read again octet by octet, verified with the CA's certificate, and
 * compared with the last. A good CRL is never replaced by one that did not pass all of this (RFC 5280 §5.2.3, §6.3.3). Called from schedule.c for a
 * leased row; crl_check also from shelf.c.
 */
#include <string.h>

#include "base/clock.h"
#include "crl_publisher.h"
#include "link/rpc.h"

/* What the clocks of two machines may differ by. */
#define CLOCK_SKEW_S 300
/* Of the time that is left, for reading and storing what was signed. */
#define STORE_PART 4

bool
crl_number_of(struct bytes magnitude, struct crl_number *ret_number)
{
    struct crl_number number = {{0}};

    if (magnitude.len > CRL_NUMBER_LEN)
        return false;
    memcpy(number.octets + CRL_NUMBER_LEN - magnitude.len, magnitude.at, magnitude.len);
    *ret_number = number;
    return true;
}

int
crl_number_compare(const struct crl_number *a, const struct crl_number *b)
{
    return memcmp(a->octets, b->octets, CRL_NUMBER_LEN);
}

static struct bytes
magnitude_of(struct arena *arena, const struct crl_number *number)
{
    size_t zeros = 0;

    while (zeros < CRL_NUMBER_LEN && number->octets[zeros] == 0)
        zeros++;
    return bytes_copy(arena, BYTES(number->octets + zeros, CRL_NUMBER_LEN - zeros));
}

enum error
crl_check(struct request *rq, struct bytes der, const struct certificate *issuer, struct crl *ret_crl, struct crl_number *ret_number)
{
    struct crl_number number;
    struct crl crl;
    enum error error = crl_parse(rq, der, &crl);

    if (error)
        return error;
    if (!bytes_equal(crl.issuer, issuer->subject))
        return fail(rq, ERR_BAD_REQUEST, "the CRL names another issuer than the CA");
    if (!crl_is_signed_by(&crl, issuer))
        return fail(rq, ERR_BAD_REQUEST, "the signature of the CRL is not of the CA's key");
    if (crl.number.len == 0)
        return fail(rq, ERR_BAD_REQUEST, "the CRL has no number");
    if (!crl_number_of(crl.number, &number))
        return fail(rq, ERR_BAD_REQUEST, "the number of the CRL has %zu octets, at most %d are allowed", crl.number.len, CRL_NUMBER_LEN);
    if (crl.next_update_s <= crl.this_update_s)
        return fail(rq, ERR_BAD_REQUEST, "the CRL ends before it begins");
    *ret_crl = crl;
    *ret_number = number;
    return OK;
}

static enum error
check_is_newer(struct request *rq, const struct new_crl *new, const struct last_crl *last)
{
    int64_t now_s = clock_now_s();

    if (crl_number_compare(&new->number, &last->number) <= 0)
        return fail(rq, ERR_CONFLICT, "the number of the new CRL, 0x%s, is not greater than the last, 0x%s",
                    bytes_hex(rq->arena, magnitude_of(rq->arena, &new->number), 0), bytes_hex(rq->arena, magnitude_of(rq->arena, &last->number), 0));
    if (new->crl.this_update_s < last->this_update_s)
        return fail(rq, ERR_CONFLICT, "thisUpdate of the new CRL, %s, lies before that of the last, %s",
                    clock_format_rfc3339(rq->arena, new->crl.this_update_s), clock_format_rfc3339(rq->arena, last->this_update_s));
    if (new->crl.this_update_s > now_s + CLOCK_SKEW_S)
        return fail(rq, ERR_CONFLICT, "thisUpdate of the new CRL, %s, lies in the future", clock_format_rfc3339(rq->arena, new->crl.this_update_s));
    if (new->crl.next_update_s <= now_s)
        return fail(rq, ERR_CONFLICT, "the new CRL has ended already, at %s", clock_format_rfc3339(rq->arena, new->crl.next_update_s));
    return OK;
}

/* No two CRLs of one second: a client that asks by date (If-Modified-Since) could not tell them apart. */
static int64_t
next_this_update_s(const struct last_crl *last)
{
    int64_t now_s = clock_now_s();

    if (now_s == last->this_update_s) {
        clock_sleep_ms(1000 - (int)(clock_now_us() / 1000 % 1000));
        now_s = clock_now_s();
    }
    /* The clock of whoever made the last one may be before ours. */
    return now_s > last->this_update_s ? now_s : last->this_update_s + 1;
}

static enum error
ask_signer(struct publisher *publisher, struct request *rq, const char *issuer, const struct last_crl *last, const Pb__SignCrlReply **ret_reply)
{
    Pb__SignCrlRequest request = PB__SIGN_CRL_REQUEST__INIT;
    struct bytes number = magnitude_of(rq->arena, &last->number);
    int64_t ends_ms = rq->deadline_ms;
    enum error error;

    request.issuer = issuer;
    request.this_update_s = next_this_update_s(last);
    request.next_update_s = request.this_update_s + publisher->config.validity_s;
    request.after_number = message_data(number);
    if (ends_ms != 0)
        rq->deadline_ms = ends_ms - (ends_ms - clock_monotonic_ms()) / STORE_PART;
    error = RPC_CALL(publisher->bus, rq, signer, SignCrl, &request, ret_reply);
    rq->deadline_ms = ends_ms;
    return error;
}

enum error
renew_crl(struct publisher *publisher, struct request *rq, const char *issuer, struct bytes certificate_der, const struct last_crl *last,
          struct new_crl *ret_new)
{
    struct certificate *certificate = arena_alloc(rq->arena, sizeof(*certificate));
    const Pb__SignCrlReply *reply;
    struct bytes der = BYTES_NONE;
    struct new_crl new = {0};
    enum error error = certificate_parse(rq, certificate_der, certificate);

    if (!error)
        error = ask_signer(publisher, rq, issuer, last, &reply);
    if (!error)
        error = store_load_signed(publisher, rq, issuer, message_bytes(reply->sha256), &der);
    if (!error)
        error = crl_check(rq, der, certificate, &new.crl, &new.number);
    if (!error)
        error = check_is_newer(rq, &new, last);
    if (error)
        return error;
    *ret_new = new;
    return OK;
}
