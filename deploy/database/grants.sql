-- Who may touch what, in one screen. Applied by `signetctl migrate` after the migrations, as the owner of the database; may be repeated.
-- One login role per service, named like the service; passwords are set by whoever deploys. tests/flow/database_grants_test.py tries what is missing here.
DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['acme_gw', 'ra', 'signer', 'ocsp_responder', 'crl_publisher', 'inventory'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', service);
        END IF;
    END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- inventory: the catalogue, written from events
GRANT USAGE ON SCHEMA inventory TO inventory;
GRANT SELECT, INSERT ON inventory.certificate, inventory.certificate_name, inventory.revocation TO inventory;

-- ocsp-responder: the status of a serial number, nothing else
GRANT USAGE ON SCHEMA ra TO ocsp_responder;
GRANT SELECT ON ra.certificate_status TO ocsp_responder;

-- acme-gw: its own tables, never deleting; of certificates only the view to deliver them
GRANT USAGE ON SCHEMA acme, ra TO acme_gw;
GRANT SELECT, INSERT, UPDATE (status, contacts) ON acme.account TO acme_gw;
GRANT SELECT, INSERT ON acme.orders, acme.authorization, acme.challenge, acme.chain TO acme_gw;
GRANT UPDATE (status, authorizations_left, csr, finalized_at, problem, serial, expiry_month, chain_sha256, due_at, leased_until, lease_holder, attempts)
    ON acme.orders TO acme_gw;
GRANT UPDATE (status) ON acme.authorization TO acme_gw;
GRANT UPDATE (status, validated_at, problem, due_at, leased_until, lease_holder, attempts) ON acme.challenge TO acme_gw;
GRANT SELECT ON ra.issued_certificate TO acme_gw;
