-- Each new order read and locked its account's row to prove that there is one, and each new challenge its authorisation's: a row more in the log, and a
-- fifth of the work of the statement that makes them. An order is made for an account that was just read, and the gateway, which alone makes them, may
-- not delete accounts. A challenge is made in the statement that makes its authorisation, and goes before it (acme.prune).
ALTER TABLE acme.orders DROP CONSTRAINT orders_account_id_fkey;
ALTER TABLE acme.challenge DROP CONSTRAINT challenge_authorization_id_fkey;
