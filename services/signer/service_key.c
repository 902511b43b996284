/*
 * Keys beside the CAs' own: one signs the heads of the audit chain, one per CA signs OCSP responses, one per SCEP profile is that of its RA
 * certificate. Made on first use, by whichever replica is first: it commits a row that claims the name, makes the key on the token, and completes the
 * row. The others ask again in a second. If it dies in between, the claim runs out and the next caller makes another key.
 */
#include "signer.h"

#include <string.h>

#include "base/text.h"

/* SCEP's envelopes are for RSA keys alone (RFC 8894 §3.2.2). */
static bool
is_for_scep(const char *name)
{
    return text_starts_with(name, "scep:");
}

static const char *
label_of(struct request *rq, const char *name)
{
    const char *colon = strchr(name, ':');

    /* Without what is behind a dot: labels are short, and keys are told apart by their ids. */
    return colon == NULL ? arena_format(rq->arena, "signet-%s", name)
                         : arena_format(rq->arena, "signet-%.*s-%.*s", (int)(colon - name), name, (int)strcspn(colon + 1, "."), colon + 1);
}

static enum error
make(struct signer *signer, struct request *rq, const char *name)
{
    struct made_key made;
    const char *uri;

    enum error error = store_claim_service_key(signer, rq, name, hsm_key_new_uri(signer, rq, label_of(rq, name)), &uri);
    if (error != OK)
        return error;
    if (uri == NULL) {
        fail(rq, ERR_UNAVAILABLE, "the key %s is being made; ask again", name);
        return fail_retry_after(rq, 1);
    }
    error = is_for_scep(name) ? hsm_key_make(signer, rq, uri, "rsa-2048", HSM_FOR_ENVELOPES, &made)
                              : hsm_key_make(signer, rq, uri, "p256", HSM_FOR_SIGNING, &made);
    if (error != OK)
        return error;
    return store_set_service_key(signer, rq, name, uri, &made);
}

enum error
service_key_load(struct signer *signer, struct request *rq, const char *name, struct service_key *ret_key)
{
    struct service_key key = {0};
    bool found;

    enum error error = store_find_service_key(signer, rq, name, &found, &key);
    if (error == OK && !found) {
        error = make(signer, rq, name);
        if (error == OK)
            error = store_find_service_key(signer, rq, name, &found, &key);
    }
    if (error != OK)
        return error;
    if (!found) {
        fail(rq, ERR_UNAVAILABLE, "the key %s was claimed by another replica; ask again", name);
        return fail_retry_after(rq, 1);
    }
    *ret_key = key;
    return OK;
}
