-- The audit log: append-only, sealed in batches into a hash chain whose heads the signer signs.
--
-- A record is one JSON text, and nothing beside it: the leaf of the Merkle tree (RFC 6962 §2.1) is SHA-256 over the octet 0x00 and the UTF-8 octets of
-- `body` exactly as they are stored. common/pki/merkle.h computes leaves and roots for the sealer (seal.c) and for `signetctl audit verify`.
CREATE SCHEMA audit;

CREATE TABLE audit.record (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body text NOT NULL CHECK (octet_length(body) <= 8192),
    position bigint CHECK (position > 0), -- in the chain: 1, 2, … without gaps; none until sealed
    seal bigint,
    CHECK ((position IS NULL) = (seal IS NULL))
);
CREATE UNIQUE INDEX record_position ON audit.record (position) WHERE position IS NOT NULL;
CREATE INDEX record_unsealed ON audit.record (id) WHERE position IS NULL;

-- One batch. It is written with its positions and its root before the signer is asked, so that a crash cannot make two different seals with one number.
CREATE TABLE audit.seal (
    seal bigint PRIMARY KEY CHECK (seal > 0),
    first_position bigint NOT NULL,
    last_position bigint NOT NULL CHECK (last_position >= first_position),
    root bytea NOT NULL CHECK (length(root) = 32),
    previous_head bytea NOT NULL CHECK (length(previous_head) = 32), -- 32 zero octets for seal 1
    sealed_at_us bigint NOT NULL,
    head bytea CHECK (length(head) = 32),
    signature bytea,
    public_key bytea,
    key_uri text,
    CHECK ((head IS NULL) = (signature IS NULL) AND (head IS NULL) = (public_key IS NULL) AND (head IS NULL) = (key_uri IS NULL))
);

-- Grants alone would do for the service's role; the triggers hold for the owner of the tables too.
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER record_is_sealed_once BEFORE UPDATE ON audit.record FOR EACH ROW
    WHEN (OLD.position IS NOT NULL OR NEW.position IS NULL OR NEW.body IS DISTINCT FROM OLD.body OR NEW.id <> OLD.id)
    EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER record_stays BEFORE DELETE ON audit.record FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER record_table_stays BEFORE TRUNCATE ON audit.record FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

CREATE TRIGGER seal_is_signed_once BEFORE UPDATE ON audit.seal FOR EACH ROW
    WHEN (OLD.head IS NOT NULL OR NEW.head IS NULL OR (NEW.seal, NEW.first_position, NEW.last_position, NEW.root, NEW.previous_head, NEW.sealed_at_us)
          IS DISTINCT FROM (OLD.seal, OLD.first_position, OLD.last_position, OLD.root, OLD.previous_head, OLD.sealed_at_us))
    EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER seal_stays BEFORE DELETE ON audit.seal FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER seal_table_stays BEFORE TRUNCATE ON audit.seal FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- For verifying: every sealed record with its leaf. Whoever does not trust this database computes the leaf from `body`.
CREATE VIEW audit.record_leaf AS
    SELECT position, seal, id AS record_id, body, sha256('\x00'::bytea || convert_to(body, 'UTF8')) AS leaf
    FROM audit.record WHERE position IS NOT NULL;

-- For people.
CREATE VIEW audit.event AS
    SELECT r.position, r.seal, (j ->> 'at')::timestamptz AS at, j ->> 'action' AS action, j ->> 'channel' AS channel, j ->> 'principal' AS principal,
           j ->> 'issuer' AS issuer, j ->> 'serial' AS serial, j ->> 'result' AS result, j AS detail
    FROM audit.record r, LATERAL (SELECT r.body::jsonb AS j) AS parsed;
