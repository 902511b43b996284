-- In an incident an operator may move the window of 100,000 certificates one by one, and each client's question about renewal (RFC 9773) would read
-- them all. Of one selection the newest word counts, so that there is one row of each; and they are found by what they select.
DELETE FROM acme.renewal_window w WHERE EXISTS (SELECT FROM acme.renewal_window newer WHERE newer.id > w.id AND newer.issuer = w.issuer
    AND newer.name = w.name AND newer.serial IS NOT DISTINCT FROM w.serial);
CREATE UNIQUE INDEX renewal_window_selection ON acme.renewal_window (serial, name, issuer) NULLS NOT DISTINCT;

-- In this month the last of the certificates that were there has expired. Where nobody has noted it, a century does.
ALTER TABLE acme.renewal_window ADD COLUMN expiry_month int NOT NULL
    DEFAULT (extract(year FROM now() AT TIME ZONE 'UTC')::int - 1900) * 12;
UPDATE acme.renewal_window SET expiry_month = get_byte(serial, 1) * 256 + get_byte(serial, 2) WHERE length(serial) = 17;
CREATE INDEX renewal_window_expiry ON acme.renewal_window (expiry_month);

-- Those whose certificates have expired for so many days and a month at most, at least a day. The gateway may call this and has no right to delete.
CREATE FUNCTION acme.prune_windows(keep_days int, most int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old  timestamptz := now() - make_interval(days => greatest(keep_days, 1));
    gone bigint;
BEGIN
    DELETE FROM acme.renewal_window WHERE id IN (SELECT id FROM acme.renewal_window
        WHERE expiry_month < (extract(year FROM old AT TIME ZONE 'UTC') - 2000)::int * 12 + extract(month FROM old AT TIME ZONE 'UTC')::int - 1
        LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
