"""device-attest-01 (draft-ietf-acme-device-attest): devices prove by their maker's word what they are; the attested key alone is certified."""

import base64
import contextlib
import hmac
import json
import tempfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

import attest_kit
from acme_kit import Client, Refused, b64, csr
from stack_kit import until

PERMANENT, MODULE = "permanent-identifier", "hardware-module"


@pytest.fixture(scope="module")
def makers():
    return {name: attest_kit.Maker(f"{name} Root") for name in ("apple", "step", "tpm")}


@pytest.fixture(scope="module")
def devices(stack, makers):
    """A template whose certificates name devices, and a policy that takes three makers at their word."""
    exported = stack.signetctl("template", "export", "Device-Certificate").stdout
    kept = [line for line in exported.splitlines() if not line.startswith(("name:", "name_types:", "  - \"dns\"", "  - \"ip\"", "subject:", "san_required:"))]
    path = stack.directory / "devices.yaml"
    path.write_text("\n".join(kept) + '\nname: Attested\nname_types: [dns, permanent-identifier, hardware_module]\nsubject: common-name\nsan_required: true\n')
    stack.signetctl("template", "import", str(path))
    policy = {"name": "devices", "template": "Attested", "validity_days": 30, "eab": "optional", **{f"{name}_roots": maker.pem for name, maker in makers.items()},
              "tpm_roots": makers["apple"].pem * 100 + makers["tpm"].pem}  # as many as there are makers of TPMs
    path.write_text(json.dumps(policy))  # JSON is YAML
    stack.signetctl("acme", "policy", "import", str(path))
    client = Client(stack, policy="devices")
    until(lambda: client.http("GET", client.base.geturl()).status == 200)
    client.close()
    return "devices"


def client_of(stack, policy):
    client = Client(stack, policy=policy)
    client.register()
    return client


class Enrolment:
    """An order for names of devices, and its one challenge."""

    def __init__(self, client, *names):
        self.client = client
        made = client.must(client.url("newOrder"), {"identifiers": [{"type": kind, "value": value} for kind, value in names]})
        self.url, self.order = made.headers["Location"], made.json()
        self.authorizations = [client.must(url).json() for url in self.order["authorizations"]]
        self.challenge = self.authorizations[0]["challenges"][0]
        self.key_authorization = f"{self.challenge['token']}.{client.thumbprint()}"

    def attest(self, response):
        self.client.must(self.challenge["url"], response)
        return self.client.poll(self.url, {"ready", "invalid"}).json()

    def problem(self):
        return self.client.must(self.challenge["url"]).json()["error"]

    def finish(self, request):
        done = self.client.finalize(self.url, self.order, request).json()
        assert done["status"] == "valid", done
        return x509.load_pem_x509_certificate(self.client.must(done["certificate"]).body)


def request_for(key, names=(), common_name=None):
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def devices_of(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {(name.type_id, name.value) for name in names if isinstance(name, x509.OtherName)}


def as_set(*names):
    return {(name.type_id, name.value) for name in names}


def audit_of(stack, certificate):
    rows = stack.sql(f"SELECT detail FROM audit.event WHERE action = 'certificate.issued' AND serial = '{certificate.serial_number:034x}'")
    return json.loads(rows[0][0])


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def test_a_yubikey_gets_a_certificate_for_its_serial_number(stack, devices, makers):
    key, name = new_key(), attest_kit.permanent_identifier("12345678")
    one = Enrolment(client_of(stack, devices), (PERMANENT, "12345678"))
    assert [challenge["type"] for challenge in one.authorizations[0]["challenges"]] == ["device-attest-01"]
    assert one.authorizations[0]["identifier"] == {"type": PERMANENT, "value": "12345678"}
    assert one.attest(attest_kit.step(makers["step"], key, one.key_authorization, 12345678))["status"] == "ready"
    certificate = one.finish(request_for(key, [name], "12345678"))
    assert devices_of(certificate) == as_set(name)
    assert certificate.subject.rfc4514_string() == "CN=12345678"
    assert certificate.public_key().public_numbers() == key.public_key().public_numbers()


def test_an_apple_device_cannot_write_its_number_into_the_csr_and_need_not(stack, devices, makers):
    key = new_key()
    one = Enrolment(client_of(stack, devices), (PERMANENT, "C02XYZ"))
    assert one.attest(attest_kit.apple(makers["apple"], key, one.challenge["token"], "C02XYZ", "0000-UDID"))["status"] == "ready"
    certificate = one.finish(request_for(key, common_name="C02XYZ"))
    assert devices_of(certificate) == as_set(attest_kit.permanent_identifier("C02XYZ"))
    record = audit_of(stack, certificate)
    assert record["names"] == ["C02XYZ"]
    assert record["attested"] == "apple: permanent-identifier C02XYZ, permanent-identifier 0000-UDID; root CN=apple Root"


def test_a_tpm_attests_a_key_that_never_left_it(stack, devices, makers):
    with tempfile.TemporaryDirectory(dir=stack.directory) as home, attest_kit.Tpm(stack.directory / home, makers["tpm"], "TPM-1") as tpm:
        names = [attest_kit.permanent_identifier("TPM-1"), attest_kit.hardware_module("TPM-1", "2.23.133.1.2")]
        client = client_of(stack, devices)
        one = Enrolment(client, (PERMANENT, "TPM-1"))
        assert one.attest(tpm.attest(one.key_authorization))["status"] == "ready", one.problem()
        certificate = one.finish(tpm.csr(names[:1]))
        assert devices_of(certificate) == as_set(names[0])
        public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert public == (tpm.directory / "key.der").read_bytes()

        two = Enrolment(client, (MODULE, "TPM-1/2.23.133.1.2"))
        assert two.attest(tpm.attest(two.key_authorization))["status"] == "ready", two.problem()
        assert devices_of(two.finish(tpm.csr(names[1:]))) == as_set(names[1])

        three = Enrolment(client, (PERMANENT, "TPM-1"))
        assert three.attest(tpm.attest("another"))["status"] == "invalid"
        assert "extraData" in three.problem()["detail"]


def test_nothing_but_the_attested_key_is_certified(stack, devices, makers):
    key, name = new_key(), attest_kit.permanent_identifier("12345678")
    one = Enrolment(client_of(stack, devices), (PERMANENT, "12345678"))
    one.attest(attest_kit.step(makers["step"], key, one.key_authorization, 12345678))
    for other in (request_for(new_key(), [name]), request_for(new_key(), common_name="12345678")):
        refused = one.client.post(one.order["finalize"], {"csr": b64(other)})
        assert (refused.status, refused.problem) == (400, "badCSR") and "attested" in refused.json()["detail"]
    for other in ([attest_kit.permanent_identifier("12345679")], [name, x509.DNSName("a.example")], [attest_kit.permanent_identifier("12345678", "1.2.3")]):
        refused = one.client.post(one.order["finalize"], {"csr": b64(request_for(key, other))})
        assert (refused.status, refused.problem) == (400, "badCSR"), other
    assert one.client.must(one.url).json()["status"] == "ready"
    one.finish(request_for(key, [name]))


def test_each_order_is_attested_anew(stack, devices, makers):
    key, client = new_key(), client_of(stack, devices)
    for _ in range(2):
        one = Enrolment(client, (PERMANENT, "777"))
        assert one.order["status"] == "pending"
        one.attest(attest_kit.step(makers["step"], key, one.key_authorization, 777))
        one.finish(request_for(key, [attest_kit.permanent_identifier("777")]))
        key = new_key()


@pytest.mark.parametrize("spoil, says", [
    (lambda one, makers: attest_kit.step(attest_kit.Maker("step Root"), new_key(), one.key_authorization, 4711), "does not lead to a root"),
    (lambda one, makers: attest_kit.step(makers["apple"], new_key(), one.key_authorization, 4711), "does not lead to a root"),
    (lambda one, makers: attest_kit.step(makers["step"], new_key(), one.key_authorization, 4712), "not about permanent-identifier 4711"),
    (lambda one, makers: attest_kit.step(makers["step"], new_key(), "another", 4711), "key authorization"),
    (lambda one, makers: attest_kit.apple(makers["apple"], new_key(), "another", "4711", "x"), "freshness"),
    (lambda one, makers: attest_kit.attestation("packed", {"x5c": [b"x"]}), "\"packed\" are not taken; these are: apple, step, tpm"),
    (lambda one, makers: {"attObj": b64(b"\x81" * 2000)}, "not a CBOR map"),
    (lambda one, makers: {"attObj": b64(b"\xa1\x61x" + b"\x81" * 2000 + b"\0")}, "nested too deeply"),
])
def test_what_is_wrong_with_an_attestation_is_told(stack, devices, makers, spoil, says):
    one = Enrolment(client_of(stack, devices), (PERMANENT, "4711"))
    assert one.attest(spoil(one, makers))["status"] == "invalid"
    problem = one.problem()
    assert problem["type"] == "urn:ietf:params:acme:error:badAttestationStatement" and says in problem["detail"], problem
    assert stack.sql("SELECT count(*) FROM acme.challenge WHERE response IS NOT NULL AND status <> 'processing'") == [["0"]]


def test_what_a_maker_has_revoked_is_not_taken(stack, devices):
    maker, policy = attest_kit.Maker("Revoking Root"), stack.directory / "revoking.pem"
    policy.write_text(maker.pem + maker.crl(99))
    stack.signetctl("acme", "policy", "create", "revoking", "--template", "Attested", "--step-roots", str(policy))
    with contextlib.closing(Client(stack, policy="revoking")) as client:
        until(lambda: client.http("GET", client.base.geturl()).status == 200)
    for serial, status in ((99, "invalid"), (100, "ready")):
        maker.serial = serial
        one = Enrolment(client_of(stack, "revoking"), (PERMANENT, "815"))
        assert one.attest(attest_kit.step(maker, new_key(), one.key_authorization, 815))["status"] == status
        if status == "invalid":
            assert "certificate 1 of the attestation's chain was revoked" in one.problem()["detail"]


def test_a_response_without_an_attestation_changes_nothing(stack, devices, makers):
    key = new_key()
    one = Enrolment(client_of(stack, devices), (PERMANENT, "4711"))
    for response in ({}, {"attObj": 7}, {"attObj": ""}, {"attObj": "&"}, {"attObj": "A" * 45000}):
        refused = one.client.post(one.challenge["url"], response)
        assert (refused.status, refused.problem) == (400, "malformed"), response
    assert one.client.must(one.challenge["url"]).json()["status"] == "pending"
    assert one.attest({"more": 1, **attest_kit.step(makers["step"], key, one.key_authorization, 4711)})["status"] == "ready"


@pytest.mark.parametrize("kind, value", [
    (PERMANENT, ""), (PERMANENT, "/1.2.3"), (PERMANENT, "A/B"), (PERMANENT, "A/1.2.3/4"), (MODULE, "ABCD"), (MODULE, "ABCD/9.9")])
def test_identifiers_that_are_no_devices_are_malformed(stack, devices, kind, value):
    client = client_of(stack, devices)
    refused = client.post(client.url("newOrder"), {"identifiers": [{"type": kind, "value": value}]})
    assert (refused.status, refused.problem) == (400, "malformed")


def test_devices_are_for_policies_that_have_roots(stack, devices):
    client = Client(stack)
    client.register()
    with pytest.raises(Refused) as caught:
        Enrolment(client, (PERMANENT, "4711"))
    assert caught.value.answer.problem == "unsupportedIdentifier"


def test_hosts_are_proven_as_ever_beside_a_device(stack, devices, makers):
    client = client_of(stack, devices)
    made = client.order(f"a.{stack.demo_domain}").json()
    types = {challenge["type"] for challenge in client.must(made["authorizations"][0]).json()["challenges"]}
    assert "http-01" in types and "device-attest-01" not in types


def test_a_policy_names_the_identifiers_that_it_has(stack, devices, makers):
    path = stack.directory / "only.pem"
    path.write_text(makers["step"].pem)
    stack.signetctl("acme", "policy", "create", "only-devices", "--template", "Attested", "--identifier-types", PERMANENT, "--step-roots", str(path))
    client = Client(stack, policy="only-devices")
    until(lambda: client.http("GET", client.base.geturl()).status == 200)
    client.register()
    for kind, value in (("dns", f"a.{stack.demo_domain}"), (MODULE, "A/1.2.3")):
        refused = client.post(client.url("newOrder"), {"identifiers": [{"type": kind, "value": value}]})
        assert (refused.status, refused.problem) == (400, "unsupportedIdentifier")
    one = Enrolment(client, (PERMANENT, "4711"))
    assert one.attest(attest_kit.apple(makers["apple"], new_key(), one.challenge["token"], "4711", "x"))["status"] == "invalid"
    assert "these are: step" in one.problem()["detail"]
    assert "BEGIN CERTIFICATE" in stack.signetctl("acme", "policy", "export", "only-devices").stdout
    assert stack.signetctl("acme", "policy", "set", "only-devices", "--step-roots", "", check=False).returncode == 1
    stack.signetctl("acme", "policy", "set", "only-devices", "--step-roots", "", "--identifier-types", "dns")
    assert "BEGIN CERTIFICATE" not in stack.signetctl("acme", "policy", "export", "only-devices").stdout


def test_a_credential_says_which_devices_an_account_has(stack, devices):
    made = json.loads(stack.signetctl("acme", "eab", "create", "fleet", "--policy", devices, "--allowed-names", f"{PERMANENT}:C02*", "--json").stdout)
    client = Client(stack, policy=devices)
    url = client.url("newAccount")
    protected = b64(json.dumps({"alg": "HS256", "kid": made["key_id"], "url": url}).encode())
    payload = b64(json.dumps(client.jwk()).encode())
    key = base64.urlsafe_b64decode(made["hmac_key"] + "=" * (-len(made["hmac_key"]) % 4))
    signature = b64(hmac.new(key, f"{protected}.{payload}".encode(), "sha256").digest())
    client.register(externalAccountBinding={"protected": protected, "payload": payload, "signature": signature})
    assert Enrolment(client, (PERMANENT, "C02ABC")).order["status"] == "pending"
    for name in ((PERMANENT, "c02ABC"), (MODULE, "C02ABC/1.2.3"), (PERMANENT, "D02ABC")):
        with pytest.raises(Refused) as caught:
            Enrolment(client, name)
        assert caught.value.answer.problem == "rejectedIdentifier"
