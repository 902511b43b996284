-- For what is forgotten after a while.
CREATE INDEX transaction_created ON scep.transaction (created_at);
