-- Other ways from a CA up to other roots (cross certificates), for clients that trust those. A row for each certificate, the CA's own one first.
CREATE TABLE ca.alternate_chain (
    authority    text NOT NULL REFERENCES ca.authority (name),
    sha256       bytea NOT NULL,                     -- of all its certificates, one behind the other
    position     int NOT NULL,
    certificate  bytea NOT NULL,
    added_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (authority, sha256, position)
);
