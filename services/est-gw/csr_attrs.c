/* csrattrs (RFC 7030 §4.5): what the profile would like to see in CSRs. Nobody has to say who he is for that. */
#include "est.h"

enum error
csr_attrs(void *context, struct http_exchange *x)
{
    struct est *est = context;
    const struct profile *profile;
    struct bytes attributes;

    enum error error = profile_find(est, x, &profile);
    if (!error)
        error = csr_attributes_encode(&x->rq, profile->settings, &attributes);
    if (error)
        return error;
    /* RFC 7030 §4.5.2: 204 says that there is nothing special to know. */
    if (attributes.len == 0)
        return http_answer(x, 204, NULL, BYTES_NONE);
    return body_answer(x, 200, "application/csrattrs", attributes);
}
