-- Keys that an account had before: records of dns-persist-01 that were made with them stay good (draft-ietf-acme-dns-persist-02 §4.2).
ALTER TABLE acme.account ADD COLUMN former_thumbprints bytea[] NOT NULL DEFAULT '{}'; -- the newest first

CREATE FUNCTION acme.keep_former_key() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.former_thumbprints = OLD.key_thumbprint || array_remove(OLD.former_thumbprints, NEW.key_thumbprint);
    RETURN NEW;
END $$;
CREATE TRIGGER key_changed BEFORE UPDATE OF key_thumbprint ON acme.account FOR EACH ROW WHEN (NEW.key_thumbprint <> OLD.key_thumbprint)
    EXECUTE FUNCTION acme.keep_former_key();
