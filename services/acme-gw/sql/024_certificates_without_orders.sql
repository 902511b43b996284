-- Whose a certificate is, and since when, ra says (its 014_certificate_account.sql). Nobody looks an order up by it any more.
DROP INDEX acme.orders_by_serial;
