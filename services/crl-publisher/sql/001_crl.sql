-- What crl-publisher serves and when it makes the next one. Nothing here is ever removed: relying parties ask for old CAs too.
CREATE SCHEMA crl;

-- CA certificates as the signer last listed them, so that they are served although the signer is away.
CREATE TABLE crl.authority (
    issuer     text PRIMARY KEY,
    certificate bytea NOT NULL,             -- DER
    chain_pem  text NOT NULL,               -- the certificate and those above it, nearest first
    sha256     bytea NOT NULL CHECK (length(sha256) = 32), -- of both
    not_after  timestamptz NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- A leased row for each CA. Everything that wants a new CRL counts `wanted` up; a CRL that is stored sets `met` to what was wanted when it was begun.
CREATE TABLE crl.schedule (
    issuer       text PRIMARY KEY REFERENCES crl.authority,
    due_at       timestamptz NOT NULL,
    wanted       bigint NOT NULL DEFAULT 1,
    met          bigint NOT NULL DEFAULT 0,
    failure      text,                      -- of the last attempt; NULL when it went well
    leased_until timestamptz,
    lease_holder text,
    attempts     int NOT NULL DEFAULT 0     -- since the last one that went well
);
CREATE INDEX schedule_by_time ON crl.schedule (due_at);

-- The CRL that is served. Numbers are big-endian in 20 octets (RFC 5280 §5.2.3 allows no more), so that they compare as octets do.
CREATE TABLE crl.published (
    issuer       text PRIMARY KEY REFERENCES crl.authority,
    number       bytea NOT NULL CHECK (length(number) = 20),
    der          bytea NOT NULL,
    this_update  timestamptz NOT NULL,
    next_update  timestamptz NOT NULL CHECK (next_update > this_update),
    sha256       bytea NOT NULL CHECK (length(sha256) = 32),
    entries      int NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
);
