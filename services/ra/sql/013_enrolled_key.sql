-- And by which request: its idempotency key tells the gateways of devices which of the profiles that had one name has made it.
CREATE OR REPLACE VIEW ra.enrolled_certificate AS
    SELECT c.serial, c.expiry_month, c.issuer, c.template, c.channel, c.certificate, c.not_after, r.revoked_at, c.issued_at, i.idempotency_key
    FROM ra.certificate c LEFT JOIN ra.revocation r ON r.expiry_month = c.expiry_month AND r.serial = c.serial LEFT JOIN ra.intent i ON i.id = c.intent_id;
