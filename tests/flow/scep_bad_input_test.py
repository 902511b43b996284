"""What no honest device sends. Every refusal is told to the device in its own words, and to the log with the rule."""

import datetime
import os
import socket
import urllib.parse

import pytest
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives import hashes

from scep_kit import (DATA, ENVELOPED, FAILURE, GET_CERT, GET_CRL, MESSAGE_TYPE, PKCS_REQ, RECIPIENT_NONCE, RENEWAL_REQ, RSA, SUCCESS, TRANSACTION, Device,
                      Refused, Reply, csr, envelope, integer, new_key, oid, self_signed, seq, signed, tlv)
from stack_kit import until


@pytest.fixture(scope="module")
def phones(stack):
    stack.signetctl("profile", "create", "bad-phones", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", "--legacy", "true")
    return f"{stack.scep_url}/scep/bad-phones", stack.signetctl("profile", "rotate-passphrase", "bad-phones", "--kind", "scep").stdout.strip()


@pytest.fixture(scope="module")
def device(phones):
    return Device(phones[0], "bad.demo.test")


def good(device, phones):
    return device.message(csr(device.key, device.common_name, phones[1]))


def refused(device, message):
    with pytest.raises(Refused) as answer:
        device.post(message)
    return answer.value


@pytest.mark.parametrize("content_type", [DATA, ENVELOPED, "1.2.3"])
def test_another_content_type(device, phones, content_type):
    assert refused(device, device.message(csr(device.key, "bad.demo.test", phones[1]), content_type=content_type)).status == 400


def test_truncated_anywhere_is_refused_and_nothing_dies(stack, device, phones):
    message, pid = good(device, phones), stack.pid("scep-gw")
    for end in [*range(0, 60), *range(60, len(message), 97), len(message) - 1]:
        assert refused(device, message[:end]).status == 400
    assert refused(device, message + b"\0").status == 400
    assert stack.pid("scep-gw") == pid and device.post(message)


def test_rubbish_and_nesting(device):
    for rubbish in (os.urandom(1000), b"\x30\x80" * 20000, b"\x24\x80" * 5000 + b"\0\0" * 5000, b"\x30\x84\xff\xff\xff\xff", b"A" * 200000):
        assert refused(device, rubbish).status == 400


def test_flipped_octets_are_refused_or_change_nothing(device, phones):
    """Not all octets are protected: how a self-signed certificate is signed is nobody's concern."""
    message = bytearray(good(device, phones))
    for at in range(40, len(message), 61):
        spoiled = bytes(message[:at]) + bytes([message[at] ^ 0x41]) + bytes(message[at + 1:])
        try:
            reply = Reply(device.post(spoiled), device.key)
            assert reply.status == FAILURE or reply.certificate.public_key().public_numbers() == device.key.public_key().public_numbers()
        except Refused as answer:
            assert answer.status == 400


def test_a_body_of_ten_megabytes(stack, device):
    parts = urllib.parse.urlsplit(device.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as line:
        line.sendall(f"POST {parts.path}?operation=PKIOperation HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n".encode())
        assert b" 413 " in line.recv(200)


def test_an_envelope_for_somebody_else(device, phones):
    other = self_signed(new_key(), "somebody else")
    reply = device.enroll(phones[1], recipients=[other])
    assert (reply.status, reply.fail_info) == (FAILURE, "1")
    # Among others, ours is found.
    assert device.enroll(phones[1], recipients=[other, device.ca()[0]]).status == SUCCESS


def test_every_way_of_not_opening_looks_the_same(stack, device, phones):
    oaep = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    said = {(reply.status, reply.fail_info) for reply in (
        device.enroll(phones[1], rubbish_key=True), device.enroll(phones[1], key_padding=oaep), device.enroll(phones[1], rubbish_key=True))}
    assert said == {(FAILURE, "1")}
    assert "hsm.worker-lost" not in stack.log("signer")


def flipped(at):
    """One bit of the cipher text: of that block nothing is left, and of the next one the bit is flipped; at -17, where the padding's length is."""
    return lambda encrypted: encrypted[:at] + bytes([encrypted[at] ^ 0x80]) + encrypted[at:][1:]


def test_a_caught_envelope_that_was_changed_tells_nothing_of_what_is_in_it(stack, device, phones):
    """Who may ask whether the padding is right learns octet after octet (Vaudenay), and so the passphrase."""
    places = (-17, -1, 0, 16, 200, -100)
    request = csr(device.key, device.common_name, phones[1])
    for kind in (PKCS_REQ, RENEWAL_REQ):
        said = {(reply.status, reply.fail_info) for reply in (device.send(request, kind, change=flipped(at)) for at in places)}
        assert said == {(FAILURE, "1")}
    ca = device.ca()[1]
    for kind, known in ((GET_CERT, integer(1 << 130)), (GET_CRL, integer(1))):
        wanted = seq(ca.subject.public_bytes(), known)
        said = {(reply.status, reply.fail_info) for reply in (device.send(wanted, kind, change=flipped(at)) for at in (-17, 0, 16))}
        assert said == {(FAILURE, "4")}
    polling = Device(phones[0], "polling.demo.test")
    assert polling.enroll(phones[1]).status == SUCCESS
    assert {polling.poll(change=flipped(at)).status for at in (-17, 0, 16)} == {SUCCESS}
    # The operator is told.
    assert '"envelope":"does not open with our key"' in stack.log("scep-gw")


def test_a_key_that_is_wrapped_in_another_way(device, phones):
    oaep = oid("1.2.840.113549.1.1.7")
    body = envelope(csr(device.key, device.common_name, phones[1]), [device.ca()[0]]).replace(oid(RSA), oaep)
    attributes = [(MESSAGE_TYPE, tlv(0x13, b"19")), (TRANSACTION, tlv(0x13, b"OAEP"))]
    reply = Reply(device.post(signed(body, device.key, device.certificate, attributes)))
    assert (reply.status, reply.fail_info) == (FAILURE, "0")


def test_a_request_of_another_key_inside(device, phones):
    forged = csr(new_key(), "forged.demo.test", phones[1])
    reply = device.send(forged)
    assert (reply.status, reply.fail_info) == (FAILURE, "2")


def test_a_request_whose_own_signature_is_wrong(device, phones):
    spoiled = bytearray(csr(device.key, "spoiled.demo.test", phones[1]))
    spoiled[-1] ^= 1
    assert device.send(bytes(spoiled)).fail_info == "1"


def test_a_request_that_is_none_and_one_for_a_ca(device, phones):
    assert device.send(b"\x30\x00").fail_info == "1"
    assert device.send(b"").fail_info == "1"


def test_signed_with_another_key_than_its_certificate_is_told_so_and_the_log_names_the_transaction(stack, device, phones):
    reply = Reply(device.post(device.message(csr(device.key, "x.demo.test", phones[1]), signer=(new_key(), device.certificate), nonce=b"a nonce of it")))
    assert (reply.status, reply.fail_info, reply.text(TRANSACTION)) == (FAILURE, "1", device.transaction)
    assert reply.attributes[oid(RECIPIENT_NONCE)] == b"a nonce of it"
    line = until(lambda: next((line for line in stack.log("scep-gw").splitlines() if '"rule":"signature"' in line), None))
    assert all(word in line for word in (device.transaction, '"profile":"bad-phones"', '"client":"127.0.0.1"', '"user_agent":"scep-kit/1"'))


def test_weak_digests_and_keys(device, phones):
    reply = Reply(device.post(device.message(csr(device.key, "x.demo.test", phones[1]), digest="md5")))
    assert (reply.status, reply.fail_info) == (FAILURE, "0")
    small = Device(device.url, "small.demo.test", new_key(1024))
    assert small.enroll(phones[1]).fail_info == "0"


def test_message_types_that_are_not_answered(device, phones):
    for kind in (3, 18, 0, 99):
        reply = device.send(csr(device.key, "x.demo.test", phones[1]), kind)
        assert (reply.status, reply.fail_info) == (FAILURE, "2")


def test_transaction_ids_out_of_bounds(device, phones):
    for transaction in ("", "x" * 129, "line\nfeed"):
        assert refused(device, device.message(csr(device.key, "x.demo.test", phones[1]), transaction=transaction)).status == 400
    assert device.enroll(phones[1], transaction="y" * 128).status == SUCCESS


def test_an_expired_certificate_renews_nothing(stack, phones):
    device = Device(phones[0], "expired.demo.test")
    device.certificate = device.enroll(phones[1], ["expired.demo.test"]).certificate
    # As if it came from our CA: same issuer and serial, but nobody of ours signed it.
    forged = self_signed(device.key, "expired.demo.test", begin=datetime.datetime(2020, 1, 1))
    device.certificate = forged
    reply = device.send(csr(new_key(), "expired.demo.test", names=["expired.demo.test"]), RENEWAL_REQ)
    assert (reply.status, reply.fail_info) == (FAILURE, "2")


def test_a_self_signed_certificate_may_have_any_clock(phones):
    device = Device(phones[0], "clockless.demo.test")
    device.certificate = self_signed(device.key, "clockless.demo.test", begin=datetime.datetime(1999, 1, 1))
    assert device.enroll(phones[1]).status == SUCCESS


def test_a_replay_to_another_profile_is_worth_nothing(stack, phones):
    stack.signetctl("profile", "create", "bad-other", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate")
    stack.signetctl("profile", "rotate-passphrase", "bad-other", "--kind", "scep")
    device = Device(phones[0], "replay.demo.test")
    message = good(device, phones)
    assert device.post(message) and device.post(message)
    other = Device(f"{stack.scep_url}/scep/bad-other", key=device.key)
    assert Reply(other.post(message), device.key).status == FAILURE


def test_policy_of_the_authority_is_told_with_its_layer(stack, phones):
    device = Device(phones[0], "policy.demo.test", new_key())
    stack.signetctl("profile", "create", "bad-template", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Code-Signing")
    passphrase = stack.signetctl("profile", "rotate-passphrase", "bad-template", "--kind", "scep").stdout.strip()
    device.url = f"{stack.scep_url}/scep/bad-template"
    assert device.enroll(passphrase, ["policy.demo.test"]).fail_info == "2"
    until(lambda: '"rule":"AUTH-004"' in stack.log("scep-gw"))


def test_while_the_signer_or_the_authority_is_away_devices_are_told_to_come_again(stack, phones):
    device = Device(phones[0], "away.demo.test")
    message = good(device, phones)
    stack.stop("ra")
    assert refused(device, message).status == 503
    stack.start("ra")
    stack.wait("ra")
    reply = until(lambda: Reply(device.post(message), device.key))
    assert reply.status == SUCCESS


def test_killed_at_any_moment_the_device_gets_its_one_certificate(stack, phones):
    serials = set()
    for number in range(3):
        device = Device(phones[0], f"killed-{number}.demo.test")
        message = good(device, phones)
        with socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(device.url).port), timeout=20) as line:
            path = urllib.parse.urlsplit(device.url).path
            line.sendall(f"POST {path}?operation=PKIOperation HTTP/1.1\r\nHost: x\r\nContent-Length: {len(message)}\r\n\r\n".encode() + message)
            stack.kill("scep-gw")
        stack.start("scep-gw")
        stack.wait("scep-gw")
        first, second = Reply(device.post(message), device.key), Reply(device.post(message), device.key)
        assert first.status == SUCCESS and first.certificate == second.certificate
        serials.add(f"{first.certificate.serial_number:034x}")
        assert stack.sql(f"SELECT count(*) FROM ra.intent WHERE channel = 'scep/bad-phones' AND position('killed-{number}.demo.test'::bytea in csr) > 0") == [["1"]]
    assert len(serials) == 3
