"""A CA ends and another takes over: what SCEP's clients are told before (RFC 8894 §4.7), and what still holds afterwards."""

import subprocess

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from scep_kit import FAILURE, GET_CERT, GET_CRL, PKCS_REQ, RENEWAL_REQ, SUCCESS, Device, Refused, certificates_in, csr, integer, new_key, seq
from stack_kit import until


@pytest.fixture(scope="module")
def old_and_new(stack):
    """Two CAs below one root; the new one has the subject of the old, as many have it."""
    for name, key_type in (("roll-old", "rsa-2048"), ("roll-new", "p256")):
        stack.signetctl("ca", "create", name, "--common-name", "Rolling CA", "--organization", "Demo", "--key-type", key_type, "--parent", "demo-root",
                        "--days", "700" if name == "roll-old" else "1400")
    return tuple(x509.load_pem_x509_certificate(stack.signetctl("ca", "show", name, "--pem").stdout.encode()) for name in ("roll-old", "roll-new"))


@pytest.fixture(scope="module")
def rolling(stack, old_and_new):
    """(URL, passphrase) of a profile of the old CA, whose successor is named: gateways look again only after half a minute."""
    assert stack.signetctl("ca", "successor", "roll-old", "--to", "roll-new").stdout == "CA roll-old is to be succeeded by roll-new\n"
    stack.signetctl("profile", "create", "rolling", "--kind", "scep", "--issuer", "roll-old", "--template", "Device-Certificate")
    return f"{stack.scep_url}/scep/rolling", stack.signetctl("profile", "rotate-passphrase", "rolling", "--kind", "scep").stdout.strip()


@pytest.fixture(scope="module")
def device(rolling):
    """Enrolled under the old CA."""
    device = Device(rolling[0], "roll.demo.test")
    device.certificate = device.enroll(rolling[1], ["roll.demo.test"]).certificate
    return device


def is_signed_by(certificate, ca):
    """Two CAs of one name: the key tells. The new one's is on a curve, the old one's is not."""
    if not isinstance(ca.public_key(), ec.EllipticCurvePublicKey):
        return False
    try:
        ca.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(certificate.signature_hash_algorithm))
    except InvalidSignature:
        return False
    return True


def capabilities(url):
    return Device(url).get("operation=GetCACaps")[1].decode().split()


def test_without_a_successor_there_is_nothing_to_say(stack):
    stack.signetctl("profile", "create", "unmoved", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate")
    url = f"{stack.scep_url}/scep/unmoved"
    assert "GetNextCACert" not in capabilities(url)
    with pytest.raises(Refused) as refused:
        Device(url).get("operation=GetNextCACert")
    assert refused.value.status == 404 and "no CA is named" in refused.value.text


def test_refusals_of_an_operator_say_why(stack, old_and_new):
    for arguments, says in ((("roll-new", "--to", "roll-old"), "ends before"), (("roll-old", "--to", "nobody"), "no CA"), (("roll-old",), "--to"),
                            (("roll-old", "--to", "roll-old"), "itself")):
        refused = stack.signetctl("ca", "successor", *arguments, check=False)
        assert refused.returncode != 0 and says in refused.stderr


def test_the_next_ca_is_signed_by_the_one_in_force(stack, old_and_new, rolling, device, tmp_path):
    assert "GetNextCACert" in capabilities(device.url)
    assert "roll-new" in stack.signetctl("ca", "show", "roll-old").stdout
    headers, body = device.get("operation=GetNextCACert&message=any")
    assert headers["Content-Type"] == "application/x-x509-next-ca-cert"
    (tmp_path / "next.der").write_bytes(body)
    root = stack.signetctl("ca", "show", "demo-root", "--pem").stdout
    (tmp_path / "root.pem").write_text(root)
    (tmp_path / "old.pem").write_bytes(old_and_new[0].public_bytes(Encoding.PEM))
    (tmp_path / "new.pem").write_bytes(old_and_new[1].public_bytes(Encoding.PEM))
    verify = ["openssl", "cms", "-verify", "-inform", "DER", "-in", "next.der", "-binary", "-purpose", "any", "-nointern", "-CAfile", "root.pem"]
    done = subprocess.run([*verify, "-certfile", "old.pem", "-out", "inside.der"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([*verify, "-certfile", "new.pem"], cwd=tmp_path, capture_output=True, timeout=30).returncode != 0
    ra, ca, above = certificates_in((tmp_path / "inside.der").read_bytes())
    assert ca == old_and_new[1] and above == x509.load_pem_x509_certificate(root.encode())
    assert is_signed_by(ra, ca)
    assert ra.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment
    # A device may use it at once: the key is that of the RA in force.
    assert ra.public_key().public_numbers() == device.ca()[0].public_key().public_numbers()
    assert device.send(csr(new_key(), "roll.demo.test", names=["roll.demo.test"]), RENEWAL_REQ, recipients=[ra]).status == SUCCESS


def test_after_the_change_the_old_ones_are_still_served(stack, old_and_new, rolling, device):
    old, new = old_and_new
    stack.signetctl("profile", "set", "rolling", "--kind", "scep", "--issuer", "roll-new")
    assert until(lambda: device.ca()[1] == new)
    assert "GetNextCACert" not in capabilities(device.url)
    fresh = Device(rolling[0], "fresh.demo.test")
    issued = fresh.enroll(rolling[1], ["fresh.demo.test"]).certificate
    assert is_signed_by(issued, new)
    # The name of both CAs is one; the serial number tells them apart.
    for certificate, ca in ((device.certificate, old), (issued, new)):
        wanted = seq(ca.subject.public_bytes(), integer(certificate.serial_number))
        assert device.send(wanted, GET_CERT).certificate == certificate
        with_crl = until(lambda: next((reply for reply in [device.send(wanted, GET_CRL)] if reply.crl is not None), None))
        assert with_crl.crl.is_signature_valid(ca.public_key())
    stranger = Device(rolling[0], "stranger.demo.test")
    assert stranger.send(seq(old.subject.public_bytes(), integer(device.certificate.serial_number)), GET_CERT).fail_info == "4"


def test_an_old_certificate_renews_itself_where_the_profile_says_so(stack, old_and_new, rolling, device):
    again = csr(new_key(), "roll.demo.test", names=["roll.demo.test"])
    refused = device.send(again, RENEWAL_REQ)
    assert (refused.status, refused.fail_info) == (FAILURE, "2")
    assert "this profile renews none of a CA that was succeeded" in stack.log("scep-gw")
    stack.signetctl("profile", "set", "rolling", "--kind", "scep", "--renewal-from-predecessors", "true")
    for kind in (RENEWAL_REQ, PKCS_REQ):
        renewed = until(lambda: device.send(csr(new_key(), "roll.demo.test", names=["roll.demo.test"]), kind).issued)[0]
        assert is_signed_by(renewed, old_and_new[1])
    # What renews may still name nothing else, and a revoked one renews nothing.
    assert device.send(csr(new_key(), "other.demo.test", names=["other.demo.test"]), RENEWAL_REQ).fail_info == "2"
    until(lambda: stack.signetctl("cert", "revoke", f"{device.certificate.serial_number:034x}", "--reason", "superseded", check=False).returncode == 0)
    assert device.send(again, RENEWAL_REQ).fail_info == "2"


def test_a_successor_is_taken_back(stack, old_and_new):
    assert stack.signetctl("ca", "successor", "roll-old", "--cancel").stdout == "CA roll-old is to be succeeded by no CA\n"
    assert "roll-new" not in stack.signetctl("ca", "show", "roll-old").stdout
    rows = until(lambda: (found := stack.sql("SELECT detail -> 'changes' ->> 0 FROM audit.event WHERE action = 'configuration.changed'"
                                             " AND detail ->> 'what' = 'ca' AND detail ->> 'name' = 'roll-old' ORDER BY at")) and len(found) == 2 and found)
    assert [row[0] for row in rows] == ['successor: "" → roll-new', 'successor: roll-new → ""']
