-- An account says which credential it was made with, also when that is gone: by its name operators ask for its accounts, and end them.
ALTER TABLE acme.account ADD COLUMN eab_name text NOT NULL DEFAULT '';
UPDATE acme.account a SET eab_name = e.name FROM acme.eab e WHERE e.key_id = a.eab_key_id;
CREATE INDEX account_eab_name ON acme.account (eab_name) WHERE eab_name <> '';

-- Operators list accounts page by page, the newest first.
CREATE INDEX account_by_age ON acme.account (created_at, id);
