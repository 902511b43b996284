-- What ACME clients are promised: accounts, orders, authorisations, challenges. Certificates are ra's; an order only names one.
CREATE SCHEMA acme;

CREATE TABLE acme.account (
    id              text PRIMARY KEY,                -- 16 random octets, base64url
    status          text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'deactivated', 'revoked')),
    key_thumbprint  bytea NOT NULL UNIQUE,           -- RFC 7638, SHA-256
    jwk             text NOT NULL,                   -- the members that the thumbprint covers
    contacts        text[] NOT NULL,
    terms_agreed    boolean NOT NULL,
    client_address  text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- A `processing` order is a leased row: whoever holds the lease asks ra for the certificate, with the order's id as idempotency key.
CREATE TABLE acme.orders (
    id                  text PRIMARY KEY,
    account_id          text NOT NULL REFERENCES acme.account (id),
    status              text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'ready', 'processing', 'valid', 'invalid')),
    names               text[] NOT NULL,             -- 'dns:host.example', 'ip:192.0.2.1'; sorted, no duplicates
    authorization_ids   text[] NOT NULL,
    authorizations_left int NOT NULL,                -- how many are not valid yet; 0 makes the order ready
    client_address      text NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    expires_at          timestamptz NOT NULL,
    csr                 bytea,
    finalized_at        timestamptz,
    problem             text,                        -- RFC 7807, JSON
    serial              bytea,
    expiry_month        int,
    chain_sha256        bytea,
    due_at              timestamptz,
    leased_until        timestamptz,
    lease_holder        text,
    attempts            int NOT NULL DEFAULT 0,
    CHECK ((status = 'processing') <= (csr IS NOT NULL AND due_at IS NOT NULL)),
    CHECK ((status = 'valid') <= (serial IS NOT NULL AND expiry_month IS NOT NULL))
);
CREATE INDEX orders_due ON acme.orders (due_at) WHERE status = 'processing';

CREATE TABLE acme.authorization (
    id          text PRIMARY KEY,
    account_id  text NOT NULL,
    order_id    text NOT NULL REFERENCES acme.orders (id),
    name        text NOT NULL,                       -- as in orders.names
    status      text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'valid', 'invalid', 'deactivated', 'revoked')),
    expires_at  timestamptz NOT NULL
);

-- A `processing` challenge is a leased row: whoever holds the lease asks the validator.
CREATE TABLE acme.challenge (
    id                text PRIMARY KEY,
    authorization_id  text NOT NULL REFERENCES acme.authorization (id),
    type              text NOT NULL,
    token             text NOT NULL,
    status            text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'valid', 'invalid')),
    validated_at      timestamptz,
    problem           text,
    due_at            timestamptz,
    leased_until      timestamptz,
    lease_holder      text,
    attempts          int NOT NULL DEFAULT 0,
    CHECK ((status = 'processing') <= (due_at IS NOT NULL))
);
CREATE INDEX challenge_authorization ON acme.challenge (authorization_id);
CREATE INDEX challenge_due ON acme.challenge (due_at) WHERE status = 'processing';

-- The issuers above a certificate, without the root, as ra gave them with it: few rows, many orders.
CREATE TABLE acme.chain (
    sha256  bytea PRIMARY KEY,                       -- of the PEM text
    pem     text NOT NULL
);
