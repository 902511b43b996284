/*
 * Microsoft Intune as the one who vouches for devices: the challenge is Intune's, inside of the certification request, and only Intune can read it.
 * It is asked before ra is, and gets a word of success before the device gets its certificate, or of failure.
 */
#include <openssl/sha.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/text.h"
#include "link/service.h"
#include "pki/name.h"
#include "scep.h"

#define E_FAIL 2147500037LL /* 0x80004005 */
#define DESCRIPTION_MAX 255

/* The code that Intune answers, "Success" or why not. */
static enum error
post_action(struct conversation *c, const char *action, const char *body, const char **ret_code)
{
    const struct intune intune = {c->scep, c->rq, c->profile};
    const json_t *code;

    enum error error = intune_post(&intune, INTUNE_VALIDATION, arena_format(c->rq->arena, "ScepActions/%s", action), body, "code", &code);
    if (error == OK && !json_is_string(code))
        return intune_unreachable(&intune, action, "its code is no text");
    if (error == OK)
        *ret_code = arena_text(c->rq->arena, json_string_value(code));
    return error;
}

static const char *
caller_info(struct arena *arena)
{
    return arena_format(arena, "Signet/%s", service_version());
}

enum error
intune_validate(struct conversation *c)
{
    struct arena *arena = c->rq->arena;
    const char *code = "";

    const char *body = outside_text(arena, json_pack("{s:{s:s, s:s, s:s}}", "request", "transactionId", c->message.transaction_id,
                                                     "certificateRequest", base64_encode(arena, c->content), "callerInfo", caller_info(arena)));
    enum error error = post_action(c, "validateRequest", body, &code);
    if (error != OK)
        return error;
    request_note(c->rq, "intune", "%s", code);
    if (!text_equal(code, "Success"))
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "intune", "Intune says %.60s", code);
    return OK;
}

/* Of the certificate as it is: what was begun before a rollover the CA of then has issued. */
enum error
intune_tell_success(struct conversation *c, const Pb__EnrollReply *reply)
{
    struct arena *arena = c->rq->arena;
    uint8_t sha1[SHA_DIGEST_LENGTH];
    struct peer issued;
    const char *code = "";

    if (!peer_read(message_bytes(reply->certificate), &issued))
        return fail_privately(c->rq, ERR_INTERNAL, "internal error", "ra's certificate cannot be read");
    (void)SHA1(reply->certificate.data, reply->certificate.len, sha1);
    const char *until = clock_format_rfc3339(arena, reply->not_after_s);
    json_t *notification =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "transactionId", c->message.transaction_id, "certificateRequest",
                  base64_encode(arena, c->content), "certificateThumbprint", bytes_hex(arena, BYTES(sha1, sizeof sha1), 0), "certificateSerialNumber",
                  bytes_hex(arena, message_bytes(reply->serial), 0), "certificateExpirationDateUtc",
                  arena_format(arena, "%.*s.000Z", (int)strcspn(until, "Z"), until), "issuingCertificateAuthority", name_format(arena, issued.issuer),
                  "callerInfo", caller_info(arena), "caConfiguration", reply->issuer, "certificateAuthority", reply->issuer);
    enum error error = post_action(c, "successNotification", outside_text(arena, json_pack("{s:o}", "notification", notification)), &code);
    if (error == OK && !text_equal(code, "Success"))
        return intune_unreachable(&(struct intune){c->scep, c->rq, c->profile}, "successNotification", code);
    return error;
}

void
intune_tell_failure(struct conversation *c)
{
    struct failure why = c->rq->failure;
    struct arena *arena = c->rq->arena;
    const char *code = "not told";

    failure_clear(c->rq);
    json_t *notification =
        json_pack("{s:s, s:s, s:I, s:s, s:s}", "transactionId", c->message.transaction_id, "certificateRequest", base64_encode(arena, c->content),
                  "hResult", (json_int_t)E_FAIL, "errorDescription", text_cut(arena, why.message, DESCRIPTION_MAX), "callerInfo", caller_info(arena));
    if (post_action(c, "failureNotification", outside_text(arena, json_pack("{s:o}", "notification", notification)), &code) != OK)
        request_note(c->rq, "intune_failure", "not told: %s", c->rq->failure.detail);
    c->rq->failure = why;
}
