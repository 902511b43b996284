-- Devices that attest themselves (draft-ietf-acme-device-attest): which identifiers a policy has, and whose attestations it takes, by their format.
ALTER TABLE acme.policy
    ADD COLUMN identifier_types  text[] NOT NULL DEFAULT '{}', -- empty: 'dns', 'ip', and devices where attestations are taken
    ADD COLUMN apple_roots       text NOT NULL DEFAULT '',     -- PEM; '': the format is not taken
    ADD COLUMN step_roots        text NOT NULL DEFAULT '',
    ADD COLUMN tpm_roots         text NOT NULL DEFAULT '';

-- What the client answered, until somebody has looked at it; then the digest of the key that may be certified, and in words what was attested by whom.
ALTER TABLE acme.challenge ADD COLUMN response bytea;
ALTER TABLE acme.authorization ADD COLUMN attested_key bytea, ADD COLUMN attestation text;
