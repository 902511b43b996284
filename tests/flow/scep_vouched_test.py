"""Who else may vouch for a device: Microsoft Intune (a strict stand-in, and its bad days), and a webhook of the operator's own."""

import http.server
import json
import sys
import threading

import pytest

from scep_kit import FAILURE, SUCCESS, Device, Refused, Reply, csr
from stack_kit import ROOT

sys.path.insert(0, str(ROOT / "tests" / "fakes"))

import intune as fake  # noqa: E402


def make_profile(stack, name, *options):
    stack.signetctl("profile", "create", name, "--kind", "scep", "--issuer", "demo-issuing", *options)
    return f"{stack.scep_url}/scep/{name}"


def secret(stack, name, text):
    path = stack.run_directory / "scep-secrets" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return name


@pytest.fixture(scope="module")
def intune_url(stack):
    return make_profile(stack, "intune", "--template", "Device-Certificate", "--authorization", "intune", "--intune-tenant", fake.TENANT,
                        "--intune-application", fake.APPLICATION, "--intune-secret-file", secret(stack, "intune.secret", fake.SECRET))


@pytest.fixture
def intune(stack, intune_url):
    """A new stand-in for each test; the profile is pointed at it."""
    service = fake.Intune()
    stack.signetctl("profile", "set", "intune", "--kind", "scep", "--intune-login-url", service.url, "--intune-graph-url", service.url + "/")
    yield service
    service.close()
    assert not service.faults


# Intune is asked anew when a call has failed on the way.
def enrol(url, common_name, tries=3):
    device = Device(url, common_name)
    message = device.message(csr(device.key, common_name, "an encrypted challenge of Intune's own", [common_name]))
    for number in range(tries):
        try:
            return device, message, Reply(device.post(message), device.key)
        except Refused as refused:
            assert refused.status == 503 and number < tries - 1
    return None


def test_a_device_that_intune_vouches_for(stack, intune, intune_url):
    device, message, reply = enrol(intune_url, "intune-1.demo.test")
    assert reply.status == SUCCESS
    assert intune.told["certificateSerialNumber"] == f"{reply.certificate.serial_number:034x}"
    assert intune.told["transactionId"] == device.transaction
    before = len(intune.calls)
    assert Reply(device.post(message), device.key).certificate == reply.certificate
    assert len(intune.calls) == before  # known, and told
    enrol(intune_url, "intune-2.demo.test")
    assert intune.names()[before:] == ["validateRequest", "successNotification"]  # tokens and discovery are kept


@pytest.mark.parametrize("code", ["ChallengeExpired", "SubjectNameMismatch", "Unknown"])
def test_a_device_that_it_does_not_vouch_for(stack, intune, intune_url, code):
    intune.codes["validateRequest"] = code
    _, _, reply = enrol(intune_url, "intune-no.demo.test")
    assert (reply.status, reply.fail_info) == (FAILURE, "2")
    assert f"Intune says {code}" in stack.log("scep-gw") and "successNotification" not in intune.names()


def test_an_ended_token_is_renewed_within_the_request(intune, intune_url):
    enrol(intune_url, "intune-3.demo.test")
    intune.spoil["validateRequest"] = [(401, (), "{}")]
    assert enrol(intune_url, "intune-4.demo.test", tries=1)[2].status == SUCCESS


@pytest.mark.parametrize("fault", [(429, [("Retry-After", "1")], "{}"), (503, (), "<html>"), (200, (), "not json"), (200, (), "{}")], ids=str)
@pytest.mark.parametrize("where", ["token", "endpoints", "validateRequest"])
def test_bad_days_are_no_verdict(intune, intune_url, fault, where):
    enrol(intune_url, "intune-warm.demo.test")
    intune.spoil["validateRequest"] = [(500, (), "")]  # flushes what is kept
    with pytest.raises(AssertionError):
        enrol(intune_url, "intune-flush.demo.test", tries=1)
    intune.spoil[where] = [fault]
    device = Device(intune_url, "intune-bad.demo.test")
    message = device.message(csr(device.key, device.common_name, "challenge"))
    with pytest.raises(Refused) as refused:
        device.post(message)
    assert refused.value.status == 503
    assert Reply(device.post(message), device.key).status == SUCCESS


def test_a_success_that_cannot_be_told_waits_and_the_certificate_stays_one(stack, intune, intune_url):
    enrol(intune_url, "intune-warm.demo.test")
    intune.spoil["successNotification"] = [(500, (), ""), (200, (), json.dumps({"code": "Unknown"}))]
    device = Device(intune_url, "intune-late.demo.test")
    message = device.message(csr(device.key, device.common_name, "challenge"))
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            device.post(message)
        assert refused.value.status == 503
    reply = Reply(device.post(message), device.key)
    assert reply.status == SUCCESS
    assert intune.names().count("validateRequest") == 2  # once for each device
    assert stack.sql("SELECT count(*) FROM ra.intent WHERE channel = 'scep/intune' AND position('intune-late.demo.test'::bytea in csr) > 0") == [["1"]]


def test_it_is_told_who_issued_the_certificate_when_another_ca_has_taken_over_meanwhile(stack, intune, intune_url):
    enrol(intune_url, "intune-warm.demo.test")
    intune.spoil["successNotification"] = [(500, (), "")]
    device = Device(intune_url, "intune-rolled.demo.test")
    message = device.message(csr(device.key, device.common_name, "challenge"))
    with pytest.raises(Refused):
        device.post(message)
    stack.signetctl("ca", "create", "intune-next", "--common-name", "Next CA", "--key-type", "p256", "--parent", "demo-root", "--days", "700")
    stack.signetctl("profile", "set", "intune", "--kind", "scep", "--issuer", "intune-next")
    try:
        reply = Reply(device.post(message), device.key)
        assert reply.certificate.issuer.rfc4514_string() == intune.told["issuingCertificateAuthority"] == "CN=Signet Demo Issuing CA,O=Signet Demo"
        assert intune.told["certificateAuthority"] == "demo-issuing"
        enrol(intune_url, "intune-next.demo.test")
        assert (intune.told["issuingCertificateAuthority"], intune.told["certificateAuthority"]) == ("CN=Next CA", "intune-next")
    finally:
        stack.signetctl("profile", "set", "intune", "--kind", "scep", "--issuer", "demo-issuing")


def test_a_refusal_of_the_authority_is_told(stack, intune, intune_url):
    stack.signetctl("profile", "set", "intune", "--kind", "scep", "--template", "Code-Signing")
    try:
        _, _, reply = enrol(intune_url, "intune-refused.demo.test")
        assert reply.status == FAILURE and intune.names()[-1] == "failureNotification"
    finally:
        stack.signetctl("profile", "set", "intune", "--kind", "scep", "--template", "Device-Certificate")


def test_a_token_that_never_ends_is_kept_like_any_other(intune, intune_url):
    intune.expires_in = 2**63 - 1
    enrol(intune_url, "intune-forever-1.demo.test")
    before = len(intune.calls)
    enrol(intune_url, "intune-forever-2.demo.test")
    assert intune.names()[before:] == ["validateRequest", "successNotification"]


def test_the_tenant_of_before_vouches_for_nobody(stack, intune, intune_url):
    enrol(intune_url, "intune-before.demo.test")
    before = len(intune.calls)
    stack.signetctl("profile", "set", "intune", "--kind", "scep", "--intune-tenant", "another.demo.test")
    intune.spoil["token"] = [(401, (), "{}")]
    try:
        with pytest.raises(AssertionError):
            enrol(intune_url, "intune-after.demo.test", tries=1)
        assert intune.names()[before:] == ["token"]  # and not validateRequest with the one that was kept
        assert "the token: status 401" in stack.log("scep-gw")
    finally:
        stack.signetctl("profile", "set", "intune", "--kind", "scep", "--intune-tenant", fake.TENANT)


def test_the_secret_is_in_no_log(stack, intune_url):
    assert fake.SECRET not in stack.log("scep-gw") and "token-0" not in stack.log("scep-gw")


# ---- a webhook ----

class Webhook:
    def __init__(self):
        self.asked, self.answers = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.headers["Authorization"], json.loads(body)))
                status, text = outer.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


def test_a_webhook_says_yes_no_or_nothing(stack):
    webhook = Webhook()
    url = make_profile(stack, "webhook", "--template", "Device-Certificate", "--authorization", "webhook", "--webhook-url",
                       f"http://localhost:{webhook.server.server_port}/decide", "--webhook-secret-file", secret(stack, "webhook.secret", "hook-secret"))
    webhook.answers = [(200, '{"allow": true}')]
    device = Device(url, "hook.demo.test")
    assert device.enroll("for the webhook", ["hook.demo.test"]).status == SUCCESS
    header, question = webhook.asked[0]
    assert header == "Bearer hook-secret"
    assert question["challenge"] == "for the webhook" and question["names"] == ["hook.demo.test"] and question["profile"] == "webhook"
    assert question["transactionId"] == device.transaction and question["clientAddress"] == "127.0.0.1"
    webhook.answers = [(200, '{"allow": false, "reason": "unknown serial"}'), (403, "")]
    for _ in range(2):
        assert Device(url).enroll("x").fail_info == "2"
    assert "unknown serial" in stack.log("scep-gw")
    for answer in ((500, ""), (200, "{}"), (200, "yes"), (200, '{"allow": "true"}')):
        webhook.answers = [answer]
        with pytest.raises(Refused) as refused:
            Device(url).enroll("x")
        assert refused.value.status == 503
    webhook.server.shutdown()
    webhook.server.server_close()
    with pytest.raises(Refused) as refused:
        Device(url).enroll("x")
    assert refused.value.status == 503
