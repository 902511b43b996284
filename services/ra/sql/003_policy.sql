-- Who may have what: the data of the layers identity, names and resource (layer 4, the template, belongs to the signer's schema).
-- In patterns '*' stands for any run of characters; the rest is literal, without regard to case.
CREATE TABLE ra.role (
    name text PRIMARY KEY,
    description text NOT NULL DEFAULT '',
    asset_required boolean NOT NULL DEFAULT false -- requests through this role must name the asset that they are for
);

CREATE TABLE ra.role_member (
    role text NOT NULL REFERENCES ra.role ON UPDATE CASCADE ON DELETE CASCADE,
    principal_kind text NOT NULL, -- pattern: 'acme-account', '*'
    principal_id text NOT NULL,   -- pattern
    PRIMARY KEY (role, principal_kind, principal_id)
);

CREATE TABLE ra.role_template (
    role text NOT NULL REFERENCES ra.role ON UPDATE CASCADE ON DELETE CASCADE,
    template text NOT NULL, -- pattern
    PRIMARY KEY (role, template)
);

-- A name is allowed when a pattern with allow = true matches it and no pattern with allow = false does.
CREATE TABLE ra.role_name (
    role text NOT NULL REFERENCES ra.role ON UPDATE CASCADE ON DELETE CASCADE,
    pattern text NOT NULL, -- '*.contoso.com'
    allow boolean NOT NULL DEFAULT true,
    PRIMARY KEY (role, pattern)
);

CREATE TABLE ra.asset (
    name text PRIMARY KEY,
    owners text[] NOT NULL DEFAULT '{}' -- principals: 'id' or 'kind:id'
);

-- Until somebody restricts it, everybody may have everything that the templates allow.
INSERT INTO ra.role (name, description) VALUES ('everyone', 'Permissive default: every principal, every template, every name');
INSERT INTO ra.role_member (role, principal_kind, principal_id) VALUES ('everyone', '*', '*');
INSERT INTO ra.role_template (role, template) VALUES ('everyone', '*');
INSERT INTO ra.role_name (role, pattern, allow) VALUES ('everyone', '*', true);

-- Every replica of ra keeps the policy in memory and hears of changes at once.
CREATE FUNCTION ra.announce_policy() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('ra_policy', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER role_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ra.role FOR EACH STATEMENT EXECUTE FUNCTION ra.announce_policy();
CREATE TRIGGER role_member_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ra.role_member FOR EACH STATEMENT EXECUTE FUNCTION ra.announce_policy();
CREATE TRIGGER role_template_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ra.role_template FOR EACH STATEMENT EXECUTE FUNCTION ra.announce_policy();
CREATE TRIGGER role_name_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ra.role_name FOR EACH STATEMENT EXECUTE FUNCTION ra.announce_policy();
CREATE TRIGGER asset_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ra.asset FOR EACH STATEMENT EXECUTE FUNCTION ra.announce_policy();
