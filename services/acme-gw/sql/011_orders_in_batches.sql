-- Orders that come at the same moment are counted and recorded together, and of one subject's turns not all may be left.
CREATE FUNCTION acme.turns(room interval, step interval, wanted int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT least(wanted, floor(extract(epoch FROM room) / extract(epoch FROM step))::int)';
ALTER TABLE acme.limit_state ADD COLUMN granted int NOT NULL DEFAULT 1; -- of the turns that were wanted last
