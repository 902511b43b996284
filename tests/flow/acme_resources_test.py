"""What RFC 8555 has beyond the usual way: keys of accounts, lists, authorisations without orders, dates, renewal information, revocation by others."""

import datetime
import json
import pathlib
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

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


def refused(answer, status, problem):
    assert (answer.status, answer.problem) == (status, problem), answer.body
    assert answer.headers["Replay-Nonce"] and answer.json()["detail"]


def certificate_id(leaf):
    """RFC 9773 §4.1"""
    certificate = x509.load_der_x509_certificate(leaf)
    key_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = certificate.serial_number
    return f"{b64(key_id)}.{b64(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def time_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def rfc3339(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- accounts ----


KEYS = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048), "RS384": lambda: rsa.generate_private_key(65537, 2048),
    "RS512": lambda: rsa.generate_private_key(65537, 2048), "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS384": lambda: rsa.generate_private_key(65537, 2048), "PS512": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()), "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_account_keys_of_every_algorithm(stack, algorithm):
    one = Client(stack, key=KEYS[algorithm](), algorithm=algorithm)
    one.register()
    assert one.must(one.kid).json()["status"] == "valid"
    assert one.order(f"{algorithm.lower()}.{stack.demo_domain}").status == 201


def test_a_key_is_changed_and_the_old_one_is_worth_nothing(stack, responder):
    one = Client(stack)
    one.register()
    old = one.key
    assert one.change_key(ed25519.Ed25519PrivateKey.generate()).headers["Location"] == one.kid
    refused(one.post(one.kid, key=old), 400, "malformed")
    one.issue(responder, f"new-key.{stack.demo_domain}")
    refused(one.change_key(old, oldKey=one.jwk(old)), 400, "malformed")
    refused(one.change_key(old, account=one.kid + "x"), 400, "malformed")
    refused(one.change_key(old, url=one.kid), 400, "malformed")
    assert one.change_key(old).status == 200


def test_a_key_in_use_is_409_with_its_account(stack, client):
    other = Client(stack)
    other.register()
    answer = other.change_key(client.key)
    refused(answer, 409, "malformed")
    assert answer.headers["Location"] == client.kid


def test_contacts_are_changed_and_echoed(stack):
    one = Client(stack)
    one.register(contact=["mailto:old@demo.test"])
    assert one.must(one.kid, {"contact": ["mailto:new@demo.test", "mailto:two@demo.test"]}).json()["contact"] == ["mailto:new@demo.test", "mailto:two@demo.test"]
    assert one.must(one.kid).json()["contact"] == ["mailto:new@demo.test", "mailto:two@demo.test"]
    assert one.must(one.kid, {"contact": []}).json()["contact"] == []
    refused(one.post(one.kid, {"contact": ["tel:1"]}), 400, "unsupportedContact")


def test_orders_come_in_pages(stack):
    one = Client(stack)
    one.register()
    made = {one.order(f"list-{number}.{stack.demo_domain}").headers["Location"] for number in range(3)}
    account = one.kid.rsplit("/", 1)[1]
    stack.sql("INSERT INTO acme.orders (id, account_id, names, authorization_ids, authorizations_left, client_address, created_at, expires_at) "
              f"SELECT 'o' || lpad(i::text, 21, '0'), '{account}', '{{dns:a.example}}', '{{}}', 0, '', now() - interval '1 day', now() + interval '1 day' "
              "FROM generate_series(1, 120) i")
    url, seen, pages = one.must(one.kid).json()["orders"], [], 0
    while url:
        answer = one.must(url)
        seen += answer.json()["orders"]
        pages += 1
        links = [link for link in answer.headers.get_all("Link") if 'rel="next"' in link]
        url = links[0].split(">")[0].lstrip("<") if links else None
    assert pages == 2 and len(seen) == len(set(seen)) == 123 and made <= set(seen)
    stack.sql("DELETE FROM acme.orders WHERE id LIKE 'o0000%'")


# ---- authorisations ----


def test_a_name_is_proven_before_it_is_ordered_and_then_given_up(stack, client, responder):
    name = f"before.{stack.demo_domain}"
    made = client.must(client.url("newAuthz"), {"identifier": {"type": "dns", "value": name}})
    assert made.status == 201
    client.authorise({"authorizations": [made.headers["Location"]]}, responder)
    order = client.order(name)
    assert order.json()["status"] == "ready" and order.json()["authorizations"] == [made.headers["Location"]]
    done = client.finalize(order.headers["Location"], order.json(), csr([name])).json()
    assert done["status"] == "valid"
    waiting = client.order(name)
    assert client.must(made.headers["Location"], {"status": "deactivated"}).json()["status"] == "deactivated"
    assert client.must(waiting.headers["Location"]).json()["status"] == "invalid"
    refused(client.post(waiting.json()["finalize"], {"csr": b64(csr([name]))}), 403, "orderNotReady")
    assert client.order(name).json()["status"] == "pending"
    refused(client.post(client.url("newAuthz"), {"identifier": {"type": "dns", "value": "*." + name}}), 400, "malformed")


# ---- dates ----


def test_dates_of_an_order_are_those_of_the_certificate(stack, client, responder):
    name = f"dates.{stack.demo_domain}"
    begin = datetime.datetime.utcnow().replace(microsecond=0) + datetime.timedelta(hours=1)
    end = begin + datetime.timedelta(days=3)
    made = client.order(name, notBefore=rfc3339(begin), notAfter=rfc3339(end))
    client.authorise(made.json(), responder)
    done = client.finalize(made.headers["Location"], made.json(), csr([name])).json()
    assert (done["notBefore"], done["notAfter"]) == (rfc3339(begin), rfc3339(end))
    certificate = x509.load_pem_x509_certificate(client.must(done["certificate"]).body)
    assert (certificate.not_valid_before, certificate.not_valid_after) == (begin, end)
    refused(client.post(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": name}], "notAfter": rfc3339(end + datetime.timedelta(days=400))}),
            400, "malformed")


def test_a_profile_chooses_how_long_a_certificate_lives(stack, client, responder):
    assert set(client.http("GET", stack.acme_directory).json()["meta"]["profiles"]) == {"classic", "shortlived"}
    name = f"short.{stack.demo_domain}"
    made = client.order(name, profile="shortlived")
    assert made.json()["profile"] == "shortlived"
    client.authorise(made.json(), responder)
    done = client.finalize(made.headers["Location"], made.json(), csr([name])).json()
    certificate = x509.load_pem_x509_certificate(client.must(done["certificate"]).body)
    assert datetime.timedelta(days=5) < certificate.not_valid_after - certificate.not_valid_before < datetime.timedelta(days=7)


def test_a_profile_that_there_is_not(client, stack):
    refused(client.post(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": f"p.{stack.demo_domain}"}], "profile": "none"}), 400, "invalidProfile")


# ---- certificates ----


def cross_certify(stack):
    """Another root certifies the issuing CA, as it is: same name, same key."""
    issuing = x509.load_pem_x509_certificate(pathlib.Path(stack.chain_pem).read_bytes())
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Another Root")]), datetime.datetime.utcnow()
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)

    def certify(subject, public_key):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public_key).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=300))
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False).sign(key, hashes.SHA256())

    cross, root = certify(issuing.subject, issuing.public_key()), certify(name, key.public_key())
    for path, certificate in (("cross.pem", cross), ("other-root.pem", root)):
        (stack.directory / path).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return stack.directory / "cross.pem", stack.directory / "other-root.pem"


def test_a_cross_certificate_gives_an_alternate_chain(stack, responder):
    cross, root = cross_certify(stack)
    ca = stack.sql("SELECT name FROM ca.authority WHERE is_default")[0][0]
    stack.signetctl("ca", "import", ca, "--alternate", "--certificate", str(cross), "--chain", str(root))
    one = Client(stack)
    one.register()
    name = f"crossed.{stack.demo_domain}"

    def alternates():
        made = one.order(name)
        one.authorise(made.json(), responder)
        usual = one.must(one.finalize(made.headers["Location"], made.json(), csr([name])).json()["certificate"])
        return usual, [link.split(">")[0].lstrip("<") for link in usual.headers.get_all("Link") if link.endswith('rel="alternate"')]

    # ra hears of it within the time of its refresh.
    usual, urls = until(lambda: (found := alternates())[1] and found)
    other = one.must(urls[0])
    assert len(urls) == 1 and other.body != usual.body
    (stack.directory / "alternate.pem").write_bytes(other.body)
    verified = subprocess.run(["openssl", "verify", "-CAfile", str(root), "-untrusted", str(stack.directory / "alternate.pem"), str(stack.directory / "alternate.pem")],
                              capture_output=True, text=True, timeout=30)
    assert ": OK" in verified.stdout, verified.stderr
    back = [link for link in other.headers.get_all("Link") if link.endswith('rel="alternate"')]
    assert len(back) == 1 and one.must(back[0].split(">")[0].lstrip("<")).body == usual.body
    stack.sql("DELETE FROM ca.alternate_chain")


def test_another_account_with_all_names_revokes_for_one_reason_only(stack, client, responder):
    leaf, _ = client.issue(responder, f"taken.{stack.demo_domain}", f"over.{stack.demo_domain}")
    other = Client(stack)
    other.register()
    half = other.order(f"taken.{stack.demo_domain}")
    other.authorise(half.json(), responder)
    refused(other.post(other.url("revokeCert"), {"certificate": b64(leaf), "reason": 1}), 403, "unauthorized")
    both = other.order(f"over.{stack.demo_domain}")
    other.authorise(both.json(), responder)
    assert other.post(other.url("revokeCert"), {"certificate": b64(leaf), "reason": 1}).status == 200
    serial = x509.load_der_x509_certificate(leaf).serial_number
    assert stack.sql(f"SELECT reason, authority FROM ra.revocation WHERE serial = '\\x{serial:034x}'") == [["5", "authorizations"]]


@pytest.mark.parametrize("reason, recorded", [({}, "1"), ({"reason": 1}, "1"), ({"reason": 4}, "4")])
def test_a_key_that_revokes_its_certificate_is_blocked(stack, client, responder, reason, recorded):
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"blocked.{stack.demo_domain}"
    leaf, _ = client.issue(responder, name, key=key)
    holder = Client(stack, key=key)
    assert holder.post(holder.url("revokeCert"), {"certificate": b64(leaf), **reason}, use_jwk=True).status == 200
    serial = x509.load_der_x509_certificate(leaf).serial_number
    assert stack.sql(f"SELECT reason, authority FROM ra.revocation WHERE serial = '\\x{serial:034x}'") == [[recorded, "certificate-key"]]
    made = client.order(name)
    refused(client.post(made.json()["finalize"], {"csr": b64(csr([name], key))}), 400, "badCSR")


# ---- renewal (RFC 9773) ----


def test_renewal_information_and_replacement(stack, client, responder):
    name = f"ari.{stack.demo_domain}"
    leaf, _ = client.issue(responder, name)
    url = f"{client.url('renewalInfo')}/{certificate_id(leaf)}"
    answer = client.http("GET", url)
    assert answer.status == 200 and int(answer.headers["Retry-After"]) > 0
    window = answer.json()["suggestedWindow"]
    certificate = x509.load_der_x509_certificate(leaf)
    begin, end = time_of(window["start"]).replace(tzinfo=None), time_of(window["end"]).replace(tzinfo=None)
    assert certificate.not_valid_before < begin < end < certificate.not_valid_after
    made = client.order(name, replaces=certificate_id(leaf))
    assert made.json()["replaces"] == certificate_id(leaf)
    again = {"identifiers": [{"type": "dns", "value": name}], "replaces": certificate_id(leaf)}
    refused(client.post(client.url("newOrder"), again), 409, "alreadyReplaced")
    done = client.finalize(made.headers["Location"], made.json(), csr([name])).json()
    assert done["status"] == "valid"
    refused(client.post(client.url("newOrder"), again), 409, "alreadyReplaced")
    stranger = Client(stack)
    stranger.register()
    refused(stranger.post(stranger.url("newOrder"), again), 403, "unauthorized")


def test_certificates_that_are_not_known_have_no_renewal_information(client):
    base = client.url("renewalInfo")
    refused(client.http("GET", f"{base}/AAAA.AQAB"), 404, "malformed")
    refused(client.http("GET", f"{base}/AAAA.AQAB/"), 404, "malformed")
    refused(client.http("GET", f"{base}/"), 404, "malformed")
    refused(client.http("GET", f"{base}/AAAA"), 400, "malformed")


def test_an_operator_moves_the_windows_of_a_selection(stack, client, responder):
    name = f"incident.{stack.demo_domain}"
    leaf, _ = client.issue(responder, name)
    other, _ = client.issue(responder, f"untouched.{stack.demo_domain}")

    def window(der):
        return client.http("GET", f"{client.url('renewalInfo')}/{certificate_id(der)}").json()

    before = window(other)
    # What is issued in the same second as the command counts as later.
    until(lambda: stack.sql(f"SELECT 1 FROM acme.orders WHERE names = '{{dns:{name}}}' AND finalized_at < date_trunc('second', now())"))
    words = "acme", "renew-within", "24h", "--name", name, "--explanation", "https://demo.test/why", "--json"
    said = json.loads(until(lambda: stack.signetctl(*words, check=False).stdout))  # as soon as the catalogue has heard of it
    assert (said["selected"], said["selected_more"]) == (1, False)
    moved = window(leaf)
    assert moved["explanationURL"] == "https://demo.test/why"
    assert moved["suggestedWindow"] == {"start": said["starts_at_s"], "end": said["ends_at_s"]}
    assert time_of(said["ends_at_s"]) - time_of(said["starts_at_s"]) == datetime.timedelta(hours=24)
    assert window(other) == before
    serial = f"{x509.load_der_x509_certificate(leaf).serial_number:034x}"
    for selection in (["--serial", serial, "--issuer", "demo-issuing"], ["--name", "Incident.Demo.Test."], ["--name", "demo.test", "--serial", serial]):
        assert stack.signetctl("acme", "renew-within", "24h", *selection).stdout.startswith("1 certificate is selected;")
    assert int(stack.signetctl("acme", "renew-within", "24h", "--name", "demo.test").stdout.split()[0]) >= 2
    assert stack.signetctl("acme", "renew-within", "24h", check=False).returncode == 2
    assert stack.signetctl("acme", "renew-within", "soon", "--all", check=False).returncode == 2


@pytest.mark.parametrize("selection, code, says", [
    (["--issuer", "demo-isuing"], 4, 'no CA named "demo-isuing": see signetctl ca list'),
    (["--issuer", "demo-root"], 4, "no certificate in force"),
    (["--name", "incidnt.demo.test"], 4, "no certificate in force"),
    (["--name", "*.demo.test"], 2, "without an asterisk"),
    (["--name", "demo..test"], 2, "empty label"),
    (["--serial", "0a0b0c"], 4, "no certificate with this serial"),
    (["--name", ""], 2, "say which certificates"),
    (["--issuer", ""], 2, "say which certificates"),
])
def test_a_selection_of_nothing_is_refused(stack, client, responder, selection, code, says):
    client.issue(responder, f"selectable.{stack.demo_domain}")
    windows = stack.sql("SELECT count(*) FROM acme.renewal_window")
    done = stack.signetctl("acme", "renew-within", "24h", *selection, check=False)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert stack.sql("SELECT count(*) FROM acme.renewal_window") == windows


def test_a_selection_of_what_nobody_renews_by_acme_is_refused(stack, client, responder):
    leaf, _ = client.issue(responder, f"soon-revoked.{stack.demo_domain}")
    serial = x509.load_der_x509_certificate(leaf).serial_number
    done = until(lambda: (lambda said: said if "no name" in said else None)(
        stack.signetctl("acme", "renew-within", "24h", "--serial", f"{serial:034x}", "--name", "elsewhere.test", check=False).stderr))
    assert "elsewhere.test" in done
    stack.revoke(serial, "superseded")
    until(lambda: "is revoked" in stack.signetctl("acme", "renew-within", "24h", "--serial", f"{serial:034x}", check=False).stderr)


# ---- operators ----


def test_an_order_is_explained(stack, client):
    made = client.order(f"explained.{stack.demo_domain}")
    url = made.headers["Location"]
    screen = stack.signetctl("acme", "explain", url).stdout
    assert "pending" in screen and "not proven" in screen and f"explained.{stack.demo_domain}" in screen and len(screen.splitlines()) < 25
    told = json.loads(stack.signetctl("acme", "explain", url.rsplit("/", 1)[1], "--json").stdout)
    assert told["status"] == "pending" and told["authorizations"][0]["name"] == f"dns:explained.{stack.demo_domain}"
    assert stack.signetctl("acme", "explain", "A" * 22, check=False).returncode == 4
