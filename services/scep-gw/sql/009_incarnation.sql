-- A profile that is made again under the name of one that was deleted is another one. Those that are there have none, and keys without one.
ALTER TABLE scep.profile ADD COLUMN incarnation text NOT NULL DEFAULT '';
ALTER TABLE scep.profile ALTER COLUMN incarnation SET DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 16);
