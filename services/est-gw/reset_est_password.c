/* Called when an operator gives a user of a profile a (new) password. It leaves this process once, in the reply; what is stored is its hash. */
#include "est.h"

#include <string.h>

#include "base/drawn_secret.h"

struct reset {
    const struct est *est;
    const Pb__ResetEstPasswordRequest *input;
    struct bytes hash;
    bool created;
};

static enum error
write_user(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct reset *reset = context;
    struct est within = est_within(reset->est, db);

    enum error error = store_put_user(&within, rq, reset->input->profile, reset->input->user, reset->hash, &reset->created);
    if (error)
        return error;
    change->action = reset->created ? "created" : "password-reset";
    return OK;
}

enum error
reset_est_password(struct est *est, struct request *rq, const Pb__ResetEstPasswordRequest *input, Pb__ResetEstPasswordReply *ret_reply)
{
    struct bytes user = bytes_of_text(input->user);
    struct configuration_change change = {
        .what = "est user", .name = arena_format(rq->arena, "%s/%s", input->profile, input->user), .by = input->operator_};

    request_note(rq, "profile", "%.60s", input->profile);
    request_note(rq, "user", "%.100s", input->user);
    if (user.len == 0 || user.len > USER_NAME_MAX || strchr(input->user, ':') != NULL || !text_is_utf8(user))
        return fail(rq, ERR_BAD_REQUEST, "the name of a user has 1 to %d octets and no colon (RFC 7617 §2)", USER_NAME_MAX);
    const char *password = drawn_secret_new(rq->arena);
    struct bytes hash = drawn_secret_hash(rq->arena, bytes_of_text(password));
    struct reset reset = {.est = est, .input = input, .hash = hash};
    enum error error = configuration_write(est->outbox, est->db, rq, write_user, &reset, &change);
    if (error)
        return error;
    logins_forget(est->logins);
    ret_reply->password = password;
    ret_reply->created = reset.created;
    return OK;
}
