-- The signer reads what a CRL lists in the order of the serial numbers, some thousands at a time.
CREATE INDEX revocation_by_serial ON ra.revocation (issuer, serial);
DROP INDEX ra.revocation_issuer;
