-- Who may touch what, in one screen. Applied by `signetctl migrate` after the migrations, as the owner of the database; may be repeated.
-- One login role per service, named like the service; passwords are set by whoever deploys. tests/flow/database_grants_test.py tries what is missing here.
DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['acme_gw', 'ra', 'signer', 'ocsp_responder', 'crl_publisher', 'inventory', 'est_gw', 'scep_gw'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', service);
        END IF;
    END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- inventory: the catalogue, written from events
GRANT USAGE ON SCHEMA inventory TO inventory;
GRANT SELECT, INSERT ON inventory.certificate, inventory.certificate_name, inventory.revocation TO inventory;
GRANT UPDATE (reason) ON inventory.revocation TO inventory;

-- ocsp-responder: the status of a serial number, nothing else
GRANT USAGE ON SCHEMA ra TO ocsp_responder;
GRANT SELECT ON ra.certificate_status TO ocsp_responder;

-- acme-gw: its own tables, never deleting, but through a function of the owner what ended long ago; of certificates only the views to deliver them, and to say when they should be renewed
GRANT USAGE ON SCHEMA acme, ra TO acme_gw;
GRANT SELECT, INSERT, UPDATE (status, contacts, key_thumbprint, jwk) ON acme.account TO acme_gw;
GRANT SELECT, INSERT ON acme.orders, acme.authorization, acme.challenge, acme.chain, acme.renewal_window, acme.star, acme.star_certificate TO acme_gw;
GRANT UPDATE (status, authorizations_left, expires_at, csr, finalized_at, problem, serial, expiry_month, chain_sha256, alternate_chains, due_at, leased_until, lease_holder, attempts, trouble)
    ON acme.orders TO acme_gw;
GRANT UPDATE (status, expires_at, proof_ends_at, attested_key, attestation) ON acme.authorization TO acme_gw;
GRANT UPDATE (type, status, validated_at, problem, due_at, leased_until, lease_holder, attempts, response) ON acme.challenge TO acme_gw;
GRANT UPDATE (renewal, due_at, leased_until, lease_holder, attempts, trouble) ON acme.star TO acme_gw;
GRANT DELETE ON acme.star_certificate TO acme_gw;
GRANT SELECT ON ra.issued_certificate, ra.certificate_status TO acme_gw;
REVOKE ALL ON FUNCTION acme.prune(int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION acme.prune(int, int) TO acme_gw;
REVOKE ALL ON FUNCTION acme.prune_windows(int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION acme.prune_windows(int, int) TO acme_gw;
GRANT UPDATE (id, issued_before, starts_at, ends_at, explanation, created_at, expiry_month) ON acme.renewal_window TO acme_gw;
GRANT SELECT, INSERT, UPDATE, DELETE ON acme.policy TO acme_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (uses, revoked_at) ON acme.eab TO acme_gw;
GRANT SELECT, INSERT, UPDATE, DELETE ON acme.limits, acme.limit_state, acme.failing_name TO acme_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (created_at) ON acme.outbox TO acme_gw;
GRANT USAGE ON SEQUENCE acme.outbox_id_seq TO acme_gw;
-- Its statements go by key, so one plan each is enough, and one made while the tables were empty must not read them from end to end: planning anew at
-- every call was a fifth of the database's work for an order.
ALTER ROLE acme_gw SET plan_cache_mode = force_generic_plan;
ALTER ROLE acme_gw SET enable_seqscan = off;
ALTER ROLE acme_gw SET jit = off;

-- est-gw: profiles, their users and CRLs as operators write them, deliveries as they happen; of certificates the view for what devices show
GRANT USAGE ON SCHEMA est, ra TO est_gw;
GRANT SELECT, INSERT, UPDATE, DELETE ON est.profile, est.basic_user, est.client_crl TO est_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (generation, waits, likeness, csr, delivered_at) ON est.delivery TO est_gw;
GRANT SELECT ON ra.enrolled_certificate TO est_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (created_at) ON est.outbox TO est_gw;
GRANT SELECT, INSERT, DELETE ON est.client_crl_part TO est_gw;
GRANT USAGE ON SEQUENCE est.outbox_id_seq, est.client_crl_id_seq TO est_gw;

-- scep-gw: profiles, challenges that it makes and forgets, requests that it accepts; of certificates the view for what devices show, and the CRLs
GRANT USAGE ON SCHEMA scep, ra, crl TO scep_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (settings, ndes, passphrase, admin_password, changed_at) ON scep.profile TO scep_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (used_at) ON scep.challenge TO scep_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (round, principal_kind, principal_id, notified, created_at) ON scep.transaction TO scep_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (every_minutes, due_at, leased_until, lease_holder, attempts) ON scep.revocation_pull TO scep_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (due_at, leased_until, lease_holder, attempts) ON scep.retired_ra TO scep_gw;
GRANT SELECT ON ra.enrolled_certificate, crl.current_crl TO scep_gw;
GRANT SELECT, INSERT, DELETE, UPDATE (created_at) ON scep.outbox TO scep_gw;
GRANT USAGE ON SEQUENCE scep.outbox_id_seq TO scep_gw;

-- ra: intents and certificates are added and closed, never removed; audit records are added, and sealed once. (Locking rows of the outbox wants an UPDATE
-- right.) Partitions are made by a function of the owner. Every statement of ra goes by key: a plan made while the tables were empty must not scan them later.
ALTER ROLE ra SET enable_seqscan = off;
ALTER ROLE ra SET jit = off;
GRANT USAGE ON SCHEMA ra, audit TO ra;
GRANT SELECT, INSERT, UPDATE (status, closed_at, refusal_kind, refusal, due_at, leased_until, lease_holder, attempts) ON ra.intent TO ra;
GRANT SELECT, INSERT ON ra.certificate, ra.revocation, ra.blocked_key, ra.heard TO ra;
GRANT UPDATE (reason, invalidity_at) ON ra.revocation TO ra;
GRANT SELECT, INSERT, DELETE, UPDATE (created_at) ON ra.outbox TO ra;
GRANT USAGE ON SEQUENCE ra.outbox_id_seq TO ra;
GRANT SELECT ON ra.role, ra.role_member, ra.role_template, ra.role_name, ra.asset TO ra;
REVOKE ALL ON FUNCTION ra.ensure_partition(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ra.ensure_partition(int) TO ra;
GRANT SELECT, INSERT (body), UPDATE (position, seal) ON audit.record TO ra;
GRANT SELECT, INSERT (seal, first_position, last_position, root, previous_head, sealed_at_us), UPDATE (head, signature, public_key, key_uri) ON audit.seal TO ra;

-- crl-publisher: what it serves and when it makes the next; never removing, and no view of certificates
GRANT USAGE ON SCHEMA crl, ca TO crl_publisher;
GRANT SELECT ON ca.signed_crl TO crl_publisher;
GRANT SELECT, INSERT, UPDATE (certificate, chain_pem, sha256, not_after, changed_at) ON crl.authority TO crl_publisher;
GRANT SELECT, INSERT, UPDATE (due_at, wanted, met, failure, leased_until, lease_holder, attempts) ON crl.schedule TO crl_publisher;
GRANT SELECT, INSERT, UPDATE (number, der, this_update, next_update, sha256, entries, published_at) ON crl.published TO crl_publisher;

-- signer: CAs and what belongs to them; versions of templates and finished rows are never changed; of revocations only the view for CRLs
GRANT USAGE ON SCHEMA ca, ra TO signer;
GRANT SELECT, INSERT, DELETE, UPDATE (status, public_key, evidence, csr, certificate, serial, not_before, not_after, path_length, is_default, begun_at, successor)
    ON ca.authority TO signer;
GRANT SELECT, INSERT ON ca.chain, ca.alternate_chain, ca.template TO signer;
GRANT SELECT, INSERT, UPDATE (number) ON ca.crl_number TO signer;
GRANT SELECT, INSERT, UPDATE (number, sha256, der, signed_at) ON ca.crl TO signer;
GRANT SELECT, INSERT, UPDATE (key_uri, begun_at, public_key, evidence, retired_at, destroyed_at) ON ca.service_key TO signer;
GRANT DELETE ON ca.scep_ra_certificate TO signer;
GRANT SELECT, INSERT, UPDATE (certificate) ON ca.responder_certificate, ca.scep_ra_certificate TO signer;
GRANT SELECT, INSERT, DELETE, UPDATE (created_at) ON ca.outbox TO signer;
GRANT USAGE ON SEQUENCE ca.outbox_id_seq TO signer;
GRANT SELECT ON ra.revoked_serial TO signer;
