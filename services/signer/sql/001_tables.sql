-- What the signer keeps: CAs, keys beside theirs, CRL numbers, templates, events to send. No private key is here: those are on the token.
CREATE SCHEMA ca;

-- A CA. The row is committed before its key is made and before its certificate is signed ('creating'): it is the intent of that signature, and with
-- serial and validity fixed in it, what broke off in the middle is finished by repeating.
CREATE TABLE ca.authority (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9-]{1,40}$'),
    status text NOT NULL CHECK (status IN ('creating', 'waiting-for-certificate', 'active', 'retired')),
    subject bytea NOT NULL,         -- DER Name
    key_uri text NOT NULL UNIQUE,
    key_type text NOT NULL,
    digest text NOT NULL CHECK (digest IN ('sha256', 'sha384', 'sha512')),
    parent text REFERENCES ca.authority (name), -- NULL: self-signed, or signed by a foreign CA
    csr_only boolean NOT NULL,
    path_length int NOT NULL CHECK (path_length >= -1),
    serial bytea NOT NULL UNIQUE,
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    public_key bytea,               -- DER SubjectPublicKeyInfo, once the key is on the token
    evidence text,                  -- the token's attributes of the key, read back, as JSON
    csr bytea,
    certificate bytea,
    is_default boolean NOT NULL DEFAULT false,
    revoked_at timestamptz,
    reason smallint,
    created_at timestamptz NOT NULL DEFAULT now(),
    begun_at timestamptz NOT NULL DEFAULT now(), -- of the attempt that is under way while 'creating'
    CHECK (certificate IS NOT NULL OR status IN ('creating', 'waiting-for-certificate')),
    CHECK ((revoked_at IS NULL) = (reason IS NULL))
);
CREATE UNIQUE INDEX authority_one_default ON ca.authority (is_default) WHERE is_default;
CREATE INDEX authority_parent ON ca.authority (parent);

-- The certificates above a CA's own: nearest first, root included. A root has none.
CREATE TABLE ca.chain (
    authority text NOT NULL REFERENCES ca.authority (name),
    position int NOT NULL CHECK (position >= 0),
    certificate bytea NOT NULL,
    PRIMARY KEY (authority, position)
);

-- The last CRL number given out, per CA. It is taken, and committed, before the CRL is signed.
CREATE TABLE ca.crl_number (
    authority text PRIMARY KEY REFERENCES ca.authority (name),
    number bigint NOT NULL CHECK (number > 0)
);

-- Keys that are not a CA's: 'audit', and 'ocsp:<CA>'. The row is there before the key.
CREATE TABLE ca.service_key (
    name text PRIMARY KEY,
    key_uri text NOT NULL UNIQUE,
    begun_at timestamptz NOT NULL DEFAULT now(),
    public_key bytea,
    evidence text
);

-- Certificates of the delegated OCSP responders. The row is committed, without its certificate, before anything is signed.
CREATE TABLE ca.responder_certificate (
    serial bytea PRIMARY KEY,
    authority text NOT NULL REFERENCES ca.authority (name),
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    certificate bytea
);
CREATE INDEX responder_certificate_newest ON ca.responder_certificate (authority, not_after);

-- Versions are never changed or removed, so that an old intent can always be finished.
CREATE TABLE ca.template (
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    version int NOT NULL CHECK (version > 0),
    description text NOT NULL,
    enabled boolean NOT NULL,
    validity_days int NOT NULL CHECK (validity_days > 0),
    key_types text[] NOT NULL,
    min_rsa_bits int NOT NULL,
    key_usage text[] NOT NULL,
    extended_key_usage text[] NOT NULL,
    is_ca boolean NOT NULL,
    path_length int NOT NULL,
    name_types text[] NOT NULL CHECK (name_types <@ ARRAY['dns', 'ip', 'email', 'uri']),
    san_required boolean NOT NULL,
    subject text NOT NULL CHECK (subject IN ('csr', 'common-name', 'none')),
    requires_approval boolean NOT NULL,
    issuer text NOT NULL,
    include_ocsp boolean NOT NULL,
    include_crl boolean NOT NULL,
    include_aia boolean NOT NULL,
    backdate_s int NOT NULL CHECK (backdate_s >= 0),
    max_names int NOT NULL CHECK (max_names >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);

CREATE TABLE ca.outbox (
    id bigserial PRIMARY KEY,
    event_id text NOT NULL,
    subject text NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Every replica of the signer forgets what it has cached of this CA.
CREATE FUNCTION ca.tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('ca_changed', NEW.name);
    RETURN NEW;
END $$;
CREATE TRIGGER authority_changed AFTER INSERT OR UPDATE ON ca.authority FOR EACH ROW EXECUTE FUNCTION ca.tell_change();
