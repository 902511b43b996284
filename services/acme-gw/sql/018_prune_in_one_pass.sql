-- Beside what 015_prune.sql forgets: the list of those certificates of automatic renewal that expired long ago, by the month that their serial numbers
-- name. It is walked page by page, too.
ALTER TABLE acme.prune_place ADD COLUMN star_certificates_page bigint NOT NULL DEFAULT 0;

-- As before, but the later orders of an account are read once in a turn, however many authorisations are looked at, and only those of the eight days in
-- which an order can have used one of them: authorisations are made for a week at most. OFFSET keeps that a look into the index for each account.
CREATE OR REPLACE FUNCTION acme.prune(keep_days int, pages int) RETURNS TABLE (orders_gone bigint, authorizations_gone bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place acme.prune_place;
    old   timestamptz := now() - make_interval(days => greatest(keep_days, 1));
    first tid;
    next  tid;
    gone  text[];
BEGIN
    SELECT * INTO place FROM acme.prune_place FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    first := format('(%s,0)', place.orders_page)::tid;
    next := format('(%s,0)', place.orders_page + pages)::tid;
    DELETE FROM acme.orders o
        WHERE o.ctid >= first AND o.ctid < next AND o.status IN ('pending', 'ready', 'invalid') AND o.expires_at < old
        AND (o.preapproved = '{}' OR NOT EXISTS (SELECT FROM acme.authorization a WHERE a.id = ANY (o.authorization_ids) AND a.expires_at >= old));
    GET DIAGNOSTICS orders_gone = ROW_COUNT;

    first := format('(%s,0)', place.authorizations_page)::tid;
    next := format('(%s,0)', place.authorizations_page + pages)::tid;
    WITH orphan AS MATERIALIZED (
        SELECT a.id, a.account_id, a.expires_at FROM acme.authorization a
            WHERE a.ctid >= first AND a.ctid < next AND a.expires_at < old AND NOT EXISTS (SELECT FROM acme.orders o WHERE o.id = a.order_id)),
    span AS MATERIALIZED (
        SELECT account_id, min(expires_at) - interval '8 days' AS since, max(expires_at) AS until FROM orphan GROUP BY account_id),
    used AS (
        SELECT u.id FROM span s
            CROSS JOIN LATERAL (SELECT o.authorization_ids FROM acme.orders o
                WHERE o.account_id = s.account_id AND o.created_at >= s.since AND o.created_at < s.until OFFSET 0) AS o
            CROSS JOIN unnest(o.authorization_ids) AS u (id))
    SELECT array(SELECT id FROM orphan EXCEPT ALL SELECT id FROM used) INTO gone;
    DELETE FROM acme.challenge WHERE authorization_id = ANY (gone);
    DELETE FROM acme.authorization WHERE id = ANY (gone);
    GET DIAGNOSTICS authorizations_gone = ROW_COUNT;

    first := format('(%s,0)', place.star_certificates_page)::tid;
    next := format('(%s,0)', place.star_certificates_page + pages)::tid;
    DELETE FROM acme.star_certificate f WHERE f.ctid >= first AND f.ctid < next
        AND f.expiry_month < (extract(year FROM old AT TIME ZONE 'UTC') - 2000) * 12 + extract(month FROM old AT TIME ZONE 'UTC') - 1;

    UPDATE acme.prune_place SET orders_page = acme.next_page('acme.orders', place.orders_page, pages),
        authorizations_page = acme.next_page('acme.authorization', place.authorizations_page, pages),
        star_certificates_page = acme.next_page('acme.star_certificate', place.star_certificates_page, pages);
    RETURN NEXT;
END $$;
