-- What operators changed, until the bus has it: ra puts it on record.
CREATE TABLE acme.outbox (
    id bigserial PRIMARY KEY,
    event_id text NOT NULL,
    subject text NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
