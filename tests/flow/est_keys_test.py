"""EST serverkeygen (RFC 7030 §4.4): keys that are made for devices, in the clear and encrypted to the key of the client certificate; fullcmc (§4.3)."""

import base64
import hashlib
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from est_kit import CHALLENGE_PASSWORD, Est, Maker, csr_with_attribute, make_csr, new_key, tlv
from stack_kit import until

DECRYPT_KEY_ID = "1.2.840.113549.1.9.16.2.37"
ASYMM_DECRYPT_KEY_ID = "1.2.840.113549.1.9.16.2.54"


@pytest.fixture(scope="module")
def est(stack, tmp_path_factory):
    one = Est(stack, tmp_path_factory.mktemp("est"))
    one.maker = Maker()
    one.profile("made", server_key_type="p256", authentication="either", anchors=one.anchors(one.maker))
    one.user = one.password("made")
    until(lambda: one.ask("made/cacerts").status == 200)
    return one


def parts_of(reply):
    """As MIME says it, by hand: the boundary from the header, CRLF, two parts."""
    assert reply.status == 200, reply.text
    kind, boundary = reply.headers["Content-Type"].split("; boundary=")
    assert kind == "multipart/mixed" and '"' not in boundary and len(boundary) <= 70
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    preamble, *parts, end = reply.body.split(f"--{boundary}".encode())
    assert preamble == b"" and end == b"--\r\n" and len(parts) == 2
    found = []
    for part in parts:
        head, body = part.split(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == "" and "Content-Transfer-Encoding: base64" in lines
        assert all(len(line) <= 64 for line in body.split(b"\r\n"))
        found.append((next(line for line in lines if line.startswith("Content-Type: "))[14:], base64.b64decode(body)))
    return found


def leaf_of(part):
    kind, der = part
    assert kind == "application/pkcs7-mime; smime-type=certs-only"
    (certificate,) = pkcs7.load_der_pkcs7_certificates(der)
    return certificate


def public_octets(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def csr_asking(oid, key_id):
    return csr_with_attribute(new_key(), "CN=encrypted.example", oid, tlv(0x04, key_id))


def test_a_key_and_its_certificate_come_in_two_parts(est):
    own = new_key()
    reply = est.enroll("made", own, "CN=made.example", ["made.example"], operation="serverkeygen", auth=est.user)
    (kind, der), certificates = parts_of(reply)
    key, certificate = serialization.load_der_private_key(der, None), leaf_of(certificates)
    assert kind == "application/pkcs8"
    assert public_octets(key.public_key()) == public_octets(certificate.public_key()) != public_octets(own.public_key())
    assert certificate.subject.rfc4514_string() == "CN=made.example"
    assert certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["made.example"]
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("kind,check", [("rsa-2048", lambda key: key.key_size == 2048 and isinstance(key, rsa.RSAPrivateKey)),
                                        ("p384", lambda key: key.curve.name == "secp384r1"), ("p521", lambda key: key.curve.name == "secp521r1")])
def test_keys_are_of_the_type_that_the_profile_says(est, kind, check):
    est.profile("made", verb="set", server_key_type=kind)
    reply = est.enroll("made", new_key(), "CN=typed.example", operation="serverkeygen", auth=est.user)
    est.profile("made", verb="set", server_key_type="p256")
    if kind == "p521" and reply.status == 403:
        assert "AUTH-004" in reply.text
        return
    assert check(serialization.load_der_private_key(parts_of(reply)[0][1], None))


def test_the_key_is_nowhere_afterwards(est):
    reply = est.enroll("made", new_key(), "CN=secret.example", operation="serverkeygen", auth=est.user)
    der = parts_of(reply)[0][1]
    number = serialization.load_der_private_key(der, None).private_numbers().private_value.to_bytes(32, "big")
    dump = subprocess.run(["pg_dump", "--inserts", est.stack.database_url], env=est.stack.env, capture_output=True, timeout=60).stdout
    assert b"basic_user" in dump
    logs = "".join(est.stack.log(name) for name in ("est-gw", "ra", "signer"))
    for form in (number.hex(), base64.b64encode(der).decode()[:40]):
        assert form not in logs and form.encode() not in dump


def test_each_request_gets_another_key(est):
    csr = make_csr(new_key(), "CN=twice.example")
    keys = [parts_of(est.ask("made/serverkeygen", csr, auth=est.user))[0][1] for _ in range(2)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("device_key", ["rsa", "ec"])
def test_the_key_is_encrypted_to_the_client_certificate_where_the_device_asks(est, device_key, tmp_path):
    key = rsa.generate_private_key(65537, 2048) if device_key == "rsa" else new_key()
    device = est.maker.device("CN=SN1", key=key)
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    reply = est.ask("made/serverkeygen", csr_asking(ASYMM_DECRYPT_KEY_ID, key_id), identity=device)
    (kind, der), certificates = parts_of(reply)
    assert kind == "application/pkcs7-mime; smime-type=server-generated-key"
    cert_file, key_file = device.files(tmp_path)
    signed_data = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", key_file, "-recip", cert_file, "-binary"], input=der, capture_output=True, check=True).stdout
    signed = tlv(0x30, bytes.fromhex("06092a864886f70d010702") + tlv(0xA0, signed_data))
    package = subprocess.run(["openssl", "cms", "-verify", "-inform", "DER", "-CAfile", est.stack.ca_bundle, "-purpose", "any", "-binary"], input=signed, capture_output=True)
    assert package.returncode == 0, package.stderr
    assert package.stdout[0] == 0x30
    inner = package.stdout[2 if package.stdout[1] < 128 else 2 + (package.stdout[1] & 127):]
    assert public_octets(serialization.load_der_private_key(inner, None).public_key()) == public_octets(leaf_of(certificates).public_key())


def test_who_asks_for_encryption_never_gets_the_key_without(est):
    device = est.maker.device("CN=SN2")
    strange = hashlib.sha1(b"another key").digest()
    for oid, identity, auth in ((ASYMM_DECRYPT_KEY_ID, device, None), (ASYMM_DECRYPT_KEY_ID, None, est.user), (DECRYPT_KEY_ID, device, None)):
        reply = est.ask("made/serverkeygen", csr_asking(oid, strange), identity=identity, auth=auth)
        assert reply.status == 400 and "ecrypt" in reply.text


def test_a_profile_that_makes_no_keys_says_so(est):
    est.profile("unmade")
    reply = est.enroll("unmade", new_key(), "CN=a.example", operation="serverkeygen", auth=est.password("unmade"))
    assert reply.status == 403 and "no keys are made" in reply.text


def test_keys_do_not_wait_for_an_approval(est):
    assert est.stack.signetctl("profile", "set", "made", "--kind", "est", "--approval", "true", check=False).returncode == 1
    # Nor where the template wants one: and no person is asked about a key that nobody has any more.
    lines = est.stack.signetctl("template", "export", "Device-Certificate").stdout.splitlines()
    path = est.directory / "by-hand.yaml"
    path.write_text("\n".join(line for line in lines if not line.startswith(("name:", "requires_approval:"))) + "\nname: By-Hand\nrequires_approval: true\n")
    est.stack.signetctl("template", "import", str(path))
    est.profile("by-hand", template="By-Hand", server_key_type="p256")
    user = est.password("by-hand")

    def is_known():
        before = est.stack.sql("SELECT count(*) FROM ra.intent WHERE channel = 'est/by-hand'")
        reply = est.enroll("by-hand", new_key(), "CN=made.example", operation="serverkeygen", auth=user)
        assert reply.status == 403 and "never stored" in reply.text
        return before == est.stack.sql("SELECT count(*) FROM ra.intent WHERE channel = 'est/by-hand'")
    until(is_known)


# ---- fullcmc (RFC 7030 §4.3), for a simple request


def pki_data(csr, controls=b"", requests=None):
    tagged = tlv(0xA0, b"\x02\x01\x01" + csr)
    return tlv(0x30, tlv(0x30, controls) + tlv(0x30, tagged if requests is None else requests) + tlv(0x30, b"") + tlv(0x30, b""))


def signed_message(content, identity, directory, content_type="1.3.6.1.5.5.7.12.2"):
    cert, key = identity.files(directory)
    return subprocess.run(["openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-econtent_type", content_type, "-signer", cert, "-inkey", key],
                          input=content, capture_output=True, check=True).stdout


def full_cmc(est, message, **more):
    return est.ask("made/fullcmc", message, content_type="application/pkcs7-mime; smime-type=CMC-request", **more)


def test_a_full_cmc_message_with_one_request_enrols(est, tmp_path):
    device = est.maker.device("CN=SN3")
    reply = full_cmc(est, signed_message(pki_data(make_csr(new_key(), "CN=cmc.example")), device, tmp_path), identity=device)
    assert reply.certificate.subject.rfc4514_string() == "CN=cmc.example"


def test_a_full_cmc_message_may_be_signed_with_the_new_key(est, tmp_path):
    key = new_key()
    own = Maker().device("CN=self", key=key)
    message = signed_message(pki_data(make_csr(key, "CN=cmc2.example")), own, tmp_path)
    assert full_cmc(est, message, auth=est.user).certificate.subject.rfc4514_string() == "CN=cmc2.example"


class Values:
    """The DER values within another one's content."""

    def __init__(self, content):
        self.at = []
        while content:
            length, head = content[1], 2
            if length & 0x80:
                head += length & 0x7F
                length = int.from_bytes(content[2:head], "big")
            self.at.append((content[0], content[head:head + length]))
            content = content[head + length:]

    def inside(self, *path):
        return self if not path else Values(self.at[path[0]][1]).inside(*path[1:])


class Status:
    def __init__(self, response):
        self.controls = {one[1].hex(): tuple(Values(Values(control).at[2][1]).at[0]) for _, control in Values(response).inside(0, 0).at
                         for one in [Values(control).at[1]]}
        parts = Values(self.controls["2b060105050707" + "19"][1]).at
        assert [tag for tag, _ in parts] == [0x02, 0x30, 0x0C, 0x02] and parts[0][1] == b"\x02"
        self.about, self.text, self.fail_info = parts[1][1], parts[2][1].decode(), parts[3][1][0]


def status_of(est, reply, directory):
    """Of a Full PKI Response, signed by the server's own certificate."""
    assert reply.headers["Content-Type"] == "application/pkcs7-mime; smime-type=CMC-response"
    (directory / "response").write_bytes(reply.der)
    shown = subprocess.run(["openssl", "cms", "-verify", "-inform", "DER", "-in", directory / "response", "-CAfile", est.stack.ca_bundle, "-purpose", "any",
                            "-binary", "-certsout", directory / "signer.pem"], capture_output=True, check=True)
    assert "127.0.0.1" in subprocess.run(["openssl", "x509", "-in", directory / "signer.pem", "-noout", "-text"], capture_output=True, check=True, text=True).stdout
    return Status(shown.stdout)


def test_a_full_cmc_request_that_fails_is_told_so_in_cmc(est, tmp_path):
    est.profile("named", authentication="certificate", anchors=est.anchors(est.maker), names="*.works.example")
    device = est.maker.device("CN=SN6")
    csr = make_csr(new_key(), "CN=elsewhere.example")

    def ask(pki, **more):
        return est.ask("named/fullcmc", signed_message(pki, device, tmp_path), identity=device, content_type="application/pkcs7-mime", **more)
    reply = ask(pki_data(csr))
    status = status_of(est, reply, tmp_path)
    assert reply.status == 403 and "elsewhere.example" in status.text
    assert (status.about, status.fail_info) == (b"\x02\x01\x01", 2)
    linked = make_csr(new_key(), "CN=a.works.example", attributes=[(CHALLENGE_PASSWORD, b"another connection's")])
    assert status_of(est, ask(pki_data(linked)), tmp_path).fail_info == 9
    assert status_of(est, ask(b"\x05\x00"), tmp_path).about == b"\x02\x01\x00"

    def control(number, oid, value):
        return tlv(0x30, bytes([2, 1, number]) + tlv(0x06, bytes.fromhex("2b060105050707" + oid)) + tlv(0x31, value))
    nonce, transaction, kept = tlv(4, b"a nonce"), b"\x02\x02\x12\x34", tlv(4, b"kept for me")
    status = status_of(est, ask(pki_data(csr, control(2, "06", nonce) + control(3, "05", transaction) + control(4, "04", kept) + control(5, "02", nonce))), tmp_path)
    assert "controls" in status.text
    echoed = {oid[-2:]: tlv(*value) for oid, value in status.controls.items() if oid[-2:] != "19"}
    assert echoed == {"07": nonce, "05": transaction, "04": kept}
    # What is no matter of CMC is said as everywhere.
    assert est.ask("named/fullcmc", csr, content_type="application/pkcs7-mime").headers["Content-Type"].startswith("text/plain")


def test_full_cmc_messages_that_are_not_simple_or_not_the_devices_own_are_refused(est, tmp_path):
    device, other = est.maker.device("CN=SN4"), est.maker.device("CN=SN5")
    csr = make_csr(new_key(), "CN=cmc.example")
    good = signed_message(pki_data(csr), device, tmp_path)
    control = tlv(0x30, b"\x02\x01\x02" + bytes.fromhex("06082b06010505070706") + tlv(0x31, b"\x04\x01\x01"))
    cases = {
        "no CMS": csr,
        "a broken signature": good[:-1] + bytes([good[-1] ^ 1]),
        "another content": signed_message(pki_data(csr), device, tmp_path, "1.2.840.113549.1.7.1"),
        "no PKIData": signed_message(csr, device, tmp_path),
        "a control": signed_message(pki_data(csr, controls=control), device, tmp_path),
        "two requests": signed_message(pki_data(csr, requests=2 * tlv(0xA0, b"\x02\x01\x01" + csr)), device, tmp_path),
        "no request": signed_message(pki_data(csr, requests=b""), device, tmp_path),
        "another signer": signed_message(pki_data(csr), other, tmp_path),
        "a cut message": good[:-20],
    }
    integrity = {"no CMS", "a broken signature", "another content", "another signer"}
    for name, message in cases.items():
        reply = full_cmc(est, message, identity=device)
        assert reply.status == 400, f"{name}: {reply.status} {reply.text}"
        assert status_of(est, reply, tmp_path).fail_info == (1 if name in integrity else 2), name
    assert full_cmc(est, good, identity=device).status == 200
