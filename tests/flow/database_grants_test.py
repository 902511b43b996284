"""Each role may do what its service does, and nothing else: every table × every verb × every role is tried on the real server."""

import pytest

from acme_kit import csr
from stack_kit import Stack, until

ROLES = ["acme_gw", "ra", "signer", "ocsp_responder", "crl_publisher", "inventory", "est_gw", "scep_gw"]
OWNED = {"acme_gw": {"acme"}, "ra": {"ra", "audit"}, "signer": {"ca"}, "ocsp_responder": set(), "crl_publisher": {"crl"}, "inventory": {"inventory"}, "est_gw": {"est"}, "scep_gw": {"scep"}}
# What a role reads beyond its own schema, always through a view.
VIEWS = {
    "scep_gw": {"ra.enrolled_certificate", "crl.current_crl"},
    "acme_gw": {"ra.issued_certificate", "ra.certificate_status"},
    "crl_publisher": {"ca.signed_crl"},
    "est_gw": {"ra.enrolled_certificate"},
    "signer": {"ra.revoked_serial"},
    "ocsp_responder": {"ra.certificate_status"},
}


@pytest.fixture(scope="module")
def relations(stack):
    return [tuple(row) for row in stack.sql(
        "SELECT n.nspname || '.' || c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname IN ('acme', 'ra', 'audit', 'ca', 'crl', 'inventory', 'est', 'public', 'scep') ORDER BY 1")]


def statement(verb, relation):
    return {
        "SELECT": f"SELECT 1 FROM {relation} LIMIT 0",
        "INSERT": f"INSERT INTO {relation} DEFAULT VALUES",
        "DELETE": f"DELETE FROM {relation} WHERE false",
        "TRUNCATE": f"TRUNCATE {relation}",
        "DROP": f"DROP TABLE {relation}",
    }[verb]


# Each statement in a subtransaction of its own, which is taken back; then what the server said to each, a line each.
TRY_ALL = """
SET client_min_messages = error;
DO $do$
DECLARE tried text; said text := '';
BEGIN
    FOREACH tried IN ARRAY ARRAY[%s]::text[] LOOP
        BEGIN
            EXECUTE tried;
            RAISE EXCEPTION 'it is done';
        EXCEPTION WHEN OTHERS THEN
            said := said || replace(SQLERRM, E'\n', ' ') || E'\n';
        END;
    END LOOP;
    PERFORM set_config('signet.said', said, false);
END $do$;
SELECT current_setting('signet.said')
"""
REFUSALS = ("permission denied", "must be owner", "append-only", "cannot insert into view", "cannot delete from view")


def allowed(stack, role, pairs):
    """Of these (verb, relation) the ones that the role may: each is tried for real; only a missing right counts as refused."""
    said = stack.sql(TRY_ALL % ", ".join(f"$s${statement(*pair)}$s$" for pair in pairs), role)
    assert len(said) >= len(pairs), said
    return {pair for pair, words in zip(pairs, said) if not any(refusal in words[0] for refusal in REFUSALS)}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_its_own_schema_and_the_views_granted_to_it(stack, relations, role):
    views = {relation for relation, kind in relations if relation in VIEWS.get(role, set())}
    assert views == VIEWS.get(role, set())
    forbidden = []
    for relation, kind in relations:
        if relation in views:
            assert kind == "v"
        elif relation.split(".")[0] not in OWNED[role]:
            forbidden += [(verb, relation) for verb in ("SELECT", "INSERT", "DELETE")]
        if kind != "v":
            forbidden += [(verb, relation) for verb in ("TRUNCATE", "DROP")]
    wanted = {("SELECT", relation) for relation in views}
    assert allowed(stack, role, forbidden + sorted(wanted)) == wanted


@pytest.mark.parametrize("role", ROLES)
def test_no_role_makes_schemas_tables_or_roles(stack, role):
    for statement in ("CREATE SCHEMA mine", "CREATE TABLE public.mine (a int)", "CREATE ROLE mine", f"ALTER ROLE {role} SUPERUSER", "COPY (SELECT 1) TO PROGRAM 'true'"):
        with pytest.raises(PermissionError):
            stack.sql(statement, role)


@pytest.mark.parametrize("statement", [
    "UPDATE audit.record SET body = 'x'",
    "DELETE FROM audit.record",
    "UPDATE audit.seal SET root = decode(repeat('00', 32), 'hex')",
    "DELETE FROM audit.seal",
    "DELETE FROM ra.certificate",
    "DELETE FROM ra.intent",
])
def test_what_ra_wrote_it_cannot_take_back(stack, statement):
    with pytest.raises(PermissionError):
        stack.sql(statement, "ra")


def test_even_the_owner_cannot_rewrite_the_audit_log_by_mistake(stack):
    assert int(stack.sql("SELECT count(*) FROM audit.record")[0][0]) > 0
    for statement in ("UPDATE audit.record SET body = body || ' '", "DELETE FROM audit.record", "TRUNCATE audit.record"):
        with pytest.raises(PermissionError):
            stack.sql(statement)


def issue_some(stack):
    path = stack.directory / "some.csr"
    for number in range(3):
        path.write_bytes(csr([f"some-{number}.demo.test"]))
        stack.signetctl("cert", "request", "--csr", str(path), "--template", "Web Server")
    until(lambda: stack.sql("SELECT count(*) FROM audit.seal WHERE head IS NOT NULL") != [["0"]] and stack.sql("SELECT 1 FROM audit.record WHERE position IS NULL") == [])


def test_tampering_behind_the_triggers_is_found():
    with Stack() as own:
        issue_some(own)
        assert own.signetctl("audit", "verify").returncode == 0
        own.sql("ALTER TABLE audit.record DISABLE TRIGGER USER; "
                "UPDATE audit.record SET body = replace(body, 'demo', 'dome') WHERE position = (SELECT max(position) FROM audit.record)")
        done = own.signetctl("audit", "verify", check=False)
        assert done.returncode == 5, done.stdout + done.stderr


def test_a_removed_record_is_found():
    with Stack() as own:
        issue_some(own)
        own.sql("ALTER TABLE audit.record DISABLE TRIGGER USER; DELETE FROM audit.record WHERE position = 1")
        assert own.signetctl("audit", "verify", check=False).returncode == 5
