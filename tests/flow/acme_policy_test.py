"""ACME policies: a directory each, names without challenges, accounts that stay, and what operators do with them."""

import datetime
import json
import subprocess

import pytest
from cryptography import x509

from acme_kit import Client, Responder, csr
from stack_kit import until


@pytest.fixture(scope="module")
def intra(stack):
    """Names below intra.test are approved beforehand; the certificates are for 30 days."""
    stack.signetctl("acme", "policy", "create", "intra", "--preapproved-names", "*.intra.test", "--validity-days", "30", "--description", "inside")
    directory = stack.acme_directory.replace("/acme/", "/acme/intra/")
    client = Client(stack, policy="intra")
    until(lambda: client.http("GET", directory).status == 200)
    client.close()
    return directory


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True, timeout=30).stdout


def audit_of(stack, serial):
    rows = stack.sql(f"SELECT detail FROM audit.event WHERE action = 'certificate.issued' AND serial = '{serial.lower().zfill(34)}'")
    return json.loads(rows[0][0])


def test_certbot_gets_a_preapproved_name_without_a_challenge_and_the_audit_says_so(stack, intra):
    # Nobody answers challenges: with a web server nowhere, only pre-approval can give this certificate.
    stack.certbot("certonly", "--webroot", "-w", str(stack.directory), "--agree-tos", "--register-unsafely-without-email", "-d", "host.intra.test", "-d",
                  "other.intra.test", home="policy", server=intra)
    leaf = stack.directory / "policy/config/live/host.intra.test/cert.pem"
    assert "DNS:host.intra.test, DNS:other.intra.test" in openssl("x509", "-in", leaf, "-noout", "-text")
    assert subprocess.run(["openssl", "x509", "-in", leaf, "-noout", "-checkend", str(31 * 86400)], capture_output=True).returncode == 1
    record = audit_of(stack, openssl("x509", "-in", leaf, "-noout", "-serial").strip().split("=")[1])
    assert record["channel"] == "acme/intra"
    assert record["preapproved_count"] == 2 and sorted(record["preapproved"]) == ["host.intra.test", "other.intra.test"]


def test_lego_gets_a_preapproved_wildcard(stack, intra):
    home = stack.directory / "lego-policy"
    done = subprocess.run(
        ["lego", "--server", intra, "--accept-tos", "--email", "owner@intra.test", "--domains", "*.intra.test", "--path", str(home), "--http",
         "--http.port", f"127.0.0.1:{stack.http01_port}", "run"],
        env={**stack.env, "LEGO_CA_CERTIFICATES": stack.ca_bundle}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr + stack.tail_of_logs()
    assert "DNS:*.intra.test" in openssl("x509", "-in", home / "certificates" / "_.intra.test.crt", "-noout", "-text")


def test_other_names_are_proven_and_the_audit_tells_which(stack, intra):
    client = Client(stack, policy="intra")
    client.register()
    with Responder(stack.http01_port) as responder:
        leaf, _ = client.issue(responder, "mixed.intra.test", f"mixed.{stack.demo_domain}")
    path = stack.directory / "mixed.der"
    path.write_bytes(leaf)
    record = audit_of(stack, openssl("x509", "-inform", "DER", "-in", path, "-noout", "-serial").strip().split("=")[1])
    assert record["preapproved"] == ["mixed.intra.test"] and record["name_count"] == 2
    assert responder.asked and client.http("GET", intra).json()["newOrder"].endswith("/acme/intra/new-order")


def test_every_answer_links_the_directory_of_its_policy(stack, intra):
    client = Client(stack, policy="intra")
    own, usual = f'<{intra}>;rel="index"', f'<{stack.acme_directory}>;rel="index"'
    made = client.register()
    order = client.order("index.intra.test")
    for answer in (made, order, client.must(order.headers["Location"]), client.must(order.json()["authorizations"][0]), client.post(client.kid + "x")):
        assert own in answer.headers.get_all("Link") and usual not in answer.headers.get_all("Link")
    assert usual in client.http("GET", client.url("newNonce")).headers.get_all("Link")
    assert usual in client.http("GET", stack.acme_directory.replace("/directory", "/unheard-of/limits")).headers.get_all("Link")


def test_an_account_is_nothing_under_another_policy(stack, intra):
    client = Client(stack, policy="intra")
    client.register()
    other = Client(stack, key=client.key)
    other.kid = client.kid
    refused = other.post(other.url("newOrder"), {"identifiers": [{"type": "dns", "value": f"a.{stack.demo_domain}"}]})
    assert (refused.status, refused.problem) == (403, "unauthorized")
    refused = other.post(other.url("newAccount"), {"termsOfServiceAgreed": True}, use_jwk=True)
    assert (refused.status, refused.problem) == (403, "unauthorized")


def test_operators_write_policies_as_yaml_and_change_them_at_once(stack):
    exported = stack.signetctl("acme", "policy", "export", "default").stdout
    assert "name: \"default\"" in exported and "eab: \"none\"" in exported
    path = stack.directory / "policy.yaml"
    path.write_text("name: lab\ndescription: from a file\npreapproved_names: ['*.lab.test', 10.7.0.0/16]\n")
    assert "created" in stack.signetctl("acme", "policy", "import", str(path)).stdout
    assert "changed" in stack.signetctl("acme", "policy", "import", str(path)).stdout
    client = Client(stack, policy="lab")
    until(lambda: client.http("GET", client.base.geturl()).status == 200)
    assert stack.signetctl("acme", "policy", "create", "lab", check=False).returncode == 1

    stack.signetctl("acme", "policy", "set", "lab", "--disabled", "true", "--subdomain-auth", "true")
    until(lambda: client.http("GET", client.base.geturl()).status == 403)
    kept = json.loads(stack.signetctl("acme", "policy", "show", "lab", "--json").stdout)
    assert kept["description"] == "from a file" and kept["preapproved_names"] == ["*.lab.test", "10.7.0.0/16"] and kept["disabled"] and kept["subdomain_auth"]
    assert "lab" in stack.signetctl("acme", "policy", "list").stdout

    stack.signetctl("acme", "policy", "delete", "lab")
    until(lambda: client.http("GET", client.base.geturl()).status == 404)
    assert stack.signetctl("acme", "policy", "show", "lab", check=False).returncode == 4


def test_a_policy_that_is_as_it_was_is_unchanged_and_not_on_record(stack, intra, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(stack.signetctl("acme", "policy", "export", "intra").stdout)
    assert "unchanged" in stack.signetctl("acme", "policy", "import", str(path)).stdout
    assert "unchanged" in stack.signetctl("acme", "limits", "set", "default").stdout
    assert "changed" in stack.signetctl("acme", "policy", "set", "intra", "--description", "another").stdout

    def records():
        return [one["record"] for one in json.loads(stack.signetctl("audit", "show", "--action", "configuration", "--json").stdout)]

    until(lambda: any("another" in str(record.get("changes")) for record in records()))
    assert all(record.get("changes") for record in records() if record["what"] in ("acme policy", "acme limits") and record["done"] == "changed")
    stack.signetctl("acme", "policy", "import", str(path))


def test_an_order_chooses_a_profile_of_its_policy(stack):
    stack.signetctl("acme", "policy", "create", "chooser", "--preapproved-names", "*.chooser.test", "--profiles", "day=Web Server:1,as-it-is=Web Server:0")
    client = Client(stack, policy="chooser")
    until(lambda: client.http("GET", client.base.geturl()).status == 200)
    assert client.http("GET", client.base.geturl()).json()["meta"]["profiles"] == {"day": "Web Server, 1 days", "as-it-is": "Web Server, as long as it allows"}
    assert set(client.http("GET", stack.acme_directory).json()["meta"]["profiles"]) == {"classic", "shortlived"}
    client.register()
    made = client.order("www.chooser.test", profile="day")
    done = client.finalize(made.headers["Location"], made.json(), csr(["www.chooser.test"])).json()
    leaf = x509.load_pem_x509_certificate(client.must(done["certificate"]).body)
    assert leaf.not_valid_after - leaf.not_valid_before <= datetime.timedelta(days=1, hours=1)
    client.close()


@pytest.mark.parametrize("arguments", [
    ("create", "Lab"), ("create", "lab", "--profiles", "day"), ("create", "order"), ("create", "lab", "--eab", "perhaps"), ("create", "lab", "--client-networks", "everywhere"),
    ("create", "lab", "--validity-days", "many"), ("set", "nobody", "--caa", "true"), ("delete", "default"), ("delete", "intra"),
])
def test_what_operators_may_not_write_is_refused(stack, intra, arguments):
    client = Client(stack, policy="intra")
    client.register()
    assert stack.signetctl("acme", "policy", *arguments, check=False).returncode in (1, 2, 4)
    assert stack.sql("SELECT count(*) FROM acme.policy WHERE name IN ('lab', 'Lab', 'order')") == [["0"]]


def test_a_policy_without_challenges_asks_only_its_clients(stack):
    stack.signetctl("acme", "policy", "create", "far", "--client-networks", "10.0.0.0/8", "--preapproved-names", "*.far.test")
    client = Client(stack, policy="far")
    until(lambda: client.http("GET", client.base.geturl()).status == 403)
    stack.signetctl("acme", "policy", "set", "far", "--client-networks", "127.0.0.0/8,10.0.0.0/8")
    until(lambda: client.http("GET", client.base.geturl()).status == 200)
    client.register()
    made = client.order("a.far.test")
    assert made.json()["status"] == "ready"
    done = client.finalize(made.headers["Location"], made.json(), csr(["a.far.test"])).json()
    assert done["status"] == "valid"
