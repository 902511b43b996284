-- The CA that takes over from another (rollover). Nothing changes for what the old one has issued; it is what SCEP's clients are told beforehand, and
-- which old certificates a profile may renew afterwards.
ALTER TABLE ca.authority ADD COLUMN successor text REFERENCES ca.authority (name) CHECK (successor <> name);
CREATE INDEX authority_successor ON ca.authority (successor) WHERE successor IS NOT NULL;
