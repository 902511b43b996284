"""kill -9 of any process at any moment, under load. Afterwards nothing is lost, nothing exists twice, nothing was signed without its intent."""

import hashlib
import json
import os
import pathlib
import random
import signal
import threading
import time

import pytest

from acme_kit import Client, Responder
from stack_kit import Stack, until

VICTIMS = ["signer", "hsm-worker", "ra", "acme-gw", "validator", "nats", "postgres", "inventory", "crl-publisher", "ocsp-responder"]
CLIENTS = 4


@pytest.fixture(scope="module")
def stack():
    with Stack() as one:
        yield one


class Load:
    """Clients that go on ordering certificates and keep what they were given."""

    def __init__(self, stack, responder):
        self.stack, self.responder = stack, responder
        self.held, self.errors = {}, []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        try:
            client = Client(self.stack, patient=True)
            client.register()
            count = 0
            while not self.stopping.is_set():
                name = f"load-{number}-{count}.{self.stack.demo_domain}"
                leaf, _ = client.issue(self.responder, name)
                self.held[name] = leaf
                count += 1
        except BaseException as error:  # noqa: BLE001
            self.errors.append(f"client {number}: {error!r}")

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=240)
        assert not self.errors, "\n".join(self.errors) + "\n" + self.stack.tail_of_logs(12)
        assert not any(thread.is_alive() for thread in self.threads), self.stack.tail_of_logs(12)


def kill(stack, victim):
    if victim == "hsm-worker":
        signer = stack.pid("signer")
        children = pathlib.Path(f"/proc/{signer}/task/{signer}/children").read_text().split()
        children += [child for task in pathlib.Path(f"/proc/{signer}/task").iterdir() for child in (task / "children").read_text().split()]
        if children:
            os.kill(int(random.choice(children)), signal.SIGKILL)
        return
    stack.kill(victim)
    stack.start(victim)


def test_kill_any_process_under_load(stack):
    random.seed(20261120)
    with Responder(stack.http01_port) as responder:
        load = Load(stack, responder)
        until(lambda: len(load.held) >= CLIENTS or load.errors, 60)
        for victim in VICTIMS:
            before = len(load.held)
            for _ in range(2):
                time.sleep(random.uniform(0.05, 0.6))
                kill(stack, victim)
            # The house mends itself: work goes on before the next blow.
            until(lambda: len(load.held) > before + 1 or load.errors, 120)
            assert not load.errors, "\n".join(load.errors)
        load.finish()
    assert len(load.held) > 2 * len(VICTIMS)
    check_the_books(stack, load.held)


def field_5(message):
    """The serial of a packed CertificateIntent (types.proto): protobuf is tag, length, octets here, and varints for the numbers before it."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            octet = message[at]
            at += 1
            value |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            varint()
            continue
        assert tag & 7 == 2
        length = varint()
        if tag >> 3 == 5:
            return message[at:at + length].hex()
        at += length
    raise AssertionError("an intent without a serial")


def serials_of_intents(stack):
    return [field_5(bytes.fromhex(row[0])) for row in stack.sql("SELECT encode(intent, 'hex') FROM ra.intent WHERE status <> 'pending'")]


def check_the_books(stack, held):
    services = [name for name in ("signer", "ra", "acme-gw", "validator", "inventory", "crl-publisher", "ocsp-responder")]
    stack.wait(*services)
    until(lambda: stack.sql("SELECT count(*) FROM ra.intent WHERE status = 'open'") == [["0"]], 120)

    statuses = {row[0] for row in stack.sql("SELECT DISTINCT status FROM ra.intent")}
    assert statuses <= {"issued", "refused"}, statuses

    # No serial exists twice, among certificates and among intents.
    assert stack.sql("SELECT encode(serial, 'hex') FROM ra.certificate GROUP BY serial HAVING count(*) > 1") == []
    reserved = serials_of_intents(stack)
    assert len(reserved) == len(set(reserved))

    # What a client holds is stored, octet by octet.
    stored = {row[0] for row in stack.sql("SELECT encode(sha256(certificate), 'hex') FROM ra.certificate")}
    lost = [name for name, leaf in held.items() if hashlib.sha256(leaf).hexdigest() not in stored]
    assert not lost

    # What was signed had its intent: the signer names the serial of everything that it signs.
    intents = set(reserved)
    signed = set()
    for line in stack.log("signer").splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if said.get("step", "").endswith("SignCertificates") and said.get("result") == "ok":
            assert len(said["serials"].split()) == int(said["signed"])
            signed.update(said["serials"].split())
    assert signed and signed <= intents

    # One order, one certificate.
    assert stack.sql("SELECT idempotency_key FROM ra.intent WHERE status = 'issued' GROUP BY channel, idempotency_key HAVING count(*) > 1") == []

    # The news arrived everywhere, and the audit log is whole.
    count = stack.sql("SELECT count(*) FROM ra.certificate")
    until(lambda: stack.sql("SELECT count(*) FROM inventory.certificate") == count, 60)
    until(lambda: stack.sql("SELECT count(*) FROM audit.record WHERE position IS NULL") == [["0"]], 60)
    assert stack.signetctl("audit", "verify").returncode == 0
    assert stack.sql("SELECT count(*) FROM ra.outbox") == [["0"]]
