-- How many devices that nobody has vouched for have come lately: strangers shall not fill the table.
CREATE INDEX transaction_waiting ON scep.transaction (profile, created_at) WHERE needs_approval;
