-- The account object shows the binding that it was made with (RFC 8555 §7.3.4): JSON, as the client sent it.
ALTER TABLE acme.account ADD COLUMN external_account_binding text NOT NULL DEFAULT '';
