/* The certificate of a valid order with its issuers (RFC 8555 §7.4.2): the leaf first, no root, LF, nothing but PEM. */
#include "acme.h"

#include "pki/pem.h"

enum error
certificate(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct bytes leaf;
    const char *chain;

    enum error error = post_as_get_check(acme, x, &signed_);
    if (!error)
        error = store_load_certificate(acme, rq, signed_.account->id, x->params[0], &leaf, &chain);
    if (error)
        return error;
    request_note(rq, "order", "%s", x->params[0]);
    struct buffer pem = buffer_in(rq->arena);
    pem_append(&pem, "CERTIFICATE", leaf);
    buffer_append_text(&pem, chain);
    return http_answer(x, 200, "application/pem-certificate-chain", buffer_bytes(&pem));
}
