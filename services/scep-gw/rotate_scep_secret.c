/* rpc RotateScepSecret: called by `signetctl profile rotate-passphrase` and its like. What it answers is nowhere else: only salt and hash are
 * stored. */
#include "base/drawn_secret.h"
#include "base/text.h"
#include "scep.h"

enum error
rotate_scep_secret(struct scep *scep, struct request *rq, const Pb__RotateScepSecretRequest *request, Pb__RotateScepSecretReply *ret_reply)
{
    bool is_passphrase = text_equal(request->secret, "passphrase"), found = false;
    const char *value = "";
    struct bytes hash = BYTES_NONE;

    if (!is_passphrase && !text_equal(request->secret, "admin-password"))
        return fail(rq, ERR_BAD_REQUEST, "the secret is passphrase or admin-password");
    request_note(rq, "profile", "%s", request->profile);
    request_note(rq, "secret", "%s", request->secret);
    if (!request->cancel) {
        value = drawn_secret_new(rq->arena);
        hash = drawn_secret_hash(rq->arena, bytes_of_text(value));
    }
    enum error error = is_passphrase ? store_set_passphrase(scep, rq, request->profile, hash, &found)
                                     : store_set_admin_password(scep, rq, request->profile, hash, &found);
    if (error == OK && !found)
        error = fail(rq, ERR_NOT_FOUND, "there is no profile %s", request->profile);
    if (error == OK)
        error = profiles_refresh(scep, rq);
    ret_reply->value = value;
    return error;
}
