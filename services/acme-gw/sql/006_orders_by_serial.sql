-- Who holds this certificate, and when it was ordered: for ARI (RFC 9773) and for operators.
CREATE INDEX orders_by_serial ON acme.orders (serial) WHERE serial IS NOT NULL;
