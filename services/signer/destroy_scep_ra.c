/*
 * rpc DestroyScepRa: the profile of an RA was deleted. First its key is marked as retired, so that no replica uses or makes it any more; then it is
 * destroyed on the token; then that is put on record, and its certificates are forgotten. Whoever dies in between is asked again, and finds what is
 * left to do.
 */
#include "signer.h"

#include "base/text.h"

struct destruction {
    const char *name; /* of the key */
    const char *ra;
    struct retired_key key;
};

static enum error
write_destruction(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct destruction *destruction = context;
    bool destroyed = false;

    enum error error = store_destroy_service_key(db, rq, destruction->name, destruction->ra, &destroyed);
    if (error != OK || !destroyed || text_is_empty(destruction->key.uri))
        return error; /* or it was never made */
    change->action = "destroyed";
    change->also = destruction->key.uri;
    return OK;
}

enum error
destroy_scep_ra(struct signer *signer, struct request *rq, const Pb__DestroyScepRaRequest *request, Pb__DestroyScepRaReply *ret_reply)
{
    struct configuration_change change = {.what = "scep ra key", .name = request->profile, .by = request->operator_};
    struct destruction destruction = {.ra = request->profile};

    enum error error = scep_ra_check_name(rq, request->profile);
    if (error != OK)
        return error;
    destruction.name = scep_ra_key_name(rq->arena, request->profile);
    error = store_retire_service_key(signer, rq, destruction.name, &destruction.key);
    if (error != OK)
        return error;
    if (destruction.key.being_made) {
        fail(rq, ERR_UNAVAILABLE, "the key %s is being made; ask again", destruction.name);
        return fail_retry_after(rq, 30);
    }
    if (!destruction.key.destroyed && !text_is_empty(destruction.key.uri))
        error = hsm_key_destroy(signer, rq, destruction.key.uri);
    if (error == OK)
        error = configuration_write(signer->outbox, signer->db, rq, write_destruction, &destruction, &change);
    if (error == OK)
        ret_reply->destroyed = change.action != NULL;
    return error;
}
