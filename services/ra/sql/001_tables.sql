-- What the registration authority decides and keeps: intents, certificates, revocations, blocked keys, events to send.
CREATE SCHEMA ra;

-- Written and committed before anything is signed. `intent` is the packed CertificateIntent: the very octets that the warrant signs.
-- An open intent is also a leased row: whoever dies between here and the certificate leaves it to recover.c.
CREATE TABLE ra.intent (
    id bytea PRIMARY KEY,
    channel text NOT NULL,
    idempotency_key text NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'pending', 'issued', 'refused')),
    request_sha256 bytea NOT NULL, -- of the CSR and the principal: the same key with another request is a conflict
    csr bytea NOT NULL,
    intent bytea NOT NULL,
    principal_kind text NOT NULL,
    principal_id text NOT NULL,
    owner text NOT NULL,
    client_address text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    refusal_kind text,
    refusal text,
    due_at timestamptz NOT NULL,
    leased_until timestamptz,
    lease_holder text,
    attempts int NOT NULL DEFAULT 0,
    UNIQUE (channel, idempotency_key)
);
CREATE INDEX intent_open ON ra.intent (due_at) WHERE status = 'open';

-- One partition per month of expiry, made by ra.ensure_partition; archival is detaching one. The serial number carries its month.
CREATE TABLE ra.certificate (
    expiry_month int NOT NULL,
    serial bytea NOT NULL,
    issuer text NOT NULL,
    template text NOT NULL,
    certificate bytea NOT NULL,
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    intent_id bytea NOT NULL,
    channel text NOT NULL,
    principal_kind text NOT NULL,
    principal_id text NOT NULL,
    owner text NOT NULL,
    PRIMARY KEY (expiry_month, serial)
) PARTITION BY LIST (expiry_month);

CREATE TABLE ra.revocation (
    expiry_month int NOT NULL,
    serial bytea NOT NULL,
    issuer text NOT NULL,
    revoked_at timestamptz NOT NULL,
    reason smallint NOT NULL CHECK (reason BETWEEN 0 AND 10 AND reason NOT IN (7, 8)),
    invalidity_at timestamptz,
    not_after timestamptz NOT NULL,
    channel text NOT NULL,
    principal_kind text NOT NULL,
    principal_id text NOT NULL,
    authority text NOT NULL,
    PRIMARY KEY (expiry_month, serial)
);
CREATE INDEX revocation_issuer ON ra.revocation (issuer, not_after);

-- Keys that are known to others. Nothing is issued for them again.
CREATE TABLE ra.blocked_key (
    spki_sha256 bytea PRIMARY KEY,
    blocked_at timestamptz NOT NULL DEFAULT now(),
    why text NOT NULL
);

CREATE TABLE ra.outbox (
    id bigserial PRIMARY KEY,
    event_id text NOT NULL,
    subject text NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Makes the partition of one month (2000-01 is 0) when it is not there. The role of the service has no DDL; this runs as the owner.
-- The table is made alone and then attached, so that running inserts are not stopped.
CREATE FUNCTION ra.ensure_partition(month int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this_month int := (extract(year FROM now() AT TIME ZONE 'UTC')::int - 2000) * 12 + extract(month FROM now() AT TIME ZONE 'UTC')::int - 1;
    partition text := format('certificate_%s_%s', 2000 + month / 12, lpad((month % 12 + 1)::text, 2, '0'));
BEGIN
    IF month < this_month - 1 OR month >= 12 * 100 THEN
        RAISE EXCEPTION 'no certificate expires in month %', month;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ra.ensure_partition'));
    IF to_regclass('ra.' || partition) IS NULL THEN
        EXECUTE format('CREATE TABLE ra.%I (LIKE ra.certificate INCLUDING ALL)', partition);
        EXECUTE format('ALTER TABLE ra.certificate ATTACH PARTITION ra.%I FOR VALUES IN (%s)', partition, month);
    END IF;
END $$;

-- What other services may read.
CREATE VIEW ra.certificate_status AS
    SELECT c.serial, c.expiry_month, c.issuer, c.not_after, r.revoked_at, r.reason
    FROM ra.certificate c LEFT JOIN ra.revocation r ON r.expiry_month = c.expiry_month AND r.serial = c.serial;

CREATE VIEW ra.revoked_serial AS
    SELECT issuer, serial, revoked_at, reason, invalidity_at, not_after FROM ra.revocation;

CREATE VIEW ra.issued_certificate AS
    SELECT serial, expiry_month, issuer, certificate FROM ra.certificate;
