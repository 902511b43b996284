"""What devices are known to do, and what broke other servers, as far as no other file has it; docs/DEVICE-QUIRKS.md says what is where."""

import datetime
import hashlib
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scep_kit import CERT_POLL, FAILURE, RENEWAL_REQ, SUCCESS, Device, Reply, csr, integer, name, new_key, self_signed, seq, tlv
from stack_kit import free_block, until


@pytest.fixture(scope="module")
def phones(stack):
    stack.signetctl("profile", "create", "quirks", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", "--renewal", "true")
    return f"{stack.scep_url}/scep/quirks", stack.signetctl("profile", "rotate-passphrase", "quirks", "--kind", "scep").stdout.strip()


def test_a_challenge_may_be_a_printable_string(phones):
    device = Device(phones[0], "printable.demo.test")
    request = csr(device.key, "printable.demo.test", phones[1], printable=True)
    assert tlv(0x13, phones[1].encode()) in request
    assert device.send(request).status == SUCCESS


def key_id(certificate):
    octets = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return tlv(0x80, hashlib.sha1(octets).digest())


@pytest.mark.parametrize("who", [
    lambda ra: seq(name("a certificate from before").public_bytes(), integer(7)),  # kept since the RA certificate was renewed for its key
    lambda ra: seq(seq(), integer(ra.serial_number)),                              # an issuer in a form of its own
    key_id,
], ids=["an-older-certificate", "issuer-reencoded", "subject-key-identifier"])
def test_a_recipient_may_be_named_in_other_ways(phones, who):
    device = Device(phones[0], "recipient.demo.test")
    assert device.enroll(phones[1], recipient_id=who(device.ca()[0])).status == SUCCESS


@pytest.mark.parametrize("hours", [-9000, 9000])
def test_a_device_without_a_clock_signs_with_its_own_time(phones, hours):
    device = Device(phones[0], "clock.demo.test")
    then = datetime.datetime.utcnow() + datetime.timedelta(hours=hours)
    signing_time = ("1.2.840.113549.1.9.5", tlv(0x17, then.strftime("%y%m%d%H%M%SZ").encode()))
    assert device.enroll(phones[1], more_attributes=[signing_time]).status == SUCCESS


def test_by_https_no_certificate_of_the_client_is_asked_for(stack):
    """macOS and WinHTTP fail over it."""
    port, guard = free_block()
    https = stack.run_directory / "https"
    stack.env["SIGNET_EXTRA_scep_gw_2"] = (f"SIGNET_SCEP_TLS_LISTEN=127.0.0.1:{port} SIGNET_SCEP_TLS_CERT_FILE={https / 'est.pem'} "
                                           f"SIGNET_SCEP_TLS_KEY_FILE={https / 'est.key'}")
    stack.start("scep-gw@2")
    try:
        stack.wait("scep-gw@2")
        for version in ("-tls1_2", "-tls1_3"):
            shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-msg"], input=b"", capture_output=True, timeout=30).stdout.decode()
            assert "ServerHello" in shown and "Finished" in shown and "CertificateRequest" not in shown
    finally:
        stack.stop("scep-gw@2")
        del stack.env["SIGNET_EXTRA_scep_gw_2"]
        guard.close()


def test_a_poll_is_known_by_its_transaction_whatever_names_it_has(phones):
    device = Device(phones[0], "poller.demo.test")
    issued = device.enroll(phones[1])
    assert issued.status == SUCCESS
    ra, ca = device.ca()[:2]
    subject = device.certificate.subject.public_bytes()
    for names in (seq(ca.issuer.public_bytes(), subject), seq(ra.subject.public_bytes(), subject), seq(ca.subject.public_bytes(), name("another").public_bytes()), seq(seq(), seq())):
        assert device.send(names, CERT_POLL).certificate == issued.certificate
    other = Device(phones[0], "poller.demo.test")
    other.transaction = device.transaction
    assert other.poll().fail_info == "4"


# ---- keys that only sign: for devices that read no answer under a password (scep_password_test.py)

def test_a_certificate_for_a_curve_is_asked_for_with_an_rsa_key_made_for_it(phones):
    device, curve = Device(phones[0], "curve.demo.test"), ec.generate_private_key(ec.SECP256R1())
    request = csr(curve, "curve.demo.test", phones[1])
    reply = device.send(request)
    assert reply.status == SUCCESS
    assert reply.certificate.public_key().public_numbers() == curve.public_key().public_numbers()
    assert device.send(request).certificate == device.poll().certificate == reply.certificate


def test_that_key_signs_under_the_subject_of_the_request_and_for_itself(phones):
    curve = ec.generate_private_key(ec.SECP256R1())
    for device in (Device(phones[0], "another.demo.test"), Device(phones[0], "curve.demo.test")):
        if device.common_name == "curve.demo.test":  # signed by somebody else
            above = Device(phones[0], "somebody.demo.test")
            device.certificate = self_signed(device.key, "curve.demo.test", issuer=(above.key, "somebody.demo.test"))
        reply = device.send(csr(curve, "curve.demo.test", phones[1]))
        assert (reply.status, reply.fail_info) == (FAILURE, "2")


def test_a_certificate_of_rsa_is_renewed_for_a_curve(phones):
    device, curve = Device(phones[0], "to-curve.demo.test"), ec.generate_private_key(ec.SECP384R1())
    device.certificate = device.enroll(phones[1], ["to-curve.demo.test"]).certificate
    reply = device.send(csr(curve, "to-curve.demo.test", names=["to-curve.demo.test"]), RENEWAL_REQ)
    assert reply.status == SUCCESS
    assert reply.certificate.public_key().public_numbers() == curve.public_key().public_numbers()


# ---- names as MDM systems write them

@pytest.fixture(scope="module")
def managed(stack):
    """(URL, passphrase) of a profile whose template takes what users and devices are called by Windows, and a subject without other names."""
    lines = stack.signetctl("template", "export", "Device-Certificate").stdout.splitlines()
    kept = [line for line in lines if not line.startswith(("name:", "name_types:", "san_required:"))]
    path = stack.directory / "managed.yaml"
    path.write_text("\n".join(kept) + "\nname: Managed\nname_types: [upn, uri, email]\nsan_required: false\n")
    stack.signetctl("template", "import", str(path))
    stack.signetctl("profile", "create", "managed", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Managed")
    return f"{stack.scep_url}/scep/managed", stack.signetctl("profile", "rotate-passphrase", "managed").stdout.strip()


def request_with(device, names, challenge=None):
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(device.common_name))
    if challenge:
        builder = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, challenge.encode())
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(device.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def upn(text):
    return x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), tlv(0x0C, text.encode()))


def test_a_user_of_windows_has_its_principal_name_and_its_sid_and_keeps_them(stack, managed):
    device = Device(managed[0], "Ada Lovelace")
    names = [upn("ada@demo.test"), x509.RFC822Name("ada@demo.test"), x509.UniformResourceIdentifier("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1001"),
             x509.UniformResourceIdentifier("IntuneDeviceId://f81d4fae-7dec-11d0-a765-00a0c91e6bf6")]
    reply = device.send(request_with(device, names, managed[1]))
    assert reply.status == SUCCESS
    assert list(reply.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == names
    device.certificate = reply.certificate
    assert device.send(request_with(device, names), RENEWAL_REQ).status == SUCCESS
    assert device.send(request_with(device, [upn("bob@demo.test"), *names[1:]]), RENEWAL_REQ).fail_info == "2"
    serial = f"{reply.certificate.serial_number:034x}"
    assert "ada@demo.test" in until(lambda: stack.signetctl("cert", "show", serial, check=False).stdout)


def test_a_uri_has_no_blanks_and_the_log_says_so(stack, managed):
    device = Device(managed[0], "Ada's phone")
    reply = device.send(request_with(device, [x509.UniformResourceIdentifier("device:Ada's phone")], managed[1]))
    assert (reply.status, reply.fail_info) == (FAILURE, "2")
    until(lambda: any("has a blank" in line and device.transaction in line for line in stack.log("scep-gw").splitlines()))
    escaped = [x509.UniformResourceIdentifier("device:Ada's%20phone")]
    assert device.send(request_with(device, escaped, managed[1]), transaction="1").status == SUCCESS


def test_a_device_that_is_only_a_number_in_its_common_name(managed):
    for number in ("FCZ1234X0AB", "00:11:22:33:44:55", "iPhone of Ada"):
        device = Device(managed[0], number)
        assert device.send(request_with(device, [], managed[1])).status == SUCCESS


def test_a_principal_name_where_the_template_has_none(phones):
    device = Device(phones[0], "upn.demo.test")
    reply = device.send(request_with(device, [upn("admin@demo.test")], phones[1]))
    assert (reply.status, reply.fail_info) == (FAILURE, "2")
