-- CRLs of the makers whose CAs a profile trusts, as operators give them. Each stored form has a new id, by which replicas know what they have not read.
ALTER TABLE est.profile ADD COLUMN client_revocation text NOT NULL DEFAULT 'when-known'
    CHECK (client_revocation IN ('none', 'when-known', 'required'));

CREATE TABLE est.client_crl (
    profile      text NOT NULL REFERENCES est.profile (name) ON DELETE CASCADE,
    issuer_id    bytea NOT NULL,                     -- SHA-256 of the anchor's name and key
    id           bigserial,
    issuer       text NOT NULL,                      -- as people read it
    number       bytea NOT NULL,                     -- '': it has none
    this_update  timestamptz NOT NULL,
    next_update  timestamptz NOT NULL,
    entries      int NOT NULL,
    crl          bytea NOT NULL,
    PRIMARY KEY (profile, issuer_id)
);
CREATE TRIGGER client_crl_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON est.client_crl
    FOR EACH STATEMENT EXECUTE FUNCTION est.announce_profile();
