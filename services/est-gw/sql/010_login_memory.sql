-- Every replica remembers what is kept of the passwords of those who log in, until it changes.
CREATE FUNCTION est.announce_user() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('est_user', '');
    RETURN NULL;
END $$;
CREATE TRIGGER user_changed AFTER UPDATE OR DELETE OR TRUNCATE ON est.basic_user FOR EACH STATEMENT EXECUTE FUNCTION est.announce_user();
