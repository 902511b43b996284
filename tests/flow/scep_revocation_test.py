"""What Intune wants revoked: pulled by one gateway at a time, done by the authority, told; and its bad days."""

import itertools
import sys

import pytest

from scep_kit import SUCCESS, Device
from stack_kit import ROOT, until

sys.path.insert(0, str(ROOT / "tests" / "fakes"))

import intune as fake  # noqa: E402


def make_profile(stack, service, name, *options):
    secret = stack.run_directory / "scep-secrets" / "pull.secret"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text(fake.SECRET)
    secret.chmod(0o600)
    stack.signetctl("profile", "create", name, "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", "--authorization", "intune",
                    "--intune-tenant", fake.TENANT, "--intune-application", fake.APPLICATION, "--intune-secret-file", secret.name,
                    "--intune-login-url", service.url, "--intune-graph-url", service.url, *options)


@pytest.fixture(scope="module")
def intune(stack):
    service = fake.Intune()
    make_profile(stack, service, "pulling", "--intune-revocation-minutes", "60")
    make_profile(stack, service, "silent")
    until(lambda: "downloadRevocationRequests" in service.names())
    yield service
    service.close()
    assert not service.faults


def enrolled(stack, name, profile="pulling", challenge="Intune's own"):
    reply = Device(f"{stack.scep_url}/scep/{profile}", name).enroll(challenge, [name])
    assert reply.status == SUCCESS
    return f"{reply.certificate.serial_number:034x}"


MINUTES = itertools.cycle((30, 60))


def pull(stack):
    """Now, because the profile says something else than before; and as if the lease of whoever died were over."""
    stack.sql("UPDATE scep.revocation_pull SET leased_until = NULL")
    stack.signetctl("profile", "set", "pulling", "--kind", "scep", "--intune-revocation-minutes", str(next(MINUTES)))


def revoked(stack, serial):
    rows = stack.sql(f"SELECT reason FROM ra.revocation WHERE serial = '\\x{serial}'")
    return rows[0][0] if rows else None


def told(intune, *results):
    return until(lambda: set(results) <= set(intune.results))


def test_it_is_revoked_and_told(stack, intune):
    ours, of_a_sister = enrolled(stack, "lost-1.demo.test"), enrolled(stack, "lost-2.demo.test", "silent")
    intune.wish("one", ours.upper())
    intune.wish("two", of_a_sister.lstrip("0"))
    pull(stack)
    told(intune, ("one", "None"), ("two", "None"))
    assert revoked(stack, ours) == revoked(stack, of_a_sister) == "5"  # cessationOfOperation
    assert stack.sql("SELECT count(*) FROM audit.record WHERE body LIKE '%intune-tenant%'") == [["2"]]
    assert not intune.revocations
    intune.wish("again", ours)
    pull(stack)
    told(intune, ("again", "None"))


def test_what_the_tenant_has_not_enrolled_it_cannot_have_revoked(stack, intune):
    stack.signetctl("profile", "create", "not-intunes", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate")
    passphrase = stack.signetctl("profile", "rotate-passphrase", "not-intunes", "--kind", "scep").stdout.strip()
    theirs = enrolled(stack, "theirs.demo.test", "not-intunes", passphrase)
    intune.wish("foreign", theirs)
    intune.wish("unknown", "00" + "7f" * 16)
    intune.wish("rubbish", "no serial")
    intune.wish("empty", "")
    pull(stack)
    told(intune, ("foreign", "CertificateNotFoundError"), ("unknown", "CertificateNotFoundError"), ("rubbish", "ParameterDataInvalidError"),
         ("empty", "ParameterDataInvalidError"))
    assert revoked(stack, theirs) is None


def test_while_the_authority_is_away_intune_is_told_to_ask_again(stack, intune):
    serial = enrolled(stack, "later.demo.test")
    intune.wish("later", serial)
    stack.stop("ra")
    try:
        pull(stack)
        told(intune, ("later", "RetryableServiceException"))
    finally:
        stack.start("ra")
        stack.wait("ra")
    pull(stack)
    told(intune, ("later", "None"))
    assert revoked(stack, serial) == "5"


@pytest.mark.parametrize("where", ["downloadRevocationRequests", "uploadRevocationResults"])
@pytest.mark.parametrize("fault", [(503, (), "<html>"), (200, (), "not json"), (200, (), '{"value": false}')], ids=str)
def test_after_a_bad_day_it_comes_again_soon(stack, intune, where, fault):
    serial = enrolled(stack, "bad-day.demo.test")
    context = f"{where} {fault}"
    intune.wish(context, serial)
    intune.spoil[where] = [fault]
    pull(stack)
    until(lambda: not intune.spoil[where])
    soon = "SELECT due_at < now() + interval '6 minutes' FROM scep.revocation_pull WHERE profile = 'pulling' AND lease_holder IS NULL"
    until(lambda: stack.sql(soon) == [["t"]])
    assert (context, "None") not in intune.results
    pull(stack)
    told(intune, (context, "None"))
    assert revoked(stack, serial) == "5"


def test_a_gateway_that_is_killed_before_it_told_leaves_it_to_the_next(stack, intune):
    serial = enrolled(stack, "killed.demo.test")
    intune.wish("killed", serial)
    intune.spoil["uploadRevocationResults"] = [("silence", (), 3)]
    pull(stack)
    until(lambda: not intune.spoil["uploadRevocationResults"])
    stack.kill("scep-gw")
    stack.stop("scep-gw")
    assert revoked(stack, serial) == "5" and ("killed", "None") not in intune.results
    before = intune.names().count("downloadRevocationRequests")
    for name in ("scep-gw", "scep-gw@2"):
        stack.start(name)
    try:
        stack.wait("scep-gw", "scep-gw@2")
        assert intune.names().count("downloadRevocationRequests") == before  # leased to the one that died
        pull(stack)
        told(intune, ("killed", "None"))
        assert intune.names().count("downloadRevocationRequests") == before + 1
    finally:
        stack.stop("scep-gw@2")


def test_switched_off_it_asks_no_more(stack, intune):
    stack.signetctl("profile", "set", "pulling", "--kind", "scep", "--intune-revocation-minutes", "0")
    assert stack.sql("SELECT count(*) FROM scep.revocation_pull") == [["0"]]
    refused = stack.signetctl("profile", "set", "not-intunes", "--kind", "scep", "--intune-revocation-minutes", "60", check=False)
    assert refused.returncode != 0 and "only for devices that Intune vouches for" in refused.stderr
