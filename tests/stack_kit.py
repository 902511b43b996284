"""A private suite for tests: its own directory, its own free ports, its own processes, cleaned up afterwards."""

import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
STACK = ROOT / "deploy" / "dev" / "stack"
BUILD = pathlib.Path(os.environ.get("SIGNET_BUILD", ROOT / "build" / "current"))
SHIM = BUILD / "fakes" / "pkcs11-shim.so"
SERVICES = ["signer", "ra", "validator", "acme-gw", "ocsp-responder", "crl-publisher", "inventory", "est-gw", "scep-gw"]
SINGLE_PORTS = ["ACME", "HTTP01", "TLSALPN01", "DNS", "OCSP", "CRL", "SCEP", "EST", "NATS", "DATABASE"]


BLOCK = 40


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_block():
    """(the first of BLOCK free ports below the range that the kernel gives to clients, their guard)

    The guard is a socket bound to the last port of the block: whoever holds it owns the block, so two runs side by side never choose the same.
    """
    chance = random.SystemRandom()
    for _ in range(500):
        first = chance.randrange(15000, 31000, BLOCK)
        guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            guard.bind(("127.0.0.1", first + BLOCK - 1))
        except OSError:
            guard.close()
            continue
        if all(_is_free(port) for port in range(first, first + BLOCK - 1)):
            return first, guard
        guard.close()
    raise RuntimeError("no block of free ports")


class Stack:
    """`with Stack() as stack:` starts everything; attributes are the variables of demo.env in lower case, without SIGNET_."""

    def __init__(self, extra=None, with_cas=True):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="signet-test-"))
        self.directory.chmod(0o755)
        self.run_directory = self.directory / "run"
        first, self.guard = free_block()
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("SIGNET_")}
        self.env["SIGNET_RUN"] = str(self.run_directory)
        self.env["SIGNET_BIN"] = os.environ.get("SIGNET_BIN", str(BUILD / "bin"))
        for offset, name in enumerate(SINGLE_PORTS):
            self.env[f"SIGNET_{name}_PORT"] = str(first + offset)
        self.env["SIGNET_ADMIN_PORT"] = str(first + 10)
        self.env["SIGNET_REPLICA_STEP"] = "30"
        if not with_cas:
            self.env["SIGNET_WITHOUT_CAS"] = "1"
        self.env.update(extra or {})

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def command(self, *arguments, timeout=180, check=True):
        done = subprocess.run([str(STACK), *arguments], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"stack {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.tail_of_logs()}")
        return done

    def up(self):
        self.command("up")
        for line in (self.run_directory / "demo.env").read_text().splitlines():
            key, value = line.split("=", 1)
            setattr(self, key.removeprefix("SIGNET_").lower(), value.strip("'"))

    def close(self):
        keep = os.environ.get("SIGNET_KEEP")
        self.command("down", check=False)
        if not keep:
            self.command("clean", check=False)
            shutil.rmtree(self.directory, ignore_errors=True)
        self.guard.close()

    def start(self, name):
        self.command("start", name)

    def stop(self, name):
        self.command("stop", name)

    def wait(self, *names):
        self.command("wait", *names)

    def signetctl(self, *arguments, check=True):
        return self.command("signetctl", *arguments, check=check)

    def revoke(self, serial, reason):
        """By the operator, as soon as the catalogue has heard of the certificate."""
        until(lambda: self.signetctl("cert", "revoke", f"{serial:034x}", "--reason", reason, check=False).returncode == 0)

    def pid(self, name):
        """The process itself: for PostgreSQL the postmaster, not what launched it."""
        if name == "postgres":
            data = (self.run_directory / "postgres.directory").read_text().strip()
            file = pathlib.Path(data, "postmaster.pid")
            # The file of one that was killed stands until the next one has written its own.
            return until(lambda: next((int(pid) for pid in (file.read_text().splitlines()[:1] if file.exists() else []) if not is_dead(pid)), None))
        return self.launched_pid(name)

    def launched_pid(self, name):
        return int((self.run_directory / "pid" / name).read_text())

    def kill(self, name):
        """Dead when this returns. A large process takes a while to die, and `start` would take it for a running one."""
        os.kill(self.pid(name), signal.SIGKILL)
        until(lambda: is_dead(self.launched_pid(name)), 60)

    def admin_port(self, name):
        settings = self.command("env", name).stdout.splitlines()
        listen = next(line for line in settings if line.startswith("SIGNET_ADMIN_LISTEN="))
        return int(listen.rsplit(":", 1)[1])

    def ready(self, name):
        """(is it, its words)"""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port(name)}/readyz", timeout=5) as answer:
                return True, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return False, refused.read().decode()
        except OSError as away:
            return False, str(away)

    def metrics(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port(name)}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def log(self, name):
        path = self.run_directory / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def tail_of_logs(self, lines=6):
        parts = []
        for path in sorted((self.run_directory / "log").glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append(f"--- {path.name}\n" + "\n".join(tail))
        return "\n".join(parts)

    def sql(self, statement, role=None):
        """Rows as lists of text, as the owner or as a service's role. A refused statement raises with PostgreSQL's words."""
        url = self.database_url
        env = dict(self.env)
        if role:
            port = self.env["SIGNET_DATABASE_PORT"]
            url = f"postgresql://{role}@127.0.0.1:{port}/signet"
            env["PGPASSWORD"] = (self.run_directory / "secrets" / role).read_text().strip()
        done = subprocess.run(["psql", url, "-qAtX", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", statement], env=env, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise PermissionError(done.stderr.strip())
        return [line.split("\t") for line in done.stdout.splitlines()]

    def certbot(self, *arguments, home="certbot", check=True, timeout=120, server=None):
        home = self.directory / home
        done = subprocess.run(
            ["certbot", *arguments, "--config-dir", str(home / "config"), "--work-dir", str(home / "work"), "--logs-dir", str(home / "logs"),
             "--server", server or self.acme_directory, "--non-interactive"],
            env={**self.env, "REQUESTS_CA_BUNDLE": self.ca_bundle}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"certbot {arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.tail_of_logs()}")
        return done

    def ocsp(self, certificate, issuer=None, *more):
        done = subprocess.run(
            ["openssl", "ocsp", "-issuer", str(issuer or self.chain_pem), "-cert", str(certificate), "-url", self.ocsp_url, "-CAfile", str(self.trust()), *more],
            env=self.env, capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr

    def trust(self):
        path = self.directory / "trust.pem"
        if not path.exists():
            path.write_text(pathlib.Path(self.root_pem).read_text() + pathlib.Path(self.chain_pem).read_text())
        return path


def is_dead(pid):
    """Also when nobody has waited for it yet; but not while another of its threads still holds what it had."""
    process = pathlib.Path(f"/proc/{pid}")
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX" and len(os.listdir(process / "task")) == 1
    except OSError:
        return True


def until(question, seconds=20, pause=0.05):
    """The first true answer. Bounded patience, not a measurement: a slow machine only waits longer."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"it did not come true in {seconds} s: {question}")
        time.sleep(pause)
