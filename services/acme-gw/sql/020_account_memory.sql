-- Every replica of the gateway remembers accounts until they change, whatever changes them: a key, contacts, what they may no longer do.
CREATE OR REPLACE FUNCTION acme.announce_account() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('acme_account', OLD.id);
    RETURN NULL;
END $$;
DROP TRIGGER account_status_changed ON acme.account;
CREATE TRIGGER account_changed AFTER UPDATE ON acme.account FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION acme.announce_account();
CREATE TRIGGER account_deleted AFTER DELETE ON acme.account FOR EACH ROW EXECUTE FUNCTION acme.announce_account();
