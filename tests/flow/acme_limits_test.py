"""Rate limits: shared by replicas where they are rows, counted at each where they are requests; and names that are paused."""

import http.client
import json

import pytest

from acme_kit import Client, b64, csr
from stack_kit import until


@pytest.fixture(scope="module")
def second(stack):
    """The port of a second replica, under the first one's URL, that counts requests from loopback, too: 60 a minute, 40 at once."""
    port = int(stack.env["SIGNET_ACME_PORT"])
    stack.env["SIGNET_EXTRA_acme_gw"] = (f"SIGNET_ACME_URL=https://127.0.0.1:{port} SIGNET_ACME_UNLIMITED_NETWORKS= SIGNET_ACME_REQUESTS_PER_MINUTE=60 "
                                         "SIGNET_ACME_REQUESTS_BURST=40 SIGNET_ACME_PROXY_NETWORKS=127.0.0.0/8")
    try:
        stack.start("acme-gw@2")
        stack.wait("acme-gw@2")
        yield port + int(stack.env["SIGNET_REPLICA_STEP"])
    finally:
        stack.stop("acme-gw@2")
        del stack.env["SIGNET_EXTRA_acme_gw"]


def client_of(stack, policy, port=None):
    client = Client(stack, policy=policy)
    if port:
        client.connection = http.client.HTTPSConnection("127.0.0.1", port, context=client.context, timeout=40)
    return client


def policy_with(stack, name, *limits):
    stack.signetctl("acme", "limits", "set", name, *limits)
    stack.signetctl("acme", "policy", "create", name, "--limits", name, "--preapproved-names", f"*.{name}.test")
    client = Client(stack, policy=name)
    until(lambda: client.http("GET", client.base.geturl()).status == 200)


def try_order(client, *names):
    return client.post(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": name} for name in names]})


def assert_limited(answer, rule, policy=""):
    assert (answer.status, answer.problem) == (429, "rateLimited"), answer.body
    assert answer.json()["rule"] == rule and rule in answer.json()["detail"]
    assert any(f'/acme/{policy}limits>;rel="help"' in link for link in answer.headers.get_all("Link"))
    assert 0 < int(answer.headers["Retry-After"]) <= 600


def test_orders_of_an_account_are_counted_by_both_replicas_together(stack, second):
    policy_with(stack, "few-orders", "--new-orders-per-account", "2")
    client = client_of(stack, "few-orders")
    client.register()
    assert try_order(client, "a.few-orders.test").status == 201
    other = client_of(stack, "few-orders", second)
    other.key, other.kid, other.directory = client.key, client.kid, client.directory
    until(lambda: other.http("GET", client.base.geturl()).status == 200)
    assert try_order(other, "b.few-orders.test").status == 201
    for one in (client, other):
        assert_limited(try_order(one, "c.few-orders.test"), "new-orders-per-account", "few-orders/")
    help_page = client.http("GET", client.base.geturl().replace("directory", "limits"))
    assert b"new-orders-per-account: 2 in 3600 s" in help_page.body


def test_certificates_of_a_domain_are_limited_but_renewals_are_not(stack):
    policy_with(stack, "few-certificates", "--certificates-per-domain", "1")
    client = client_of(stack, "few-certificates")
    client.register()
    early, made = try_order(client, "early.few-certificates.test"), try_order(client, "a.few-certificates.test")
    assert (early.status, made.status) == (201, 201)
    done = client.finalize(made.headers["Location"], made.json(), csr(["a.few-certificates.test"])).json()
    assert done["status"] == "valid"
    assert_limited(try_order(client, "b.few-certificates.test"), "certificates-per-domain", "few-certificates/")
    # It came while there was room, and finds none when it is finalized: it waits for the next period.
    for _ in range(2):
        refused = client.post(early.json()["finalize"], {"csr": b64(csr(["early.few-certificates.test"]))})
        assert_limited(refused, "certificates-per-domain", "few-certificates/")
        assert client.must(early.headers["Location"]).json()["status"] == "ready"
    stack.sql("UPDATE acme.limit_state SET tat = now() WHERE key LIKE '%certificates-per-domain%'")
    assert client.finalize(early.headers["Location"], early.json(), csr(["early.few-certificates.test"])).json()["status"] == "valid"
    other = client_of(stack, "few-certificates")
    other.register()
    assert_limited(try_order(other, "c.few-certificates.test"), "certificates-per-domain", "few-certificates/")

    chain = client.must(done["certificate"]).body
    renewal = client.post(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": "a.few-certificates.test"}], "replaces": certificate_id(chain)})
    assert renewal.status == 201, renewal.body


def certificate_id(chain):
    """RFC 9773 §4.1"""
    from cryptography import x509
    leaf = x509.load_pem_x509_certificate(chain)
    key = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    return f"{b64(key)}.{b64(leaf.serial_number.to_bytes(17, 'big'))}"


def test_a_name_that_fails_without_end_is_paused_until_it_is_resumed(stack):
    policy_with(stack, "pausing", "--failures-before-pause", "1", "--failed-authorizations-per-name", "5")
    client = client_of(stack, "pausing")
    client.register()
    name = f"nobody-answers.{stack.demo_domain}"
    made = client.must(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": name}]}).json()
    authorization = client.must(made["authorizations"][0]).json()
    client.must(next(one["url"] for one in authorization["challenges"] if one["type"] == "http-01"), {})
    client.poll(made["authorizations"][0], {"invalid"})
    assert_limited(try_order(client, name), "paused-names", "pausing/")
    assert try_order(client, f"another.{stack.demo_domain}").status == 201
    assert "1 accounts" in stack.signetctl("acme", "resume", name).stdout
    assert try_order(client, name).status == 201
    assert stack.signetctl("acme", "resume", name, check=False).returncode == 4


def test_accounts_of_an_address_are_limited(stack):
    policy_with(stack, "few-accounts", "--new-accounts-per-address", "1")
    first, other = client_of(stack, "few-accounts"), client_of(stack, "few-accounts")
    first.register()
    assert_limited(other.post(other.url("newAccount"), {"termsOfServiceAgreed": True}, use_jwk=True), "new-accounts-per-address", "few-accounts/")
    assert first.post(first.url("newAccount"), {"termsOfServiceAgreed": True}, use_jwk=True).status == 200


def test_requests_of_an_address_are_counted_at_each_replica(stack, second):
    client = client_of(stack, None, second)
    answers = [client.http("GET", client.base.geturl()) for _ in range(60)]
    taken = sum(answer.status == 200 for answer in answers)
    assert 0 < taken < 60
    assert_limited(answers[-1], "requests-per-address")
    assert answers[-1].headers["Replay-Nonce"]
    other = client_of(stack, None)
    assert all(other.http("GET", client.base.geturl()).status == 200 for _ in range(60))


def test_behind_a_proxy_the_client_is_counted_and_judged(stack, second):
    stack.signetctl("acme", "policy", "create", "branch", "--client-networks", "192.0.2.0/24")
    directory = stack.acme_directory.replace("/acme/", "/acme/branch/")
    client, direct = client_of(stack, None, second), client_of(stack, None)
    ask = lambda *addresses: client.http("GET", directory, headers={"X-Forwarded-For": ", ".join(addresses)})  # noqa: E731
    until(lambda: ask("192.0.2.1").status == 200)
    assert ask("198.51.100.1").problem == "unauthorized" and "198.51.100.1" in ask("198.51.100.1").json()["detail"]
    assert ask("192.0.2.1", "198.51.100.1").problem == "unauthorized"  # the first one is made up by the client
    # Nobody is believed where no proxies are named.
    assert direct.http("GET", directory, headers={"X-Forwarded-For": "192.0.2.1"}).problem == "unauthorized"
    assert any(ask("192.0.2.2").status == 429 for _ in range(60))
    assert ask("192.0.2.3").status == 200
    line = next(json.loads(line) for line in stack.log("acme-gw@2").splitlines() if '"caller":"198.51.100.1"' in line)
    assert line["status"] == "403"


def test_operators_see_and_change_limits(stack):
    stack.signetctl("acme", "limits", "set", "spare", "--new-orders-per-account", "3", "--new-orders-period-s", "60")
    stack.signetctl("acme", "limits", "set", "spare", "--failures-before-pause", "9")
    shown = json.loads(stack.signetctl("acme", "limits", "show", "spare", "--json").stdout)
    assert (shown["new_orders_per_account"], shown["new_orders_period_s"], shown["failures_before_pause"]) == (3, 60, 9)
    assert "3 in 60 s" in stack.signetctl("acme", "limits", "list").stdout
    stack.signetctl("acme", "limits", "delete", "spare")
    for arguments in (("delete", "spare"), ("delete", "default"), ("show", "spare"), ("set", "Spare"), ("set", "spare", "--new-orders-per-account", "-1")):
        assert stack.signetctl("acme", "limits", *arguments, check=False).returncode != 0
    assert stack.signetctl("acme", "policy", "create", "unlimited", "--limits", "nowhere", check=False).returncode == 1
