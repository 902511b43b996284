"""kill -9 of anything while names are proven by dns-01 and tls-alpn-01 from two vantage points, and while their orders are finalized. What the suite
has said yes to it finishes by itself: no client asks again."""

import hashlib
import random
import threading
import time
from itertools import zip_longest

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from acme_kit import AlpnResponder, Client, b64, csr
from kill_kit import check_the_books, kill
from knot_kit import Knot
from stack_kit import Stack, until

# Together those whose loss costs a deadline or a lease: they run out side by side. The other replica of acme-gw lives on.
VICTIMS = [["ra"], ["acme-gw", "validator", "validator@2", "postgres"], ["signer"], ["nats"]]
KINDS = ["dns-01", "tls-alpn-01"]


@pytest.fixture(scope="module")
def world():
    """(stack, its DNS server, its TLS server)"""
    stack = Stack()
    port = int(stack.env["SIGNET_ACME_PORT"]) + 37
    stack.env["SIGNET_EXTRA_validator"] = f"SIGNET_DNS_ADDR=127.0.0.1:{port}"
    stack.env["SIGNET_EXTRA_validator_2"] = "SIGNET_VALIDATOR_PERSPECTIVE=west"
    stack.env["SIGNET_EXTRA_acme_gw"] = "SIGNET_ACME_PERSPECTIVES=default,west"
    with Knot(port) as knot, stack, AlpnResponder(stack.tlsalpn01_port, stack.directory) as server:
        for name in ("validator@2", "acme-gw@2"):
            stack.start(name)
        stack.wait("validator@2", "acme-gw@2")
        yield stack, knot, server


def clients_of(stack):
    """One for each kind of challenge at each replica."""
    port = int(stack.env["SIGNET_ACME_PORT"])
    clients = []
    for replica in (port, port + int(stack.env["SIGNET_REPLICA_STEP"])):
        for _ in KINDS:
            client = Client(stack, patient=True)
            client.base = client.base._replace(netloc=f"127.0.0.1:{replica}")
            client.register()
            clients.append(client)
    return clients


class Order:
    def __init__(self, client, name, kind):
        self.client, self.name, self.kind = client, name, kind
        made = client.order(name)
        self.url, self.order = made.headers["Location"], made.json()
        authorization = client.must(self.order["authorizations"][0]).json()
        self.challenge = next(one for one in authorization["challenges"] if one["type"] == kind)

    def put_up(self, knot, server):
        digest = hashlib.sha256(f"{self.challenge['token']}.{self.client.thumbprint()}".encode()).digest()
        if self.kind == "dns-01":
            knot.put(f"_acme-challenge.{self.name}", "TXT", b64(digest))
        else:
            server.put(self.name, x509.DNSName(self.name), digest)

    def prove(self):
        self.client.must(self.challenge["url"], {})

    def finalize(self):
        answer = self.client.post(self.order["finalize"], {"csr": b64(csr([self.name]))})
        # Asked once more by a patient client, whose first question was answered to nobody.
        assert answer.status == 200 or answer.problem == "orderNotReady", answer.body

    def leaf(self):
        chain = self.client.must(self.client.must(self.url).json()["certificate"]).body
        return x509.load_pem_x509_certificate(chain).public_bytes(serialization.Encoding.DER)


def do(errors, *steps):
    """What one client does, one thing after the other."""
    try:
        for step in steps:
            if step:
                step()
    except BaseException as error:  # noqa: BLE001
        errors.append(error)


def statuses(stack, orders):
    ids = ",".join(f"'{order.url.rsplit('/', 1)[1]}'" for order in orders)
    return {row[0] for row in stack.sql(f"SELECT DISTINCT status FROM acme.orders WHERE id IN ({ids})")} if orders else set()


def are_being_proven(stack):
    return stack.sql("SELECT count(*) FROM acme.challenge WHERE status = 'processing' AND type = 'tls-alpn-01' AND lease_holder IS NOT NULL") == [["2"]]


def test_what_was_begun_is_finished_without_its_client(world):
    stack, knot, server = world
    random.seed(20261121)
    clients = clients_of(stack)
    held, proven, errors = {}, [], []
    for turn, victims in enumerate([*VICTIMS, []]):
        begun = [Order(client, f"turn-{turn}-{number}.demo.test", KINDS[number % 2]) for number, client in enumerate(clients)] if victims else []
        for order in begun:
            order.put_up(knot, server)
        server.gate.clear()
        # The last turn's orders are finalized while this turn's are proven.
        work = [threading.Thread(target=do, args=(errors, *steps), daemon=True)
                for steps in zip_longest([order.prove for order in begun], [order.finalize for order in proven])]
        for thread in work:
            thread.start()
        if victims:
            until(lambda: are_being_proven(stack) or errors)
        for victim in victims:
            kill(stack, victim)
            time.sleep(random.uniform(0, 0.3))
        server.gate.set()
        for thread in work:
            thread.join(120)
        assert not errors, f"{victims}: {errors}\n{stack.tail_of_logs(12)}"
        until(lambda: statuses(stack, proven) <= {"valid"} and statuses(stack, begun) <= {"ready"}, 120)
        held.update({order.name: order.leaf() for order in proven})
        proven = begun
    assert len(held) == len(VICTIMS) * len(clients)
    assert stack.sql("SELECT count(*) FROM ra.certificate WHERE channel = 'acme'") == [[str(len(held))]]
    check_the_books(stack, held)
