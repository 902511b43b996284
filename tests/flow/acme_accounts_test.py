"""ACME accounts: what becomes of them is in the audit log, and operators see them and end them."""

import getpass
import json
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from acme_kit import Client, b64, csr
from stack_kit import until


@pytest.fixture(scope="module")
def watched(stack):
    """Names below watched.test need no challenge; a person must agree to those of the policy `slow`."""
    text = stack.signetctl("template", "export", "Web Server").stdout
    text = re.sub("^name: .*", "name: Watched Server", text, flags=re.MULTILINE)
    assert "requires_approval: false" in text
    path = stack.directory / "watched.yaml"
    path.write_text(text.replace("requires_approval: false", "requires_approval: true"))
    stack.signetctl("template", "import", str(path))
    stack.signetctl("acme", "policy", "create", "watched", "--preapproved-names", "*.watched.test")
    stack.signetctl("acme", "policy", "create", "slow", "--preapproved-names", "*.watched.test", "--template", "Watched Server")
    probe = Client(stack, policy="slow")
    until(lambda: probe.http("GET", probe.base.geturl()).status == 200)
    probe.close()


def registered(stack, policy, *contacts):
    client = Client(stack, policy=policy)
    client.register(contact=list(contacts))
    return client


def id_of(client):
    return client.kid.rsplit("/", 1)[-1]


def lives(stack, account):
    """Its records, oldest first."""
    rows = stack.sql(f"SELECT detail FROM audit.event WHERE action LIKE 'account.%' AND detail ->> 'account' = '{account}' ORDER BY at")
    return [json.loads(row[0]) for row in rows]


def on_record(stack, account, count):
    return until(lambda: len(found := lives(stack, account)) == count and found)


def test_the_life_of_an_account_is_on_record_from_its_key_to_its_end(stack):
    client = Client(stack)
    client.register(contact=["mailto:first@life.test"])
    account, first_key = id_of(client), client.thumbprint()
    client.must(client.kid, {"contact": ["mailto:second@life.test"]})
    assert client.change_key(ec.generate_private_key(ec.SECP256R1())).status == 200
    client.must(client.kid, {"status": "deactivated"})

    created, contacts, key, ended = on_record(stack, account, 4)
    assert [one["action"] for one in (created, contacts, key, ended)] == \
        ["account.created", "account.contacts-changed", "account.key-changed", "account.deactivated"]
    for record in (created, contacts, key, ended):
        assert record["principal"] == f"acme-account:{account}" and record["client"] == "127.0.0.1" and record["policy"] == "default"
    assert created["key_thumbprint"] == first_key and created["contacts"] == ["mailto:first@life.test"]
    assert contacts["former_contacts"] == ["mailto:first@life.test"] and contacts["contacts"] == ["mailto:second@life.test"]
    assert key["former_thumbprint"] == first_key and key["key_thumbprint"] == client.thumbprint() == ended["key_thumbprint"]

    lines = stack.signetctl("audit", "show", "--action", "account.key").stdout.splitlines()
    assert f"account {account} key {client.thumbprint()} before {first_key}" in lines[1]
    lines = stack.signetctl("audit", "show", "--action", "account.contacts").stdout.splitlines()
    assert "contacts mailto:second@life.test before mailto:first@life.test" in lines[1]


def account(stack, *arguments, **more):
    return stack.signetctl("acme", "account", *arguments, **more)


def test_an_account_whose_key_was_stolen_is_found_and_ended_with_its_certificates(stack, watched):
    thief, other = registered(stack, "watched", "mailto:stolen@watched.test"), registered(stack, "watched", "mailto:other@watched.test")
    issued = [x509.load_der_x509_certificate(one.issue(None, name)[0]) for one, name in
              ((thief, "a.watched.test"), (thief, "b.watched.test"), (other, "c.watched.test"))]
    open_order = thief.order("open.watched.test").headers["Location"]

    listed = account(stack, "list", "--policy", "watched", "--contact", "STOLEN@").stdout.splitlines()
    assert len(listed) == 2 and id_of(thief) in listed[1] and "127.0.0.1" in listed[1]
    first = json.loads(account(stack, "list", "--policy", "watched", "--limit", "1", "--json").stdout)
    second = json.loads(account(stack, "list", "--policy", "watched", "--limit", "1", "--cursor", first["next_cursor"], "--json").stdout)
    assert [page["accounts"][0]["id"] for page in (first, second)] == [id_of(other), id_of(thief)] and second["next_cursor"] == ""
    shown = account(stack, "show", "--", thief.thumbprint()).stdout
    assert id_of(thief) in shown and "valid" in shown and "mailto:stolen@watched.test" in shown and "open orders     1" in shown

    done = account(stack, "revoke", thief.kid, "--why", "stolen", "--certificates", "--reason", "privilegeWithdrawn").stdout
    assert "1 open order ended" in done and "2 certificates revoked" in done
    for certificate in issued[:2]:
        assert f"{certificate.serial_number:034x}" in done
    revoked = stack.sql("SELECT encode(serial, 'hex') FROM ra.revocation WHERE reason = 9 AND authority = 'operator'")
    assert {row[0] for row in revoked} >= {f"{one.serial_number:034x}" for one in issued[:2]}
    assert [f"{issued[2].serial_number:034x}"] not in revoked

    for url, payload in ((thief.kid, None), (open_order, None), (thief.url("newOrder"), {"identifiers": [{"type": "dns", "value": "d.watched.test"}]})):
        refused = thief.post(url, payload)
        assert (refused.status, refused.problem) == (401, "unauthorized")
    assert other.must(other.kid).json()["status"] == "valid"
    record = on_record(stack, id_of(thief), 2)[1]
    assert (record["action"], record["operator"], record["principal"], record["message"]) == ("account.revoked", getpass.getuser(), "bus:signetctl", "stolen")
    again = json.loads(account(stack, "revoke", thief.kid, "--certificates", "--json").stdout)
    assert not again["changed"] and again["status"] == "revoked" and again["certificates"] == []
    assert len(lives(stack, id_of(thief))) == 2


def waiting_order(stack, client, name):
    """One that waits for a person: its URL."""
    made = client.order(name)
    assert client.must(made.json()["finalize"], {"csr": b64(csr([name]))}).json()["status"] == "processing"
    assert name in stack.signetctl("cert", "pending").stdout
    return made.headers["Location"]


def test_what_waits_for_a_person_ends_with_its_account(stack, watched):
    client = registered(stack, "slow")
    order = waiting_order(stack, client, "waits.watched.test")
    done = account(stack, "revoke", client.kid, "--certificates").stdout
    assert "1 order in work" in done and "0 certificates revoked" in done
    assert "waits.watched.test" not in stack.signetctl("cert", "pending").stdout
    explained = stack.signetctl("acme", "explain", order).stdout
    assert "invalid" in explained and "not valid any more" in explained
    records = stack.sql("SELECT detail ->> 'message' FROM audit.event WHERE action = 'enroll.withdrawn' AND principal = 'acme-account:%s'" % id_of(client))
    assert records == [["the account of this order is not valid any more"]]


def test_what_waits_for_a_person_ends_when_its_client_deactivates_the_account(stack, watched):
    client = registered(stack, "slow")
    waiting_order(stack, client, "leaves.watched.test")
    client.must(client.kid, {"status": "deactivated"})
    until(lambda: "leaves.watched.test" not in stack.signetctl("cert", "pending").stdout)


@pytest.mark.parametrize("arguments, status, says", [
    (("show", "AAAAAAAAAAAAAAAAAAAAAA"), 4, "acme account list"),
    (("show", "nobody"), 1, "thumbprint"),
    (("revoke", "AAAAAAAAAAAAAAAAAAAAAA"), 4, "acme account list"),
    (("revoke", "AAAAAAAAAAAAAAAAAAAAAA", "--reason", "superseded"), 2, "--certificates"),
    (("revoke", "AAAAAAAAAAAAAAAAAAAAAA", "--certificates", "--reason", "boredom"), 1, "RFC 5280"),
    (("list", "--status", "asleep"), 1, "deactivated"),
    (("list", "--policy", "nobody-s"), 4, "acme policy list"),
    (("list", "--cursor", "x"), 1, "cursor"),
])
def test_what_cannot_be_done_says_what_to_do(stack, arguments, status, says):
    refused = account(stack, *arguments, check=False)
    assert refused.returncode == status and says in refused.stdout + refused.stderr
