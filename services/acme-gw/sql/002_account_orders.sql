-- The list of an account's orders goes by time, page after page, whatever an account has behind it.
CREATE INDEX orders_of_account ON acme.orders (account_id, created_at, id);
