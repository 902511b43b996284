-- What the makers of devices say of those that the certificate is for, in words; for the audit record. Empty when nobody says anything.
ALTER TABLE ra.intent ADD COLUMN attested text NOT NULL DEFAULT '';
