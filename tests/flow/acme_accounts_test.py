"""ACME accounts: what becomes of them is in the audit log, and operators see them and end them."""

import json

from cryptography.hazmat.primitives.asymmetric import ec

from acme_kit import Client
from stack_kit import until


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
