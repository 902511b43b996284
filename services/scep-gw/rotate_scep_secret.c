/* rpc RotateScepSecret: called by `signetctl profile rotate-passphrase` and its like. What it answers is nowhere else: only salt and hash are
 * stored. */
#include "base/drawn_secret.h"
#include "base/text.h"
#include "scep.h"

struct rotation {
    const struct scep *scep;
    const Pb__RotateScepSecretRequest *request;
    bool is_passphrase;
    struct bytes hash;
};

static enum error
write_secret(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct rotation *rotation = context;
    struct scep within = scep_within(rotation->scep, db);
    const char *profile = rotation->request->profile;
    bool found = false;

    enum error error = rotation->is_passphrase ? store_set_passphrase(&within, rq, profile, rotation->hash, &found)
                                               : store_set_admin_password(&within, rq, profile, rotation->hash, &found);
    if (error == OK && !found)
        error = fail(rq, ERR_NOT_FOUND, "there is no SCEP profile named \"%s\": see signetctl profile list --kind scep", profile);
    if (error == OK)
        change->action = arena_format(rq->arena, "%s-%s", rotation->request->secret, rotation->request->cancel ? "cancelled" : "rotated");
    return error;
}

enum error
rotate_scep_secret(struct scep *scep, struct request *rq, const Pb__RotateScepSecretRequest *request, Pb__RotateScepSecretReply *ret_reply)
{
    struct rotation rotation = {.scep = scep, .request = request, .is_passphrase = text_equal(request->secret, "passphrase")};
    struct configuration_change change = {.what = "scep profile", .name = request->profile, .by = request->operator_};
    const char *value = "";

    if (!rotation.is_passphrase && !text_equal(request->secret, "admin-password"))
        return fail(rq, ERR_BAD_REQUEST, "the secret is passphrase or admin-password");
    request_note(rq, "profile", "%s", request->profile);
    request_note(rq, "secret", "%s", request->secret);
    if (!request->cancel) {
        value = drawn_secret_new(rq->arena);
        rotation.hash = drawn_secret_hash(rq->arena, bytes_of_text(value));
    }
    enum error error = configuration_write(scep->outbox, scep->db, rq, write_secret, &rotation, &change);
    if (error != OK)
        return error;
    profiles_changed(scep, rq);
    ret_reply->value = value;
    return OK;
}
