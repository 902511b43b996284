"""External account binding: the stock clients with a key id and an HMAC key, and what operators do with credentials."""

import json
import subprocess

import pytest

from acme_kit import Client
from stack_kit import until


@pytest.fixture(scope="module")
def bound(stack):
    """Only who was given a credential gets an account; names below bound.test need no challenge."""
    stack.signetctl("acme", "policy", "create", "bound", "--eab", "required", "--preapproved-names", "*.bound.test")
    directory = stack.acme_directory.replace("/acme/", "/acme/bound/")
    client = Client(stack, policy="bound")
    until(lambda: client.http("GET", directory).status == 200)
    assert client.http("GET", directory).json()["meta"]["externalAccountRequired"] is True
    client.close()
    return directory


def create(stack, name, *more):
    """(key id, HMAC key)"""
    made = json.loads(stack.signetctl("acme", "eab", "create", name, "--policy", "bound", "--json", *more).stdout)
    return made["key_id"], made["hmac_key"]


def register(stack, directory, home, kid, key, check=True):
    return stack.certbot("register", "--agree-tos", "--register-unsafely-without-email", "--eab-kid", kid, "--eab-hmac-key", key, home=home,
                         server=directory, check=check)


def order(stack, directory, home, *names, check=True):
    domains = [argument for name in names for argument in ("-d", name)]
    return stack.certbot("certonly", "--webroot", "-w", str(stack.directory), *domains, home=home, server=directory, check=check)


def log_of(stack, home):
    return (stack.directory / home / "logs" / "letsencrypt.log").read_text()


def test_certbot_registers_with_a_credential_once_and_owner_and_principal_reach_the_audit(stack, bound):
    kid, key = create(stack, "team-a", "--owner", "team-a@bound.test", "--allowed-names", "*.bound.test")
    register(stack, bound, "eab1", kid, key)
    order(stack, bound, "eab1", "one.bound.test")
    leaf = stack.directory / "eab1/config/live/one.bound.test/cert.pem"
    serial = subprocess.run(["openssl", "x509", "-in", leaf, "-noout", "-serial"], capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
    record = json.loads(stack.sql(f"SELECT detail FROM audit.event WHERE action = 'certificate.issued' AND serial = '{serial.lower().zfill(34)}'")[0][0])
    assert record["owner"] == "team-a@bound.test" and record["on_behalf_of"] == "eab:team-a" and record["principal"].startswith("acme-account:")

    assert register(stack, bound, "eab1-again", kid, key, check=False).returncode != 0
    assert "unauthorized" in log_of(stack, "eab1-again")
    listed = json.loads(stack.signetctl("acme", "eab", "show", "team-a", "--json").stdout)
    assert listed["uses"] == 1 and listed["status"] == "used-up" and key not in json.dumps(listed)


def test_lego_registers_with_a_credential(stack, bound):
    kid, key = create(stack, "for-lego")
    home = stack.directory / "lego-eab"
    done = subprocess.run(
        ["lego", "--server", bound, "--accept-tos", "--email", "owner@bound.test", "--domains", "lego.bound.test", "--path", str(home), "--eab", "--kid",
         kid, "--hmac", key, "--http", "--http.port", f"127.0.0.1:{stack.http01_port}", "run"],
        env={**stack.env, "LEGO_CA_CERTIFICATES": stack.ca_bundle}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr + stack.tail_of_logs()


def test_without_a_credential_there_is_no_account(stack, bound):
    client = Client(stack, policy="bound")
    refused = client.post(client.url("newAccount"), {"termsOfServiceAgreed": True}, use_jwk=True)
    assert (refused.status, refused.problem) == (403, "externalAccountRequired")
    assert register(stack, bound, "eab-forged", create(stack, "forged")[0], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", check=False).returncode != 0
    assert json.loads(stack.signetctl("acme", "eab", "show", "forged", "--json").stdout)["uses"] == 0


def test_names_beyond_the_credential_are_refused(stack, bound):
    kid, key = create(stack, "narrow", "--allowed-names", "only.bound.test")
    register(stack, bound, "eab2", kid, key)
    order(stack, bound, "eab2", "only.bound.test")
    assert order(stack, bound, "eab2", "other.bound.test", check=False).returncode != 0
    assert "rejectedIdentifier" in log_of(stack, "eab2") and "external account binding" in log_of(stack, "eab2")


def test_deleting_a_credential_leaves_its_accounts_alive_and_cascade_does_not(stack, bound):
    for name, home in (("kept", "eab3"), ("ended", "eab4")):
        kid, key = create(stack, name)
        register(stack, bound, home, kid, key)
        order(stack, bound, home, f"first.{name}.bound.test")
    stack.signetctl("acme", "eab", "delete", "kept")
    order(stack, bound, "eab3", "second.kept.bound.test")

    assert "with 1 accounts" in stack.signetctl("acme", "eab", "revoke", "ended", "--cascade").stdout
    refused = order(stack, bound, "eab4", "second.ended.bound.test", check=False)
    assert refused.returncode != 0 and "unauthorized" in log_of(stack, "eab4")
    assert stack.signetctl("acme", "eab", "show", "kept", check=False).returncode == 4
    assert "revoked" in stack.signetctl("acme", "eab", "list").stdout

    # The credential is gone, and its accounts are known by its name all the same.
    refused = stack.signetctl("acme", "eab", "revoke", "kept", check=False)
    assert refused.returncode == 4 and "--cascade" in refused.stdout + refused.stderr
    assert "with 1 accounts" in stack.signetctl("acme", "eab", "revoke", "kept", "--cascade").stdout
    refused = order(stack, bound, "eab3", "third.kept.bound.test", check=False)
    assert refused.returncode != 0 and "unauthorized" in log_of(stack, "eab3")
    listed = json.loads(stack.signetctl("acme", "account", "list", "--eab", "kept", "--json").stdout)["accounts"]
    assert [(one["status"], one["eab"]) for one in listed] == [("revoked", "kept")]


def test_keys_are_never_in_a_log_or_in_the_database(stack, bound):
    _, key = create(stack, "secretive")
    assert key not in stack.log("acme-gw")
    octets = __import__("base64").urlsafe_b64decode(key + "==")
    assert stack.sql(f"SELECT position('\\x{octets.hex()}'::bytea IN secret) FROM acme.eab WHERE name = 'secretive'") == [["0"]]


@pytest.mark.parametrize("arguments", [("create", "team-x", "--policy", "nobody"), ("create", "team-x", "--uses", "-1"), ("delete", "nobody"), ("revoke", "nobody")])
def test_what_operators_may_not_do_is_refused(stack, bound, arguments):
    assert stack.signetctl("acme", "eab", *arguments, check=False).returncode in (2, 4)
