"""The main job, with the stock clients: register, http-01, certificate, revoke."""

import pathlib
import subprocess

from stack_kit import until


def issue(stack, name, home, *more):
    stack.certbot("certonly", "--standalone", "--http-01-port", stack.http01_port, "--http-01-address", "127.0.0.1", "--agree-tos",
                  "--register-unsafely-without-email", "-d", name, *more, home=home)
    return stack.directory / home / "config" / "live" / name


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True, timeout=30).stdout


def test_certbot_gets_a_certificate_that_verifies(stack):
    name = f"one.{stack.demo_domain}"
    live = issue(stack, name, "c1", "-d", f"two.{stack.demo_domain}")
    text = openssl("x509", "-in", live / "cert.pem", "-noout", "-text")
    assert f"DNS:{name}, DNS:two.{stack.demo_domain}" in text
    assert "CA:TRUE" not in text
    assert "TLS Web Server Authentication" in text
    assert "OCSP - URI:http" in text and "CA Issuers - URI:http" in text and ".crl" in text
    assert ": OK" in openssl("verify", "-x509_strict", "-CAfile", stack.root_pem, "-untrusted", live / "chain.pem", live / "cert.pem")


def test_chain_is_leaf_first_without_the_root(stack):
    live = issue(stack, f"chain.{stack.demo_domain}", "c2")
    pem = (live / "fullchain.pem").read_text()
    assert pem.count("BEGIN CERTIFICATE") == 2
    assert pem.endswith("-----END CERTIFICATE-----\n") and "\r" not in pem
    assert pathlib.Path(stack.root_pem).read_text().strip() not in pem


def test_serial_numbers_are_positive_and_long_and_carry_the_month(stack):
    live = issue(stack, f"serial.{stack.demo_domain}", "c3")
    serial = openssl("x509", "-in", live / "cert.pem", "-noout", "-serial").strip().split("=")[1]
    assert len(bytes.fromhex(serial.zfill(34))) == 17 and serial.zfill(34).startswith("01")


def test_revocation_by_the_account_reaches_ocsp_and_crl(stack):
    name = f"gone.{stack.demo_domain}"
    live = issue(stack, name, "c4")
    assert "cert.pem: good" in stack.ocsp(live / "cert.pem")
    stack.certbot("revoke", "--cert-path", str(live / "cert.pem"), "--reason", "superseded", "--no-delete-after-revoke", home="c4")
    answer = until(lambda: (text := stack.ocsp(live / "cert.pem")) and "cert.pem: revoked" in text and text)
    assert "Reason: superseded" in answer
    serial = openssl("x509", "-in", live / "cert.pem", "-noout", "-serial").strip().split("=")[1]

    def on_the_crl():
        crl = stack.directory / "c4.crl"
        subprocess.run(["curl", "-sf", stack.crl_url, "-o", str(crl)], check=True, timeout=10)
        return serial in openssl("crl", "-inform", "DER", "-in", crl, "-noout", "-text")

    until(on_the_crl)


def test_revocation_by_the_certificate_key(stack):
    name = f"bykey.{stack.demo_domain}"
    live = issue(stack, name, "c5")
    stack.certbot("revoke", "--cert-path", str(live / "cert.pem"), "--key-path", str(live / "privkey.pem"), "--reason", "keycompromise",
                  "--no-delete-after-revoke", home="another-account")
    answer = until(lambda: (text := stack.ocsp(live / "cert.pem")) and "cert.pem: revoked" in text and text)
    assert "Reason: keyCompromise" in answer


def test_a_key_that_was_compromised_is_not_certified_again(stack):
    name = f"blocked.{stack.demo_domain}"
    live = issue(stack, name, "c6")
    key = live / "privkey.pem"
    stack.certbot("revoke", "--cert-path", str(live / "cert.pem"), "--key-path", str(key), "--reason", "keycompromise", "--no-delete-after-revoke",
                  home="another-account")
    csr = stack.directory / "blocked.csr"
    openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-out", csr)
    done = stack.certbot("certonly", "--standalone", "--http-01-port", stack.http01_port, "--http-01-address", "127.0.0.1", "--agree-tos",
                         "--register-unsafely-without-email", "--csr", str(csr), home="c6", check=False)
    assert done.returncode != 0
    # certbot 2.1 stumbles over its own immutable error while it prints it; its log has the problem as we sent it.
    assert "error:badCSR :: " in (log := (stack.directory / "c6" / "logs" / "letsencrypt.log").read_text()) and "the public key is blocked" in log


def test_lego_gets_a_certificate(stack):
    name = f"lego.{stack.demo_domain}"
    home = stack.directory / "lego"
    done = subprocess.run(
        ["lego", "--server", stack.acme_directory, "--accept-tos", "--email", f"owner@{stack.demo_domain}", "--domains", name, "--path", str(home),
         "--http", "--http.port", f"127.0.0.1:{stack.http01_port}", "run"],
        env={**stack.env, "LEGO_CA_CERTIFICATES": stack.ca_bundle}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr + stack.tail_of_logs()
    certificate = home / "certificates" / f"{name}.crt"
    assert ": OK" in openssl("verify", "-CAfile", stack.root_pem, "-untrusted", stack.chain_pem, certificate)


def test_a_name_that_does_not_answer_is_refused_with_the_reason(stack):
    done = stack.certbot("certonly", "--webroot", "-w", str(stack.directory), "--agree-tos", "--register-unsafely-without-email",
                         "-d", f"nobody.{stack.demo_domain}", home="c7", check=False)
    assert done.returncode != 0
    assert "127.0.0.1" in done.stdout + done.stderr
