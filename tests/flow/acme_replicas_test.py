"""Two acme-gw behind one URL and no sticky sessions: every request goes to the other one, and one of them dies."""

import http.client
import itertools
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from acme_kit import Client, Responder, csr
from stack_kit import Stack, until


class Balancer(Client):
    """An ACME client whose connections a load balancer hands to one replica after the other."""

    def __init__(self, stack, ports, patient=False):
        super().__init__(stack, patient=patient)
        self.ports = itertools.cycle(ports)
        self.asked = []

    def http(self, method, url, body=None, headers=None):
        port = next(self.ports)
        self.asked.append(port)
        self.close()
        self.connection = http.client.HTTPSConnection(self.base.hostname, port, context=self.context, timeout=40)
        return super().http(method, url, body, headers)


@pytest.fixture(scope="module")
def pair():
    """A stack with acme-gw and acme-gw@2, both under the first one's URL."""
    with Stack() as stack:
        port = int(stack.env["SIGNET_ACME_PORT"])
        stack.env["SIGNET_EXTRA_acme_gw"] = f"SIGNET_ACME_URL=https://127.0.0.1:{port}"
        stack.start("acme-gw@2")
        stack.wait("acme-gw@2")
        with Responder(stack.http01_port) as responder:
            yield stack, [port, port + int(stack.env["SIGNET_REPLICA_STEP"])], responder


def test_a_certificate_comes_over_alternating_replicas(pair):
    stack, ports, responder = pair
    client = Balancer(stack, ports)
    client.register()
    leaf, chain = client.issue(responder, f"both.{stack.demo_domain}", f"other.{stack.demo_domain}")
    assert chain.count(b"BEGIN CERTIFICATE") == 2
    assert set(client.asked) == set(ports)


def test_a_nonce_is_good_once_whichever_replica_is_asked(pair):
    stack, ports, _ = pair
    client = Balancer(stack, ports)
    client.register()
    for start in range(2):
        nonce = client.fresh_nonce()
        assert client.post(client.kid, header={"nonce": nonce}).status == 200
        for _ in ports:
            answer = client.post(client.kid, header={"nonce": nonce})
            assert (answer.status, answer.problem) == (400, "badNonce")
        if start == 0:
            client.fresh_nonce()  # the next nonce comes from the other replica


def test_a_deactivated_account_is_known_to_both_soon(pair):
    stack, ports, _ = pair
    client = Balancer(stack, ports)
    client.register()
    assert {client.post(client.kid).status for _ in range(4)} == {200}
    assert client.post(client.kid, {"status": "deactivated"}).status == 200
    until(lambda: all(client.post(client.kid).problem == "unauthorized" for _ in range(4)))


def test_an_account_that_changes_at_one_replica_has_changed_at_the_other(pair):
    stack, ports, _ = pair
    client = Balancer(stack, ports)
    client.register()
    assert {client.post(client.kid).status for _ in range(4)} == {200}
    assert client.post(client.kid, {"contact": ["mailto:other@example.com"]}).status == 200
    until(lambda: all(client.must(client.kid).json()["contact"] == ["mailto:other@example.com"] for _ in range(4)))

    old_key = client.key
    assert client.change_key(ec.generate_private_key(ec.SECP256R1())).status == 200
    until(lambda: all(client.post(client.kid, key=old_key).status in (400, 401, 403) for _ in range(4)))
    assert {client.post(client.kid).status for _ in range(4)} == {200}


def test_what_changes_while_nobody_can_hear_it_is_known_to_both_soon(pair):
    stack, ports, _ = pair
    client = Balancer(stack, ports, patient=True)
    client.register()
    assert {client.post(client.kid).status for _ in range(4)} == {200}
    account = client.kid.rsplit("/", 1)[1]
    stack.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'acme_gw'")
    stack.sql(f"UPDATE acme.account SET status = 'revoked' WHERE id = '{account}'")
    until(lambda: all(client.post(client.kid).problem == "unauthorized" for _ in range(4)))


def test_the_other_replica_finishes_when_one_is_killed(pair):
    stack, ports, responder = pair
    client = Balancer(stack, ports)
    client.register()
    made = client.order(f"survivor.{stack.demo_domain}")
    order = made.json()
    authorization = client.must(order["authorizations"][0]).json()
    challenge = next(item for item in authorization["challenges"] if item["type"] == "http-01")

    answered = threading.Event()
    died = threading.Event()
    looks = itertools.count()

    def die_first(handler):
        # What does not hold at the first, short look is a leased row from then on, and the client has its answer.
        if next(looks) == 0:
            handler.send_error(404)
            return
        # The validator is asking for the first replica: that one dies before it can write down what was found.
        # It can be here before the client has read its answer, which is not what this test is about.
        assert answered.wait(30)
        stack.kill("acme-gw")
        died.set()
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(f"{challenge['token']}.{client.thumbprint()}".encode())
        responder.answers[challenge["token"]] = f"{challenge['token']}.{client.thumbprint()}"

    responder.answers[challenge["token"]] = die_first
    client.ports = itertools.cycle(ports[:1])
    assert client.must(challenge["url"], {}).json()["status"] == "processing"
    answered.set()
    assert died.wait(30)
    client.ports = itertools.cycle(ports[1:])
    nonce_of_the_dead = client.nonce
    answer = client.post(made.headers["Location"], header={"nonce": nonce_of_the_dead})
    assert (answer.status, answer.problem) == (400, "badNonce")
    client.poll(made.headers["Location"], {"ready"}, seconds=60)
    done = client.finalize(made.headers["Location"], order, csr([f"survivor.{stack.demo_domain}"])).json()
    assert done["status"] == "valid"
