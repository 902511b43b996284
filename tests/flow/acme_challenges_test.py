"""Each way to prove a name, with real clients and a real authoritative DNS server; CAA; and validators that see different worlds."""

import base64
import datetime
import hashlib
import ipaddress
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from acme_kit import AlpnResponder, Client, Responder, b64, csr
from knot_kit import Knot
from stack_kit import Stack, until

ISSUER = "ca.demo.test"


@pytest.fixture(scope="module")
def world():
    """(stack, its DNS server, the DNS server that another perspective sees)"""
    stack = Stack()
    last = int(stack.env["SIGNET_ACME_PORT"]) + 38
    stack.env["SIGNET_EXTRA_validator"] = f"SIGNET_DNS_ADDR=127.0.0.1:{last - 1}"
    stack.env["SIGNET_EXTRA_validator_2"] = f"SIGNET_DNS_ADDR=127.0.0.1:{last - 2} SIGNET_VALIDATOR_PERSPECTIVE=west"
    stack.env["SIGNET_EXTRA_acme_gw"] = f"SIGNET_ACME_CAA_IDENTITIES={ISSUER}"
    stack.env["SIGNET_EXTRA_acme_gw_2"] = "SIGNET_ACME_PERSPECTIVES=default,west"
    with Knot(last - 1) as knot, Knot(last - 2) as elsewhere, stack:
        stack.sql("UPDATE acme.policy SET caa = true, subdomain_auth = true")
        yield stack, knot, elsewhere


@pytest.fixture(scope="module")
def responder(world):
    with Responder(world[0].http01_port) as one:
        yield one


@pytest.fixture
def client(world):
    one = Client(world[0])
    one.register()
    yield one
    one.close()


def key_authorization(client, challenge):
    return f"{challenge['token']}.{client.thumbprint()}"


def digest(client, challenge):
    return hashlib.sha256(key_authorization(client, challenge).encode()).digest()


def challenge_of(client, order, kind):
    url = order["authorizations"][0]
    return url, next(item for item in client.must(url).json()["challenges"] if item["type"] == kind)


def try_challenge(client, name, kind, prepare, identifier="dns"):
    """(order's URL, order, authorization as decided)"""
    made = client.must(client.url("newOrder"), {"identifiers": [{"type": identifier, "value": name}]})
    url, challenge = challenge_of(client, made.json(), kind)
    prepare(challenge)
    client.must(challenge["url"], {})
    return made.headers["Location"], made.json(), client.poll(url, {"valid", "invalid"}).json()


def why(authorization):
    return authorization["challenges"][0].get("error", {})


def names_of(client, order_url):
    chain = client.must(client.must(order_url).json()["certificate"]).body
    return x509.load_pem_x509_certificate(chain).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


# ---- dns-01 ----


def test_certbot_gets_a_wildcard_by_dns_01(world):
    stack, knot, _ = world
    stack.certbot("certonly", "--dns-rfc2136", "--dns-rfc2136-credentials", knot.credentials(), "--dns-rfc2136-propagation-seconds", "0",
                  "--agree-tos", "--register-unsafely-without-email", "-d", "wild.demo.test", "-d", "*.wild.demo.test", home="wild")
    pem = (stack.directory / "wild/config/live/wild.demo.test/cert.pem").read_bytes()
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(names.get_values_for_type(x509.DNSName)) == ["*.wild.demo.test", "wild.demo.test"]


def test_a_wildcard_is_not_proven_by_another_text(world, client):
    _, knot, _ = world
    _, _, authorization = try_challenge(client, "*.bad.demo.test", "dns-01", lambda _: knot.put("_acme-challenge.bad.demo.test", "TXT", "nonsense"))
    assert authorization["status"] == "invalid" and authorization["wildcard"] is True
    assert authorization["identifier"]["value"] == "bad.demo.test"
    assert why(authorization)["type"].endswith(":incorrectResponse") and "nonsense" in why(authorization)["detail"]


def test_dns_account_01_is_below_the_label_of_the_account(world, client):
    _, knot, _ = world
    label = base64.b32encode(hashlib.sha256(client.kid.encode()).digest()[:10]).decode().lower()
    _, _, authorization = try_challenge(client, "*.mine.demo.test", "dns-account-01", lambda challenge: knot.put(
        f"_{label}._acme-challenge.mine.demo.test", "TXT", b64(digest(client, challenge))))
    assert authorization["status"] == "valid", why(authorization)


# ---- dns-persist-01 ----


def persistent(client, domain, more=""):
    """By draft-ietf-acme-dns-persist-02 §4.1."""
    prefix = client.http("GET", client.base.geturl()).json()["meta"]["accountHashPrefix"]
    hashed = hashlib.sha256(bytes([len(domain)]) + domain.encode() + client.thumbprint().encode() + client.kid.encode()).digest()
    return f"{ISSUER}; accounturi={prefix}sha-256/{b64(hashed)}{more}"


def test_a_persistent_record_serves_again_and_after_a_change_of_the_key(world, client):
    stack, knot, _ = world
    until_s = int(time.time()) + 3600
    knot.put("_validation-persist.lasting.demo.test", "TXT", "other.example; accounturi=https://other.example/1",
             persistent(client, "lasting.demo.test", f"; policy=wildcard; persistUntil={until_s}"))
    _, _, authorization = try_challenge(client, "*.lasting.demo.test", "dns-persist-01", lambda challenge: challenge["issuerDomainNames"])
    assert authorization["status"] == "valid", why(authorization)
    ends = datetime.datetime.fromisoformat(authorization["expires"].replace("Z", "+00:00")).timestamp()
    assert ends <= until_s
    new_key = ec.generate_private_key(ec.SECP256R1())
    url = client.url("keyChange")
    inner = Client(stack, key=new_key).jws(url, {"account": client.kid, "oldKey": client.jwk()}, header={"nonce": None}, use_jwk=True)
    client.must(url, inner)
    client.key = new_key
    client.must(authorization_url(client, "*.lasting.demo.test"), {"status": "deactivated"})
    _, _, authorization = try_challenge(client, "*.lasting.demo.test", "dns-persist-01", lambda _: None)
    assert authorization["status"] == "valid", why(authorization)


def test_a_persistent_record_at_a_domain_above_covers_names_and_wildcards(world, client):
    _, knot, _ = world
    # The domain that somebody had to register is demo.test: a record at "test" would be the registry's.
    knot.put("_validation-persist.wide.demo.test", "TXT", persistent(client, "wide.demo.test", "; policy=wildcard"))
    knot.put("_validation-persist.narrow.demo.test", "TXT", persistent(client, "narrow.demo.test"))
    knot.put("_validation-persist.test", "TXT", persistent(client, "test", "; policy=wildcard"))
    for name in ("www.wide.demo.test", "*.a.b.wide.demo.test"):
        url, order, authorization = try_challenge(client, name, "dns-persist-01", lambda _: None)
        assert authorization["status"] == "valid", why(authorization)
        assert client.finalize(url, order, csr([name])).json()["status"] == "valid"
    _, _, authorization = try_challenge(client, "www.narrow.demo.test", "dns-persist-01", lambda _: None)
    assert authorization["status"] == "invalid" and "policy=wildcard" in why(authorization)["detail"]
    _, _, authorization = try_challenge(client, "other.demo.test", "dns-persist-01", lambda _: None)
    assert authorization["status"] == "invalid"


def authorization_url(client, name):
    return client.order(name).json()["authorizations"][0]


def test_a_persistent_record_of_another_account_is_none(world, client):
    _, knot, _ = world
    knot.put("_validation-persist.theirs.demo.test", "TXT", persistent(client, "theirs.demo.test"))
    other = Client(world[0])
    other.register()
    _, _, authorization = try_challenge(other, "theirs.demo.test", "dns-persist-01", lambda _: None)
    assert authorization["status"] == "invalid" and why(authorization)["type"].endswith(":unauthorized")
    other.close()


# ---- names below (RFC 9444) ----


def prove_by_dns_01(client, knot, url):
    authorization = client.must(url).json()
    assert {"dns-01", "dns-account-01", "dns-persist-01"} == {item["type"] for item in authorization["challenges"]}
    challenge = next(item for item in authorization["challenges"] if item["type"] == "dns-01")
    knot.put(f"_acme-challenge.{authorization['identifier']['value']}", "TXT", b64(digest(client, challenge)))
    client.must(challenge["url"], {})
    assert client.poll(url, {"valid", "invalid"}).json()["status"] == "valid"


def test_a_proof_of_a_domain_serves_names_below_but_not_against_their_caa(world, client):
    _, knot, _ = world
    assert client.http("GET", client.base.geturl()).json()["meta"]["subdomainAuthAllowed"] is True
    made = client.must(client.url("newAuthz"), {"identifier": {"type": "dns", "value": "team.demo.test", "subdomainAuthAllowed": True}})
    assert made.status == 201 and made.json()["subdomainAuthAllowed"] is True
    prove_by_dns_01(client, knot, made.headers["Location"])
    names = ["*.b.team.demo.test", "a.team.demo.test"]
    order = client.order(*names)
    assert order.json()["status"] == "ready" and order.json()["authorizations"] == [made.headers["Location"]]
    assert client.finalize(order.headers["Location"], order.json(), csr(names)).json()["status"] == "valid"
    assert sorted(names_of(client, order.headers["Location"]).get_values_for_type(x509.DNSName)) == names
    knot.put("c.team.demo.test", "CAA", '0 issue "other.example"')
    order = client.order("c.team.demo.test").json()
    assert order["status"] == "ready"
    answer = client.post(order["finalize"], {"csr": b64(csr(["c.team.demo.test"]))})
    assert answer.status == 403 and answer.problem == "caa", answer.body


def test_an_order_is_proven_at_the_ancestor_that_its_client_names(world, client):
    _, knot, _ = world
    made = client.must(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": f"{name}.base.demo.test", "ancestorDomain": "base.demo.test"}
                                                                for name in ("one", "two")]})
    assert len(made.json()["authorizations"]) == 1 and made.json()["status"] == "pending"
    prove_by_dns_01(client, knot, made.json()["authorizations"][0])
    names = ["one.base.demo.test", "two.base.demo.test"]
    assert client.finalize(made.headers["Location"], made.json(), csr(names)).json()["status"] == "valid"
    other = Client(world[0])
    other.register()
    assert other.order("three.base.demo.test").json()["status"] == "pending"
    other.close()


# ---- tls-alpn-01 ----


def test_lego_gets_a_certificate_by_tls_alpn_01(world):
    stack, _, _ = world
    home = stack.directory / "lego-tls"
    done = subprocess.run(
        ["lego", "--server", stack.acme_directory, "--accept-tos", "--email", "owner@demo.test", "--domains", "tls.demo.test", "--path", str(home),
         "--tls", "--tls.port", f"127.0.0.1:{stack.tlsalpn01_port}", "run"],
        env={**stack.env, "LEGO_CA_CERTIFICATES": stack.ca_bundle}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr + stack.tail_of_logs()
    assert (home / "certificates" / "tls.demo.test.crt").exists()


def test_an_address_is_proven_by_tls_alpn_01_under_its_reverse_name(world, client):
    stack, _, _ = world
    reverse = "1.0.0.127.in-addr.arpa"
    with AlpnResponder(stack.tlsalpn01_port, stack.directory) as server:
        name = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        _, _, authorization = try_challenge(client, "127.0.0.1", "tls-alpn-01", lambda challenge: server.put(reverse, name, digest(client, challenge)), identifier="ip")
    assert authorization["status"] == "valid", why(authorization)
    assert server.asked_for == [reverse]


def test_a_certificate_for_an_address(world, client, responder):
    def prepare(challenge):
        responder.answers[challenge["token"]] = key_authorization(client, challenge)

    url, order, authorization = try_challenge(client, "127.0.0.2", "http-01", prepare, identifier="ip")
    assert authorization["status"] == "invalid" and "127.0.0.2" in why(authorization)["detail"]
    url, order, authorization = try_challenge(client, "127.0.0.1", "http-01", prepare, identifier="ip")
    assert authorization["status"] == "valid", why(authorization)
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False).sign(key, hashes.SHA256())
    done = client.finalize(url, order, request.public_bytes(serialization.Encoding.DER)).json()
    assert done["status"] == "valid", done
    assert names_of(client, url).get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]


# ---- CAA ----


@pytest.mark.parametrize("name, records, allowed", [
    ("ours", ['0 issue "{issuer}"'], True),
    ("theirs", ['0 issue "other.example"'], False),
    ("account", ['0 issue "{issuer}; accounturi={account}; validationmethods=http-01"'], True),
    ("other-account", ['0 issue "{issuer}; accounturi={account}0"'], False),
    ("other-method", ['0 issue "{issuer}; validationmethods=dns-01"'], False),
    ("critical", ['128 unheard "x"'], False),
])
def test_caa_decides(world, client, responder, name, records, allowed):
    _, knot, _ = world
    host = f"www.caa-{name}.demo.test"
    knot.put(host, "A", "127.0.0.1")
    knot.put(f"caa-{name}.demo.test", "CAA", *(record.format(issuer=ISSUER, account=client.kid) for record in records))

    def prepare(challenge):
        responder.answers[challenge["token"]] = key_authorization(client, challenge)

    _, _, authorization = try_challenge(client, host, "http-01", prepare)
    assert authorization["status"] == ("valid" if allowed else "invalid"), authorization
    if not allowed:
        assert why(authorization)["type"].endswith(":caa") and f"caa-{name}.demo.test" in why(authorization)["detail"]


def test_caa_is_looked_at_again_when_the_proof_is_old(world, client, responder):
    stack, knot, _ = world

    def prepare(challenge):
        responder.answers[challenge["token"]] = key_authorization(client, challenge)

    url, order, authorization = try_challenge(client, "late.demo.test", "http-01", prepare)
    assert authorization["status"] == "valid", why(authorization)
    knot.put("late.demo.test", "CAA", '0 issue "other.example"')
    stack.sql(f"UPDATE acme.challenge SET validated_at = now() - interval '8 hours' WHERE token = '{authorization['challenges'][0]['token']}'")
    answer = client.post(order["finalize"], {"csr": b64(csr(["late.demo.test"]))})
    assert answer.status == 403 and answer.problem == "caa", answer.body
    failed = client.must(url).json()
    assert failed["status"] == "invalid" and "late.demo.test" in failed["error"]["detail"]


def test_caa_of_another_mind_does_not_matter_while_the_proof_is_fresh(world, client, responder):
    _, knot, _ = world

    def prepare(challenge):
        responder.answers[challenge["token"]] = key_authorization(client, challenge)

    url, order, authorization = try_challenge(client, "fresh.demo.test", "http-01", prepare)
    assert authorization["status"] == "valid", why(authorization)
    knot.put("fresh.demo.test", "CAA", '0 issue "other.example"')
    assert client.finalize(url, order, csr(["fresh.demo.test"])).json()["status"] == "valid"


# ---- perspectives ----


@pytest.fixture
def client_of_two(world):
    """Of a gateway that wants two perspectives to agree; the second one does not run yet. The other gateway, which wants one, would take its leases."""
    stack = world[0]
    stack.stop("acme-gw")
    stack.start("acme-gw@2")
    stack.wait("acme-gw@2")
    settings = dict(line.split("=", 1) for line in stack.command("env", "acme-gw@2").stdout.splitlines())
    client = Client(stack)
    client.base = client.base._replace(netloc=settings["SIGNET_ACME_LISTEN"])
    client.register()
    yield client
    client.close()
    for name in ("acme-gw@2", "validator@2"):
        stack.stop(name)
    stack.start("acme-gw")
    stack.wait("acme-gw")


def test_two_perspectives_must_see_the_same(world, client_of_two):
    stack, knot, elsewhere = world
    client = client_of_two

    def put_everywhere(challenge):
        for server in (knot, elsewhere):
            server.put("_acme-challenge.seen.demo.test", "TXT", b64(digest(client, challenge)))

    # A perspective that is away decides nothing: the validation waits for it.
    made = client.order("seen.demo.test").json()
    url, challenge = challenge_of(client, made, "dns-01")
    put_everywhere(challenge)
    client.must(challenge["url"], {})
    until(lambda: stack.sql("SELECT 1 FROM acme.challenge WHERE status = 'processing' AND lease_holder IS NULL"))
    assert client.must(url).json()["status"] == "pending"
    stack.start("validator@2")
    stack.wait("validator@2")
    authorization = client.poll(url, {"valid", "invalid"}).json()
    assert authorization["status"] == "valid", why(authorization)

    _, _, authorization = try_challenge(client, "half.demo.test", "dns-01", lambda challenge: knot.put(
        "_acme-challenge.half.demo.test", "TXT", b64(digest(client, challenge))))
    assert authorization["status"] == "invalid"
    assert 'seen from "west"' in why(authorization)["detail"]
