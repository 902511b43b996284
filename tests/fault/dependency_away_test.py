"""PostgreSQL, NATS, the token or the module away: a clear answer meanwhile, and recovery without a restart."""

import os
import pathlib
import signal

import pytest

from acme_kit import Client, Responder, b64, csr
from stack_kit import Stack, until


@pytest.fixture()
def stack():
    with Stack() as one:
        yield one


def a_client(stack):
    client = Client(stack)
    client.register()
    return client


def ask_for_an_order(stack, client):
    return client.post(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": f"away.{stack.demo_domain}"}]})


def pids(stack):
    return {name: stack.pid(name) for name in ("signer", "ra", "acme-gw", "validator", "ocsp-responder", "crl-publisher", "inventory", "est-gw", "scep-gw")}


@pytest.mark.parametrize("part", ["postgres", "nats"])
def test_without_it_503_with_retry_after_and_recovery_without_restart(stack, part):
    client = a_client(stack)
    before = pids(stack)
    stack.kill(part)
    for name in ("ra", "acme-gw", "signer", "inventory"):
        words = until(lambda: (found := stack.ready(name)) and not found[0] and found[1])
        assert ("database" if part == "postgres" else "bus") in words
    if part == "postgres":
        answer = until(lambda: (found := ask_for_an_order(stack, client)).status == 503 and found)
        assert answer.problem == "serverInternal" and int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Replay-Nonce"]
    else:
        done = stack.signetctl("ca", "list", check=False)
        assert done.returncode == 3 and done.stderr
    stack.start(part)
    stack.wait(part, "signer", "ra", "acme-gw", "validator", "ocsp-responder", "crl-publisher", "inventory", "est-gw", "scep-gw")
    with Responder(stack.http01_port) as responder:
        survivor = Client(stack, key=client.key, patient=True)
        survivor.kid = client.kid
        survivor.issue(responder, f"back.{stack.demo_domain}")
    assert pids(stack) == before


def test_without_the_signer_the_order_waits_and_is_finished_later(stack):
    with Responder(stack.http01_port) as responder:
        client = Client(stack, patient=True)
        client.register()
        made = client.order(f"later.{stack.demo_domain}")
        order = made.json()
        client.authorise(order, responder)
        client.poll(made.headers["Location"], {"ready"})
        stack.kill("signer")
        client.post(order["finalize"], {"csr": b64(csr([f"later.{stack.demo_domain}"]))})
        assert client.must(made.headers["Location"]).json()["status"] in ("processing", "ready")
        stack.start("signer")
        done = client.poll(made.headers["Location"], {"valid", "invalid"}, 90).json()
        assert done["status"] == "valid"


def test_a_wrong_pin_is_tried_once_and_named(stack):
    pin = stack.run_directory / "secrets" / "hsm.pin"
    right = pin.read_text()
    stack.stop("signer")
    pin.write_text("000000")
    stack.start("signer")
    ready, words = until(lambda: (found := stack.ready("signer"))[1] and "PIN" in found[1] and found)
    assert not ready and "PIN" in words
    log = stack.log("signer")
    assert log.count("CKR_PIN_INCORRECT") <= 1 or log.count("pin-incorrect") <= 1
    pin.write_text(right)
    stack.stop("signer")
    stack.start("signer")
    stack.wait("signer")


def test_a_token_that_is_gone_makes_the_signer_unready_and_comes_back(stack):
    tokens = stack.run_directory / "hsm" / "tokens"
    hidden = tokens.with_name("hidden")
    stack.stop("signer")
    tokens.rename(hidden)
    tokens.mkdir()
    stack.start("signer")
    ready, words = until(lambda: (found := stack.ready("signer")) and "token" in found[1] and found)
    assert not ready
    before = stack.pid("signer")
    tokens.rmdir()
    hidden.rename(tokens)
    stack.wait("signer")
    assert stack.pid("signer") == before


def test_sigterm_drains_and_exits_zero(stack):
    for name in ("acme-gw", "ra", "signer", "validator", "ocsp-responder", "crl-publisher", "inventory", "est-gw", "scep-gw"):
        pid = stack.pid(name)
        os.kill(pid, signal.SIGTERM)
        until(lambda: not pathlib.Path(f"/proc/{pid}").exists() or pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z", 30)
        # The last word of a process that finished what it had begun; one that was cut off says nothing.
        assert '"step":"service.end"' in stack.log(name).splitlines()[-1], stack.log(name)[-500:]
        stack.start(name)
    stack.wait("acme-gw", "ra", "signer")
