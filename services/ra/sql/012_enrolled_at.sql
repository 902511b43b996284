-- When: the gateways of devices tell a repetition from a request that comes anew with the same octets.
CREATE OR REPLACE VIEW ra.enrolled_certificate AS
    SELECT c.serial, c.expiry_month, c.issuer, c.template, c.channel, c.certificate, c.not_after, r.revoked_at, c.issued_at
    FROM ra.certificate c LEFT JOIN ra.revocation r ON r.expiry_month = c.expiry_month AND r.serial = c.serial;
