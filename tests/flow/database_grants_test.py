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
    "est_gw": {"ra.enrolled_certificate"},
    "signer": {"ra.revoked_serial"},
    "ocsp_responder": {"ra.certificate_status"},
}


@pytest.fixture(scope="module")
def relations(stack):
    return [tuple(row) for row in stack.sql(
        "SELECT n.nspname || '.' || c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname IN ('acme', 'ra', 'audit', 'ca', 'crl', 'inventory', 'est', 'public', 'scep') ORDER BY 1")]


def allowed(stack, role, verb, relation):
    """Tries it for real, in a transaction that is rolled back; only a missing right counts as refused."""
    statement = {
        "SELECT": f"SELECT 1 FROM {relation} LIMIT 0",
        "INSERT": f"INSERT INTO {relation} SELECT * FROM {relation} LIMIT 0",
        "DELETE": f"DELETE FROM {relation} WHERE false",
        "TRUNCATE": f"TRUNCATE {relation}",
        "DROP": f"DROP TABLE {relation}",
    }[verb]
    try:
        stack.sql(f"BEGIN; {statement}; ROLLBACK", role)
        return True
    except PermissionError as error:
        return not any(refusal in str(error) for refusal in ("permission denied", "must be owner", "append-only", "cannot insert into view", "cannot delete from view"))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_its_own_schema_and_the_views_granted_to_it(stack, relations, role):
    wrong = []
    for relation, kind in relations:
        own = relation.split(".")[0] in OWNED[role]
        if not own and relation not in VIEWS.get(role, set()):
            wrong += [f"{role} may {verb} {relation}" for verb in ("SELECT", "INSERT", "DELETE") if allowed(stack, role, verb, relation)]
        if not own and relation in VIEWS.get(role, set()):
            assert kind == "v"
            assert allowed(stack, role, "SELECT", relation)
        if kind != "v":
            wrong += [f"{role} may {verb} {relation}" for verb in ("TRUNCATE", "DROP") if allowed(stack, role, verb, relation)]
    assert not wrong


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
