-- acme-gw asks of a certificate that is to be renewed or replaced (RFC 9773) when it was issued, and to which of its accounts. The order may be
-- forgotten by then.
CREATE OR REPLACE VIEW ra.issued_certificate AS
    SELECT serial, expiry_month, issuer, certificate, issued_at, CASE WHEN principal_kind = 'acme-account' THEN principal_id END AS account_id
    FROM ra.certificate;
