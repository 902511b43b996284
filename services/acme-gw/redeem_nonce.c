/*
 * A nonce is used up at the replica that minted it: in memory when that is this one, else by one call over the bus. Both ends of that call are here.
 */
#include "acme.h"

#include "base/clock.h"

/* Boulder's words: by them alone, not by the type of the problem, acme.sh knows that it should try again. */
#define BAD_NONCE "JWS has an invalid anti-replay nonce: "

/* Another replica answers in a millisecond or is gone, and then the client waits for nothing. */
#define REDEEM_MS 500

static bool
ask_its_replica(struct acme *acme, struct request *rq, const char *nonce)
{
    Pb__RedeemNonceRequest input = PB__REDEEM_NONCE_REQUEST__INIT;
    const Pb__RedeemNonceReply *reply = NULL;
    int64_t deadline_ms = rq->deadline_ms;

    input.nonce = nonce;
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, REDEEM_MS);
    enum error error = RPC_CALL_AT(acme->bus, rq, acme_gw, arena_format(rq->arena, ".%.*s", NONCE_PREFIX_LEN, nonce), RedeemNonce, &input, &reply);
    rq->deadline_ms = deadline_ms;
    if (error == OK)
        return reply->fresh;
    /* Nobody answers for this prefix: to the client a nonce like any other that is not good any more. */
    request_note(rq, "nonce", "its replica does not answer: %s", rq->failure.detail);
    failure_clear(rq);
    return false;
}

static bool
is_fresh(struct acme *acme, struct request *rq, const char *nonce)
{
    switch (nonce_use(acme->nonces, rq->arena, nonce)) {
    case NONCE_FRESH:
        return true;
    case NONCE_STALE:
        return false;
    case NONCE_OF_ANOTHER_REPLICA:
        return ask_its_replica(acme, rq, nonce);
    }
    return false;
}

enum error
nonce_redeem(struct acme *acme, struct request *rq, const char *nonce)
{
    if (nonce == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "badNonce", BAD_NONCE "there is none; use the one of this answer's Replay-Nonce");
    if (!is_fresh(acme, rq, nonce))
        return refuse(rq, ERR_BAD_REQUEST, "badNonce",
                      BAD_NONCE "it is unknown, too old or was used before; use the one of this answer's Replay-Nonce");
    return OK;
}

enum error
redeem_nonce(struct acme *acme, struct request *rq, const Pb__RedeemNonceRequest *input, Pb__RedeemNonceReply *ret_reply)
{
    ret_reply->fresh = nonce_use(acme->nonces, rq->arena, input->nonce) == NONCE_FRESH;
    return OK;
}
