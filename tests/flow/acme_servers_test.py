"""Web servers that manage their certificates themselves: Caddy and Apache's mod_md, from their first start to their renewals."""

import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess

import pytest
from cryptography import x509

from stack_kit import until

MODULES = "/usr/lib/apache2/modules"


class Server:
    """A web server without privileges, in a directory of its own; ended by its pid."""

    def __init__(self, stack, name):
        self.stack, self.process = stack, None
        self.home = stack.directory / name
        self.home.mkdir()
        self.user = "nobody" if os.geteuid() == 0 else None
        self.log = self.home / "server.log"
        self.log.touch()
        if self.user:
            shutil.chown(self.home, self.user)
            shutil.chown(self.log, self.user)

    def start(self, *command):
        with open(self.log, "ab") as log:
            unprivileged = {"user": self.user, "group": "nogroup", "extra_groups": []} if self.user else {}
            self.process = subprocess.Popen([str(part) for part in command], cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={"PATH": os.environ["PATH"], "HOME": str(self.home)}, **unprivileged)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def certificate(self, name, other_than=None):
        """What a browser is shown that trusts the suite's root alone, once it is another certificate than that one."""
        def ask():
            assert self.process.poll() is None, self.words()
            context = ssl.create_default_context(cafile=self.stack.root_pem)
            try:
                plain = socket.create_connection(("127.0.0.1", int(self.stack.tlsalpn01_port)), 5)
                with plain, context.wrap_socket(plain, server_hostname=name) as tls:
                    found = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
            except OSError as error:
                trouble.append(error)
                return None
            return found if found != other_than else None

        trouble = []
        try:
            return until(ask, 60)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{trouble[-1:]}\n{self.words()}\n{self.stack.tail_of_logs()}") from None

    def words(self):
        return self.log.read_text(errors="replace")


def proofs(stack, name):
    """The types of challenges that proved this name."""
    return {row[0] for row in stack.sql(
        f"SELECT c.type FROM acme.challenge c JOIN acme.authorization a ON a.id = c.authorization_id WHERE c.status = 'valid' AND a.name = 'dns:{name}'")}


def orders_of(stack, name):
    """(status, profile, does it say which certificate it replaces), oldest first"""
    return stack.sql(f"SELECT status, coalesce(profile, ''), replaces IS NOT NULL FROM acme.orders WHERE names = '{{dns:{name}}}' ORDER BY created_at")


# ---- Caddy ----


def caddyfile(stack, home, site, tls):
    """Names, addresses and the CA, and nothing else: all the rest is Caddy's own doing."""
    (home / "Caddyfile").write_text(f"""{{
    admin off
    skip_install_trust
    storage file_system {home}/store
    acme_ca {stack.acme_directory}
    acme_ca_root {stack.ca_bundle}
    email owner@{stack.demo_domain}
    http_port {stack.http01_port}
    https_port {stack.tlsalpn01_port}
}}
{site} {{
    bind 127.0.0.1
    respond "hello"
    tls {{
        {tls}
    }}
}}
""")
    return home / "Caddyfile"


def renewing(home, file):
    """The same configuration, but a certificate is to be renewed when less than nearly all of its life is left: at the next start."""
    adapted = json.loads(subprocess.run(["caddy", "adapt", "--config", str(file)], capture_output=True, text=True, check=True, timeout=30).stdout)
    for policy in adapted["apps"]["tls"]["automation"]["policies"]:
        policy["renewal_window_ratio"] = 0.999999
    (home / "renewing.json").write_text(json.dumps(adapted))
    return home / "renewing.json"


@pytest.mark.parametrize("challenge, other", [("http-01", "tlsalpn"), ("tls-alpn-01", "http")])
def test_caddy_gets_its_certificate_and_renews_it(stack, challenge, other):
    name = f"caddy-{challenge}.{stack.demo_domain}"
    with Server(stack, f"caddy-{challenge}") as caddy:
        file = caddyfile(stack, caddy.home, name, f"issuer acme {{\ndisable_{other}_challenge\n}}")
        caddy.start("caddy", "run", "--config", file)
        first = caddy.certificate(name)
        assert proofs(stack, name) == {challenge}
        caddy.stop()
        caddy.start("caddy", "run", "--config", renewing(caddy.home, file))
        caddy.certificate(name, other_than=first)
    assert {row[0] for row in orders_of(stack, name)} == {"valid"}


def test_caddy_gets_a_certificate_while_a_browser_waits(stack):
    with Server(stack, "caddy-on-demand") as caddy:
        caddy.start("caddy", "run", "--config", caddyfile(stack, caddy.home, "https://", "on_demand"))
        name = f"on-demand.{stack.demo_domain}"
        caddy.certificate(name)
        assert [row[0] for row in orders_of(stack, name)] == ["valid"]


# ---- Apache ----


def apache(stack, server, name, challenge):
    (server.home / "apache.conf").write_text(f"""
ServerRoot {server.home}
DefaultRuntimeDir {server.home}
PidFile {server.home}/pid
Mutex file:{server.home} default
ErrorLog {server.home}/server.log
LogLevel info md:debug
LoadModule mpm_event_module {MODULES}/mod_mpm_event.so
LoadModule authz_core_module {MODULES}/mod_authz_core.so
LoadModule ssl_module {MODULES}/mod_ssl.so
LoadModule md_module {MODULES}/mod_md.so
ServerName {name}
Listen 127.0.0.1:{stack.http01_port}
Listen 127.0.0.1:{stack.tlsalpn01_port}
Protocols http/1.1 acme-tls/1
MDStoreDir {server.home}/store
MDCertificateAuthority {stack.acme_directory}
MDCACertificateFile {stack.ca_bundle}
MDCertificateAgreement accepted
MDContactEmail owner@{stack.demo_domain}
MDPortMap http:{stack.http01_port} https:{stack.tlsalpn01_port}
MDCAChallenges {challenge}
MDPrivateKeys secp256r1
MDProfile shortlived
MDProfileMandatory on
MDomain {name}
<VirtualHost 127.0.0.1:{stack.tlsalpn01_port}>
    ServerName {name}
    SSLEngine on
</VirtualHost>
""")
    return server.home / "apache.conf"


def graceful_when_set_up(server, times):
    """mod_md serves what it was given from the next graceful restart on, and says when it waits for one."""
    until(lambda: server.words().count("AH10059") == times or server.process.poll() is not None, 60)
    assert server.process.poll() is None, server.words()
    server.process.send_signal(signal.SIGUSR1)


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_apache_gets_a_certificate_by_profile_and_renews_it_when_ari_says_so(stack, challenge):
    name = f"apache-{challenge}.{stack.demo_domain}"
    with Server(stack, f"apache-{challenge}") as httpd:
        httpd.start("/usr/sbin/apache2", "-f", apache(stack, httpd, name, challenge), "-DFOREGROUND")
        graceful_when_set_up(httpd, 1)
        first = httpd.certificate(name)
        assert first.not_valid_after - first.not_valid_before < datetime.timedelta(days=7)
        assert proofs(stack, name) == {challenge}
        # What is issued in the same second as the command counts as later.
        until(lambda: stack.sql(f"SELECT 1 FROM acme.orders WHERE names = '{{dns:{name}}}' AND finalized_at < date_trunc('second', now())"))
        until(lambda: stack.signetctl("acme", "renew-within", "1s", "--name", name, check=False).returncode == 0)  # the catalogue knows it
        httpd.process.send_signal(signal.SIGUSR1)
        graceful_when_set_up(httpd, 2)
        httpd.certificate(name, other_than=first)
    assert orders_of(stack, name) == [["valid", "shortlived", "f"], ["valid", "shortlived", "t"]]
