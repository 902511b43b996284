"""kill -9 of anything while devices enrol by SCEP and EST, at once and after an approval. Who goes on asking, as devices do, gets its one certificate."""

import http.client
import random
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization

from est_kit import Est, make_csr, new_key
from kill_kit import check_the_books, kill
from scep_kit import PENDING, SUCCESS, Device, Refused, Reply, csr
from stack_kit import Stack, until

VICTIMS = ["scep-gw", "est-gw", "ra", "signer", "nats", "postgres"]
WAIT = "wait"


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


class ScepDevice:
    """Sends the very same message again and again; one that is to wait polls."""

    def __init__(self, name, url, passphrase=None):
        self.name, self.device = name, Device(url, name)
        self.message = self.device.message(csr(self.device.key, name, passphrase, [name]))
        self.polls = False

    def ask(self):
        """Its certificate, WAIT, or None when nobody answers."""
        try:
            reply = self.device.poll() if self.polls else Reply(self.device.post(self.message), self.device.key)
        except (OSError, http.client.HTTPException, Refused):
            return None
        assert reply.status in (SUCCESS, PENDING), f"{self.name}: {reply.status} {reply.fail_info}"
        self.polls = reply.status == PENDING
        return WAIT if self.polls else der(reply.certificate)


class EstDevice:
    def __init__(self, name, est, profile, user):
        self.name, self.est, self.profile, self.user = name, est, profile, user
        self.csr = make_csr(new_key(), f"CN={name}", [name])

    def ask(self):
        try:
            reply = self.est.ask(f"{self.profile}/simpleenroll", self.csr, auth=self.user)
        except (OSError, http.client.HTTPException):
            return None
        assert reply.status in (200, 202, 404, 503), f"{self.name}: {reply.status} {reply.text}"  # 404: it has not read its profiles yet
        return der(reply.certificate) if reply.status == 200 else WAIT if reply.status == 202 else None


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """(stack, makers of devices by the channel that they come through); who comes through "slow" waits for a person."""
    with Stack() as stack:
        est = Est(stack, tmp_path_factory.mktemp("est"))
        users = {name: est.password(est.profile(name, **more)) for name, more in (("fast", {}), ("slow", {"approval": "true", "retry_after_s": "1"}))}
        for name, *more in (("fast",), ("slow", "--authorization", "approval")):
            stack.signetctl("profile", "create", name, "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", *more)
        passphrase = stack.signetctl("profile", "rotate-passphrase", "fast", "--kind", "scep").stdout.strip()
        yield stack, {
            "scep/fast": lambda name: ScepDevice(name, f"{stack.scep_url}/scep/fast", passphrase),
            "scep/slow": lambda name: ScepDevice(name, f"{stack.scep_url}/scep/slow"),
            "est/fast": lambda name: EstDevice(name, est, "fast", users["fast"]),
            "est/slow": lambda name: EstDevice(name, est, "slow", users["slow"]),
        }


def approve(stack, name):
    """As an operator does it who looks again when there was no answer: true when nothing is left to approve."""
    listed = stack.signetctl("cert", "pending", check=False)
    if listed.returncode != 0:
        return False
    waiting = [line.split()[0] for line in listed.stdout.splitlines() if name in line]
    return not waiting or stack.signetctl("cert", "approve", waiting[0], check=False).returncode == 0


def test_a_device_that_asks_on_gets_its_one_certificate(world):
    stack, makers = world
    random.seed(20261121)
    held, errors = {}, []

    def enrol(device):
        try:
            held[device.name] = until(lambda: (got := device.ask()) not in (None, WAIT) and got, 90)
        except BaseException as error:  # noqa: BLE001
            errors.append(f"{device.name}: {error!r}")

    def approve_all(devices):
        for device in devices:
            until(lambda: approve(stack, device.name), 90)

    for turn, victim in enumerate(VICTIMS):
        devices = {channel: until(lambda: make(f"{channel.replace('/', '-')}-{turn}.demo.test")) for channel, make in makers.items()}
        slow = [device for channel, device in devices.items() if channel.endswith("slow")]
        for device in slow:
            until(lambda: device.ask() == WAIT, 60)
        work = [threading.Thread(target=enrol, args=(device,), daemon=True) for device in devices.values()]
        work.append(threading.Thread(target=approve_all, args=(slow,), daemon=True))
        for thread in work:
            thread.start()
        time.sleep(random.uniform(0, 0.3))
        kill(stack, victim)
        for thread in work:
            thread.join(180)
        assert not errors, f"{victim}: {errors}\n{stack.tail_of_logs(12)}"
        for device in devices.values():
            assert until(device.ask) == held[device.name]
    assert len(held) == len(VICTIMS) * len(makers)
    for channel in makers:
        assert stack.sql(f"SELECT count(*) FROM ra.certificate WHERE channel = '{channel}'") == [[str(len(VICTIMS))]]
    check_the_books(stack, held)
