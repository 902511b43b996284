"""kill -9 of any process at any moment, under load. Afterwards nothing is lost, nothing exists twice, nothing was signed without its intent."""

import random
import threading
import time

import pytest

from acme_kit import Client, Responder
from kill_kit import check_the_books, kill
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
