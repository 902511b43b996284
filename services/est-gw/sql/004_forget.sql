-- For what is forgotten after a while: deliveries of requests that came once. A request that comes again for years keeps its place.
CREATE INDEX delivery_once ON est.delivery (delivered_at) WHERE generation = 0;
