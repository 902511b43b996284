-- A CA whose key exists stays: the role of the service may take back a row that is 'creating' only, and only while there is no key.
CREATE FUNCTION ca.refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the CA % has a key and stays', OLD.name;
END $$;
CREATE TRIGGER authority_stays BEFORE DELETE ON ca.authority FOR EACH ROW WHEN (OLD.public_key IS NOT NULL) EXECUTE FUNCTION ca.refuse_delete();
