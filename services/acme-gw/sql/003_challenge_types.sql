-- Several ways to prove one name: a row is all the challenges of an authorisation until its client chooses one of `offered`; that is its `type` then.
ALTER TABLE acme.challenge ADD COLUMN offered text[] NOT NULL DEFAULT '{http-01}';
ALTER TABLE acme.challenge ALTER COLUMN offered DROP DEFAULT;
ALTER TABLE acme.challenge ALTER COLUMN type DROP NOT NULL;
ALTER TABLE acme.challenge ADD CHECK (type IS NOT NULL OR status = 'pending');
UPDATE acme.challenge SET type = NULL WHERE status = 'pending';
