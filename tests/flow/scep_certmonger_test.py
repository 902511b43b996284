"""certmonger, as Debian has it: a whole daemon with a private socket instead of a bus, that enrols a device by SCEP, waits for an approval, and renews."""

import os
import subprocess

import pytest
from cryptography import x509

from stack_kit import until


class Certmonger:
    def __init__(self, home):
        self.home = home
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "CERTMONGER_PVT_ADDRESS": f"unix:path={home}/socket",
                    "CERTMONGER_SYSTEM_LOCK_FILE": str(home / "lock"), "CERTMONGER_TMPDIR": str(home)}
        for name in ("config", "requests", "cas", "local_ca"):
            (home / name).mkdir()
            self.env[f"CERTMONGER_{name.upper()}_DIR"] = str(home / name)
        self.log = open(home / "log", "wb")
        self.daemon = subprocess.Popen(["/usr/sbin/certmonger", "-n", "-d", "3", "-L", "-P", str(home / "socket"), "-p", str(home / "pid")], env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        until((self.home / "socket").exists)
        return self

    def __exit__(self, *_):
        self.daemon.terminate()
        self.daemon.wait(30)
        self.log.close()

    def getcert(self, *arguments):
        done = subprocess.run(["getcert", *map(str, arguments)], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}\n{(self.home / 'log').read_text(errors='replace')[-6000:]}"
        return done.stdout

    def certificate(self):
        """Certmonger writes the file in place, and may be at it."""
        return until(self._whole_certificate)

    def _whole_certificate(self):
        try:
            return x509.load_pem_x509_certificate((self.home / "device.pem").read_bytes())
        except ValueError:
            return None

    def request(self, ca, name, *more):
        self.getcert("request", "-c", ca, "-I", "device", "-k", self.home / "device.key", "-f", self.home / "device.pem", "-g", "2048", "-N", f"CN={name}", "-D", name, *more)

    def status(self):
        return next(line.split(": ")[1] for line in self.getcert("list", "-i", "device").splitlines() if "status:" in line)


@pytest.fixture
def certmonger(tmp_path):
    with Certmonger(tmp_path) as one:
        yield one


def make_profile(stack, certmonger, name, *options):
    """certmonger's name of the CA that stands behind this profile."""
    stack.signetctl("profile", "create", name, "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", *options)
    url = f"{stack.scep_url}/scep/{name}"
    certmonger.getcert("add-scep-ca", "-c", name, "-u", url)
    return name


def test_certmonger_enrols_and_renews_with_its_certificate(stack, certmonger):
    ca = make_profile(stack, certmonger, "monger")
    passphrase = stack.signetctl("profile", "rotate-passphrase", "monger", "--kind", "scep").stdout.strip()
    certmonger.request(ca, "monger.demo.test", "-L", passphrase, "-w")
    assert certmonger.status() == "MONITORING"
    first = certmonger.certificate()
    assert first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["monger.demo.test"]
    # The passphrase that it knows is no longer one: the old certificate alone speaks for the device.
    stack.signetctl("profile", "rotate-passphrase", "monger", "--kind", "scep")
    certmonger.getcert("rekey", "-i", "device")
    until(lambda: certmonger.certificate() != first)
    assert certmonger.certificate().public_key() != first.public_key()


def test_certmonger_understands_a_refusal(stack, certmonger):
    certmonger.request(make_profile(stack, certmonger, "strict-monger"), "strict.demo.test", "-L", "guessed")
    until(lambda: certmonger.status() == "CA_REJECTED")


def test_certmonger_waits_for_a_person(stack, certmonger):
    certmonger.request(make_profile(stack, certmonger, "patient-monger", "--authorization", "approval"), "patient.demo.test")
    until(lambda: certmonger.status() == "CA_WORKING")
    waiting = next(line.split()[0] for line in stack.signetctl("cert", "pending").stdout.splitlines() if "patient.demo.test" in line)
    stack.signetctl("cert", "approve", waiting)
    certmonger.getcert("refresh", "-i", "device")
    until(lambda: certmonger.status() == "MONITORING")
    assert certmonger.certificate().subject.rfc4514_string() == "CN=patient.demo.test"
