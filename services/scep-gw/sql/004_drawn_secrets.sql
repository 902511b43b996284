-- What is kept of a passphrase and of an admin password is a salt and an HMAC now. What was kept before was scrypt, and is made anew.
UPDATE scep.profile SET passphrase = NULL, admin_password = NULL WHERE passphrase IS NOT NULL OR admin_password IS NOT NULL;
