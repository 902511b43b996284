/* PKIOperation: reads the message, verifies it, opens its envelope, has it worked on by its type. What has no transaction to be answered is an HTTP
 * status, all else that is wrong a signed failure. */
#include "scep.h"

static enum error
check_algorithms(struct conversation *c)
{
    if (c->message.digest == PB__SCEP_DIGEST__SCEP_DIGEST_SHA1 && !c->profile->about->legacy)
        return refuse(c->rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "digest", "SHA-1 is for profiles that are marked legacy");
    if (c->message.signer.key.type == KEY_RSA && c->message.signer.key.modulus.len < KEY_RSA_BITS_MIN / 8)
        return refuse(c->rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "key", "the signer's key is shorter than %d bits", KEY_RSA_BITS_MIN);
    return OK;
}

static bool
is_answered(enum message_type type)
{
    return type == RENEWAL_REQ || type == PKCS_REQ || type == CERT_POLL || type == GET_CERT || type == GET_CRL;
}

/* An envelope costs a decryption on the token, a signed failure a signature. An address that had many of them at this profile has to wait, unless
 * the message is signed with the key of a certificate of ours. */
static enum error
check_stranger(struct conversation *c)
{
    enum error error = pki_message_verify(c->rq, &c->message);

    if (error == OK && authorities_find_issuer(&c->ras, c->message.signer.der) != NULL)
        return OK;
    struct failure why = c->rq->failure;
    failure_clear(c->rq);
    enum error limited = request_limit_check_failures(c->scep->limit, c->rq, c->x->peer, c->profile->about->name);
    if (limited != OK)
        return limited;
    c->rq->failure = why;
    return error;
}

static enum error
work(struct conversation *c)
{
    enum error error = check_stranger(c);

    if (error == OK && !is_answered(c->message.type))
        error = refuse(c->rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "message", "messages of type %d are not answered", (int)c->message.type);
    if (error == OK)
        error = check_algorithms(c);
    if (error == OK)
        error = envelope_open(c->scep, c->rq, c->profile, &c->ras.ra, c->message.signed_data.content, &c->content, &c->cipher);
    if (error != OK)
        return error;
    /* These say no password. */
    if (c->message.type == GET_CERT || c->message.type == GET_CRL)
        error = reply_check_readable(c, BYTES_NONE);
    if (error != OK)
        return error;
    switch (c->message.type) {
    case PKCS_REQ:
    case RENEWAL_REQ:
        return enroll_request(c);
    case CERT_POLL:
        return enroll_poll(c);
    case GET_CERT:
        return give_certificate(c);
    case GET_CRL:
        return give_crl(c);
    }
    return fail(c->rq, ERR_INTERNAL, "a message of an unknown type was read");
}

enum error
pki_operation(struct scep *scep, struct http_exchange *x, const struct profile *profile, struct bytes message)
{
    struct conversation *c = arena_alloc(x->rq.arena, sizeof *c);

    *c = (struct conversation){.scep = scep, .x = x, .rq = &x->rq, .profile = profile};
    enum error error = pki_message_read(c->rq, message, &c->message);
    if (error == OK)
        error = ra_certificates_load(scep, c->rq, profile, &c->ras);
    if (error != OK)
        return error;
    error = work(c);
    if (error == OK)
        return OK;
    if (!error_is_retriable(error) && error != ERR_INTERNAL)
        request_limit_count_failure(scep->limit, c->rq, x->peer, profile->about->name);
    return reply_failure(c);
}
