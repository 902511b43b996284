-- What 015_prune.sql forgets, and orders whose certificates have expired, too: valid ones, and those of automatic renewal that were canceled.

-- The month in which a certificate expires, of its ARI identifier (RFC 9773 §4.1): our serial numbers carry it in their second and third octet.
CREATE FUNCTION acme.month_of_certificate(identifier text) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS
    'SELECT get_byte(serial, 1) * 256 + get_byte(serial, 2)
     FROM decode(rpad(translate(split_part(identifier, ''.'', 2), ''-_'', ''+/''), 24, ''=''), ''base64'') AS serial';

-- As before, but for the second group of statuses: such an order goes when the month in which its certificate expires has ended for long. One that
-- replaces a certificate stays for as long as that one counts, so that nobody replaces it again. For each authorisation that is old its order is
-- looked for, which is most of the work, and a page has four times as many of them: so a turn has a quarter of the pages of their table.
CREATE OR REPLACE FUNCTION acme.prune(keep_days int, pages int) RETURNS TABLE (orders_gone bigint, authorizations_gone bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place acme.prune_place;
    old   timestamptz := now() - make_interval(days => greatest(keep_days, 1));
    month int := (extract(year FROM old AT TIME ZONE 'UTC') - 2000) * 12 + extract(month FROM old AT TIME ZONE 'UTC') - 1;
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
    WITH forgotten AS (DELETE FROM acme.orders o
        WHERE o.ctid >= first AND o.ctid < next AND o.expires_at < old AND (o.status IN ('pending', 'ready', 'invalid')
            OR (o.status IN ('valid', 'canceled') AND o.expiry_month < month
                AND (o.replaces IS NULL OR acme.month_of_certificate(o.replaces) < month)))
        AND (o.preapproved = '{}' OR NOT EXISTS (SELECT FROM acme.authorization a WHERE a.id = ANY (o.authorization_ids) AND a.expires_at >= old))
        RETURNING o.id, o.auto_renewal IS NOT NULL AS is_star)
    SELECT count(*), array_agg(id) FILTER (WHERE is_star) INTO orders_gone, gone FROM forgotten;
    DELETE FROM acme.star WHERE order_id = ANY (gone);

    first := format('(%s,0)', place.authorizations_page)::tid;
    next := format('(%s,0)', place.authorizations_page + greatest(pages / 4, 1))::tid;
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
    DELETE FROM acme.star_certificate f WHERE f.ctid >= first AND f.ctid < next AND f.expiry_month < month;

    UPDATE acme.prune_place SET orders_page = acme.next_page('acme.orders', place.orders_page, pages),
        authorizations_page = acme.next_page('acme.authorization', place.authorizations_page, greatest(pages / 4, 1)),
        star_certificates_page = acme.next_page('acme.star_certificate', place.star_certificates_page, pages);
    RETURN NEXT;
END $$;
