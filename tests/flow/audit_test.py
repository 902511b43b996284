"""What operators change at the gateways goes on record: who, what, once."""

import getpass
import json

from stack_kit import until


def changes(stack, what, name):
    """[(done, operator, bus user, what differed)], oldest first"""
    rows = stack.sql(f"SELECT detail FROM audit.event WHERE action = 'configuration.changed' AND detail ->> 'what' = '{what}' AND detail ->> 'name' = '{name}' ORDER BY at")
    records = [json.loads(row[0]) for row in rows]
    return [(one["done"], one["operator"], one["principal"], one.get("changes", [])) for one in records]


def on_record(stack, what, name, count):
    return until(lambda: len(found := changes(stack, what, name)) == count and found)


def test_what_is_changed_at_each_gateway_is_on_record_with_its_operator(stack):
    me = (getpass.getuser(), "bus:signetctl")
    stack.signetctl("acme", "policy", "create", "audited", "--description", "first")
    stack.signetctl("acme", "policy", "set", "audited", "--validity-days", "30", "--eab", "required")
    stack.signetctl("acme", "limits", "set", "audited", "--new-orders-per-account", "7")
    stack.signetctl("acme", "eab", "create", "audited", "--policy", "audited")
    stack.signetctl("acme", "eab", "revoke", "audited", "--cascade")
    stack.signetctl("acme", "policy", "delete", "audited", check=False)
    stack.signetctl("profile", "create", "audited", "--kind", "est", "--template", "Device-Certificate", "--authentication", "basic")
    password = stack.signetctl("profile", "reset-password", "audited", "--kind", "est", "--user", "eve").stdout.strip()
    stack.signetctl("profile", "create", "audited", "--kind", "scep", "--template", "Device-Certificate", "--issuer", "demo-issuing")
    passphrase = stack.signetctl("profile", "rotate-passphrase", "audited", "--kind", "scep").stdout.strip()

    created, changed = on_record(stack, "acme policy", "audited", 2)
    assert created[:3] == ("created", *me) and "description: \"\" → first" in created[3]
    assert changed == ("changed", *me, ["validity_days: 0 → 30", "eab: none → required"])
    assert "new_orders_per_account: 0 → 7" in on_record(stack, "acme limits", "audited", 1)[0][3]
    assert [one[:3] for one in on_record(stack, "acme eab credential", "audited", 2)] == [("created", *me), ("revoked", *me)]
    assert on_record(stack, "est profile", "audited", 1)[0][:3] == ("created", *me)
    assert on_record(stack, "est user", "audited/eve", 1)[0] == ("created", *me, [])
    assert [one[:3] for one in on_record(stack, "scep profile", "audited", 2)] == [("created", *me), ("passphrase-rotated", *me)]
    for secret in (password, passphrase):
        assert secret and stack.sql(f"SELECT count(*) FROM audit.record WHERE position('{secret}' IN body) > 0") == [["0"]]
    stack.signetctl("profile", "delete", "audited", "--kind", "est")
    assert on_record(stack, "est profile", "audited", 2)[1][0] == "deleted"


def test_what_is_refused_is_not_on_record_and_records_are_shown_and_verify(stack):
    assert stack.signetctl("acme", "policy", "create", "unheard-of", "--eab", "perhaps", check=False).returncode == 1
    stack.signetctl("acme", "limits", "set", "shown", "--failures-before-pause", "3")
    stack.signetctl("acme", "limits", "delete", "shown")
    on_record(stack, "acme limits", "shown", 2)
    assert changes(stack, "acme policy", "unheard-of") == []
    lines = stack.signetctl("audit", "show", "--action", "configuration", "--limit", "2").stdout.splitlines()
    assert len(lines) == 3 and "acme limits shown deleted" in lines[1] and "failures_before_pause: 0 → 3" in lines[2] and getpass.getuser() in lines[2]
    assert lines[0].split() == ["POSITION", "AT", "ACTION", "WHO", "RESULT", "WHAT"] and all(line == line.rstrip() for line in lines)
    shown = json.loads(stack.signetctl("audit", "show", "--limit", "1", "--json").stdout)
    assert shown[0]["record"]["name"] == "shown"
    until(lambda: stack.sql("SELECT 1 FROM audit.record WHERE position IS NULL") == [])
    assert "nothing changed" in stack.signetctl("audit", "verify").stdout
