"""Certificates that are renewed by themselves (RFC 8739) go on being renewed, whoever is killed meanwhile: in bounded time, and one for each period."""

import datetime
import time

import pytest

from acme_kit import Client, csr
from stack_kit import Stack, until

LIFETIME_S = 4
ORDERS = 8


@pytest.fixture(scope="module")
def stack():
    with Stack() as one:
        yield one


def ask(client, name):
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    made = client.order(name, **{"auto-renewal": {"end-date": ends.strftime("%Y-%m-%dT%H:%M:%SZ"), "lifetime": LIFETIME_S}})
    assert client.finalize(made.headers["Location"], made.json(), csr([name])).json()["status"] == "valid"


def renewals(stack):
    return [int(row[0]) for row in stack.sql("SELECT renewal FROM acme.star ORDER BY order_id")]


def await_progress(stack):
    """Every order has another certificate than now."""
    before = renewals(stack)
    until(lambda: all(now > then for now, then in zip(renewals(stack), before)), 90)


def check_the_books(stack):
    """A number has one certificate; what an order names is stored; nothing stays open."""
    until(lambda: stack.sql("SELECT count(*) FROM ra.intent WHERE status = 'open'") == [["0"]], 60)
    assert stack.sql("SELECT idempotency_key FROM ra.intent WHERE channel = 'acme/star' GROUP BY idempotency_key HAVING count(*) > 1") == []
    twice = "SELECT split_part(idempotency_key, '.', 1), split_part(idempotency_key, '.', 2) FROM ra.intent WHERE channel = 'acme/star' " \
            "GROUP BY 1, 2 HAVING count(*) > 1"
    assert stack.sql(twice) == []
    assert stack.sql("SELECT o.id FROM acme.orders o LEFT JOIN ra.certificate c ON c.serial = o.serial WHERE c.serial IS NULL") == []


def test_the_next_certificate_comes_whoever_is_killed(stack):
    stack.signetctl("acme", "policy", "create", "star", "--star-max-duration-s", "7200", "--star-min-lifetime-s", "3", "--preapproved-names", "*.star.test")
    client = Client(stack, policy="star", patient=True)
    until(lambda: client.http("GET", client.base.geturl()).status == 200)
    client.register()
    for number in range(ORDERS):
        ask(client, f"s{number}.star.test")
    client.close()
    await_progress(stack)

    # Between renewals, and again right after the start: the rows wait, and a lease that nobody ends runs out.
    for pause in (0.2, 0.05):
        stack.kill("acme-gw")
        stack.start("acme-gw")
        time.sleep(pause)
    await_progress(stack)

    # Of two replicas the other one goes on.
    stack.start("acme-gw@2")
    stack.wait("acme-gw", "acme-gw@2")
    await_progress(stack)
    stack.kill("acme-gw")
    await_progress(stack)
    stack.start("acme-gw")

    for victim in ("ra", "signer", "nats", "postgres"):
        stack.kill(victim)
        stack.start(victim)
        stack.wait(victim)
        await_progress(stack)
    check_the_books(stack)
