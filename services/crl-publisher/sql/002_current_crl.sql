-- What other services may read: the CRL that is served.
CREATE VIEW crl.current_crl AS SELECT issuer, der FROM crl.published;
