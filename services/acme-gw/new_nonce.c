/* A nonce for clients that have none (RFC 8555 §7.2). The nonce itself is in every answer: acme_decorate puts it there. */
#include "acme.h"

enum error
new_nonce(void *context, struct http_exchange *x)
{
    return http_answer(x, text_equal(x->method, "HEAD") ? 200 : 204, NULL, BYTES_NONE);
}

/* RFC 8555 §6.3, as the directory's. */
enum error
new_nonce_by_post(void *context, struct http_exchange *x)
{
    struct signed_request signed_;

    enum error error = post_as_get_check(context, x, &signed_);
    return error ? error : new_nonce(context, x);
}
