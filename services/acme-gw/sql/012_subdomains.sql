-- RFC 9444: an authorisation may hold for all names below its own; a policy says whether it offers such.
ALTER TABLE acme.policy ADD COLUMN subdomain_auth boolean NOT NULL DEFAULT false;
ALTER TABLE acme.authorization ADD COLUMN subdomains boolean NOT NULL DEFAULT false;
