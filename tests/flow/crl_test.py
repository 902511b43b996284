"""The CRL and the CA certificates as the world sees them."""

import subprocess
import urllib.error
import urllib.request

import pytest
from cryptography import x509

from acme_kit import csr
from scep_kit import FAILURE, GET_CRL, Device, integer, seq
from stack_kit import until


def fetch(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return answer.headers, answer.read()


def number_of(der):
    return x509.load_der_x509_crl(der).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_it_is_signed_by_the_ca_and_has_its_headers(stack):
    headers, der = fetch(stack.crl_url)
    crl = x509.load_der_x509_crl(der)
    with open(stack.chain_pem, "rb") as file:
        issuer = x509.load_pem_x509_certificate(file.read())
    assert crl.is_signature_valid(issuer.public_key()) and crl.issuer == issuer.subject
    assert crl.next_update > crl.last_update
    key = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert key == issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert headers["Content-Type"] == "application/pkix-crl" and headers["ETag"] and headers["Last-Modified"] and "max-age=" in headers["Cache-Control"]
    with pytest.raises(urllib.error.HTTPError) as unchanged:
        fetch(stack.crl_url, **{"If-None-Match": headers["ETag"]})
    assert unchanged.value.code == 304


def test_numbers_grow_and_the_revoked_serial_is_there_with_its_reason(stack):
    before = number_of(fetch(stack.crl_url)[1])
    request = stack.directory / "crl.csr"
    request.write_bytes(csr(["crl.demo.test"]))
    pem = stack.signetctl("cert", "request", "--csr", str(request), "--template", "Web Server").stdout
    certificate = x509.load_pem_x509_certificate(pem.encode())
    stack.revoke(certificate.serial_number, "cessationOfOperation")

    def entry():
        der = fetch(stack.crl_url)[1]
        return (found := x509.load_der_x509_crl(der).get_revoked_certificate_by_serial_number(certificate.serial_number)) and (found, der)

    found, der = until(entry)
    assert found.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.cessation_of_operation
    assert number_of(der) > before

    # What is learnt later is told everywhere, under the date of the revocation; and is the last word.
    file = stack.directory / "crl.pem"
    file.write_text(pem)
    assert "Reason: cessationOfOperation" in stack.ocsp(file)
    said = stack.signetctl("cert", "revoke", "--certificate", str(file), "--reason", "keyCompromise").stdout
    assert "was revoked before" in said and "the reason is key_compromise now" in said
    until(lambda: entry()[0].extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise)
    assert entry()[0].revocation_date == found.revocation_date
    until(lambda: "Reason: keyCompromise" in stack.ocsp(file))
    until(lambda: "key_compromise" in stack.signetctl("cert", "show", f"{certificate.serial_number:034x}").stdout)
    said = stack.signetctl("cert", "revoke", "--certificate", str(file), "--reason", "superseded").stdout
    assert "the reason stays key_compromise" in said
    assert "a hold does not end" in stack.signetctl("cert", "revoke", "--certificate", str(file), "--reason", "removeFromCRL", check=False).stderr


def test_publish_now(stack):
    before = number_of(fetch(stack.crl_url)[1])
    assert stack.signetctl("crl", "publish", "--issuer", "demo-issuing").returncode == 0
    until(lambda: number_of(fetch(stack.crl_url)[1]) > before)


def test_the_ca_certificates_are_where_the_certificates_say(stack):
    request = stack.directory / "aia.csr"
    request.write_bytes(csr(["aia.demo.test"]))
    certificate = x509.load_pem_x509_certificate(stack.signetctl("cert", "request", "--csr", str(request), "--template", "Web Server").stdout.encode())
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    urls = {item.access_method._name: item.access_location.value for item in access}
    headers, der = fetch(urls["caIssuers"])
    assert headers["Content-Type"] == "application/pkix-cert"
    issuer = x509.load_der_x509_certificate(der)
    assert issuer.subject == certificate.issuer
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name[0].value == stack.crl_url
    assert urls["OCSP"] == stack.ocsp_url


def test_the_root_has_a_crl_too_and_an_unknown_ca_has_none(stack):
    crl = stack.crl_url.replace("demo-issuing", "demo-root")
    path = stack.directory / "root.crl"
    until(lambda: subprocess.run(["curl", "-sf", crl, "-o", str(path)], timeout=10).returncode == 0)
    said = subprocess.run(["openssl", "crl", "-inform", "DER", "-in", str(path), "-CAfile", stack.root_pem, "-noout"], capture_output=True, text=True, timeout=10)
    assert "verify OK" in said.stderr
    with pytest.raises(urllib.error.HTTPError) as unknown:
        fetch(stack.crl_url.replace("demo-issuing", "nobody"))
    assert unknown.value.code == 404


def crowd(stack, count):
    """As if so many had been revoked: their certificates are of no matter to a CRL."""
    stack.sql("INSERT INTO ra.revocation (expiry_month, serial, issuer, revoked_at, reason, not_after, channel, principal_kind, principal_id, authority)"
              " SELECT 999, decode('0103e7' || lpad(to_hex(n), 28, '0'), 'hex'), 'crowded', now(), 1, now() + interval '90 days', 'test', 'o', 'x', 'issuer'"
              f" FROM generate_series(1, {count}) AS n")


def assert_scep_points_elsewhere(stack):
    """RFC 8894 §2.7: GetCRL is for small ones; others are fetched from their distribution point."""
    stack.signetctl("profile", "create", "crowded", "--kind", "scep", "--issuer", "crowded", "--template", "Device-Certificate")
    device = Device(f"{stack.scep_url}/scep/crowded")
    reply = device.send(seq(device.ca()[1].subject.public_bytes(), integer(1)), GET_CRL)
    assert (reply.status, reply.fail_info) == (FAILURE, "2") and "from its distribution point" in stack.log("scep-gw")


def test_a_crl_that_is_larger_than_a_message_of_the_bus(stack, tmp_path):
    stack.signetctl("ca", "create", "crowded", "--common-name", "Crowded CA", "--key-type", "p256", "--parent", "demo-root", "--days", "300")
    crowd(stack, 50000)
    try:
        until(lambda: stack.signetctl("crl", "publish", "--issuer", "crowded", check=False).returncode == 0)
        headers, der = fetch(stack.crl_url.replace("demo-issuing", "crowded"))
        assert_scep_points_elsewhere(stack)
    finally:
        stack.sql("DELETE FROM ra.revocation WHERE issuer = 'crowded'")
    assert len(der) > 2 * 1024 * 1024 and int(headers["Content-Length"]) == len(der)
    crl = x509.load_der_x509_crl(der)
    assert len(crl) == 50000
    for n in (1, 10000, 10001, 50000):
        assert crl.get_revoked_certificate_by_serial_number(int(f"0103e7{n:028x}", 16)) is not None
    assert crl.get_revoked_certificate_by_serial_number(int(f"0103e7{50001:028x}", 16)) is None
    (tmp_path / "crowded.crl").write_bytes(der)
    (tmp_path / "crowded.pem").write_text(stack.signetctl("ca", "show", "crowded", "--pem").stdout)
    said = subprocess.run(["openssl", "crl", "-inform", "DER", "-in", "crowded.crl", "-CAfile", "crowded.pem", "-noout"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=30)
    assert "verify OK" in said.stderr, said.stderr
