/*
 * Devices that wait for a person and come again with a CSR that they have made anew: with the channel binding of the new connection in it (RFC 7030
 * §3.5), or only with another signature, as each of ECDSA is. RFC 7030 §4.2.3 has them repeat the same request; what is the same here is who asks,
 * for which key and under which names. They get what became of the first one: asked for is its CSR. Called by enroll.c.
 */
#include "est.h"

#include <string.h>

#include <openssl/sha.h>

#include "pki/oid.h"

/* NULL: it is not known here, or not yet. */
static const Pb__Template *
find_template(struct est *est, struct request *rq, const struct profile *profile)
{
    const struct authorities *authorities = snapshot_hold(est->authorities, rq);

    for (size_t i = 0; authorities != NULL && i < authorities->templates->n_templates; i++)
        if (text_equal(authorities->templates->templates[i]->name, profile->settings->template_))
            return authorities->templates->templates[i];
    return NULL;
}

bool
waiting_is_sure(struct est *est, struct request *rq, const struct profile *profile)
{
    const Pb__Template *template = find_template(est, rq, profile);

    return profile->settings->approval || (template != NULL && template->requires_approval);
}

static bool
may_wait(struct est *est, struct request *rq, const struct profile *profile)
{
    return find_template(est, rq, profile) == NULL || waiting_is_sure(est, rq, profile);
}

static bool
is_binding(struct bytes type)
{
    return bytes_equal(type, OID_CHALLENGE_PASSWORD) || bytes_equal(type, OID_EST_IDENTITY_LINKING);
}

/* Subject, key, and the attributes but those that proof_check has compared with this connection. False: it is no CSR. */
static bool
put_likeness(struct buffer *all, struct bytes der)
{
    struct der outer = der_of(der), request, info, attributes, one, attribute;
    struct bytes subject, spki, whole, type;

    if (!der_enter(&outer, DER_SEQUENCE, &request) || !der_enter(&request, DER_SEQUENCE, &info) || !der_skip(&info) ||
        !der_take_whole(&info, NULL, &subject) || !der_take_whole(&info, NULL, &spki))
        return false;
    buffer_append(all, subject.at, subject.len);
    buffer_append(all, spki.at, spki.len);
    if (!der_enter(&info, DER_CONTEXT_CONSTRUCTED(0), &attributes))
        return true;
    while (der_take_whole(&attributes, NULL, &whole)) {
        one = der_of(whole);
        if (!der_enter(&one, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &type))
            return false;
        if (!is_binding(type))
            buffer_append(all, whole.at, whole.len);
    }
    return true;
}

enum error
waiting_find(struct est *est, struct request *rq, const struct profile *profile, const struct client *client, struct bytes csr,
             struct waiting *ret_waiting)
{
    struct waiting waiting = {.csr = csr};
    struct buffer all = buffer_in(rq->arena);
    uint8_t *sha256 = arena_alloc(rq->arena, SHA256_DIGEST_LENGTH);

    enroll_put_asker(&all, profile, client);
    if (may_wait(est, rq, profile) && put_likeness(&all, csr)) {
        (void)SHA256(all.at, all.len, sha256);
        waiting.likeness_sha256 = BYTES(sha256, SHA256_DIGEST_LENGTH);
        enum error error = store_find_waiting(est, rq, waiting.likeness_sha256, &waiting.csr);
        if (error)
            return error;
    }
    *ret_waiting = waiting;
    return OK;
}
