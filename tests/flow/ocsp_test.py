"""RFC 6960 in the profile of RFC 9919, asked with openssl and by hand."""

import base64
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from acme_kit import csr
from stack_kit import until


@pytest.fixture(scope="module")
def issuer(stack):
    with open(stack.chain_pem, "rb") as file:
        return x509.load_pem_x509_certificate(file.read())


@pytest.fixture(scope="module")
def certificate(stack):
    return make_certificate(stack, "ocsp.demo.test")


def make_certificate(stack, name):
    request = stack.directory / f"{name}.csr"
    request.write_bytes(csr([name]))
    pem = stack.signetctl("cert", "request", "--csr", str(request), "--template", "Web Server").stdout
    path = stack.directory / f"{name}.pem"
    path.write_text(pem)
    return x509.load_pem_x509_certificate(pem.encode())


def request_for(certificate, issuer, digest=None, nonce=None):
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, digest or hashes.SHA1())
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def request_about_serial(stack, serial, digest=None):
    path = stack.directory / "serial.ocsp"
    subprocess.run(["openssl", "ocsp", "-no_nonce", f"-{digest.name if digest else 'sha1'}", "-issuer", stack.chain_pem, "-serial", str(serial), "-reqout", str(path)],
                   capture_output=True, timeout=20, check=True)
    return path.read_bytes()


def post(stack, body, content_type="application/ocsp-request"):
    request = urllib.request.Request(stack.ocsp_url, data=body, headers={"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers, answer.read()


def get(stack, body, **headers):
    url = f"{stack.ocsp_url}/{urllib.parse.quote(base64.b64encode(body).decode(), safe='')}"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256()], ids=["sha1", "sha256"])
def test_good_and_the_cert_id_is_echoed(stack, certificate, issuer, digest):
    _, body = post(stack, request_for(certificate, issuer, digest))
    answer = ocsp.load_der_ocsp_response(body)
    assert answer.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
    assert answer.certificate_status == ocsp.OCSPCertStatus.GOOD
    assert answer.hash_algorithm.name == digest.name and answer.serial_number == certificate.serial_number
    assert answer.next_update > answer.this_update


def test_the_responder_certificate_is_delegated_and_by_key(stack, certificate, issuer):
    _, body = post(stack, request_for(certificate, issuer))
    answer = ocsp.load_der_ocsp_response(body)
    delegate, = answer.certificates
    assert delegate.issuer == issuer.subject
    assert x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING in delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    delegate.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert answer.responder_key_hash and not answer.responder_name
    delegate.public_key().verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(answer.signature_hash_algorithm))


def test_get_has_the_headers_of_the_profile_and_304(stack, certificate, issuer):
    status, headers, body = get(stack, request_for(certificate, issuer))
    assert status == 200 and headers["Content-Type"] == "application/ocsp-response"
    assert headers["ETag"].startswith('"') and headers["Last-Modified"] and headers["Expires"]
    assert "max-age=" in headers["Cache-Control"] and "must-revalidate" in headers["Cache-Control"] and "no-transform" in headers["Cache-Control"]
    again = get(stack, request_for(certificate, issuer))
    assert again[2] == body and again[1]["ETag"] == headers["ETag"]
    with pytest.raises(urllib.error.HTTPError) as unchanged:
        get(stack, request_for(certificate, issuer), **{"If-None-Match": headers["ETag"]})
    assert unchanged.value.code == 304 and unchanged.value.headers["ETag"] == headers["ETag"]


def test_nonce_is_returned_and_not_cached(stack, certificate, issuer):
    nonce = bytes(range(32))
    headers, body = post(stack, request_for(certificate, issuer, nonce=nonce))
    answer = ocsp.load_der_ocsp_response(body)
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    assert headers["Cache-Control"] == "no-store"


def test_a_serial_that_was_never_issued_is_never_good(stack, certificate, issuer):
    ours = bytearray(certificate.serial_number.to_bytes(17, "big"))
    ours[-1] ^= 1
    for serial in (int.from_bytes(ours, "big"), 1, 77777, int.from_bytes(b"\x7f" * 20, "big")):
        for digest in (hashes.SHA1(), hashes.SHA256()):
            _, body = post(stack, request_about_serial(stack, serial, digest))
            answer = ocsp.load_der_ocsp_response(body)
            if answer.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL:
                assert answer.certificate_status == ocsp.OCSPCertStatus.UNKNOWN


@pytest.fixture()
def sparing(stack):
    """The URL of a second responder, that signs twice a minute what it cannot keep."""
    stack.env["SIGNET_EXTRA_ocsp_responder_2"] = "SIGNET_OCSP_UNSHARED_PER_MINUTE=1 SIGNET_OCSP_UNSHARED_BURST=2"
    port = int(stack.env["SIGNET_OCSP_PORT"])
    try:
        stack.start("ocsp-responder@2")
        stack.wait("ocsp-responder@2")
        yield stack.ocsp_url.replace(f":{port}/", f":{port + int(stack.env['SIGNET_REPLICA_STEP'])}/")
    finally:
        stack.stop("ocsp-responder@2")
        del stack.env["SIGNET_EXTRA_ocsp_responder_2"]


def test_signatures_for_unknown_serials_and_for_nonces_are_rationed(stack, sparing, certificate, issuer):
    def ask(url, body):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=body, headers={"Content-Type": "application/ocsp-request"}), timeout=20) as answer:
                return answer.status, ocsp.load_der_ocsp_response(answer.read())
        except urllib.error.HTTPError as refused:
            assert refused.code == 503 and int(refused.headers["Retry-After"]) > 0
            return refused.code, ocsp.load_der_ocsp_response(refused.read())

    invented = [request_about_serial(stack, certificate.serial_number ^ number) for number in range(1, 4)]
    for request in invented[:2]:
        assert ask(sparing, request)[1].certificate_status == ocsp.OCSPCertStatus.UNKNOWN
    status, answer = ask(sparing, invented[2])
    assert (status, answer.response_status) == (503, ocsp.OCSPResponseStatus.TRY_LATER)
    assert ask(stack.ocsp_url, invented[2])[1].certificate_status == ocsp.OCSPCertStatus.UNKNOWN

    nonces = [bytes([number]) * 32 for number in range(1, 5)]
    answers = [ask(sparing, request_for(certificate, issuer, nonce=nonce))[1] for nonce in nonces]
    assert [answer.certificate_status for answer in answers] == [ocsp.OCSPCertStatus.GOOD] * 4
    assert [answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce for answer in answers[:2]] == nonces[:2]
    assert [len(answer.extensions) for answer in answers[2:]] == [0, 0]
    assert "signet_ocsp_unshared_refused_total 3" in stack.metrics("ocsp-responder@2")
    assert until(lambda: '"rule":"unshared-answers"' in stack.log("ocsp-responder@2"))


def test_a_foreign_issuer_is_unauthorized(stack, certificate, issuer):
    body = request_for(certificate, certificate)
    answer = ocsp.load_der_ocsp_response(post(stack, body)[1])
    assert answer.response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED


@pytest.mark.parametrize("garbage", [b"", b"\x30", b"hello", b"\x30\x03\x02\x01\x01", b"\x30\x80\x00\x00", bytes(3000)])
def test_garbage_is_malformed(stack, garbage):
    answer = ocsp.load_der_ocsp_response(post(stack, garbage)[1])
    assert answer.response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_garbage_in_the_path_and_too_much_in_the_body(stack):
    with urllib.request.urlopen(f"{stack.ocsp_url}/%21%21", timeout=20) as answer:
        assert ocsp.load_der_ocsp_response(answer.read()).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(stack, bytes(100_000))
    assert refused.value.code == 413


def test_the_issuing_ca_itself_is_good_and_asked_of_the_root(stack, issuer):
    said = subprocess.run(["openssl", "ocsp", "-issuer", stack.root_pem, "-cert", stack.chain_pem, "-url", stack.ocsp_url, "-CAfile", stack.root_pem],
                          capture_output=True, text=True, timeout=30)
    assert f"{stack.chain_pem}: good" in said.stdout, said.stdout + said.stderr


def test_a_cached_good_becomes_revoked(stack, issuer):
    certificate = make_certificate(stack, "cached.demo.test")
    requests = [request_for(certificate, issuer, digest) for digest in (hashes.SHA1(), hashes.SHA256())]
    for body in requests:
        assert ocsp.load_der_ocsp_response(post(stack, body)[1]).certificate_status == ocsp.OCSPCertStatus.GOOD
    stack.revoke(certificate.serial_number, "affiliationChanged")
    for body in requests:
        answer = until(lambda: (found := ocsp.load_der_ocsp_response(post(stack, body)[1])).certificate_status == ocsp.OCSPCertStatus.REVOKED and found)
        assert answer.revocation_reason == x509.ReasonFlags.affiliation_changed
