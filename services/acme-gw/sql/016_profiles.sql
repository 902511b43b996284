-- What orders of a policy may choose from (draft-ietf-acme-profiles): 'classic=Web Server:90'. Empty: none; of the default policy, the gateway's setting.
ALTER TABLE acme.policy ADD COLUMN profiles text[] NOT NULL DEFAULT '{}';
