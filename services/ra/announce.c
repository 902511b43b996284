/* What ra tells the house, packed for the outbox. The event id is made of the serial number. */
#include "ra.h"

#include "link/message.h"
#include "pki/name.h"

struct bytes
announce_issued(struct request *rq, const struct intent *intent, const struct certificate *certificate, int64_t issued_at_s)
{
    Pb__CertificateIssued event = PB__CERTIFICATE_ISSUED__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    uint8_t sha256[32];

    certificate_sha256(certificate->der, sha256);
    principal.kind = intent->principal_kind;
    principal.id = intent->principal_id;
    event.serial = intent->plan->serial;
    event.issuer = intent->plan->issuer;
    event.certificate = message_data(certificate->der);
    event.sha256 = (ProtobufCBinaryData){.data = sha256, .len = sizeof sha256};
    event.subject = name_format(rq->arena, certificate->subject);
    event.names = intent->plan->names;
    event.n_names = intent->plan->n_names;
    event.not_before_s = certificate->not_before_s;
    event.not_after_s = certificate->not_after_s;
    event.template_ = intent->plan->template_;
    event.channel = intent->channel;
    event.principal = &principal;
    event.owner = intent->owner;
    event.issued_at_s = issued_at_s;
    event.key_type = public_key_name(rq->arena, &certificate->key);
    const char *event_id = arena_format(rq->arena, "issued-%s", bytes_hex(rq->arena, message_bytes(intent->plan->serial), 0));
    return outbox_bundle_part(rq->arena, event_id, &event.base);
}

/* No reason comes a second time: keyCompromise stays, and a hold is the first. */
static const char *
revoked_id(struct arena *arena, const struct revocation *revocation)
{
    const char *serial = bytes_hex(arena, revocation->serial, 0);

    return revocation->reason_changed ? arena_format(arena, "revoked-%s-%d", serial, revocation->reason) : arena_format(arena, "revoked-%s", serial);
}

struct announcement
announce_revoked(struct request *rq, const struct revocation *revocation)
{
    Pb__CertificateRevoked event = PB__CERTIFICATE_REVOKED__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;

    principal.kind = revocation->principal_kind;
    principal.id = revocation->principal_id;
    event.serial = message_data(revocation->serial);
    event.issuer = revocation->issuer;
    event.revoked_at_s = revocation->revoked_at_s;
    event.reason = (Pb__RevocationReason)revocation->reason;
    event.channel = revocation->channel;
    event.principal = &principal;
    return (struct announcement){
        .event_id = revoked_id(rq->arena, revocation),
        .subject = "signet.event.certificate.revoked",
        .body = message_pack(rq->arena, &event.base),
    };
}
