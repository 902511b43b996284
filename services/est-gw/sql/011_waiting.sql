-- A device that waits for a person may come again with a CSR that it has made anew, for the same key and names: it is given what became of the first.
ALTER TABLE est.delivery ADD COLUMN likeness bytea, ADD COLUMN csr bytea;
CREATE INDEX delivery_likeness ON est.delivery (likeness) WHERE likeness IS NOT NULL;
