-- Rate limits as data. A rule lets so many things happen in so many seconds, all at once or spread (GCRA); 0 of them: as many as come.
CREATE TABLE acme.limits (
    name                             text PRIMARY KEY CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    new_accounts_per_address         int NOT NULL DEFAULT 0 CHECK (new_accounts_per_address >= 0),
    new_accounts_period_s            int NOT NULL DEFAULT 3600 CHECK (new_accounts_period_s > 0),
    new_orders_per_account           int NOT NULL DEFAULT 0 CHECK (new_orders_per_account >= 0),
    new_orders_period_s              int NOT NULL DEFAULT 3600 CHECK (new_orders_period_s > 0),
    failed_authorizations_per_name   int NOT NULL DEFAULT 0 CHECK (failed_authorizations_per_name >= 0),
    failed_authorizations_period_s   int NOT NULL DEFAULT 3600 CHECK (failed_authorizations_period_s > 0),
    certificates_per_domain          int NOT NULL DEFAULT 0 CHECK (certificates_per_domain >= 0),
    certificates_period_s            int NOT NULL DEFAULT 604800 CHECK (certificates_period_s > 0),
    failures_before_pause            int NOT NULL DEFAULT 0 CHECK (failures_before_pause >= 0)
);
INSERT INTO acme.limits (name, new_accounts_per_address, new_orders_per_account, failed_authorizations_per_name, certificates_per_domain,
    failures_before_pause) VALUES ('default', 1000, 10000, 60, 100000, 200);
ALTER TABLE acme.policy ADD FOREIGN KEY (limits) REFERENCES acme.limits (name);
CREATE TRIGGER limits_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON acme.limits FOR EACH STATEMENT EXECUTE FUNCTION acme.announce_policy();

-- How far each subject has come: when its next turn would be if all took theirs one after the other. That a crash of the database forgets it does no
-- harm, and so nobody waits for a disk while others wait for his row.
CREATE UNLOGGED TABLE acme.limit_state (
    key     text PRIMARY KEY,                        -- set, rule, subject
    tat     timestamptz NOT NULL,
    period  interval NOT NULL
) WITH (fillfactor = 70);

-- Names that an account could not prove lately. `paused_at`: without end; nothing is tried until an operator resumes it.
CREATE TABLE acme.failing_name (
    account_id  text NOT NULL,
    name        text NOT NULL,                       -- as in orders.names
    failures    int NOT NULL,                        -- one after the other
    tat         timestamptz NOT NULL,
    failed_at   timestamptz NOT NULL,
    paused_at   timestamptz,
    PRIMARY KEY (account_id, name)
);
CREATE INDEX failing_name_name ON acme.failing_name (name);

-- In the transaction of the verdict: a name that was proven is forgotten, one that was not is counted by the rules of its account's policy.
CREATE FUNCTION acme.count_failure() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step interval;
    pause_after int;
BEGIN
    IF NEW.status = 'valid' THEN
        DELETE FROM acme.failing_name f WHERE f.account_id = NEW.account_id AND f.name = NEW.name;
        RETURN NULL;
    END IF;
    SELECT CASE WHEN l.failed_authorizations_per_name = 0 THEN interval '0'
                ELSE make_interval(secs => l.failed_authorizations_period_s::float8 / l.failed_authorizations_per_name) END, l.failures_before_pause
        INTO step, pause_after
        FROM acme.account a JOIN acme.policy p ON p.name = a.policy JOIN acme.limits l ON l.name = p.limits WHERE a.id = NEW.account_id;
    INSERT INTO acme.failing_name AS f (account_id, name, failures, tat, failed_at, paused_at)
        VALUES (NEW.account_id, NEW.name, 1, now() + step, now(), CASE WHEN pause_after = 1 THEN now() END)
        ON CONFLICT (account_id, name) DO UPDATE SET failures = f.failures + 1, tat = greatest(f.tat, now()) + step, failed_at = now(),
            paused_at = coalesce(f.paused_at, CASE WHEN pause_after > 0 AND f.failures + 1 >= pause_after THEN now() END);
    RETURN NULL;
END $$;
CREATE TRIGGER authorization_decided AFTER UPDATE OF status ON acme.authorization FOR EACH ROW
    WHEN (OLD.status = 'pending' AND NEW.status IN ('valid', 'invalid')) EXECUTE FUNCTION acme.count_failure();
