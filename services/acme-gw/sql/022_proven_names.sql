-- What an account has proven is looked up by the name first. By the account first, a plan that was made while the table was empty read all that the account
-- had ever proven, for each new order, and stayed in force until the table had been analysed.
CREATE INDEX authorization_proven ON acme.authorization (name, account_id) WHERE status = 'valid';
DROP INDEX acme.authorization_valid;
