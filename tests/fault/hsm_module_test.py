"""A vendor's module on its bad days, under a running suite: the fault-injecting PKCS#11 shim (tests/fakes/pkcs11-shim) stands before SoftHSM."""

import concurrent.futures
import itertools
import json
import pathlib
import threading

import pytest

from acme_kit import csr
from stack_kit import SHIM, Stack, until


class Module:
    def __init__(self, stack, control):
        self.stack, self.control = stack, control

    def disturb(self, *lines):
        self.control.write_text("".join(f"{line}\n" for line in lines))

    def behave(self):
        self.control.write_text("")

    def calls(self, function):
        path = pathlib.Path(f"{self.control}.calls")
        return path.read_text().split().count(function) if path.exists() else 0


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    control = tmp_path_factory.mktemp("shim") / "control"
    control.write_text("")
    with Stack({"SIGNET_HSM_MODULE": str(SHIM), "PKCS11_SHIM_CONTROL": str(control)}) as stack:
        yield Module(stack, control)


counter = itertools.count()


def request_certificate(stack):
    number = next(counter)
    path = stack.directory / f"module-{number}.csr"
    path.write_bytes(csr([f"module-{number}.demo.test"]))
    return stack.signetctl("cert", "request", "--csr", str(path), "--template", "Web Server", check=False)


def settle(module):
    """Everything that was accepted is finished, by the same signer as before."""
    module.behave()
    until(lambda: request_certificate(module.stack).returncode == 0, 60)
    module.stack.wait("signer")
    until(lambda: module.stack.sql("SELECT count(*) FROM ra.intent WHERE status = 'open'") == [["0"]], 60)
    assert module.stack.sql("SELECT count(*) FROM ra.certificate") == module.stack.sql("SELECT count(*) FROM ra.intent WHERE status = 'issued'")


@pytest.mark.parametrize("fault", ["sign crash 3", "sign session-lost 3", "sign device-error 3", "sign slow 5", "sign hang 1"])
def test_a_passing_fault_costs_nothing(module, fault):
    before = module.stack.pid("signer")
    module.disturb(fault)
    answers = [request_certificate(module.stack) for _ in range(4)]
    # Done, or "later": never a refusal, never a wrong certificate.
    assert {done.returncode for done in answers} <= {0, 3}, [done.stderr for done in answers]
    settle(module)
    assert module.stack.pid("signer") == before


def test_a_signature_with_one_bit_wrong_never_leaves_the_signer(module):
    module.disturb("sign wrong 2")
    answers = [request_certificate(module.stack) for _ in range(3)]
    settle(module)
    for done in answers:
        if done.returncode == 0:
            path = module.stack.directory / "bit.pem"
            path.write_text(done.stdout)
            import subprocess
            said = subprocess.run(["openssl", "verify", "-CAfile", module.stack.root_pem, "-untrusted", module.stack.chain_pem, str(path)],
                                  capture_output=True, text=True, timeout=20)
            assert said.returncode == 0, said.stdout + said.stderr


def test_a_module_that_only_crashes_makes_the_signer_unready_with_the_reason_and_it_comes_back(module):
    before = module.stack.pid("signer")
    module.disturb("sign crash", "login crash")
    for _ in range(3):
        request_certificate(module.stack)
    words = until(lambda: (found := module.stack.ready("signer")) and not found[0] and found[1], 60)
    assert "hsm" in words.lower()
    assert request_certificate(module.stack).returncode == 3
    settle(module)
    assert module.stack.pid("signer") == before


def test_a_signer_killed_in_the_middle_of_a_batch_loses_nothing_and_signs_nothing_twice_over(module):
    """kill -9 while a slow token is at work on many intents at once: each of them is finished afterwards, with one certificate."""
    stack = module.stack
    module.disturb("sign slow")
    enough = threading.Event()

    def keep_asking():
        answers = [request_certificate(stack)]
        while not enough.is_set():
            answers.append(request_certificate(stack))
        return answers

    with concurrent.futures.ThreadPoolExecutor(12) as clients:
        asking = [clients.submit(keep_asking) for _ in range(12)]
        try:
            until(lambda: int(stack.sql("SELECT count(*) FROM ra.intent WHERE status = 'open'")[0][0]) >= 6, 60)
        finally:
            enough.set()
        stack.kill("signer")
        module.behave()
        stack.start("signer")
        answers = [done for each in asking for done in each.result()]
    assert {done.returncode for done in answers} <= {0, 3}, [done.stderr for done in answers]
    # Some of them were left open by their requests: they are recover.c's.
    stack.sql("UPDATE ra.intent SET due_at = now() WHERE status = 'open'")
    settle(module)
    lines = [json.loads(line) for line in stack.log("signer").splitlines() if '"signer.SignCertificates"' in line]
    assert '"batch":' in stack.log("ra"), "no two were sent to the signer together"
    stored = {row[0] for row in stack.sql("SELECT encode(serial, 'hex') FROM ra.certificate")}
    signed = {serial for line in lines for serial in line.get("serials", "").split()}
    assert signed <= stored
    assert stack.sql("SELECT intent_id FROM ra.certificate GROUP BY intent_id HAVING count(*) > 1") == []


def test_a_pin_that_the_token_refuses_is_tried_once(module):
    stack = module.stack
    stack.stop("signer")
    module.disturb("login pin-incorrect")
    before = module.calls("login")
    stack.start("signer")
    words = until(lambda: (found := stack.ready("signer")) and not found[0] and "PIN" in found[1] and found[1], 60)
    assert "PIN" in words
    request_certificate(stack)
    assert module.calls("login") == before + 1
    stack.stop("signer")
    module.behave()
    stack.start("signer")
    settle(module)
