-- Only of requests that came again, or wait for a person, is something kept now: of the others the certificate itself tells when it was made.
ALTER TABLE est.delivery DROP COLUMN serial, DROP COLUMN expiry_month, ADD COLUMN waits boolean NOT NULL DEFAULT false;
