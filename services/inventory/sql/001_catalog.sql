-- The catalogue. A certificate is known by its SHA-256, because imported and discovered ones have serial numbers of foreign making.
CREATE SCHEMA inventory;

CREATE TABLE inventory.certificate (
    sha256         bytea PRIMARY KEY CHECK (length(sha256) = 32),
    serial         bytea NOT NULL,
    issuer         text NOT NULL,
    subject        text NOT NULL,           -- RFC 4514
    name_types     int[] NOT NULL,          -- NameType numbers, in the order of subjectAltName
    name_values    text[] NOT NULL,
    not_before     timestamptz NOT NULL,
    not_after      timestamptz NOT NULL,
    template       text NOT NULL,
    protocol       text NOT NULL,
    owner          text NOT NULL,
    principal_kind text NOT NULL,
    principal_id   text NOT NULL,
    key_type       text NOT NULL,
    issued_at      timestamptz NOT NULL,
    certificate    bytea NOT NULL
);
CREATE INDEX certificate_by_serial ON inventory.certificate (serial);
CREATE INDEX certificate_by_expiry ON inventory.certificate (not_after);
CREATE INDEX certificate_by_age ON inventory.certificate (issued_at, sha256);
CREATE INDEX certificate_by_owner ON inventory.certificate (owner, issued_at);

-- One row per name, for searching from either end.
CREATE TABLE inventory.certificate_name (
    value  text NOT NULL,
    sha256 bytea NOT NULL,
    PRIMARY KEY (value, sha256)
);
CREATE INDEX certificate_name_from_start ON inventory.certificate_name (value text_pattern_ops);
CREATE INDEX certificate_name_from_end ON inventory.certificate_name (reverse(value) text_pattern_ops);

-- Apart from the certificate, because the news of a revocation may come before the news of the certificate.
CREATE TABLE inventory.revocation (
    issuer     text NOT NULL,
    serial     bytea NOT NULL,
    revoked_at timestamptz NOT NULL,
    reason     smallint NOT NULL,
    PRIMARY KEY (issuer, serial)
);
