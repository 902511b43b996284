-- What came to nothing does not stay for ever: orders that expired without a certificate, and authorisations that no order is left of, with their
-- challenges. The tables are walked page by page, so that no index is needed, which each order would pay for; so the authorisation's reference is no
-- constraint any more, which would look through its table at each order that goes.
ALTER TABLE acme.authorization DROP CONSTRAINT authorization_order_id_fkey;

-- Where the next turn begins. Whoever has the row locked is at it.
CREATE TABLE acme.prune_place (
    one                 boolean PRIMARY KEY DEFAULT true CHECK (one),
    orders_page         bigint NOT NULL DEFAULT 0,
    authorizations_page bigint NOT NULL DEFAULT 0
);
INSERT INTO acme.prune_place DEFAULT VALUES;

-- The page after those; from the end to the beginning.
CREATE FUNCTION acme.next_page(walked regclass, page bigint, pages int) RETURNS bigint LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
    'SELECT CASE WHEN (page + pages) * current_setting(''block_size'')::bigint < pg_relation_size(walked) THEN page + pages ELSE 0 END';

-- One turn: so many pages of both tables. The gateway may call this and has no right to delete: whatever it asks for, only what has ended for at least a
-- day goes. Orders with a certificate stay, with their authorisations. That nobody has proven an authorisation, but a policy approved it beforehand, is
-- known from its order alone. An order may expire before it, with another proof; so such an order stays until its authorisations have expired for long,
-- too. Else they would look proven.
CREATE FUNCTION acme.prune(keep_days int, pages int) RETURNS TABLE (orders_gone bigint, authorizations_gone bigint)
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
    gone := ARRAY(SELECT a.id FROM acme.authorization a WHERE a.ctid >= first AND a.ctid < next AND a.expires_at < old
        AND NOT EXISTS (SELECT FROM acme.orders o WHERE o.id = a.order_id)
        AND NOT EXISTS (SELECT FROM acme.orders o WHERE o.account_id = a.account_id AND o.created_at < a.expires_at AND a.id = ANY (o.authorization_ids)));
    DELETE FROM acme.challenge WHERE authorization_id = ANY (gone);
    DELETE FROM acme.authorization WHERE id = ANY (gone);
    GET DIAGNOSTICS authorizations_gone = ROW_COUNT;

    UPDATE acme.prune_place SET orders_page = acme.next_page('acme.orders', place.orders_page, pages),
        authorizations_page = acme.next_page('acme.authorization', place.authorizations_page, pages);
    RETURN NEXT;
END $$;
