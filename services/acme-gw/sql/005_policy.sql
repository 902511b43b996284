-- ACME policies: what is offered under one directory, /acme/<name>/directory. Changed by `signetctl acme policy …` only.
CREATE TABLE acme.policy (
    name                      text PRIMARY KEY CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    description               text NOT NULL DEFAULT '',
    disabled                  boolean NOT NULL DEFAULT false,
    template                  text NOT NULL DEFAULT '',        -- '': the gateway's setting
    issuer                    text NOT NULL DEFAULT '',        -- '': the gateway's setting
    validity_days             int NOT NULL DEFAULT 0 CHECK (validity_days >= -1), -- 0: the gateway's setting; -1: as the template says
    preapproved_names         text[] NOT NULL DEFAULT '{}',    -- 'host.example', '*.example', '10.1.0.0/16': valid without a challenge
    challenge_types           text[] NOT NULL DEFAULT '{}',    -- empty: all that the gateway serves
    client_networks           text[] NOT NULL DEFAULT '{}',    -- who may use the policy; empty: everybody
    allowed_networks          text[] NOT NULL DEFAULT '{}',    -- where the validator looks; empty: as its own settings say
    denied_networks           text[] NOT NULL DEFAULT '{}',
    eab                       text NOT NULL DEFAULT 'none' CHECK (eab IN ('none', 'optional', 'required')),
    caa                       boolean NOT NULL DEFAULT false,
    orders_per_account        int NOT NULL DEFAULT 0 CHECK (orders_per_account >= 0),       -- open at once; 0: any number
    certificates_per_account  int NOT NULL DEFAULT 0 CHECK (certificates_per_account >= 0), -- not expired; 0: any number
    identifiers_max           int NOT NULL DEFAULT 0 CHECK (identifiers_max >= 0),          -- of one order; 0: as many as the suite can take
    limits                    text NOT NULL DEFAULT 'default', -- the set of rate limits
    changed_at                timestamptz NOT NULL DEFAULT now()
);
INSERT INTO acme.policy (name, description) VALUES ('default', 'What / and /acme/directory offer');

-- An account stays bound to the policy that it was made under.
ALTER TABLE acme.account ADD COLUMN policy text NOT NULL DEFAULT 'default' REFERENCES acme.policy (name);
-- `preapproved` are those of the names that nobody had to prove, for the audit record of the certificate.
ALTER TABLE acme.orders ADD COLUMN policy text NOT NULL DEFAULT 'default', ADD COLUMN preapproved text[] NOT NULL DEFAULT '{}';

-- Every replica of the gateway keeps the policies in memory and hears of changes at once.
CREATE FUNCTION acme.announce_policy() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('acme_policy', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON acme.policy FOR EACH STATEMENT EXECUTE FUNCTION acme.announce_policy();
