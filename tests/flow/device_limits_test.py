"""What one address may ask of the device gateways: requests, wrong passwords, requests that come to nothing; and that nobody else pays for it."""

import base64
import contextlib
import json
import urllib.error
import urllib.request

import pytest

from est_kit import Est, new_key
from scep_kit import FAILURE, RENEWAL_REQ, SUCCESS, Device, Refused, csr
from scep_kit import new_key as new_rsa_key
from stack_kit import until

BURST, FAILURES = 30, 3
LIMITS = (f"SIGNET_{{0}}_UNLIMITED_NETWORKS=203.0.113.0/24 SIGNET_{{0}}_PROXY_NETWORKS=127.0.0.0/8 SIGNET_{{0}}_REQUESTS_PER_MINUTE=1 "
          f"SIGNET_{{0}}_REQUESTS_BURST={BURST} SIGNET_{{0}}_FAILURES_PER_MINUTE=1 SIGNET_{{0}}_FAILURES_BURST={FAILURES}")


@contextlib.contextmanager
def replica(stack, service, prefix):
    """A second one that counts, behind a proxy, so that each request can be somebody else's."""
    variable = f"SIGNET_EXTRA_{service.replace('-', '_')}_2"
    stack.env[variable] = LIMITS.format(prefix)
    try:
        stack.start(f"{service}@2")
        stack.wait(f"{service}@2")
        yield int(stack.env[f"SIGNET_{prefix}_PORT"]) + int(stack.env["SIGNET_REPLICA_STEP"])
    finally:
        stack.stop(f"{service}@2")
        del stack.env[variable]


@pytest.fixture(scope="module")
def est(stack, tmp_path_factory):
    first = Est(stack, tmp_path_factory.mktemp("est"))
    first.profile("counted")
    first.alice, first.bob = first.password("counted", "alice"), first.password("counted", "bob")
    with replica(stack, "est-gw", "EST") as port:
        first.port = port
        until(lambda: first.ask("counted/cacerts").status == 200)
        yield first


@pytest.fixture(scope="module")
def scep(stack):
    """(URL of the profile "counted" at the second replica, its passphrase, the password of its page)"""
    for name, options in {"counted": [], "counted-page": ["--authorization", "challenge", "--admin-user", "mdm"]}.items():
        stack.signetctl("profile", "create", name, "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", *options)
    passphrase = stack.signetctl("profile", "rotate-passphrase", "counted", "--kind", "scep").stdout.strip()
    password = stack.signetctl("profile", "reset-password", "counted-page", "--kind", "scep").stdout.strip()
    with replica(stack, "scep-gw", "SCEP") as port:
        yield f"http://127.0.0.1:{port}/scep/counted", passphrase, password


def line_of(stack, service, caller, rule):
    lines = [json.loads(line) for line in stack.log(f"{service}@2").splitlines() if line.startswith("{")]
    return next((line for line in lines if line.get("caller") == caller and line.get("rule") == rule), None)


def limited(stack, service, rule):
    return sum(int(line.split()[-1]) for line in stack.metrics(f"{service}@2").splitlines() if line.startswith(f'signet_rate_limited_total{{rule="{rule}"}}'))


def from_address(address):
    return {"headers": {"X-Forwarded-For": address}}


def enrol(est, user, address):
    return est.enroll("counted", new_key(), "CN=counted.example", auth=user, **from_address(address))


def test_est_requests_of_an_address_are_counted(est):
    statuses = [est.ask("counted/cacerts", **from_address("192.0.2.1")).status for _ in range(BURST + 3)]
    assert statuses == [200] * BURST + [429] * 3
    refused = est.ask("counted/cacerts", **from_address("192.0.2.1"))
    assert int(refused.headers["Retry-After"]) > 0 and "requests-per-address" in refused.text and "192.0.2.1" in refused.text
    assert est.ask("counted/cacerts", **from_address("192.0.2.2")).status == 200
    assert all(est.ask("counted/cacerts", **from_address("203.0.113.1")).status == 200 for _ in range(BURST + 3))
    assert until(lambda: line_of(est.stack, "est-gw", "192.0.2.1", "requests-per-address"))["status"] == "429"
    assert limited(est.stack, "est-gw", "requests-per-address") == 4


def test_est_wrong_passwords_of_a_user_are_counted_by_address(est):
    wrong = ("alice", "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD")
    assert [enrol(est, wrong, "192.0.2.11").status for _ in range(FAILURES)] == [401] * FAILURES
    for user in (wrong, est.alice):
        refused = enrol(est, user, "192.0.2.11")
        assert refused.status == 429 and int(refused.headers["Retry-After"]) > 0 and "failures-per-address" in refused.text
    assert enrol(est, est.bob, "192.0.2.11").status == 200
    assert enrol(est, est.alice, "192.0.2.12").status == 200
    assert [enrol(est, wrong, "203.0.113.2").status for _ in range(FAILURES + 3)] == [401] * (FAILURES + 3)
    assert until(lambda: line_of(est.stack, "est-gw", "192.0.2.11", "failures-per-address"))["status"] == "429"
    assert limited(est.stack, "est-gw", "failures-per-address") == 2


def test_est_right_passwords_and_none_are_no_failures(est):
    for _ in range(FAILURES + 2):
        assert enrol(est, est.alice, "192.0.2.13").status == 200
        assert enrol(est, None, "192.0.2.13").status == 401
    assert enrol(est, est.alice, "192.0.2.13").status == 200


def device_at(scep, address, name="counted.demo.test"):
    device = Device(scep[0], name)
    device.headers = {"X-Forwarded-For": address}
    return device


def test_scep_requests_of_an_address_are_counted(stack, scep):
    device = device_at(scep, "192.0.2.1")
    for _ in range(BURST):
        device.get("operation=GetCACaps")
    with pytest.raises(Refused) as refused:
        device.get("operation=GetCACaps")
    assert refused.value.status == 429 and int(refused.value.headers["Retry-After"]) > 0 and "requests-per-address" in refused.value.text
    assert device_at(scep, "192.0.2.2").get("operation=GetCACaps")
    unlimited = device_at(scep, "203.0.113.1")
    assert all(unlimited.get("operation=GetCACaps") for _ in range(BURST + 3))
    assert until(lambda: line_of(stack, "scep-gw", "192.0.2.1", "requests-per-address"))["client"] == "192.0.2.1"


def opened_and_signed(stack):
    """How many envelopes and answers have cost a key of the HSM something."""
    signed = sum(int(line.split()[-1]) for line in stack.metrics("signer").splitlines() if line.startswith('signet_signer_signed_total{what="scep-reply"}'))
    return stack.log("signer").count("OpenScepEnvelope"), signed


def test_scep_requests_that_come_to_nothing_are_counted_before_the_hsm_is_asked(stack, scep):
    url, passphrase, _ = scep
    enrolled = device_at(scep, "192.0.2.11")
    assert enrolled.enroll(passphrase).status == SUCCESS
    renewer = device_at(scep, "192.0.2.11", "renewer.demo.test")
    reply = renewer.enroll(passphrase, names=["renewer.demo.test"])
    assert reply.status == SUCCESS
    renewer.certificate = reply.certificate

    stranger = device_at(scep, "192.0.2.11", "stranger.demo.test")
    assert [stranger.enroll("a guess").status for _ in range(FAILURES - 1)] == [FAILURE] * (FAILURES - 1)
    assert stranger.enroll(passphrase, rubbish_key=True).status == FAILURE
    message = stranger.message(csr(stranger.key, "stranger.demo.test", passphrase))
    before = opened_and_signed(stack)
    assert all(before)
    for _ in range(3):
        with pytest.raises(Refused) as refused:
            stranger.post(message)
        assert refused.value.status == 429 and int(refused.value.headers["Retry-After"]) > 0 and "failures-per-address" in refused.value.text
    assert opened_and_signed(stack) == before
    assert until(lambda: line_of(stack, "scep-gw", "192.0.2.11", "failures-per-address"))["profile"] == "counted"
    # Elsewhere it may, and so may here who has a certificate.
    stranger.headers = {"X-Forwarded-For": "192.0.2.12"}
    assert stranger.enroll(passphrase).status == SUCCESS
    assert renewer.send(csr(new_rsa_key(), "renewer.demo.test", names=["renewer.demo.test"]), RENEWAL_REQ).status == SUCCESS


def test_a_certificate_of_ours_lets_in_only_who_has_its_key(stack, scep):
    url, passphrase, _ = scep
    holder = device_at(scep, "192.0.2.21", "holder.demo.test")
    certificate = holder.enroll(passphrase).certificate
    thief = device_at(scep, "192.0.2.22", "thief.demo.test")
    signer = {"signer": (thief.key, certificate)}
    for _ in range(FAILURES):
        assert thief.send(csr(thief.key, "thief.demo.test", passphrase), **signer).status == FAILURE
    with pytest.raises(Refused) as refused:
        thief.send(csr(thief.key, "thief.demo.test", passphrase), **signer)
    assert refused.value.status == 429


def test_wrong_passwords_of_the_challenge_page_are_counted(scep):
    url, _, password = scep

    def page(password, address):
        request = urllib.request.Request(f"{url}-page/mscep_admin/", headers={"X-Forwarded-For": address})
        if password:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"mdm:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code

    assert [page(None, "192.0.2.31") for _ in range(FAILURES + 1)] == [401] * (FAILURES + 1)
    assert [page("a guess", "192.0.2.31") for _ in range(FAILURES)] == [401] * FAILURES
    assert page(password, "192.0.2.31") == 429
    assert page(password, "192.0.2.32") == 200
