-- STAR (RFC 8739): orders whose certificates are renewed without their clients. What was asked, as the order shows it, stays in the order.
ALTER TABLE acme.policy
    ADD COLUMN star_max_duration_s   int NOT NULL DEFAULT 0 CHECK (star_max_duration_s >= 0),     -- 0: not offered
    ADD COLUMN star_min_lifetime_s   int NOT NULL DEFAULT 0 CHECK (star_min_lifetime_s >= 0),     -- 0: a day
    ADD COLUMN star_certificate_get  boolean NOT NULL DEFAULT false;
ALTER TABLE acme.orders ADD COLUMN auto_renewal text;                                             -- JSON; NULL: an order as any other
ALTER TABLE acme.orders DROP CONSTRAINT orders_status_check;
ALTER TABLE acme.orders ADD CONSTRAINT orders_status_check CHECK (status IN ('pending', 'ready', 'processing', 'valid', 'invalid', 'canceled'));

-- A record of dns-persist-01 that says so proves nothing later (draft-ietf-acme-dns-persist-02 §4.1), in no renewal either.
ALTER TABLE acme.authorization ADD COLUMN proof_ends_at timestamptz;

-- A leased row for each such order that has its first certificate: whoever holds the lease asks ra for the next one. No due_at: no more will be made.
CREATE TABLE acme.star (
    order_id      text PRIMARY KEY,
    renewal       int NOT NULL DEFAULT 0,            -- the number of the certificate that the order has; the first one is 0
    due_at        timestamptz,
    leased_until  timestamptz,
    lease_holder  text,
    attempts      int NOT NULL DEFAULT 0,            -- at the next one
    trouble       text                               -- of the last of them
);
CREATE INDEX star_due ON acme.star (due_at) WHERE due_at IS NOT NULL;

-- Certificates of such orders that have not expired: they are not revoked by their clients (RFC 8739 §3.1.2).
CREATE TABLE acme.star_certificate (
    serial        bytea PRIMARY KEY,
    expiry_month  int NOT NULL,
    order_id      text NOT NULL
);
CREATE INDEX star_certificate_order ON acme.star_certificate (order_id);

-- In the transaction that gives an order its certificate. The first one begins the renewals, whose first turn finds out when the next one is due; the
-- order lives until they end (RFC 8739 §3.1.1).
CREATE FUNCTION acme.follow_star() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.status = 'processing' THEN
        NEW.expires_at = (NEW.auto_renewal::json ->> 'end-date')::timestamptz;
        INSERT INTO acme.star (order_id, due_at) VALUES (NEW.id, now());
    END IF;
    INSERT INTO acme.star_certificate (serial, expiry_month, order_id) VALUES (NEW.serial, NEW.expiry_month, NEW.id);
    RETURN NEW;
END $$;
CREATE TRIGGER star_certificate_made BEFORE UPDATE OF serial ON acme.orders FOR EACH ROW
    WHEN (NEW.auto_renewal IS NOT NULL AND NEW.serial IS DISTINCT FROM OLD.serial) EXECUTE FUNCTION acme.follow_star();
