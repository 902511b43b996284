"""What is wrong is refused with the right word, a fresh nonce, and a line in the log (RFC 8555 §6.7)."""

import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from acme_kit import Client, Responder, b64, csr
from stack_kit import until


@pytest.fixture(scope="module")
def client(stack):
    one = Client(stack)
    one.register(contact=["mailto:owner@demo.test"])
    return one


@pytest.fixture(scope="module")
def responder(stack):
    with Responder(stack.http01_port) as one:
        yield one


@pytest.fixture(scope="module")
def ready_order(stack, client, responder):
    """A function that makes an order which waits for its CSR."""

    def make(*names):
        made = client.order(*names)
        order = made.json()
        client.authorise(order, responder)
        client.poll(made.headers["Location"], {"ready"})
        return made.headers["Location"], order

    return make


def refused(answer, status, problem):
    assert (answer.status, answer.problem) == (status, problem), answer.body
    assert answer.headers["Replay-Nonce"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["detail"]


def test_directory_is_complete_and_also_at_the_root(stack, client):
    directory = client.http("GET", stack.acme_directory)
    assert directory.headers["Content-Type"] == "application/json"
    body = directory.json()
    assert {"newNonce", "newAccount", "newOrder", "revokeCert", "meta"} <= set(body)
    assert {"termsOfService", "website", "caaIdentities", "externalAccountRequired"} <= set(body["meta"])
    assert client.http("GET", stack.acme_directory.replace("/acme/directory", "/")).json()["newOrder"] == body["newOrder"]


def test_new_nonce_is_200_for_head_and_204_for_get(client):
    for method, status in (("HEAD", 200), ("GET", 204)):
        answer = client.http(method, client.url("newNonce"))
        assert answer.status == status and answer.body == b""
        assert answer.headers["Replay-Nonce"] and answer.headers["Cache-Control"] == "no-store"
        assert 'rel="index"' in answer.headers["Link"]


def test_directory_and_new_nonce_may_be_had_by_post_as_get(client):
    directory = client.post(client.base.geturl())
    assert directory.status == 200 and directory.json()["newNonce"] == client.url("newNonce")
    nonce = client.post(client.url("newNonce"))
    assert nonce.status == 204 and nonce.headers["Replay-Nonce"]


def test_a_deactivated_account_is_401(stack):
    leaver = Client(stack)
    leaver.register()
    assert leaver.must(leaver.kid, {"status": "deactivated"}).json()["status"] == "deactivated"
    refused(leaver.post(leaver.kid), 401, "unauthorized")
    refused(leaver.post(leaver.url("newOrder"), {"identifiers": []}), 401, "unauthorized")
    refused(leaver.post(leaver.url("newAccount"), {"termsOfServiceAgreed": True}, use_jwk=True), 401, "unauthorized")


def test_header_names_are_in_title_case_with_one_blank(stack, client):
    parts = client.base
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as plain, client.context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(b"HEAD /acme/new-nonce HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        raw = b""
        while chunk := tls.recv(4096):
            raw += chunk
    assert b"\r\nReplay-Nonce: " in raw and b"\r\nReplay-Nonce:  " not in raw


def test_http2_is_never_spoken(stack, client):
    context = ssl.create_default_context(cafile=stack.ca_bundle)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((client.base.hostname, client.base.port), timeout=10) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as tls:
        assert tls.selected_alpn_protocol() in (None, "http/1.1")


JWS_FAULTS = {
    "no_json": (lambda m: b"{", 400, "malformed"),
    "a_list": (lambda m: b"[]", 400, "malformed"),
    "no_signature": (lambda m: {k: m[k] for k in ("protected", "payload")}, 400, "malformed"),
    "unprotected_header": (lambda m: {**m, "header": {"kid": "x"}}, 400, "malformed"),
    "many_signatures": (lambda m: {**m, "signatures": [{"protected": m["protected"], "signature": m["signature"]}]}, 400, "malformed"),
    "padding": (lambda m: {**m, "signature": m["signature"] + "=="}, 400, "malformed"),
    "protected_is_no_base64url": (lambda m: {**m, "protected": "+/+/"}, 400, "malformed"),
    "a_member_twice": (lambda m: ('{"protected":"%s","payload":"%s","payload":"%s","signature":"%s"}'
                                  % (m["protected"], m["payload"], m["payload"], m["signature"])).encode(), 400, "malformed"),
    "signature_cut": (lambda m: {**m, "signature": m["signature"][:40]}, 401, "unauthorized"),
}


@pytest.mark.parametrize("fault", sorted(JWS_FAULTS))
def test_malformed_jws(client, fault):
    mangle, status, problem = JWS_FAULTS[fault]
    answer = client.post(client.url("newOrder"), {"identifiers": []}, mangle=mangle)
    # A signature that does not verify is "malformed" in RFC 8555's registry for some servers and "unauthorized" for others; ours is the first that fits.
    assert answer.status in (400, status) and answer.problem in ("malformed", problem), answer.body
    assert answer.headers["Replay-Nonce"] and answer.json()["detail"]


def test_a_changed_payload_does_not_verify(client):
    answer = client.post(client.url("newOrder"), {"identifiers": []}, mangle=lambda m: {**m, "payload": b64(b'{"identifiers":[{}]}')})
    assert answer.status in (400, 401, 403) and answer.problem in ("malformed", "unauthorized")


def test_nonce_used_twice_missing_or_invented(client):
    nonce = client.fresh_nonce()
    assert client.post(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": "a.demo.test"}]}, header={"nonce": nonce}).status == 201
    refused(client.post(client.url("newOrder"), {"identifiers": []}, header={"nonce": nonce}), 400, "badNonce")
    refused(client.post(client.url("newOrder"), {"identifiers": []}, header={"nonce": "AAAAAAAAAAAAAAAAAAAAAAAA"}), 400, "badNonce")
    answer = client.post(client.url("newOrder"), {"identifiers": []}, header={"nonce": None})
    assert answer.status == 400 and answer.problem in ("badNonce", "malformed")


def test_url_of_the_header_must_be_the_url_asked(client):
    answer = client.post(client.url("newOrder"), {"identifiers": []}, header={"url": client.url("newAccount")})
    assert answer.status in (400, 401, 403) and answer.problem in ("malformed", "unauthorized")


def test_foreign_key_for_this_account(client):
    answer = client.post(client.url("newOrder"), {"identifiers": []}, key=ec.generate_private_key(ec.SECP256R1()))
    assert answer.status in (400, 401, 403) and answer.problem in ("malformed", "unauthorized")


def test_unknown_account(client):
    answer = client.post(client.url("newOrder"), {"identifiers": []}, header={"kid": client.kid + "x"})
    assert answer.problem in ("accountDoesNotExist", "unauthorized", "malformed") and answer.status in (400, 401, 403, 404)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1", "ES256K"])
def test_algorithms_that_are_not_allowed_are_named(client, algorithm):
    answer = client.post(client.url("newOrder"), {"identifiers": []}, header={"alg": algorithm})
    refused(answer, 400, "badSignatureAlgorithm")
    assert "ES256" in answer.json()["algorithms"]


def test_jwk_and_kid_exclude_each_other(client):
    refused(client.post(client.url("newOrder"), {"identifiers": []}, header={"jwk": client.jwk()}), 400, "malformed")


def test_a_small_account_key_is_refused(stack):
    small = Client(stack, key=rsa.generate_private_key(65537, 1024))
    answer = small.post(small.url("newAccount"), {"termsOfServiceAgreed": True}, use_jwk=True)
    assert answer.status == 400 and answer.problem == "badPublicKey"


def test_content_type(client):
    answer = client.post(client.url("newOrder"), {"identifiers": []}, content_type="application/json")
    assert answer.status == 415 and answer.problem == "malformed"
    assert answer.headers["Replay-Nonce"]


def test_a_body_too_large_is_413(client):
    answer = client.post(client.url("newOrder"), None, mangle=lambda m: b"{" + b" " * 300_000)
    assert answer.status == 413


def test_get_where_post_is_due_is_405_with_allow(client):
    answer = client.http("GET", client.url("newOrder"))
    assert answer.status == 405 and "POST" in answer.headers["Allow"]
    assert client.http("GET", client.url("newOrder") + "/nothing").status == 404


def test_only_return_existing(stack):
    stranger = Client(stack)
    refused(stranger.post(stranger.url("newAccount"), {"onlyReturnExisting": True}, use_jwk=True), 400, "accountDoesNotExist")
    stranger.register()
    again = stranger.post(stranger.url("newAccount"), {"onlyReturnExisting": True}, use_jwk=True)
    assert again.status == 200 and again.headers["Location"] == stranger.kid


@pytest.mark.parametrize("contact", ["mailto:", "http://x.example", "mailto:a@b?subject=x", "mailto:ä@b.example"])
def test_contacts_that_cannot_be(stack, contact):
    stranger = Client(stack)
    answer = stranger.post(stranger.url("newAccount"), {"termsOfServiceAgreed": True, "contact": [contact]}, use_jwk=True)
    assert answer.status == 400 and answer.problem in ("invalidContact", "unsupportedContact")


@pytest.mark.parametrize("name", ["", "-a.demo.test", "a..demo.test", "a_b.demo.test", "x" * 64 + ".demo.test", "127.0.0.1", "a.demo.test\x00.example", "*.*.demo.test",
                                  ("a" * 60 + ".") * 5 + "demo.test"])
def test_identifiers_that_are_no_names(client, name):
    answer = client.post(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": name}]})
    assert answer.status in (400, 403) and answer.problem in ("malformed", "rejectedIdentifier", "unsupportedIdentifier")


def test_identifier_types_that_are_unknown(client):
    answer = client.post(client.url("newOrder"), {"identifiers": [{"type": "phone", "value": "1"}]})
    assert answer.status == 400 and answer.problem == "unsupportedIdentifier"


def test_too_many_identifiers(client):
    names = [{"type": "dns", "value": f"n{number}.demo.test"} for number in range(101)]
    answer = client.post(client.url("newOrder"), {"identifiers": names})
    assert answer.status in (400, 403) and answer.problem in ("malformed", "rejectedIdentifier")


def test_an_order_of_another_account_is_not_shown(stack, client):
    made = client.order(f"mine.{stack.demo_domain}")
    stranger = Client(stack)
    stranger.register()
    answer = stranger.post(made.headers["Location"])
    assert answer.status in (401, 403, 404) and answer.problem in ("unauthorized", "malformed")


def test_finalize_before_the_authorisations(stack, client):
    order = client.order(f"early.{stack.demo_domain}").json()
    refused(client.post(order["finalize"], {"csr": b64(csr([f"early.{stack.demo_domain}"]))}), 403, "orderNotReady")


def bad_csrs(name):
    key = ec.generate_private_key(ec.SECP256R1())
    good = csr([name], key)
    spoiled = bytearray(good)
    spoiled[-5] ^= 1
    return {
        "bad signature": bytes(spoiled),
        "weak key": csr([name], rsa.generate_private_key(65537, 1024)),
        "an exponent of 3": csr([name], rsa.generate_private_key(3, 2048)),
        "SHA-1 or a curve that is not ours": csr([name], ec.generate_private_key(ec.SECP256K1())),
        "names beyond the order": csr([name, "more." + name]),
        "a name missing": csr([], key, common_name=None),
        "another common name": csr([name], key, common_name="other.example"),
        "CA:TRUE": csr([name], key, extensions=[x509.BasicConstraints(ca=True, path_length=None)]),
        "cut in the middle": good[:100],
        "something behind": good + b"\x00",
        "nothing": b"",
        "no DER": b"hello",
    }


@pytest.mark.parametrize("fault", sorted(bad_csrs("a.demo.test")))
def test_csrs_that_are_refused_and_leave_the_order_usable(stack, client, ready_order, fault):
    name = f"bad-csr.{stack.demo_domain}"
    url, order = ready_order(name)
    answer = client.post(order["finalize"], {"csr": b64(bad_csrs(name)[fault])})
    refused(answer, 400, "badCSR")
    assert answer.headers["Replay-Nonce"] and answer.json()["detail"]
    assert client.must(url).json()["status"] == "ready"


def test_a_key_that_the_template_does_not_allow_makes_a_bad_csr(stack, client, ready_order):
    name = f"p521.{stack.demo_domain}"
    url, order = ready_order(name)
    answer = client.post(order["finalize"], {"csr": b64(csr([name], ec.generate_private_key(ec.SECP521R1())))})
    refused(answer, 400, "badCSR")
    assert "does not allow the key p521" in answer.json()["detail"]
    assert client.must(url).json()["error"]["type"].endswith(":badCSR")


def test_padded_base64_in_the_standard_alphabet_is_accepted_for_csrs(stack, client, ready_order):
    import base64
    name = f"padded.{stack.demo_domain}"
    url, order = ready_order(name)
    while "+" not in (text := base64.b64encode(csr([name])).decode()) or "/" not in text:
        pass
    answer = client.post(order["finalize"], {"csr": text})
    assert answer.status == 200, answer.body
    assert client.poll(url, {"valid", "invalid"}).json()["status"] == "valid"


def test_finalize_twice_gives_the_same_certificate(stack, client, ready_order):
    name = f"twice.{stack.demo_domain}"
    url, order = ready_order(name)
    request = b64(csr([name]))
    first = client.post(order["finalize"], {"csr": request})
    assert first.status == 200 and first.headers["Location"] == url
    done = client.poll(url, {"valid", "invalid"}).json()
    again = client.post(order["finalize"], {"csr": request})
    assert again.status in (200, 403)
    assert client.must(url).json()["certificate"] == done["certificate"]
    assert len(stack.sql(f"SELECT 1 FROM inventory.certificate_name WHERE value = '{name}'")) <= 1


def test_certificate_headers(stack, client, ready_order):
    name = f"headers.{stack.demo_domain}"
    url, order = ready_order(name)
    client.post(order["finalize"], {"csr": b64(csr([name]))})
    done = client.poll(url, {"valid", "invalid"}).json()
    answer = client.must(done["certificate"])
    assert answer.headers["Content-Type"] == "application/pem-certificate-chain"
    assert answer.body.count(b"BEGIN CERTIFICATE") == 2 and answer.body.endswith(b"-----\n") and not answer.body.endswith(b"\n\n")


def test_revocation_by_a_stranger_and_twice(stack, client, responder):
    leaf, _ = client.issue(responder, f"revoke.{stack.demo_domain}")
    stranger = Client(stack)
    stranger.register()
    answer = stranger.post(stranger.url("revokeCert"), {"certificate": b64(leaf)})
    assert answer.status in (401, 403) and answer.problem == "unauthorized"
    refused(client.post(client.url("revokeCert"), {"certificate": b64(leaf), "reason": 7}), 400, "badRevocationReason")
    refused(client.post(client.url("revokeCert"), {"certificate": b64(leaf), "reason": 8}), 400, "badRevocationReason")
    assert client.post(client.url("revokeCert"), {"certificate": b64(leaf), "reason": 4}).status == 200
    refused(client.post(client.url("revokeCert"), {"certificate": b64(leaf), "reason": 4}), 400, "alreadyRevoked")


def test_revoking_what_we_did_not_issue(stack, client):
    key = ec.generate_private_key(ec.SECP256R1())
    import datetime
    now = datetime.datetime(2026, 1, 1)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "foreign")])
    foreign = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(77).not_valid_before(now) \
        .not_valid_after(now + datetime.timedelta(days=400)).sign(key, hashes.SHA256())
    from cryptography.hazmat.primitives.serialization import Encoding
    answer = client.post(client.url("revokeCert"), {"certificate": b64(foreign.public_bytes(Encoding.DER))})
    assert answer.status in (403, 404) and answer.problem in ("unauthorized", "malformed")


@pytest.mark.parametrize("word, answer_of", {
    "unauthorized": lambda handler: (handler.send_response(200), handler.end_headers(), handler.wfile.write(b"something else")),
    "incorrectResponse": lambda handler: (handler.send_response(500), handler.end_headers()),
}.items(), ids=["wrong body", "status 500"])
def test_a_wrong_answer_makes_the_challenge_invalid_with_the_reason(stack, client, responder, word, answer_of):
    order = client.order(f"wrong.{stack.demo_domain}").json()
    authorization = client.must(order["authorizations"][0]).json()
    challenge = next(item for item in authorization["challenges"] if item["type"] == "http-01")
    responder.answers[challenge["token"]] = answer_of
    client.must(challenge["url"], {})
    done = client.poll(order["authorizations"][0], {"invalid"}).json()
    failed = next(item for item in done["challenges"] if item["type"] == "http-01")
    assert failed["status"] == "invalid"
    assert failed["error"]["type"].rsplit(":", 1)[-1] in ("unauthorized", "incorrectResponse", "connection")
    assert "127.0.0.1" in failed["error"]["detail"]


def test_a_redirect_to_a_forbidden_address_is_not_followed(stack, client, responder):
    def to_metadata(handler):
        handler.send_response(302)
        handler.send_header("Location", "http://169.254.169.254/latest/meta-data")
        handler.end_headers()

    order = client.order(f"redirect.{stack.demo_domain}").json()
    authorization = client.must(order["authorizations"][0]).json()
    challenge = next(item for item in authorization["challenges"] if item["type"] == "http-01")
    responder.answers[challenge["token"]] = to_metadata
    client.must(challenge["url"], {})
    done = client.poll(order["authorizations"][0], {"invalid"}).json()
    failed = next(item for item in done["challenges"] if item["type"] == "http-01")
    assert "169.254.169.254" in failed["error"]["detail"]


def test_a_text_behind_a_redirect_is_not_shown(stack, client, responder):
    def sent_on(handler):
        handler.send_response(302)
        handler.send_header("Location", "/inside")
        handler.end_headers()

    order = client.order(f"inside.{stack.demo_domain}").json()
    challenge = client.must(order["authorizations"][0]).json()["challenges"][0]
    responder.answers.update({challenge["token"]: sent_on, "inside": "a secret page"})
    client.must(challenge["url"], {})
    failed = client.poll(order["authorizations"][0], {"invalid"}).json()["challenges"][0]
    assert failed["error"]["type"].endswith(":incorrectResponse") and "secret" not in failed["error"]["detail"]


def test_web_servers_that_hang_hold_up_nobody_else(stack, client, responder):
    over = threading.Event()
    slow = Client(stack)
    slow.register()
    order = slow.order(*[f"slow-{number}.{stack.demo_domain}" for number in range(40)]).json()
    for url in order["authorizations"]:
        challenge = slow.must(url).json()["challenges"][0]
        responder.answers[challenge["token"]] = lambda handler: over.wait(60)
        slow.must(challenge["url"], {})
    quick = client.order(f"quick.{stack.demo_domain}")
    client.authorise(quick.json(), responder)
    try:
        assert client.must(quick.headers["Location"]).json()["status"] == "ready"
        assert slow.must(order["authorizations"][-1]).json()["status"] == "pending"
    finally:
        over.set()


def test_a_slow_client_is_closed(client):
    with socket.create_connection((client.base.hostname, client.base.port), timeout=60) as plain, \
            client.context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(b"POST /acme/new-order HTTP/1.1\r\nHost: x\r\n")
        end = time.monotonic() + 50
        try:
            while time.monotonic() < end:
                tls.sendall(b"X-A: b\r\n")
                time.sleep(0.5)
        except OSError:
            return
    pytest.fail("a client that sends one header line every half second still has its connection after 50 s")


def test_every_refusal_has_one_line_in_the_log(stack, client):
    client.close()  # it was idle for as long as the slow one took
    client.fresh_nonce()
    before = len(stack.log("acme-gw").splitlines())
    answer = client.post(client.url("newOrder"), {"identifiers": [{"type": "phone", "value": "1"}]})
    assert answer.status == 400
    lines = until(lambda: [line for line in stack.log("acme-gw").splitlines()[before:] if "new-order" in line])
    assert len(lines) == 1 and '"trace":"' in lines[0] and '"message":"' in lines[0]


def test_must_staple_is_refused_for_its_client_would_rely_on_it(stack, client, ready_order):
    name = f"staple.{stack.demo_domain}"
    url, order = ready_order(name)
    answer = client.post(order["finalize"], {"csr": b64(csr([name], extensions=[x509.TLSFeature([x509.TLSFeatureType.status_request])]))})
    refused(answer, 400, "badCSR")
    assert "must-staple" in answer.json()["detail"]
    assert client.must(url).json()["status"] == "ready"
    assert client.finalize(url, order, csr([name])).json()["status"] == "valid"


def test_what_a_csr_asks_for_and_does_not_get_is_on_record(stack, client, ready_order):
    name = f"wishes.{stack.demo_domain}"
    url, order = ready_order(name)
    purposes = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.CODE_SIGNING])
    policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)])
    assert client.finalize(url, order, csr([name], extensions=[purposes, policies])).json()["status"] == "valid"
    said = "extKeyUsage codeSigning, certificatePolicies"
    assert f"{name} " in (shown := stack.signetctl("audit", "show", "--action", "certificate.issued").stdout)
    assert f"; not granted: {said}" in shown
    until(lambda: f'"not_granted":"{said}"' in stack.log("ra"))
