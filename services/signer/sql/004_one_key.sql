-- A key is one CA's alone, however its URI is written: what one of two CAs signs would be the other's too, by its key identifier.
CREATE UNIQUE INDEX authority_one_key ON ca.authority (sha256(public_key));
