-- What was delivered is forgotten after a while however often its request has come: the next generation that is free is found without it.
DROP INDEX est.delivery_once;
CREATE INDEX delivery_old ON est.delivery (delivered_at) WHERE NOT waits;
