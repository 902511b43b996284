-- Of a challenge is kept an HMAC under a salt of its profile, which it can be found by; those that were kept as a plain SHA-256 are used up.
ALTER TABLE scep.profile ADD COLUMN challenge_salt bytea NOT NULL DEFAULT decode(replace(gen_random_uuid()::text, '-', ''), 'hex');
ALTER TABLE scep.challenge RENAME COLUMN sha256 TO mac;
DELETE FROM scep.challenge WHERE used_at IS NULL;
