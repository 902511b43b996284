-- The key of a profile that was deleted is destroyed on the token; its row stays as evidence, and so that nobody makes another one for the name: a profile
-- that gets it again has another RA, named with its incarnation.
ALTER TABLE ca.service_key ADD COLUMN retired_at timestamptz, ADD COLUMN destroyed_at timestamptz;
ALTER TABLE ca.scep_ra_certificate DROP CONSTRAINT scep_ra_certificate_profile_check,
    ADD CONSTRAINT scep_ra_certificate_profile_check CHECK (profile ~ '^[a-z0-9-]{1,40}(\.[0-9a-f]{16})?$');
