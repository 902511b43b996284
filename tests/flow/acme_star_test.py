"""Certificates that are renewed without their clients (RFC 8739), with lifetimes of seconds."""

import datetime
import email.utils
import json
import ssl
import time
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from acme_kit import Client, b64, csr
from stack_kit import until

POLICY = ("--star-max-duration-s", "3600", "--star-min-lifetime-s", "3", "--star-certificate-get", "true", "--preapproved-names", "*.star.test")


@pytest.fixture(scope="module")
def client(stack):
    stack.signetctl("acme", "policy", "create", "star", *POLICY)
    one = Client(stack, policy="star")
    until(lambda: one.http("GET", one.base.geturl()).status == 200)
    one.register()
    yield one
    one.close()


def rfc3339(seconds):
    return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def ask(client, name, lifetime, seconds, **more):
    """(order's URL, order when it is valid)"""
    made = client.order(name, **{"auto-renewal": {"end-date": rfc3339(seconds), "lifetime": lifetime, **more}})
    assert made.json()["status"] == "ready", made.json()
    done = client.finalize(made.headers["Location"], made.json(), csr([name])).json()
    assert done["status"] == "valid" and "certificate" not in done, done
    return made.headers["Location"], done


def fetch(stack, url):
    """By somebody without an account: (headers, certificate), or the problem."""
    try:
        with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=stack.ca_bundle), timeout=10) as answer:
            return answer.headers, x509.load_pem_x509_certificate(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["type"].rsplit(":", 1)[1]


def test_a_certificate_is_renewed_until_its_client_cancels_it(stack, client):
    meta = client.http("GET", client.base.geturl()).json()["meta"]["auto-renewal"]
    assert meta == {"min-lifetime": 3, "max-duration": 3600, "allow-certificate-get": True}
    url, order = ask(client, "www.star.test", 6, 300, **{"allow-certificate-get": True})
    assert order["auto-renewal"]["allow-certificate-get"] is True and order["auto-renewal"]["lifetime-adjust"] == 4
    headers, first = fetch(stack, order["star-certificate"])
    for header, field in (("Cert-Not-Before", first.not_valid_before), ("Cert-Not-After", first.not_valid_after)):
        said = email.utils.parsedate_to_datetime(headers[header].strip('"')).replace(tzinfo=None)
        assert said == field
    assert "max-age" in headers["Cache-Control"] and "Replay-Nonce" not in headers

    until(lambda: fetch(stack, order["star-certificate"])[1].serial_number != first.serial_number)
    second = fetch(stack, order["star-certificate"])[1]
    assert second.public_key().public_numbers() == first.public_key().public_numbers()
    assert (second.not_valid_after - first.not_valid_after).total_seconds() == 6
    # It is valid when it is there, while the one before has not ended.
    assert second.not_valid_before <= datetime.datetime.utcnow() and second.not_valid_before < first.not_valid_after
    assert x509.load_pem_x509_certificate(client.must(order["star-certificate"]).body).public_key().public_numbers() == first.public_key().public_numbers()
    until(lambda: f"{second.serial_number:x}" in stack.signetctl("cert", "list", "--name", "www.star.test", "--json").stdout.replace("0x", ""))

    for certificate in (first, second):
        der = certificate.public_bytes(serialization.Encoding.DER)
        refused = client.post(client.url("revokeCert"), {"certificate": b64(der)})
        assert (refused.status, refused.problem) == (403, "autoRenewalRevocationNotSupported")

    said = stack.signetctl("acme", "explain", url).stdout
    assert "next renewal" in said and "any replica of acme-gw makes the next certificate" in said, said
    answer = client.must(url, {"status": "canceled"})
    assert answer.json()["status"] == "canceled"
    assert fetch(stack, order["star-certificate"]) == (403, "autoRenewalCanceled")
    assert client.post(order["star-certificate"]).problem == "autoRenewalCanceled"
    again = client.post(url, {"status": "canceled"})
    assert (again.status, again.problem) == (400, "autoRenewalCancellationInvalid")
    assert "its client has canceled it" in stack.signetctl("acme", "explain", url).stdout
    made = stack.sql(f"SELECT renewal + 1 FROM acme.star WHERE order_id = '{url.rsplit('/', 1)[1]}'")
    assert made == stack.sql(f"SELECT count(*) FROM ra.intent WHERE idempotency_key LIKE '{url.rsplit('/', 1)[1]}.%'")


def test_it_ends_with_its_order(stack, client):
    url, order = ask(client, "end.star.test", 3, 5, **{"allow-certificate-get": True})
    ends = datetime.datetime.strptime(order["auto-renewal"]["end-date"], "%Y-%m-%dT%H:%M:%SZ")
    assert order["expires"] == order["auto-renewal"]["end-date"]
    until(lambda: fetch(stack, order["star-certificate"])[1] == "autoRenewalExpired")
    assert datetime.datetime.utcnow() >= ends and client.must(url).json()["status"] == "valid"
    last = stack.sql(f"SELECT max(not_after) = '{ends.isoformat()}Z' FROM ra.certificate c JOIN ra.intent i ON i.id = c.intent_id "
                     f"WHERE i.idempotency_key LIKE '{url.rsplit('/', 1)[1]}.%'")
    assert last == [["t"]]


def test_an_account_that_ends_takes_its_renewals_along(stack, client):
    other = Client(stack, policy="star")
    other.register()
    url, order = ask(other, "gone.star.test", 3, 300, **{"allow-certificate-get": True})
    other.must(other.kid, {"status": "deactivated"})
    until(lambda: fetch(stack, order["star-certificate"]) == (403, "autoRenewalCanceled"))
    assert "the account is not valid any more" in stack.signetctl("acme", "explain", url).stdout
    other.close()


def test_what_is_not_offered_is_refused(stack, client):
    default = Client(stack)
    default.register()
    wish = {"end-date": rfc3339(300), "lifetime": 30}
    refused = default.post(default.url("newOrder"), {"identifiers": [{"type": "dns", "value": f"a.{stack.demo_domain}"}], "auto-renewal": wish})
    assert (refused.status, refused.problem) == (400, "malformed")
    assert "auto-renewal" not in default.http("GET", default.base.geturl()).json()["meta"]
    for wrong in ({"lifetime": 2}, {"end-date": rfc3339(4000)}):
        refused = client.post(client.url("newOrder"), {"identifiers": [{"type": "dns", "value": "a.star.test"}], "auto-renewal": {**wish, **wrong}})
        assert (refused.status, refused.problem) == (400, "malformed")
    _, order = ask(client, "mine.star.test", 60, 300)
    assert fetch(stack, order["star-certificate"]) == (403, "unauthorized")
    default.close()
