"""The disk is full: a clear "later" for the client, nothing half done, and work goes on when there is room again, without a restart."""

import pathlib
import subprocess

import pytest

from acme_kit import csr
from stack_kit import Stack, until


class SmallDisk:
    """A file system of a few megabytes, filled and emptied at will."""

    def __init__(self, directory, megabytes):
        self.path = pathlib.Path(directory)
        self.path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(self.path)], check=True)

    def fill(self):
        with open(self.path / "ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def empty(self):
        (self.path / "ballast").unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.path)], check=False)


@pytest.fixture()
def stack():
    with Stack() as one:
        yield one


def request_certificate(stack, number):
    path = stack.directory / "disk.csr"
    path.write_bytes(csr([f"disk-{number}.demo.test"]))
    return stack.signetctl("cert", "request", "--csr", str(path), "--template", "Web Server", check=False)


def test_the_database_has_no_room(stack):
    disk = SmallDisk(stack.directory / "small", 16)
    try:
        subprocess.run(["chown", "postgres:", str(disk.path)], check=True)
        disk.path.joinpath("table").mkdir(mode=0o700)
        subprocess.run(["chown", "postgres:", str(disk.path / "table")], check=True)
        stack.sql(f"CREATE TABLESPACE small LOCATION '{disk.path}/table'")
        stack.sql("ALTER TABLE ra.intent SET TABLESPACE small")
        disk.fill()
        answers = []
        for number in range(400):
            answers.append(request_certificate(stack, number))
            if answers[-1].returncode != 0:
                break
        refused = answers[-1]
        assert refused.returncode == 3, refused.stdout + refused.stderr
        assert "53100" in stack.log("ra")
        before = stack.pid("ra")
        disk.empty()
        done = until(lambda: (found := request_certificate(stack, "after")).returncode == 0 and found)
        assert "BEGIN CERTIFICATE" in done.stdout
        assert stack.pid("ra") == before
        until(lambda: stack.sql("SELECT count(*) FROM ra.intent WHERE status = 'open'") == [["0"]])
        assert stack.sql("SELECT count(*) FROM ra.certificate") == stack.sql("SELECT count(*) FROM ra.intent WHERE status = 'issued'")
    finally:
        stack.sql("ALTER TABLE ra.intent SET TABLESPACE pg_default")
        stack.command("down", check=False)
        disk.close()


def test_the_stream_of_events_has_no_room(stack):
    stack.stop("nats")
    store = stack.run_directory / "nats"
    kept = store.with_name("nats.kept")
    store.rename(kept)
    disk = SmallDisk(store, 8)
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(store)], check=True)
        stack.start("nats")
        stack.wait("nats", "ra", "signer", "inventory")
        disk.fill()
        issued = [request_certificate(stack, number) for number in range(5)]
        # A certificate does not wait for the news of it: what cannot be announced yet lies in the outbox.
        assert all(done.returncode == 0 for done in issued), [done.stderr for done in issued]
        disk.empty()
        stack.stop("nats")
        stack.start("nats")
        stack.wait("nats", "ra", "inventory")
        until(lambda: stack.sql("SELECT count(*) FROM ra.outbox") == [["0"]], 60)
        until(lambda: stack.sql("SELECT count(*) FROM inventory.certificate") == stack.sql("SELECT count(*) FROM ra.certificate"), 60)
    finally:
        stack.command("down", check=False)
        disk.close()
