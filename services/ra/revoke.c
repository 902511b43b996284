/*
 * Called when a gateway, that has checked who asks, wants a certificate revoked. One transaction stores the revocation, its audit record and the
 * event that empties the OCSP caches; the outbox is woken right after the commit. Repeating changes nothing; what is learnt later may better the
 * reason, in the same way.
 */
#include "ra.h"

#include "base/clock.h"
#include "base/text.h"

#define SERIAL_OCTETS_MAX 20 /* RFC 5280 §4.1.2.2 */
#define AUTHORITY_MAX 40

/* RFC 5280 §5.3.1: 7 is not used, 8 belongs into delta CRLs. The enum has neither, but the wire may bring any number. */
static bool
reason_is_known(int reason)
{
    return reason >= 0 && reason <= 10 && reason != 7 && reason != 8;
}

static bool
authority_is_known(const char *authority)
{
    return text_equal(authority, "account") || text_equal(authority, "certificate-key") || text_equal(authority, "authorizations") ||
           text_equal(authority, "operator");
}

static enum error
check_request(struct request *rq, const Pb__RevokeRequest *request)
{
    if (request->principal == NULL)
        return fail(rq, ERR_BAD_REQUEST, "principal is missing");
    const struct text_bound bounds[] = {
        {"channel", request->channel, 1, CHANNEL_MAX},
        {"issuer", request->issuer, 0, ISSUER_NAME_MAX},
        {"principal.kind", request->principal->kind, 1, PRINCIPAL_KIND_MAX},
        {"principal.id", request->principal->id, 1, PRINCIPAL_ID_MAX},
        {"authority", request->authority, 1, AUTHORITY_MAX},
        {"client_address", request->client_address, 0, CLIENT_ADDRESS_MAX},
    };
    enum error error = check_text_bounds(rq, bounds, sizeof bounds / sizeof bounds[0]);
    if (error)
        return error;
    if (!authority_is_known(request->authority))
        return fail(rq, ERR_BAD_REQUEST, "authority %s is not known", request->authority);
    if (!reason_is_known((int)request->reason))
        return fail(rq, ERR_BAD_REQUEST, "%d is no reason for a revocation (RFC 5280 §5.3.1)", (int)request->reason);
    if (request->certificate.len > CERTIFICATE_MAX)
        return fail(rq, ERR_TOO_LARGE, "the certificate is longer than %d octets", CERTIFICATE_MAX);
    if (request->certificate.len > 0 && request->serial.len > 0)
        return fail(rq, ERR_BAD_REQUEST, "give the certificate or the serial number, not both");
    if (request->certificate.len == 0 && (request->serial.len == 0 || text_is_empty(request->issuer)))
        return fail(rq, ERR_BAD_REQUEST, "give the certificate, or issuer and serial number");
    if (request->serial.len > SERIAL_OCTETS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "a serial number has at most %d octets", SERIAL_OCTETS_MAX);
    if (request->invalidity_s < 0 || request->invalidity_s > clock_now_s())
        return fail(rq, ERR_BAD_REQUEST, "invalidity_s is not in the past");
    return OK;
}

static enum error
read_serial(struct request *rq, const Pb__RevokeRequest *request, struct bytes *ret_serial)
{
    struct certificate certificate;

    if (request->certificate.len == 0) {
        *ret_serial = message_bytes(request->serial);
        return OK;
    }
    enum error error = certificate_parse(rq, message_bytes(request->certificate), &certificate);
    if (error)
        return error;
    *ret_serial = certificate.serial;
    return OK;
}

/* The certificate must be ours to the last octet: anybody can make another one with the same serial number. */
static enum error
find_certificate(struct ra *ra, struct request *rq, const Pb__RevokeRequest *request, struct bytes serial, struct revocation *ret_revocation)
{
    bool found = false;
    int month;

    if (serial_parse(serial, &month)) {
        enum error error = store_find_certificate(ra, rq, month, serial, &found, ret_revocation);
        if (error)
            return error;
    }
    if (found && !text_is_empty(request->issuer))
        found = text_equal(ret_revocation->issuer, request->issuer);
    if (found && request->certificate.len > 0)
        found = bytes_equal(ret_revocation->certificate, message_bytes(request->certificate));
    if (!found)
        return fail(rq, ERR_NOT_FOUND, "no such certificate was issued here");
    return OK;
}

/* The gateway has checked who asks; that an account holds the certificate is for us to know. */
static enum error
check_authority(struct request *rq, const Pb__RevokeRequest *request, const struct revocation *revocation)
{
    enum error error = caller_check_revoke(rq, request, revocation->holder_kind);

    if (error || !text_equal(request->authority, "account"))
        return error;
    if (text_equal(revocation->holder_kind, request->principal->kind) && text_equal(revocation->holder_id, request->principal->id))
        return OK;
    return fail(rq, ERR_DENIED, "the certificate was issued to another account");
}

static enum error
fill_revocation(struct request *rq, const Pb__RevokeRequest *request, struct revocation *revocation)
{
    struct certificate certificate;
    enum error error = certificate_parse(rq, revocation->certificate, &certificate);

    if (error)
        return error;
    public_key_sha256(&certificate.key, revocation->key_sha256);
    revocation->channel = request->channel;
    revocation->principal_kind = request->principal->kind;
    revocation->principal_id = request->principal->id;
    revocation->authority = request->authority;
    revocation->client_address = request->client_address;
    revocation->invalidity_s = request->invalidity_s;
    return OK;
}

/* Whoever revokes with the certificate's own key, for whichever reason, wants nothing issued for it again; or is not its owner, and has it. */
static bool
blocks_key(const Pb__RevokeRequest *request)
{
    return text_equal(request->authority, "certificate-key");
}

static enum error
record_refusal(struct ra *ra, struct request *rq, const Pb__RevokeRequest *request, struct bytes serial)
{
    enum error kind = rq->failure.kind;

    if (kind != ERR_DENIED && kind != ERR_NOT_FOUND)
        return kind;
    return store_refusal(ra, rq, audit_revoke_refused(rq, request, serial));
}

/* CA/Browser Forum BR 4.9.1.1: that the key is compromised is told even when the certificate was revoked for another reason before. RFC 5280 §5.3.1:
 * a hold becomes a revocation for good. Else the first reason stays: a history would help nobody who reads a CRL. */
static bool
betters(int reason, int former)
{
    if (reason == former || former == PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE)
        return false;
    return reason == PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE || former == PB__REVOCATION_REASON__REVOCATION_REASON_CERTIFICATE_HOLD;
}

/* The reason alone: since when it is revoked does not change. */
static enum error
change_reason(struct ra *ra, struct request *rq, const Pb__RevokeRequest *request, struct revocation *revocation)
{
    bool stored;

    revocation->former_reason = revocation->reason;
    revocation->reason = (int)request->reason;
    revocation->reason_changed = true;
    struct announcement announcement = announce_revoked(rq, revocation);
    struct revocation_records records = {
        .revoked = audit_reason_changed(rq, revocation),
        .key_blocked = blocks_key(request) ? audit_key_blocked(rq, revocation) : NULL,
    };
    enum error error = store_change_reason(ra, rq, revocation, &records, &announcement, &stored);
    if (error)
        return error;
    if (!stored) {
        fail(rq, ERR_UNAVAILABLE, "somebody else has changed the reason at the same moment; repeat the request");
        return fail_retry_after(rq, 1);
    }
    outbox_wake(ra->outbox);
    return OK;
}

/* Of one that is revoked. */
static enum error
revoke_again(struct ra *ra, struct request *rq, const Pb__RevokeRequest *request, struct revocation *revocation)
{
    if (betters((int)request->reason, revocation->reason))
        return change_reason(ra, rq, request, revocation);
    return blocks_key(request) ? store_block_key(ra, rq, revocation, audit_key_blocked(rq, revocation)) : OK;
}

/* Afterwards `revocation` tells the one that counts: this, or the one that came before. */
static enum error
store(struct ra *ra, struct request *rq, const Pb__RevokeRequest *request, struct revocation *revocation)
{
    struct revocation first;
    bool stored, found;

    revocation->revoked_at_s = clock_now_s();
    revocation->reason = (int)request->reason;
    struct announcement announcement = announce_revoked(rq, revocation);
    struct revocation_records records = {
        .revoked = audit_revoked(rq, revocation),
        .key_blocked = blocks_key(request) ? audit_key_blocked(rq, revocation) : NULL,
    };
    enum error error = store_revoke(ra, rq, revocation, &records, &announcement, &stored);
    if (error)
        return error;
    if (stored) {
        outbox_wake(ra->outbox);
        figures_revoked(revocation->reason);
        return OK;
    }
    error = store_find_certificate(ra, rq, revocation->expiry_month, revocation->serial, &found, &first);
    if (error)
        return error;
    if (found)
        *revocation = first;
    return OK;
}

enum error
revoke_certificate(struct ra *ra, struct request *rq, const Pb__RevokeRequest *request, Pb__RevokeReply *ret_reply)
{
    struct revocation revocation = {0};
    struct bytes serial = BYTES_NONE;
    enum error error = check_request(rq, request);

    if (!error)
        error = read_serial(rq, request, &serial);
    if (error)
        return error;
    request_note(rq, "serial", "%s", bytes_hex(rq->arena, serial, 0));
    request_note(rq, "principal", "%s:%s", request->principal->kind, request->principal->id);
    request_note(rq, "reason", "%d", (int)request->reason);
    error = find_certificate(ra, rq, request, serial, &revocation);
    if (!error)
        error = check_authority(rq, request, &revocation);
    if (error)
        return record_refusal(ra, rq, request, serial);

    request_note(rq, "issuer", "%s", revocation.issuer);
    error = fill_revocation(rq, request, &revocation);
    if (!error)
        error = revocation.revoked ? revoke_again(ra, rq, request, &revocation) : store(ra, rq, request, &revocation);
    if (error)
        return error;
    ret_reply->already_revoked = revocation.revoked && !revocation.reason_changed;
    ret_reply->reason_changed = revocation.reason_changed;
    ret_reply->former_reason = (Pb__RevocationReason)revocation.former_reason;
    ret_reply->revoked_at_s = revocation.revoked_at_s;
    ret_reply->reason = (Pb__RevocationReason)revocation.reason;
    return OK;
}
