-- What is kept of a password is a salt and an HMAC now, as octets. What was kept before was PBKDF2: those users stay, and get new passwords.
ALTER TABLE est.basic_user ALTER COLUMN password_hash TYPE bytea USING ''::bytea;
