/* The issuers above certificates, for who follows a certificate's Link rel="up". They are public. */
#include "acme.h"

#include <openssl/sha.h>

enum error
chain(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct bytes sha256;
    const char *pem = NULL;

    if (!bytes_from_hex(x->rq.arena, x->params[0], &sha256) || sha256.len != SHA256_DIGEST_LENGTH)
        return fail(&x->rq, ERR_NOT_FOUND, "there is no such chain");
    enum error error = store_load_chain(acme, &x->rq, sha256, &pem);
    return error ? error : http_answer_text(x, 200, certificate_media_type, pem);
}
