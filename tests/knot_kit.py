"""A real authoritative DNS server whose zone tests change by RFC 2136 updates, as ACME clients do."""

import pathlib
import subprocess
import tempfile

import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update

from stack_kit import until

KEY_NAME, ALGORITHM, SECRET = "tests.", "hmac-sha256", "c2lnbmV0LXRlc3RzLXNpZ25ldC10ZXN0cy1zaWduZXQ="

CONFIGURATION = """
server:
  listen: 127.0.0.1@{port}
  rundir: {directory}
log:
- target: stderr
  any: warning
database:
  storage: {directory}
key:
- id: {key}
  algorithm: {algorithm}
  secret: {secret}
acl:
- id: tests
  key: {key}
  action: update
zone:
- domain: test.
  storage: {directory}
  file: zone
  zonefile-sync: -1
  journal-content: all
  acl: tests
"""

ZONE = """$ORIGIN test.
$TTL 0
@ SOA ns.test. admin.test. 1 60 60 600 0
@ NS ns.test.
ns A 127.0.0.1
demo A 127.0.0.1
*.demo A 127.0.0.1
"""


class Knot:
    """`with Knot(port) as knot:` serves test.; every name below demo.test is 127.0.0.1."""

    def __init__(self, port):
        self.port = port
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="signet-knot-"))
        self.keyring = dns.tsigkeyring.from_text({KEY_NAME: SECRET})
        configuration = CONFIGURATION.format(port=port, directory=self.directory, key=KEY_NAME, algorithm=ALGORITHM, secret=SECRET)
        (self.directory / "conf").write_text(configuration)
        (self.directory / "zone").write_text(ZONE)

    def __enter__(self):
        self.process = subprocess.Popen(["/usr/sbin/knotd", "-c", str(self.directory / "conf")], stdin=subprocess.DEVNULL)
        until(self.answers)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        subprocess.run(["rm", "-rf", str(self.directory)], check=True)

    def answers(self):
        try:
            return dns.query.udp(dns.message.make_query("demo.test", "A"), "127.0.0.1", port=self.port, timeout=0.5).answer
        except (OSError, dns.exception.DNSException):
            return False

    def _send(self, update):
        answer = dns.query.tcp(update, "127.0.0.1", port=self.port, timeout=10)
        assert answer.rcode() == dns.rcode.NOERROR, answer

    def _update(self):
        return dns.update.Update("test.", keyring=self.keyring, keyalgorithm=ALGORITHM)

    def put(self, name, kind, *values):
        """Exactly these records are there afterwards."""
        update = self._update()
        update.delete(name + ".", kind)
        for value in values:
            update.add(name + ".", 0, kind, f'"{value}"' if kind == "TXT" else value)
        self._send(update)

    def credentials(self):
        """A file for certbot's dns-rfc2136."""
        file = self.directory / "certbot.ini"
        file.write_text(f"dns_rfc2136_server = 127.0.0.1\ndns_rfc2136_port = {self.port}\ndns_rfc2136_name = {KEY_NAME}\n"
                        f"dns_rfc2136_secret = {SECRET}\ndns_rfc2136_algorithm = {ALGORITHM.upper()}\n")
        file.chmod(0o600)
        return str(file)
