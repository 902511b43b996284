"""The clients of Debian through their whole lives: accounts, certificates, renewals with old and new keys, revocations, goodbyes."""

import functools
import http.server
import os
import pathlib
import stat
import subprocess
import threading

import pytest


@pytest.fixture(scope="module")
def webroot(stack, tmp_path_factory):
    """A directory that is served where the validator looks."""
    root = tmp_path_factory.mktemp("web")
    root.chmod(0o755)
    (root / ".well-known" / "acme-challenge").mkdir(parents=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(stack.http01_port)), functools.partial(Quiet, directory=str(root)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield root
    server.shutdown()
    server.server_close()


def run(stack, *arguments, env=None):
    done = subprocess.run([str(part) for part in arguments], env={**stack.env, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}\n{stack.tail_of_logs()}"
    return done.stdout + done.stderr


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True, timeout=30).stdout


def verify(stack, leaf, name):
    assert ": OK" in openssl("verify", "-x509_strict", "-CAfile", stack.root_pem, "-untrusted", stack.chain_pem, leaf)
    assert f"DNS:{name}" in openssl("x509", "-in", leaf, "-noout", "-text")


def serial_of(leaf):
    return openssl("x509", "-in", leaf, "-noout", "-serial").strip()


def public_key_of(leaf):
    return openssl("x509", "-in", leaf, "-noout", "-pubkey")


def is_revoked(stack, leaf):
    return bool(stack.sql(f"SELECT 1 FROM ra.revocation WHERE serial = decode('{serial_of(leaf).split('=')[1].zfill(34)}', 'hex')"))


def test_certbot_renews_with_a_new_key_and_with_the_old_one(stack, webroot):
    name = f"certbot-life.{stack.demo_domain}"
    leaf = stack.directory / "life" / "config" / "live" / name / "cert.pem"
    stack.certbot("certonly", "--webroot", "-w", str(webroot), "--agree-tos", "-m", f"owner@{stack.demo_domain}", "--no-eff-email", "-d", name, home="life")
    first, key = serial_of(leaf), public_key_of(leaf)
    stack.certbot("renew", "--no-random-sleep-on-renew", "--force-renewal", "--reuse-key", "--cert-name", name, home="life")
    second = serial_of(leaf)
    assert second != first and public_key_of(leaf) == key
    stack.certbot("renew", "--no-random-sleep-on-renew", "--force-renewal", "--new-key", "--cert-name", name, home="life")
    assert serial_of(leaf) not in (first, second) and public_key_of(leaf) != key
    verify(stack, leaf, name)
    stack.certbot("update_account", "-m", f"new@{stack.demo_domain}", "--no-eff-email", home="life")
    assert stack.sql("SELECT 1 FROM acme.account WHERE contacts = ARRAY['mailto:new@%s']" % stack.demo_domain)
    stack.certbot("revoke", "--cert-name", name, "--reason", "superseded", "--no-delete-after-revoke", home="life")
    assert is_revoked(stack, leaf)
    stack.certbot("unregister", home="life")
    assert stack.sql("SELECT status FROM acme.account WHERE contacts = ARRAY['mailto:new@%s']" % stack.demo_domain) == [["deactivated"]]


@pytest.mark.parametrize("key_type", ["rsa2048", "ec384"])
def test_lego_renews_and_revokes(stack, webroot, key_type):
    name = f"lego-{key_type}.{stack.demo_domain}"
    home = stack.directory / f"lego-{key_type}"
    leaf = home / "certificates" / f"{name}.crt"
    lego = functools.partial(run, stack, "lego", "--server", stack.acme_directory, "--accept-tos", "--email", f"{key_type}@{stack.demo_domain}", "--domains", name,
                             "--path", home, "--key-type", key_type, "--http", "--http.webroot", webroot,
                             env={"LEGO_CA_CERTIFICATES": stack.ca_bundle})
    lego("run")
    verify(stack, leaf, name)
    first = serial_of(leaf)
    lego("renew", "--no-random-sleep", "--days", "400")
    assert serial_of(leaf) != first
    lego("renew", "--no-random-sleep", "--days", "400", "--reuse-key")
    lego("revoke", "--keep")
    revoked = home / "archives" / f"{name}.crt"
    assert is_revoked(stack, revoked if revoked.exists() else leaf)


def test_dehydrated_renews_changes_its_account_and_revokes(stack, webroot):
    name = f"dehydrated.{stack.demo_domain}"
    home = stack.directory / "dehydrated"
    home.mkdir()
    (home / "config").write_text(f"CA={stack.acme_directory}\nBASEDIR={home}\nWELLKNOWN={webroot}/.well-known/acme-challenge\nCURL_OPTS='--cacert {stack.ca_bundle}'\n"
                                 f"CONTACT_EMAIL=owner@{stack.demo_domain}\nKEY_ALGO=prime256v1\nACCOUNT_KEYSIZE=2048\n")
    dehydrated = functools.partial(run, stack, "dehydrated", "-f", home / "config")
    leaf = home / "certs" / name / "cert.pem"
    dehydrated("--register", "--accept-terms")
    dehydrated("-c", "-d", name)
    verify(stack, leaf, name)
    first = serial_of(leaf)
    dehydrated("-c", "-d", name, "--force")
    assert serial_of(leaf) != first
    (home / "config").write_text((home / "config").read_text().replace("owner@", "other@"))
    dehydrated("--account")
    assert stack.sql(f"SELECT 1 FROM acme.account WHERE contacts = ARRAY['mailto:other@{stack.demo_domain}']")
    final = leaf.resolve()
    dehydrated("-r", leaf)
    assert is_revoked(stack, next(path for path in (final, pathlib.Path(f"{final}-revoked")) if path.exists()))


def test_uacme_issues_renews_changes_its_key_and_says_goodbye(stack, webroot):
    name = f"uacme.{stack.demo_domain}"
    home = stack.directory / "uacme"
    home.mkdir()
    hook = home / "hook"
    hook.write_text(f'#!/bin/sh\n[ "$2" = http-01 ] || exit 1\n[ "$1" = begin ] && printf %s "$5" > "{webroot}/.well-known/acme-challenge/$4"\nexit 0\n')
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)

    def uacme(*arguments):
        # It trusts what the system trusts: in a mount namespace of its own that is this suite's CA.
        command = 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"'
        return run(stack, "unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", command, stack.ca_bundle, "uacme", "-v", "-o", "-y", "-t", "EC", "-c", home, "-a", stack.acme_directory,
                   "-h", hook, *arguments)

    uacme("new", f"owner@{stack.demo_domain}")
    uacme("issue", name)
    leaf = home / name / "cert.pem"
    verify(stack, leaf, name)
    first = serial_of(leaf)
    uacme("newkey")
    uacme("-f", "issue", name)
    assert serial_of(leaf) != first
    uacme("revoke", leaf)
    revoked = sorted((home / name).glob("revoked-*.pem"))
    assert is_revoked(stack, revoked[-1] if revoked else leaf)
    uacme("deactivate")
