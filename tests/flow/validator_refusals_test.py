"""Nobody may have the validator speak with the suite itself: not by a name that leads there, not by a redirect, whatever the settings allow besides."""

import socket
import subprocess
import threading

import pytest

from acme_kit import Client, Responder


@pytest.fixture
def client(stack):
    one = Client(stack)
    one.register()
    yield one
    one.close()


@pytest.fixture
def validator(stack):
    """Restarts it with these settings; afterwards all is as before."""

    def restart(settings):
        stack.env["SIGNET_EXTRA_validator"] = settings
        stack.stop("validator")
        stack.start("validator")
        stack.wait("validator")

    yield restart
    del stack.env["SIGNET_EXTRA_validator"]
    stack.stop("validator")
    stack.start("validator")
    stack.wait("validator")


def try_name(client, name, kind, prepare=lambda challenge: None):
    """The problem that the authorisation ended with."""
    url = client.order(name).json()["authorizations"][0]
    challenge = next(item for item in client.must(url).json()["challenges"] if item["type"] == kind)
    prepare(challenge)
    client.must(challenge["url"], {})
    decided = client.poll(url, {"valid", "invalid"}).json()
    assert decided["status"] == "invalid"
    return decided["challenges"][0]["error"]


def is_refused_as_our_own(problem):
    return problem["type"] == "urn:ietf:params:acme:error:connection" and "part of this service" in problem["detail"]


def test_a_name_leads_neither_to_the_bus_nor_to_the_database(stack, client, validator):
    validator(f"SIGNET_HTTP01_PORT={stack.env['SIGNET_NATS_PORT']} SIGNET_TLSALPN01_PORT={stack.env['SIGNET_DATABASE_PORT']}")
    assert is_refused_as_our_own(try_name(client, f"to-the-bus.{stack.demo_domain}", "http-01"))
    assert is_refused_as_our_own(try_name(client, f"to-the-database.{stack.demo_domain}", "tls-alpn-01"))


def test_a_name_leads_to_no_admin_listener(stack, client, validator):
    signer = stack.admin_port("signer")
    validator(f"SIGNET_HTTP01_PORT={stack.admin_port('validator')} SIGNET_TLSALPN01_PORT={signer} SIGNET_VALIDATOR_DENY_ADDRESSES=127.0.0.1:{signer}")
    assert is_refused_as_our_own(try_name(client, f"to-itself.{stack.demo_domain}", "http-01"))
    assert is_refused_as_our_own(try_name(client, f"to-the-signer.{stack.demo_domain}", "tls-alpn-01"))


class Canary:
    """Listens, and knows whether anybody came."""

    def __init__(self, address, port):
        self.came = False
        self.listener = socket.create_server((address, int(port)))
        threading.Thread(target=self.wait, daemon=True).start()

    def wait(self):
        try:
            self.listener.accept()
            self.came = True
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_a_redirect_leads_to_no_part_of_the_suite(stack, client, validator):
    validator(f"SIGNET_VALIDATOR_DENY_ADDRESSES=127.0.0.2:{stack.http01_port}")

    def try_redirect(name, location):
        def send_on(handler):
            handler.send_response(302)
            handler.send_header("Location", location)
            handler.end_headers()

        return try_name(client, f"{name}.{stack.demo_domain}", "http-01", lambda challenge: responder.answers.update({challenge["token"]: send_on}))

    with Responder(stack.http01_port) as responder, Canary("127.0.0.2", stack.http01_port) as denied, Canary("127.0.0.3", stack.http01_port) as other:
        assert is_refused_as_our_own(try_redirect("redirect-to-an-address", f"http://127.0.0.2:{stack.http01_port}/"))
        # As by its usual port, which in this network is that of http-01.
        assert is_refused_as_our_own(try_redirect("redirect-to-a-host", "http://127.0.0.2/"))
        to_the_bus = try_redirect("redirect-to-the-bus", f"http://127.0.0.1:{stack.env['SIGNET_NATS_PORT']}/")
        assert to_the_bus["type"].endswith(":connection") and "only the usual ports" in to_the_bus["detail"]
        assert not denied.came
        try_redirect("redirect-to-another", f"http://127.0.0.3:{stack.http01_port}/")
        assert other.came


def test_it_does_not_start_where_it_could_ask_nobody(stack):
    settings = dict(line.split("=", 1) for line in stack.command("env", "validator").stdout.splitlines())
    settings |= {"SIGNET_VALIDATOR_DENY_ADDRESSES": f"postgres:{stack.http01_port}", "SIGNET_ADMIN_LISTEN": "127.0.0.1:0"}
    done = subprocess.run([stack.env["SIGNET_BIN"] + "/validator"], env={**stack.env, **settings}, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "SIGNET_HTTP01_PORT" in done.stderr
