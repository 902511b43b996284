"""Keys that only sign (RFC 8894 §3.1): what cannot be encrypted for them comes under the challengePassword, which openssl opens here."""

import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from scep_kit import FAILURE, GET_CERT, PENDING, PKCS_REQ, RENEWAL_REQ, SUCCESS, Device, Reply, csr, integer, new_key, seq
from stack_kit import until

KEYS = {"p256": (lambda: ec.generate_private_key(ec.SECP256R1()), "sha256"), "p384": (lambda: ec.generate_private_key(ec.SECP384R1()), "sha256"),
        "ed25519": (ed25519.Ed25519PrivateKey.generate, "sha512")}
BAD_ALG = "0"


@pytest.fixture(scope="module")
def curves(stack):
    template = stack.run_directory / "curves.yaml"
    exported = stack.signetctl("template", "export", "Device-Certificate").stdout
    template.write_text(exported.replace("\"Device-Certificate\"", "\"Curves\"").replace("\"p384\"", "\"p384\", \"ed25519\""))
    stack.signetctl("template", "import", str(template))
    stack.signetctl("profile", "create", "curves", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Curves", "--renewal", "true")
    return f"{stack.scep_url}/scep/curves", stack.signetctl("profile", "rotate-passphrase", "curves", "--kind", "scep").stdout.strip()


def public(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def spki(certificate):
    return certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_that_only_signs_enrols_and_renews_itself(curves, kind):
    make, digest = KEYS[kind]
    url, passphrase = curves
    device = Device(url, f"{kind}.demo.test", make())
    first = device.enroll(passphrase, [device.common_name], digest=digest, password=passphrase)
    assert first.status == SUCCESS and spki(first.certificate) == public(device.key)
    again = device.send(device.csr, digest=digest, password=passphrase)
    assert again.certificate == first.certificate and again.content != first.content
    # The renewal is authorised by the certificate; its password is a new one, which is for the answer only.
    renewed, fresh = make(), "a word of the device's own"
    device.certificate = first.certificate
    reply = device.send(csr(renewed, device.common_name, fresh, [device.common_name]), RENEWAL_REQ, digest=digest, password=fresh)
    assert reply.status == SUCCESS and spki(reply.certificate) == public(renewed)


def test_the_answer_opens_with_no_other_password(curves):
    device = Device(curves[0], "secret.demo.test", KEYS["p256"][0]())
    octets = device.post(device.message(csr(device.key, "secret.demo.test", curves[1])))
    assert Reply(octets, curves[1]).status == SUCCESS
    with pytest.raises(AssertionError):
        Reply(octets, curves[1] + "x")
    content = Reply(octets, curves[1]).content
    shown = subprocess.run(["openssl", "cms", "-cmsout", "-print", "-inform", "DER"], input=content, capture_output=True, check=True).stdout.decode()
    for word in ("d.pwri:", "PBKDF2", "id-alg-PWRI-KEK", "hmacWithSHA256", "aes-128-cbc", "version: 3"):
        assert word in shown, word


def test_without_a_password_nothing_is_issued_that_nobody_could_read(stack, curves):
    device = Device(curves[0], "mute.demo.test", KEYS["p256"][0]())
    first = device.enroll(curves[1], [device.common_name], password=curves[1])
    for content, kind, certificate in ((csr(device.key, "mute.demo.test"), PKCS_REQ, device.certificate),
                                       (csr(KEYS["p256"][0](), "mute.demo.test", names=["mute.demo.test"]), RENEWAL_REQ, first.certificate),
                                       (seq(first.certificate.issuer.public_bytes(), integer(first.certificate.serial_number)), GET_CERT, first.certificate)):
        reply = Reply(device.post(device.message(content, kind, signer=(device.key, certificate))))
        assert (reply.status, reply.fail_info) == (FAILURE, BAD_ALG)
    until(lambda: "needs a challengePassword, under which it is answered" in stack.log("scep-gw"))
    assert stack.sql("SELECT count(*) FROM ra.intent WHERE channel = 'scep/curves' AND idempotency_key LIKE '%" + device.transaction + "%'") == [["1"]]


def test_a_password_authorises_no_renewal(curves):
    """Of a stranger's certificate, even with the profile's own passphrase."""
    stranger = Device(curves[0], "stranger.demo.test", KEYS["p256"][0]())
    reply = Reply(stranger.post(stranger.message(csr(stranger.key, "stranger.demo.test", curves[1]), RENEWAL_REQ)))
    assert (reply.status, reply.fail_info) == (FAILURE, "2")


def test_who_waits_for_a_person_polls_and_reads_it_under_the_password_that_began_it(stack):
    stack.signetctl("profile", "create", "curve-waits", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", "--authorization", "approval")
    device = Device(f"{stack.scep_url}/scep/curve-waits", "waits.demo.test", KEYS["p256"][0]())
    assert device.enroll("for the answer").status == PENDING
    stack.signetctl("cert", "approve", next(line.split()[0] for line in stack.signetctl("cert", "pending").stdout.splitlines() if "waits.demo.test" in line))
    reply = until(lambda: (got := device.poll(password="for the answer")).status == SUCCESS and got)
    assert spki(reply.certificate) == public(device.key)


def test_rsa_is_answered_for_its_key_whatever_password_there_is(curves):
    device = Device(curves[0], "rsa.demo.test", new_key())
    assert device.enroll(curves[1]).status == SUCCESS  # opened with the key
