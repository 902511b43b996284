-- External account binding (RFC 8555 §7.3.4): credentials that operators hand out, and what an account keeps of the one that it came with.
CREATE TABLE acme.eab (
    key_id             text PRIMARY KEY,             -- 16 random octets, base64url
    name               text NOT NULL UNIQUE CHECK (name <> ''),
    secret             bytea NOT NULL,               -- nonce | AES-256-GCM of the HMAC key | tag; bound to the key id
    policy             text NOT NULL REFERENCES acme.policy (name),
    use_limit          int NOT NULL CHECK (use_limit >= 0), -- accounts; 0: any number
    uses               int NOT NULL DEFAULT 0,
    expires_at         timestamptz,
    revoked_at         timestamptz,
    owner              text NOT NULL,                -- who answers for the certificates; '': nobody but the account
    principal          text NOT NULL,                -- whom the layers of ra judge, beside the account
    allowed_names      text[] NOT NULL,              -- 'host.example', '*.example', '10.1.0.0/16'; empty: any
    allowed_templates  text[] NOT NULL,              -- empty: any
    created_by         text NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CHECK (use_limit = 0 OR uses <= use_limit)
);

-- A credential may be deleted; its accounts stay as it made them.
ALTER TABLE acme.account
    ADD COLUMN eab_key_id         text,
    ADD COLUMN owner              text NOT NULL DEFAULT '',
    ADD COLUMN principal          text NOT NULL DEFAULT '',
    ADD COLUMN allowed_names      text[] NOT NULL DEFAULT '{}',
    ADD COLUMN allowed_templates  text[] NOT NULL DEFAULT '{}';
CREATE INDEX account_eab ON acme.account (eab_key_id) WHERE eab_key_id IS NOT NULL;
ALTER TABLE acme.orders ADD COLUMN owner text NOT NULL DEFAULT '', ADD COLUMN principal text NOT NULL DEFAULT '';

-- What an account may no longer do, every replica hears at once.
CREATE FUNCTION acme.announce_account() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('acme_account', NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER account_status_changed AFTER UPDATE OF status ON acme.account FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION acme.announce_account();
