/*
 * rpc SignCertificate: called by ra for each intent that it has committed. Warrant, intent, CA and template, limits, encoding, lint, signature.
 * Nothing is stored here: when the answer is lost, ra asks again, and gets the same to-be-signed octets signed again.
 */
#include "signer.h"

#include <string.h>

#define INTENT_MAX (64 * 1024)

static enum error
check_request(struct signer *signer, struct request *rq, const Pb__SignCertificateRequest *request, struct intent *ret_intent)
{
    if (request->intent.len == 0 || request->intent.len > INTENT_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the intent is empty, or longer than %d octets", INTENT_MAX);
    /* Before a single octet of it is read. */
    enum error error = warrant_check(signer, rq, message_bytes(request->intent), message_bytes(request->warrant));
    if (error != OK)
        return error;
    return intent_read(rq, message_bytes(request->intent), ret_intent);
}

/* Ours first, then upwards, without the root (RFC 8446 §4.4.2 lets clients bring that). */
static void
fill_chain(struct request *rq, const struct authority *authority, Pb__SignCertificateReply *reply)
{
    size_t above = authority->row.chain_count > 0 ? authority->row.chain_count - 1 : 0;

    reply->chain = arena_array(rq->arena, above + 1, sizeof *reply->chain);
    if (!authority->is_self_signed)
        reply->chain[reply->n_chain++] = message_data(bytes_copy(rq->arena, authority->row.certificate));
    for (size_t i = 0; i < above; i++)
        reply->chain[reply->n_chain++] = message_data(bytes_copy(rq->arena, authority->row.chain[i]));
}

enum error
sign_certificate(struct signer *signer, struct request *rq, const Pb__SignCertificateRequest *request, Pb__SignCertificateReply *ret_reply)
{
    const struct authority *authority;
    const struct template *template;
    struct intent intent;
    struct bytes certificate;

    enum error error = check_request(signer, rq, request, &intent);
    if (error != OK)
        return error;
    request_note(rq, "intent", "%s", bytes_hex(rq->arena, message_bytes(intent.about->intent_id), 0));
    request_note(rq, "serial", "%s", bytes_hex(rq->arena, intent.serial, 0));
    request_note(rq, "issuer", "%s", intent.about->issuer);
    request_note(rq, "template", "%s v%u", intent.about->template_, intent.about->template_version);
    error = authority_load(signer, rq, intent.about->issuer, &authority);
    if (error == OK)
        error = template_load(signer, rq, intent.about->template_, intent.about->template_version, &template);
    if (error == OK)
        error = intent_check(rq, &intent, template, authority);
    if (error != OK)
        return error;
    struct certificate_plan plan = encode_plan(rq, &intent, template, authority);
    error = issue_certificate(signer, rq, &plan, &authority->key, &certificate);
    if (error != OK)
        return error;
    ret_reply->certificate = message_data(certificate);
    fill_chain(rq, authority, ret_reply);
    return OK;
}
