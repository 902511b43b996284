-- What an order asks for beside its names; and what kept it from going on, for `signetctl acme explain`.
ALTER TABLE acme.orders
    ADD COLUMN not_before timestamptz,
    ADD COLUMN not_after  timestamptz,
    ADD COLUMN profile    text,                      -- draft-ietf-acme-profiles
    ADD COLUMN replaces   text,                      -- RFC 9773 §5: the certificate's identifier
    ADD COLUMN trouble    text;
-- One living order replaces a certificate, however many come at once.
CREATE UNIQUE INDEX orders_replaces ON acme.orders (replaces) WHERE replaces IS NOT NULL AND status <> 'invalid';

-- An authorisation may come before any order (RFC 8555 §7.4.1), and serve later ones of its account.
ALTER TABLE acme.authorization ALTER COLUMN order_id DROP NOT NULL;
CREATE INDEX authorization_valid ON acme.authorization (account_id, name) WHERE status = 'valid';

-- An operator wants a selection of certificates replaced by then (RFC 9773). The newest row that is about a certificate counts.
CREATE TABLE acme.renewal_window (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issuer         text NOT NULL,                    -- '': any
    name           text NOT NULL,                    -- a DNS name and all below it; '': any
    serial         bytea,                            -- NULL: any
    issued_before  timestamptz NOT NULL,             -- what came later is a replacement already
    starts_at      timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL,
    explanation    text NOT NULL,                    -- URL for the owners; '': none
    created_at     timestamptz NOT NULL DEFAULT now()
);
