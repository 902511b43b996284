-- What EST devices are offered, who may log in by password, and what was handed out lately.
CREATE SCHEMA est;

CREATE TABLE est.profile (
    name                    text PRIMARY KEY CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    description             text NOT NULL,
    disabled                boolean NOT NULL,
    template                text NOT NULL CHECK (template <> ''),
    issuer                  text NOT NULL,
    validity_days           int NOT NULL CHECK (validity_days >= 0),
    authentication          text NOT NULL CHECK (authentication IN ('certificate', 'basic', 'either', 'both')),
    anchors                 text NOT NULL,           -- PEM
    devices                 text[] NOT NULL,         -- patterns for the names of client certificates
    names                   text[] NOT NULL,         -- patterns for the names in CSRs
    proof_required          boolean NOT NULL,
    server_key_type         text NOT NULL,
    approval                boolean NOT NULL,
    retry_after_s           int NOT NULL CHECK (retry_after_s >= 0),
    csr_attributes          text[] NOT NULL,
    csr_key_type            text NOT NULL,
    csr_subject             text[] NOT NULL,
    csr_names               text[] NOT NULL,
    csr_extended_key_usage  text[] NOT NULL,
    csr_template            boolean NOT NULL,
    created_at              timestamptz NOT NULL DEFAULT now(),
    changed_at              timestamptz NOT NULL DEFAULT now(),
    CHECK (server_key_type = '' OR NOT approval)     -- a key that is made here is never stored, so nobody can wait for it
);

CREATE TABLE est.basic_user (
    profile        text NOT NULL REFERENCES est.profile (name) ON DELETE CASCADE,
    name           text NOT NULL CHECK (name <> '' AND position(':' IN name) = 0),
    password_hash  text NOT NULL,                    -- pbkdf2-sha256$rounds$salt$hash, hexadecimal
    changed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (profile, name)
);

-- A device that hears no answer asks again with the same octets, and gets the same certificate; a device that asks with the same octets long
-- afterwards, because its key and its CSR never change, wants a new one. The generation is what tells the two apart for ra.
CREATE TABLE est.delivery (
    request_sha256  bytea PRIMARY KEY,               -- of profile, principal, client certificate and CSR
    generation      int NOT NULL,
    serial          bytea NOT NULL,
    expiry_month    int NOT NULL,
    delivered_at    timestamptz NOT NULL DEFAULT now()
);

-- Every replica keeps the profiles in memory and hears of changes at once.
CREATE FUNCTION est.announce_profile() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('est_profile', '');
    RETURN NULL;
END $$;
CREATE TRIGGER profile_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON est.profile FOR EACH STATEMENT EXECUTE FUNCTION est.announce_profile();
