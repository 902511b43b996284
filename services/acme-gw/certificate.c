/* The certificate of a valid order with its issuers (RFC 8555 §7.4.2), or with those to another root: the leaf first, no root, LF, nothing but PEM.
 */
#include "acme.h"

#include "pki/pem.h"

#define ALTERNATE_MAX 100

const char certificate_media_type[] = "application/pem-certificate-chain";

const char *
certificate_pem(struct arena *arena, struct bytes leaf, const char *chain_pem)
{
    struct buffer pem = buffer_in(arena);

    pem_append(&pem, "CERTIFICATE", leaf);
    buffer_append_text(&pem, chain_pem);
    return buffer_text(&pem);
}

static enum error
load(struct acme *acme, struct http_exchange *x, const char *account_id, int64_t which, const char **ret_pem, size_t *ret_count)
{
    struct request *rq = &x->rq;
    const char *order_id = x->params[0];
    struct bytes leaf;
    const char *const *chains = NULL;
    size_t count = 0;

    const char *remembered = which == 0 ? certificate_cache_find(acme->certificates, rq->arena, order_id, account_id) : NULL;
    if (remembered != NULL) {
        *ret_pem = remembered;
        *ret_count = 1;
        return OK;
    }
    if (x->on_loop)
        return http_defer(x);
    enum error error = store_load_certificate(acme, rq, account_id, order_id, &leaf, &chains, &count);
    if (error)
        return error;
    if ((size_t)which >= count)
        return fail(rq, ERR_NOT_FOUND, "this certificate has no such chain");
    *ret_pem = certificate_pem(rq->arena, leaf, chains[which]);
    *ret_count = count;
    return OK;
}

/*
 * RFC 8555 §7.4.2: the same leaf with its other chains. Issuers are linked (rel="up") from formats of a single certificate only: to a chain, clients
 * add what they find there.
 */
static void
link_alternates(struct acme *acme, struct http_exchange *x, int64_t which, size_t count)
{
    const char *url = acme_url(acme, x->rq.arena, "certificate", x->params[0]);

    for (size_t i = 0; i < count; i++) {
        if ((int64_t)i == which)
            continue;
        if (i == 0)
            http_header_out(x, "Link", "<%s>;rel=\"alternate\"", url);
        else
            http_header_out(x, "Link", "<%s/%zu>;rel=\"alternate\"", url, i);
    }
}

enum error
certificate(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    const char *pem = NULL;
    int64_t which = 0;
    size_t count = 0;

    request_note(rq, "order", "%s", x->params[0]);
    enum error error = post_as_get_check(acme, x, &signed_);
    if (error)
        return error;
    if (x->params[1] != NULL && !text_parse_number(x->params[1], 1, ALTERNATE_MAX, &which))
        return fail(rq, ERR_NOT_FOUND, "this certificate has no such chain");
    error = load(acme, x, signed_.account->id, which, &pem, &count);
    if (error)
        return error;
    link_alternates(acme, x, which, count);
    return http_answer_text(x, 200, certificate_media_type, pem);
}
