-- What scep-gw keeps: profiles, challenges, and which requests were authorised.
CREATE SCHEMA scep;

CREATE TABLE scep.profile (
    name text PRIMARY KEY CHECK (name ~ '^[a-z0-9-]{1,40}$'),
    settings bytea NOT NULL,  -- a ScepProfile, packed
    ndes boolean NOT NULL,
    passphrase bytea,         -- salt and scrypt of it
    admin_password bytea,     -- likewise
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX profile_one_ndes ON scep.profile (ndes) WHERE ndes;

-- One-time challenges. A challenge is used by the one statement that sets used_at and stores the request.
CREATE TABLE scep.challenge (
    profile text NOT NULL REFERENCES scep.profile (name),
    sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (profile, sha256)
);
CREATE INDEX challenge_unused ON scep.challenge (profile, expires_at) WHERE used_at IS NULL;

-- A request that was authorised, before ra is asked: whoever repeats it, or polls, gets what ra made of it the first time. `round` counts how often the
-- very same request was made anew after its certificate had ended.
CREATE TABLE scep.transaction (
    profile text NOT NULL REFERENCES scep.profile (name),
    transaction_id text NOT NULL CHECK (length(transaction_id) BETWEEN 1 AND 128),
    request_sha256 bytea NOT NULL,
    round int NOT NULL DEFAULT 0,
    csr bytea NOT NULL,
    signer_key_sha256 bytea NOT NULL, -- only who signs with this key may poll
    principal_kind text NOT NULL,
    principal_id text NOT NULL,
    needs_approval boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (profile, transaction_id, request_sha256)
);

CREATE FUNCTION scep.announce_profile() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('scep_profile', NEW.name);
    RETURN NULL;
END $$;
CREATE TRIGGER profile_changed AFTER INSERT OR UPDATE ON scep.profile FOR EACH ROW EXECUTE FUNCTION scep.announce_profile();
