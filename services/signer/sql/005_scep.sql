-- The RA certificates of SCEP profiles; their keys are ca.service_key 'scep:<profile>'. The row is committed before anything is signed.
CREATE TABLE ca.scep_ra_certificate (
    serial bytea PRIMARY KEY,
    profile text NOT NULL CHECK (profile ~ '^[a-z0-9-]{1,40}$'),
    authority text NOT NULL REFERENCES ca.authority (name),
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    certificate bytea
);
CREATE INDEX scep_ra_certificate_newest ON ca.scep_ra_certificate (profile, authority, not_after);
