/* The certificate of a valid order with its issuers (RFC 8555 §7.4.2): the leaf first, no root, LF, nothing but PEM. */
#include "acme.h"

#include <openssl/sha.h>
#include <string.h>

#include "pki/pem.h"

static const char end_of_leaf[] = "-----END CERTIFICATE-----\n";
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

/* The chain is named by its SHA-256, as acme.chain has it. */
static void
link_issuers(struct acme *acme, struct http_exchange *x, const char *pem)
{
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    const char *leaf_end = strstr(pem, end_of_leaf);

    if (leaf_end == NULL)
        return;
    const char *issuers = leaf_end + strlen(end_of_leaf);
    (void)SHA256((const uint8_t *)issuers, strlen(issuers), sha256);
    http_header_out(x, "Link", "<%s>;rel=\"up\"", acme_url(acme, x->rq.arena, "chain", bytes_hex(x->rq.arena, BYTES(sha256, sizeof sha256), 0)));
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
    link_issuers(acme, x, pem);
    return http_answer_text(x, 200, certificate_media_type, pem);
}
