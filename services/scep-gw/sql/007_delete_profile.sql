-- A profile that is deleted takes its challenges and what its devices have begun with it; the other replicas hear of it.
ALTER TABLE scep.challenge DROP CONSTRAINT challenge_profile_fkey,
    ADD CONSTRAINT challenge_profile_fkey FOREIGN KEY (profile) REFERENCES scep.profile (name) ON DELETE CASCADE;
ALTER TABLE scep.transaction DROP CONSTRAINT transaction_profile_fkey,
    ADD CONSTRAINT transaction_profile_fkey FOREIGN KEY (profile) REFERENCES scep.profile (name) ON DELETE CASCADE;
CREATE TRIGGER profile_deleted AFTER DELETE ON scep.profile FOR EACH STATEMENT EXECUTE FUNCTION scep.announce_profile();
