-- For the gateways of devices: a certificate that a device shows is looked up here, with the channel that it came through and whether it still holds.
CREATE VIEW ra.enrolled_certificate AS
    SELECT c.serial, c.expiry_month, c.issuer, c.template, c.channel, c.certificate, c.not_after, r.revoked_at
    FROM ra.certificate c LEFT JOIN ra.revocation r ON r.expiry_month = c.expiry_month AND r.serial = c.serial;
