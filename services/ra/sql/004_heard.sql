-- Events of others that were put on record here. An event may come twice; its record is written once.
CREATE TABLE ra.heard (
    event_id text PRIMARY KEY,
    heard_at timestamptz NOT NULL DEFAULT now()
);
