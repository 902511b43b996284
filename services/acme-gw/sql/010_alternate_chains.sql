-- Chains to other roots, beside chain_sha256: the same rows of acme.chain.
ALTER TABLE acme.orders ADD COLUMN alternate_chains bytea[] NOT NULL DEFAULT '{}';
