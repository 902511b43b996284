"""What every service promises as a process: help, checks, probes, metrics, one JSON line per request, nothing secret in it."""

import json
import re
import subprocess
import urllib.request

import pytest

from stack_kit import SERVICES


def program(stack, name, *arguments, env=None):
    settings = dict(line.split("=", 1) for line in stack.command("env", name).stdout.splitlines())
    return subprocess.run([stack.env["SIGNET_BIN"] + "/" + name, *arguments], env={**stack.env, **settings, **(env or {})}, capture_output=True, text=True,
                          timeout=30)


@pytest.mark.parametrize("name", SERVICES)
def test_help_version_and_check(stack, name):
    said = program(stack, name, "--help")
    assert said.returncode == 0 and "SIGNET_ADMIN_LISTEN" in said.stdout and "SIGNET_NATS_URL" in said.stdout
    assert program(stack, name, "--version").stdout.strip().endswith("0.1.0")
    assert program(stack, name, "--check").returncode == 0
    wrong = program(stack, name, "--check", env={"SIGNET_ADMIN_LISTEN": "nowhere", "SIGNET_DRAIN_MS": "long"})
    assert wrong.returncode == 2 and "SIGNET_ADMIN_LISTEN" in wrong.stderr and "SIGNET_DRAIN_MS" in wrong.stderr
    loud = program(stack, name, "--check", env={"SIGNET_LOG_LEVEL": "loud"})
    assert loud.returncode == 2 and "SIGNET_LOG_LEVEL" in loud.stderr


def test_the_hsm_worker_says_that_it_is_not_started_by_hand(stack):
    said = subprocess.run([stack.env["SIGNET_BIN"] + "/hsm-worker", "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert said.returncode == 2 and "signer" in said.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_probes_and_metrics(stack, name):
    port = stack.admin_port(name)
    for path in ("healthz", "readyz"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            assert answer.status == 200
    text = stack.metrics(name)
    for line in text.splitlines():
        assert re.match(r'^(#.*|[a-z_][a-z0-9_]*(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? ([-+0-9.eE]+|NaN|\+Inf))$', line), line
    assert "signet_" in text


@pytest.mark.parametrize("name", SERVICES)
def test_every_log_line_is_json_with_its_service(stack, name):
    for line in stack.log(name).splitlines():
        said = json.loads(line)
        assert said["service"] == name and said["time"] and said["level"] and said["step"]


def test_no_secret_is_in_any_log(stack):
    secrets = [path.read_text().strip() for path in (stack.run_directory / "secrets").iterdir()]
    for name in SERVICES:
        log = stack.log(name)
        assert "PRIVATE KEY" not in log
        assert not [secret for secret in secrets if secret and secret in log]


def test_one_trace_goes_through_the_house(stack):
    from acme_kit import Client, Responder
    with Responder(stack.http01_port) as responder:
        client = Client(stack)
        client.register()
        client.issue(responder, f"trace.{stack.demo_domain}")

    def traces(name, step):
        return {json.loads(line)["trace"] for line in stack.log(name).splitlines() if step in line}

    finalized = traces("acme-gw", "finalize")
    assert finalized & traces("ra", "ra.Enroll") & traces("signer", "signer.SignCertificates")


def test_tls_versions(stack):
    host = f"127.0.0.1:{stack.env['SIGNET_ACME_PORT']}"
    for version, works in (("-tls1_2", True), ("-tls1_3", True), ("-tls1_1", False)):
        done = subprocess.run(["openssl", "s_client", "-connect", host, version, "-CAfile", stack.ca_bundle, "-cipher", "DEFAULT:@SECLEVEL=0"],
                              input="", capture_output=True, text=True, timeout=20)
        assert ("BEGIN CERTIFICATE" in done.stdout) == works, version


def test_services_listen_on_loopback_only(stack):
    pids = {str(stack.pid(name)) for name in SERVICES}
    said = subprocess.run(["ss", "-Hlntp"], capture_output=True, text=True, timeout=20).stdout
    for line in said.splitlines():
        if any(f"pid={pid}," in line for pid in pids):
            assert line.split()[3].startswith("127.0.0.1:"), line
