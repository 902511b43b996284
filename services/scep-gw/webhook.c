/*
 * A service of the operator's own says yes or no to each new request. It gets what the device sent; {"allow": true} in a 200 is yes, {"allow": false}
 * or a 403 is no, and everything else means that nobody has decided: the device comes again.
 */
#include "base/base64.h"
#include "base/text.h"
#include "pki/name.h"
#include "scep.h"

static const char *
question(struct conversation *c, const struct csr *csr)
{
    struct arena *arena = c->rq->arena;
    json_t *names = json_array();

    for (size_t i = 0; i < csr->name_count; i++)
        json_array_append_new(names, json_string(csr->names[i].value));
    return outside_text(arena, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "profile", c->profile->about->name, "transactionId",
                                         c->message.transaction_id, "clientAddress", c->x->peer, "challenge",
                                         text_is_utf8(csr->challenge_password) ? bytes_text(arena, csr->challenge_password) : "", "subject",
                                         name_format(arena, csr->subject), "names", names, "certificateRequest", base64_encode(arena, c->content)));
}

static enum error
undecided(struct conversation *c, const char *why)
{
    fail_privately(c->rq, ERR_UNAVAILABLE, "nobody has decided about this device; come again", "the webhook: %s", why);
    return fail_retry_after(c->rq, 10);
}

enum error
webhook_ask(struct conversation *c, const struct csr *csr)
{
    const char *secret, *headers[3] = {"Content-Type: application/json"};
    struct outside_answer answer;

    enum error error = outside_secret(c->scep, c->rq, c->profile->about->webhook_secret_file, &secret);
    if (error != OK)
        return error;
    if (secret[0] != '\0')
        headers[1] = arena_format(c->rq->arena, "Authorization: Bearer %s", secret);
    error = outside_post(c->scep, c->rq, c->profile->about->webhook_url, headers, question(c, csr), &answer);
    if (error != OK) {
        struct failure why = c->rq->failure;
        failure_clear(c->rq);
        return undecided(c, why.message);
    }
    const json_t *allow = json_object_get(answer.json, "allow");
    const char *reason = json_string_value(json_object_get(answer.json, "reason"));
    if (answer.status == 200 && json_is_true(allow))
        return OK;
    if ((answer.status == 200 && json_is_false(allow)) || answer.status == 403)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "webhook", "the webhook says no%s%.200s", reason != NULL ? ": " : "",
                      reason != NULL ? reason : "");
    return undecided(c, arena_format(c->rq->arena, "status %d without a decision", answer.status));
}
