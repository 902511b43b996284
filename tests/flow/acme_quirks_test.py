"""What clients in the field have stumbled over with other servers, each as a rule that ours keeps. The client that was broken stands beside its rule."""

import json
import pathlib
import re
import socket
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from acme_kit import Client, Responder, b64, csr


@pytest.fixture(scope="module")
def client(stack):
    one = Client(stack)
    one.register()
    return one


@pytest.fixture(scope="module")
def responder(stack):
    with Responder(stack.http01_port) as one:
        yield one


@pytest.fixture(scope="module")
def issued(stack, client, responder):
    """Every answer on the way to one certificate."""
    name = f"quirks.{stack.demo_domain}"
    answers = {"newOrder": client.order(name)}
    order = answers["newOrder"].json()
    authorization = client.must(order["authorizations"][0])
    challenge = next(item for item in authorization.json()["challenges"] if item["type"] == "http-01")
    responder.answers[challenge["token"]] = f"{challenge['token']}.{client.thumbprint()}"
    answers["authorization"] = authorization
    answers["challenge"] = client.must(challenge["url"], {})
    answers["validated"] = client.poll(order["authorizations"][0], {"valid"})
    answers["finalize"] = client.must(order["finalize"], {"csr": b64(csr([name]))})
    answers["order"] = client.poll(answers["newOrder"].headers["Location"], {"valid"})
    answers["certificate"] = client.must(answers["order"].json()["certificate"])
    return answers


def first_challenge(answer):
    return next(item for item in answer.json()["challenges"] if item["type"] == "http-01")


# dogtag pki#5418, #5422; win-acme#1718
def test_every_answer_has_a_nonce_and_bad_nonce_is_a_problem_with_a_fresh_one(stack, client, issued):
    assert all(answer.headers["Replay-Nonce"] for answer in issued.values())
    for answer in (client.http("GET", stack.acme_directory), client.http("GET", client.url("newOrder")), client.http("GET", stack.acme_directory + "/nothing"),
                   client.http("POST", client.url("newOrder"), b"{", {"Content-Type": "text/plain"})):
        assert answer.headers["Replay-Nonce"]
    answer = client.post(client.url("newOrder"), {"identifiers": []}, header={"nonce": "AAAA"})
    assert (answer.status, answer.problem, answer.headers["Content-Type"]) == (400, "badNonce", "application/problem+json")
    assert client.post(client.kid, header={"nonce": answer.headers["Replay-Nonce"]}).status == 200


# kelunik/acme#40, mod_md#216, dogtag PR#403, unixcharles#250
def test_location_is_in_the_answers_to_new_account_new_order_order_and_finalize(stack, issued):
    url = issued["newOrder"].headers["Location"]
    assert issued["order"].headers["Location"] == issued["finalize"].headers["Location"] == url
    one = Client(stack)
    assert one.register().headers["Location"] == one.must(one.kid).headers["Location"] == one.kid


# acme.sh#6221 gives up at 86400; acme.sh#2939, cert-manager#5062
def test_retry_after_is_a_small_whole_number_of_seconds(stack, client, issued, responder):
    for name, answer in issued.items():
        if answer.headers["Retry-After"]:
            assert 0 < int(answer.headers["Retry-After"]) <= 600, name
    made = client.order(f"slow-quirk.{stack.demo_domain}")
    over = threading.Event()
    challenge = first_challenge(client.must(made.json()["authorizations"][0]))
    responder.answers[challenge["token"]] = lambda handler: over.wait(20)
    try:
        assert 0 < int(client.must(challenge["url"], {}).headers["Retry-After"]) <= 600
        assert 0 < int(client.must(made.json()["authorizations"][0]).headers["Retry-After"]) <= 600
    finally:
        over.set()


# certes#235 throws at `processing`; traefik#11483
def test_finalize_answers_with_the_valid_order_when_that_takes_no_time(issued):
    assert issued["finalize"].status == 200 and issued["finalize"].json()["status"] == "valid" and issued["finalize"].json()["certificate"]


# acme2certifier#77
def test_a_look_at_an_authorisation_validates_nothing(stack, client, responder):
    made = client.order(f"looked-at.{stack.demo_domain}")
    url = made.json()["authorizations"][0]
    challenge = first_challenge(client.must(url))
    responder.answers[challenge["token"]] = f"{challenge['token']}.{client.thumbprint()}"
    for _ in range(3):
        client.must(url)
        client.must(challenge["url"])
    assert client.must(url).json()["status"] == "pending" and not any(challenge["token"] in path for path in responder.asked)


# certbot#10239, #9766
def test_an_order_is_ready_when_its_last_authorisation_is_seen_to_be_valid(stack, client, responder):
    for number in range(5):
        made = client.order(*[f"at-once-{number}-{part}.{stack.demo_domain}" for part in range(3)])
        client.authorise(made.json(), responder)
        assert client.must(made.headers["Location"]).json()["status"] == "ready"


# cert-manager#758
def test_finalizing_a_valid_order_again_returns_the_order(stack, client, issued):
    again = client.post(issued["order"].json()["finalize"], {"csr": b64(csr([f"quirks.{stack.demo_domain}"]))})
    assert again.status == 200 and again.json() == issued["order"].json() and again.headers["Location"] == issued["newOrder"].headers["Location"]


# ght-acme#3, getssl#431, #884, acme-tiny#234, uacme#11, dehydrated#802
def test_header_names_are_in_title_case_with_one_blank_in_every_kind_of_answer(client):
    with socket.create_connection((client.base.hostname, client.base.port), timeout=10) as plain, \
            client.context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(b"POST /acme/new-order HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        raw = b""
        while chunk := tls.recv(4096):
            raw += chunk
    for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, value = line.split(b":", 1)
        assert name == b"-".join(part.capitalize() for part in name.split(b"-")) and value.startswith(b" ") and not value.startswith(b"  "), line


# Proxmox (certificates#136, #202), community.crypto#220
def test_the_directory_has_meta_with_all_its_members(stack, client):
    meta = client.http("GET", stack.acme_directory).json()["meta"]
    assert meta["termsOfService"].startswith("https://") and meta["website"].startswith("https://")
    assert isinstance(meta["caaIdentities"], list) and meta["externalAccountRequired"] in (True, False)


# community.crypto#824; acmecore 4.1.0
def test_an_authorisation_has_challenges_with_all_members_before_and_after(issued):
    for when in ("authorization", "validated"):
        challenges = issued[when].json()["challenges"]
        assert challenges
        for challenge in challenges:
            assert all(isinstance(challenge[member], str) and challenge[member] for member in ("url", "type", "status", "token")), challenge


# Synology (certificates#939, #946)
@pytest.mark.parametrize("spell", [lambda der: b64(der), lambda der: b64(der) + "=" * (-len(b64(der)) % 4),
                                   lambda der: b64(der).replace("-", "+").replace("_", "/")], ids=["base64url", "padded", "standard alphabet"])
def test_csrs_are_read_in_the_spellings_of_the_field(stack, client, responder, spell):
    name = f"spelling.{stack.demo_domain}"
    made = client.order(name)
    client.authorise(made.json(), responder)
    assert client.must(made.json()["finalize"], {"csr": spell(csr([name]))}).json()["status"] == "valid"


# cert-manager#3022
def test_only_return_existing_wants_no_terms(stack):
    stranger = Client(stack)
    answer = stranger.post(stranger.url("newAccount"), {"onlyReturnExisting": True}, use_jwk=True)
    assert (answer.status, answer.problem) == (400, "accountDoesNotExist")
    stranger.register()
    assert stranger.post(stranger.url("newAccount"), {"onlyReturnExisting": True}, use_jwk=True).status == 200
    stranger.must(stranger.kid, {"status": "deactivated"})
    assert stranger.post(stranger.url("newAccount"), {"onlyReturnExisting": True}, use_jwk=True).problem == "unauthorized"


# ADCS#47 (FortiOS), UCM#196, #217
def test_a_chain_is_nothing_but_pem_leaf_first_without_root_and_with_one_end_of_line(stack, issued):
    body = issued["certificate"].body
    assert b"\r" not in body and body.endswith(b"-----END CERTIFICATE-----\n") and b"\n\n" not in body
    lines = body.decode().splitlines()
    assert all(len(line) <= 64 for line in lines) and lines[0] == "-----BEGIN CERTIFICATE-----"
    chain = [x509.load_pem_x509_certificate((part + "-----END CERTIFICATE-----\n").encode()) for part in body.decode().split("-----END CERTIFICATE-----\n")[:-1]]
    assert len(chain) == 2 and chain[0].issuer == chain[1].subject and all(one.issuer != one.subject for one in chain)
    for link in issued["certificate"].headers.get_all("Link"):
        url = link.split(">")[0].lstrip("<")
        assert url.startswith(stack.acme_directory.split("/acme/")[0] + "/") and url.count("https://") == 1 and url.count("/acme/") == 1


# community.crypto#801
def test_renewal_information_of_nothing_is_a_404_problem_with_and_without_a_slash(client):
    base = client.url("renewalInfo")
    assert not base.endswith("/")
    for end in ("/AAAA.AQAB", "/AAAA.AQAB/", "/"):
        answer = client.http("GET", base + end)
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json") and answer.json()["type"]


# traefik#7033
def test_what_was_answered_is_there_for_the_next_request_on_another_connection(stack, client):
    twin = Client(stack, key=client.key)
    twin.kid = client.kid
    for number in range(5):
        made = client.order(f"there-{number}.{stack.demo_domain}")
        assert twin.must(made.headers["Location"]).json() == made.json()
        url = made.json()["authorizations"][0]
        assert twin.must(url).json() == client.must(url).json()
    one = Client(stack)
    one.register()
    again = Client(stack, key=one.key)
    again.kid = one.kid
    assert again.must(one.kid).status == 200


# traefik#7033
def test_a_challenge_that_is_looked_at_is_seen_to_be_processing(stack, client, responder):
    made = client.order(f"seen.{stack.demo_domain}")
    url = made.json()["authorizations"][0]
    challenge = first_challenge(client.must(url))
    over = threading.Event()

    def late(handler):
        over.wait(20)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(f"{challenge['token']}.{client.thumbprint()}".encode())

    responder.answers[challenge["token"]] = late
    try:
        assert client.must(challenge["url"], {}).json()["status"] == "processing"
        seen = client.must(url).json()
        assert seen["status"] == "pending" and first_challenge(client.must(url))["status"] == "processing"
        assert client.must(made.headers["Location"]).json()["status"] == "pending"
    finally:
        over.set()
    client.poll(made.headers["Location"], {"ready"})


# NPMplus#1436
@pytest.mark.parametrize("contacts", [None, [], ["mailto:one@demo.test"], ["mailto:one@demo.test", "mailto:two@demo.test"]])
def test_contacts_are_optional_and_echoed(stack, contacts):
    one = Client(stack)
    answer = one.register(**({} if contacts is None else {"contact": contacts}))
    assert answer.status == 201 and answer.json()["contact"] == (contacts or [])
    assert one.must(one.kid).json()["contact"] == (contacts or [])


# acme.sh PR#7080: Chrome's root program wants these of a CA
def test_the_directory_has_every_resource(stack, client):
    directory = client.http("GET", stack.acme_directory).json()
    assert {"keyChange", "newAccount", "newNonce", "newOrder", "revokeCert"} <= set(directory)
    assert all(directory[name].startswith(stack.acme_directory.split("/acme/")[0] + "/") for name in directory if name != "meta")


# acme.sh takes the words for the sign to try again, not the type
@pytest.mark.parametrize("nonce", ["AAAA", None])
def test_a_bad_nonce_is_told_in_the_words_that_acme_sh_knows(client, nonce):
    answer = client.post(client.kid, header={"nonce": nonce})
    assert answer.problem == "badNonce" and b"JWS has an invalid anti-replay nonce" in answer.body


# acme.sh reads JSON by patterns: one status in a challenge, one name in an authorisation, no braces within what it wants of a challenge
def test_acme_sh_finds_in_each_answer_what_its_patterns_look_for(stack, client, responder, issued):
    body = {name: answer.body.decode() for name, answer in issued.items()}
    assert re.findall(r'"authorizations" *: *\[[^\[]*\]', body["newOrder"]) and len(re.findall(r'"finalize" *: *"[^"]*"', body["newOrder"])) == 1
    assert re.findall(r'"value" *: *"([^"]*)"', body["authorization"]) == [f"quirks.{stack.demo_domain}"]
    for name in ("authorization", "validated"):
        entry, = re.findall(r'[^{]*"type":"http-01"[^}]*', body[name])
        assert re.findall(r'"token":"([^"]*)', entry) == [first_challenge(issued[name])["token"]]
        assert re.findall(r'"url":"([^"]*)', entry) == [first_challenge(issued[name])["url"]]
    assert '"status":"valid"' in body["validated"] and '"status":"valid"' not in body["authorization"]
    assert len(re.findall(r'"status":"([^"]*)', body["challenge"])) == 1
    assert '"status":"valid"' in body["finalize"] and len(re.findall(r'"certificate" *: *"[^"]*"', body["finalize"])) == 1

    made = client.order(f"wrong.{stack.demo_domain}")
    challenge = first_challenge(client.must(made.json()["authorizations"][0]))
    responder.answers[challenge["token"]] = "something else"
    client.must(challenge["url"], {})
    failed = client.poll(challenge["url"], {"invalid"}).body.decode()
    assert re.findall(r'"status":"([^"]*)', failed) == ["invalid"]
    error, = re.findall(r'"error":\{[^}]*', failed)
    assert re.findall(r'"detail": *"[^"]*', error)


# ---- what Boulder asks of requests ----


@pytest.mark.parametrize("content_type", ["application/json", "application/jose+json; charset=utf-8", "text/plain", ""])
def test_the_content_type_is_jose_json_exactly(client, content_type):
    answer = client.post(client.url("newOrder"), {"identifiers": []}, content_type=content_type)
    assert (answer.status, answer.problem) == (415, "malformed")


def test_a_replay_nonce_header_in_a_request_is_refused(client):
    client.fresh_nonce()
    body = json.dumps(client.jws(client.kid, None)).encode()
    answer = client.http("POST", client.kid, body, {"Content-Type": "application/jose+json", "Replay-Nonce": "x"})
    assert (answer.status, answer.problem) == (400, "malformed")


def test_one_signature_and_no_unprotected_header(client):
    for spoil in (lambda m: {**m, "header": {"kid": "x"}}, lambda m: {"payload": m["payload"], "signatures": [m]}, lambda m: {**m, "signatures": []}):
        answer = client.post(client.kid, mangle=spoil)
        assert (answer.status, answer.problem) == (400, "malformed")


def test_a_common_name_must_be_one_of_the_names(stack, client, responder):
    name = f"cn.{stack.demo_domain}"
    made = client.order(name)
    client.authorise(made.json(), responder)
    answer = client.post(made.json()["finalize"], {"csr": b64(csr([name], common_name=f"other.{stack.demo_domain}"))})
    assert (answer.status, answer.problem) == (400, "badCSR")
    assert client.must(made.json()["finalize"], {"csr": b64(csr([name], common_name=name))}).json()["status"] == "valid"


def test_every_answer_but_the_directory_is_linked_to_the_index(stack, client, issued):
    index = f'<{stack.acme_directory}>;rel="index"'
    assert all(index in answer.headers.get_all("Link") for answer in issued.values())
    assert index in client.http("GET", client.url("newOrder")).headers.get_all("Link")
    assert not client.http("GET", stack.acme_directory).headers.get_all("Link")


# ---- each error of RFC 8555 §6.7 that a request can meet (those of validations are in acme_challenges_test.py) ----


def new_account(stack, **fields):
    one = Client(stack)
    return one.post(one.url("newAccount"), {"termsOfServiceAgreed": True, **fields}, use_jwk=True)


def order_for(client, **identifier):
    return client.post(client.url("newOrder"), {"identifiers": [identifier]})


def issuing_certificate(stack):
    return x509.load_pem_x509_certificate(pathlib.Path(stack.chain_pem).read_bytes()).public_bytes(Encoding.DER)


ERRORS = {
    "accountDoesNotExist": (400, lambda stack, client: client.post(client.kid, header={"kid": client.kid[:-22] + "A" * 22})),
    "badNonce": (400, lambda stack, client: client.post(client.kid, header={"nonce": "AAAA"})),
    "badPublicKey": (400, lambda stack, client: client.post(client.url("newAccount"), {"termsOfServiceAgreed": True}, use_jwk=True,
                                                            header={"kid": None, "jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}})),
    "badRevocationReason": (400, lambda stack, client: client.post(client.url("revokeCert"), {"certificate": b64(issuing_certificate(stack)), "reason": 7})),
    "badSignatureAlgorithm": (400, lambda stack, client: client.post(client.kid, header={"alg": "HS256"})),
    "badCSR": (400, lambda stack, client: client.post(client.order(f"quirks.{stack.demo_domain}").json()["finalize"], {"csr": "AAAA"})),
    "invalidContact": (400, lambda stack, client: new_account(stack, contact=["mailto:"])),
    "malformed": (400, lambda stack, client: client.post(client.kid, mangle=lambda message: b"{")),
    "orderNotReady": (403, lambda stack, client: client.post(client.order(f"not-ready.{stack.demo_domain}").json()["finalize"],
                                                             {"csr": b64(csr([f"not-ready.{stack.demo_domain}"]))})),
    "rejectedIdentifier": (400, lambda stack, client: order_for(client, type="dns", value="-.example")),
    "unauthorized": (403, lambda stack, client: client.post(new_account(stack).headers["Location"])),
    "unsupportedContact": (400, lambda stack, client: new_account(stack, contact=["tel:1"])),
    "unsupportedIdentifier": (400, lambda stack, client: order_for(client, type="phone", value="1")),
    "userActionRequired": (403, lambda stack, client: new_account(stack, termsOfServiceAgreed=False)),
}


@pytest.mark.parametrize("word", sorted(ERRORS))
def test_each_error_has_its_word_its_status_and_what_a_client_needs(stack, client, issued, word):
    status, provoke = ERRORS[word]
    answer = provoke(stack, client)
    assert (answer.status, answer.problem) == (status, word), answer.body
    problem = answer.json()
    assert problem["status"] == status and problem["detail"]
    assert problem["instance"].startswith("https://" if word == "userActionRequired" else "urn:signet:trace:")
    assert answer.headers["Content-Type"] == "application/problem+json" and answer.headers["Replay-Nonce"] and answer.headers["Cache-Control"] == "no-store"
    if word == "badSignatureAlgorithm":
        assert {"RS256", "PS256", "ES256", "EdDSA"} <= set(problem["algorithms"])
    if word == "userActionRequired":
        assert f'<{problem["instance"]}>;rel="terms-of-service"' in answer.headers.get_all("Link")
