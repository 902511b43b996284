/*
 * Revocation (RFC 8555 §7.6) by the account that the certificate was issued to, by another one that has proven every name in it, or by whoever holds
 * the certificate's private key.
 */
#include "acme.h"

#include <string.h>

#include "base/base64.h"

/* RFC 5280 §5.3.1; the others are for CAs to say, not for their clients. */
static const int allowed_reasons[] = {0, 1, 3, 4, 5};

static enum error
take_certificate(struct request *rq, const json_t *payload, struct certificate *ret_certificate)
{
    const char *text = json_text(payload, "certificate");
    struct bytes der;

    if (text == NULL || strlen(text) > CERTIFICATE_MAX || !base64url_decode(rq->arena, bytes_of_text(text), &der))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the payload must have a member \"certificate\", base64url of its DER");
    return certificate_parse(rq, der, ret_certificate);
}

static enum error
take_reason(struct request *rq, const json_t *payload, int *ret_reason)
{
    const json_t *reason = json_object_get(payload, "reason");

    if (reason == NULL)
        return OK;
    for (size_t i = 0; json_is_integer(reason) && i < sizeof allowed_reasons / sizeof allowed_reasons[0]; i++) {
        if (json_integer_value(reason) != allowed_reasons[i])
            continue;
        *ret_reason = allowed_reasons[i];
        return OK;
    }
    return refuse(rq, ERR_BAD_REQUEST, "badRevocationReason", "the reason must be one of 0, 1, 3, 4 and 5");
}

/* That an account holds the certificate is for ra to know; that a key is the certificate's is for us to see. */
static enum error
check_key(struct request *rq, const struct signed_request *signed_, const struct certificate *certificate)
{
    if (signed_->account != NULL || jwk_is_key(signed_->jwk, &certificate->key))
        return OK;
    return refuse(rq, ERR_DENIED, "unauthorized", "the request is signed neither by an account nor with the certificate's key");
}

/* Who proves to have the private key and names no reason: as with public CAs, the key counts as compromised. */
static int
reason_of_key(int reason)
{
    return reason == PB__REVOCATION_REASON__REVOCATION_REASON_UNSPECIFIED ? PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE : reason;
}

/* Who proves the names today may say that the certificate is not his, and no more. */
static const int reason_of_other_account = PB__REVOCATION_REASON__REVOCATION_REASON_CESSATION_OF_OPERATION;

static void
name_principal(struct arena *arena, const struct signed_request *signed_, Pb__Principal *principal)
{
    if (signed_->account != NULL) {
        principal->kind = "acme-account";
        principal->id = signed_->account->id;
        return;
    }
    principal->kind = "certificate-key";
    principal->id = base64url_encode(arena, BYTES(signed_->jwk->thumbprint, THUMBPRINT_LEN));
}

static enum error
ask_ra(struct acme *acme, struct http_exchange *x, const struct signed_request *signed_, const struct certificate *certificate, const char *authority,
       int reason)
{
    struct request *rq = &x->rq;
    Pb__RevokeRequest input = PB__REVOKE_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    const Pb__RevokeReply *reply;

    name_principal(rq->arena, signed_, &principal);
    input.channel = "acme";
    input.certificate = message_data(certificate->der);
    input.reason = (Pb__RevocationReason)reason;
    input.principal = &principal;
    input.authority = authority;
    input.client_address = x->peer;
    enum error error = RPC_CALL(acme->bus, rq, ra, Revoke, &input, &reply);
    if (error)
        return error;
    return reply->already_revoked ? refuse(rq, ERR_CONFLICT, "alreadyRevoked", "the certificate is revoked already") : OK;
}

static enum error
check_names(struct acme *acme, struct request *rq, const struct account *account, const struct certificate *certificate)
{
    struct identifier *names = NULL;
    size_t count = 0;
    bool proven = false;

    enum error error = certificate_names(rq, certificate, &names, &count);
    if (error)
        return error;
    names_sort(names, &count);
    if (count > 0)
        error = store_names_are_proven(acme, rq, account->id, names, count, &proven);
    if (error || proven)
        return error;
    return refuse(rq, ERR_DENIED, "unauthorized",
                  "the certificate was issued to another account, and this one does not hold authorizations for all names in it");
}

/* That an account is not the holder is for ra to say; then the names count. */
static enum error
revoke_by_account(struct acme *acme, struct http_exchange *x, const struct signed_request *signed_, const struct certificate *certificate, int reason)
{
    enum error error = ask_ra(acme, x, signed_, certificate, "account", reason);
    if (error != ERR_DENIED)
        return error;
    failure_clear(&x->rq);
    error = check_names(acme, &x->rq, signed_->account, certificate);
    return error ? error : ask_ra(acme, x, signed_, certificate, "authorizations", reason_of_other_account);
}

/* RFC 8739 §3.1.2: the order is canceled instead. */
static enum error
check_is_not_renewed(struct acme *acme, struct request *rq, const struct certificate *certificate)
{
    bool is_star = false;

    enum error error = store_is_star_certificate(acme, rq, certificate->serial, &is_star);
    if (error || !is_star)
        return error;
    return refuse(rq, ERR_DENIED, "autoRenewalRevocationNotSupported",
                  "the certificate is one of an order that is renewed automatically: cancel the order, and the certificate expires soon");
}

enum error
revoke_cert(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct certificate *certificate = arena_alloc(rq->arena, sizeof *certificate);
    int reason = PB__REVOCATION_REASON__REVOCATION_REASON_UNSPECIFIED;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT_OR_KEY, &signed_);
    if (!error)
        error = take_certificate(rq, signed_.payload, certificate);
    if (!error)
        error = take_reason(rq, signed_.payload, &reason);
    if (error)
        return error;
    request_note(rq, "serial", "%s", bytes_hex(rq->arena, certificate->serial, 0));
    error = check_key(rq, &signed_, certificate);
    if (!error)
        error = check_is_not_renewed(acme, rq, certificate);
    if (error)
        return error;
    if (signed_.account != NULL)
        error = revoke_by_account(acme, x, &signed_, certificate, reason);
    else
        error = ask_ra(acme, x, &signed_, certificate, "certificate-key", reason_of_key(reason));
    if (error)
        return error;
    return http_answer(x, 200, NULL, BYTES_NONE);
}
