-- The last CRL that was signed for each CA: too large for a message of the bus, it is read here by crl-publisher, who knows it by its digest.
CREATE TABLE ca.crl (
    authority text PRIMARY KEY REFERENCES ca.authority (name),
    number    bigint NOT NULL,
    sha256    bytea NOT NULL CHECK (length(sha256) = 32),
    der       bytea NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE ca.crl ALTER COLUMN der SET STORAGE EXTERNAL; -- random serial numbers: what cannot be compressed is not tried
CREATE VIEW ca.signed_crl AS SELECT authority AS issuer, sha256, der FROM ca.crl;
