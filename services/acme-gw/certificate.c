/* The certificate of a valid order with its issuers (RFC 8555 §7.4.2): the leaf first, no root, LF, nothing but PEM. */
#include "acme.h"

#include "pki/pem.h"

const char *
certificate_pem(struct arena *arena, struct bytes leaf, const char *chain_pem)
{
    struct buffer pem = buffer_in(arena);

    pem_append(&pem, "CERTIFICATE", leaf);
    buffer_append_text(&pem, chain_pem);
    return buffer_text(&pem);
}

static enum error
load(struct acme *acme, struct request *rq, const char *account_id, const char *order_id, const char **ret_pem)
{
    struct bytes leaf;
    const char *chain;

    const char *remembered = certificate_cache_find(acme->certificates, rq->arena, order_id, account_id);
    if (remembered != NULL) {
        *ret_pem = remembered;
        return OK;
    }
    enum error error = store_load_certificate(acme, rq, account_id, order_id, &leaf, &chain);
    if (!error)
        *ret_pem = certificate_pem(rq->arena, leaf, chain);
    return error;
}

enum error
certificate(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    const char *pem = NULL;

    request_note(rq, "order", "%s", x->params[0]);
    enum error error = post_as_get_check(acme, x, &signed_);
    if (!error)
        error = load(acme, rq, signed_.account->id, x->params[0], &pem);
    if (error)
        return error;
    return http_answer_text(x, 200, "application/pem-certificate-chain", pem);
}
