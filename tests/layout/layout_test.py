"""The promises of the tree, checked: who includes whom, who serves what, who links what, what is how long."""

import os
import pathlib
import re
import subprocess

import pytest

from permissions_kit import contracts, events, permissions, snake

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("SIGNET_BUILD", ROOT / "build" / "current"))
SOURCES = sorted(path for folder in ("common", "services") for path in (ROOT / folder).rglob("*.[ch]"))
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
# base knows nothing; link and pki know base and not each other.
MAY_INCLUDE = {"base": {"base"}, "link": {"base", "link", "signet"}, "pki": {"base", "pki"}}
HANDLED_BY_COMMON = {"health"}


def test_layers_look_one_way():
    wrong = []
    for path in SOURCES:
        parts = path.relative_to(ROOT).parts
        if parts[0] != "common":
            continue
        for include in INCLUDE.findall(path.read_text()):
            layer = include.split("/")[0] if "/" in include else parts[1]
            if layer not in MAY_INCLUDE[parts[1]]:
                wrong.append(f"{path.relative_to(ROOT)} includes {include}")
    assert not wrong


def test_no_service_includes_another():
    wrong = []
    for path in SOURCES:
        parts = path.relative_to(ROOT).parts
        if parts[0] != "services":
            continue
        for include in INCLUDE.findall(path.read_text()):
            target = include.split("/")[0]
            local = (path.parent / include).resolve()
            inside = local.exists() and (ROOT / "services" / parts[1]) in local.parents
            if not inside and target not in {"base", "link", "pki", "signet"}:
                wrong.append(f"{path.relative_to(ROOT)} includes {include}")
    assert not wrong


@pytest.mark.parametrize("rpc", contracts(), ids=lambda rpc: f"{rpc['service']}.{rpc['method']}")
def test_each_rpc_has_its_comment_its_handler_file_and_its_test(rpc):
    assert set(rpc["keys"]) == {"callers", "deadline", "repeat", "errors"}
    assert rpc["request"] == rpc["method"] + "Request" and rpc["reply"] == rpc["method"] + "Reply"
    if rpc["service"] in HANDLED_BY_COMMON:
        return
    file = snake(rpc["method"])
    assert (ROOT / "services" / rpc["folder"] / f"{file}.c").exists()
    tests = [ROOT / "tests/unit" / rpc["folder"] / f"{file}_test.c", ROOT / "tests/flow" / f"{file}_test.py"]
    assert any(test.exists() for test in tests), f"no test named {file}_test for {rpc['folder']}"


def test_callers_in_the_contracts_are_the_bus_permissions():
    table = permissions()
    stated, granted = set(), set()
    for rpc in contracts():
        subject = f"{rpc['service']}.{snake(rpc['method'])}"
        stated |= {(caller, subject) for caller in rpc["keys"]["callers"].split()}
    for service, row in table.items():
        granted |= {(service, re.sub(r"\.\*\.", ".", subject)) for subject in row["calls"]}
    assert stated == granted


def test_each_service_serves_its_contracts_and_nothing_else():
    table = permissions()
    for service, row in table.items():
        served = {re.sub(r"\.\*\.", ".", subject) for subject in row["serves"]}
        assert served == {f"{rpc['service']}.{snake(rpc['method'])}" for rpc in contracts() if rpc["folder"] == service}


@pytest.mark.parametrize("event", events(), ids=lambda event: event["name"])
def test_each_event_heard_has_its_file(event):
    table = permissions()
    assert event["announced"] == {service for service, row in table.items() if event["subject"] in row["announces"]}
    assert event["heard"] == {service for service, row in table.items() if event["subject"] in row["hears"]}
    for service in event["heard"]:
        assert (ROOT / "services" / service / f"on_{snake(event['name'])}.c").exists()


def test_migrate_makes_the_consumers_of_what_is_heard_durably():
    made = re.findall(r'^    \{"([^"]+)", "([^"]+)"\},$', (ROOT / "services/signetctl/migrate_run.c").read_text(), re.MULTILINE)
    assert sorted(made) == sorted((service, subject) for service, row in permissions().items() for subject in row["hears"] - row["live"])


def linked(program):
    words = subprocess.run(["readelf", "-d", str(BUILD / "bin" / program)], capture_output=True, text=True, check=True).stdout
    return {re.sub(r"\.so.*", "", name) for name in re.findall(r"\(NEEDED\).*\[(.*?)\]", words)}


def test_who_links_what():
    programs = sorted(path.name for path in (BUILD / "bin").iterdir())
    sets = {program: linked(program) for program in programs}

    def who(library):
        return {program for program, libraries in sets.items() if library in libraries}

    assert who("libp11") <= {"hsm-worker"}
    assert not sets["hsm-worker"] & {"libpq", "libnats", "libh2o-evloop", "libprotobuf-c"}
    assert who("libpq") == set(programs) - {"validator", "hsm-worker"}
    assert who("libunbound") == {"validator"} and who("libcurl") == {"validator", "scep-gw"}
    assert who("libyaml-0") == {"signetctl"}
    assert who("libpsl") == {"acme-gw"}


def test_programs_are_hardened():
    for path in (BUILD / "bin").iterdir():
        header = subprocess.run(["readelf", "-hld", str(path)], capture_output=True, text=True, check=True).stdout
        assert "DYN (Position-Independent Executable" in header, path
        assert "GNU_RELRO" in header and re.search(r"FLAGS.*NOW", header), path
        assert not re.search(r"GNU_STACK.*\n.*RWE", header), path


def test_a_main_is_a_table_of_contents():
    for path in ROOT.glob("services/*/main.c"):
        body = re.search(r"^main\(.*?^}", path.read_text(), re.MULTILINE | re.DOTALL)
        assert body, path
        assert len(body[0].splitlines()) <= 60, f"{path}: main() is {len(body[0].splitlines())} lines"


def test_files_and_functions_have_a_size_to_be_read():
    wrong = []
    for path in SOURCES:
        if path.suffix != ".c":
            continue
        text = path.read_text()
        if len(text.splitlines()) > 700:
            wrong.append(f"{path.relative_to(ROOT)}: {len(text.splitlines())} lines")
        for match in re.finditer(r"^(\w+)\([^;]*?\)\n\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            length = len(match[2].splitlines())
            if length > 80:
                wrong.append(f"{path.relative_to(ROOT)}: {match[1]} has {length} lines")
    assert not wrong


def test_one_writer_per_table():
    writers = {}
    for statement in re.findall(r"GRANT ([^;]+?) ON ([^;]+?) TO ([^;]+?);", (ROOT / "deploy/database/grants.sql").read_text()):
        verbs, objects, roles = statement
        if re.match(r"\s*(SCHEMA|SEQUENCE|FUNCTION|ALL)", objects) or not re.search(r"INSERT|UPDATE|DELETE|TRUNCATE", verbs):
            continue
        for table in objects.replace("TABLE", "").split(","):
            for role in roles.split(","):
                writers.setdefault(table.strip(), set()).add(role.strip())
    assert writers
    for table, roles in writers.items():
        assert len(roles) == 1, f"{table} is written by {sorted(roles)}"
        assert table.split(".")[0] in roles or (table.split(".")[0], *roles) in {("audit", "ra"), ("ca", "signer"), ("acme", "acme_gw"), ("crl", "crl_publisher"), ("est", "est_gw"), ("scep", "scep_gw")}


# What INSERTs, UPDATEs and SELECTs of the program of before cannot do without, or do not know of.
TAKES_AWAY = re.compile(r"DROP (COLUMN|TABLE|VIEW|FUNCTION|DEFAULT|SCHEMA)|\bRENAME\b|SET NOT NULL|ALTER COLUMN \w+ TYPE [^;]*\bUSING\b"
                        r"|ADD COLUMN (?![^,;]*\bDEFAULT\b)[^,;]*\bNOT NULL\b", re.IGNORECASE)


def test_readme_names_the_migrations_that_programs_of_before_do_not_survive():
    taking = set()
    for path in ROOT.glob("services/*/sql/*.sql"):
        if TAKES_AWAY.search(re.sub(r"--.*", "", path.read_text())):
            taking.add((path.parent.parent.name, path.name[:3]))
    upgrade = re.search(r"^## Upgrade\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    named = {(service, number) for service, numbers in re.findall(r"`([a-z-]+)` \(([\d, ]+)\)", upgrade) for number in numbers.split(", ")}
    assert taking == named


def test_nothing_unfinished_and_nothing_of_the_workplace():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    wrong = []
    for name in filter(None, tracked):
        path = ROOT / name
        if path.suffix in {".der", ".bin"} or "corpus" in path.parts or path == pathlib.Path(__file__).resolve():
            continue
        text = path.read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b|/work/|/root/", line):
                wrong.append(f"{name}:{number}: {line.strip()[:80]}")
    assert not wrong


def test_the_quirks_of_devices_have_their_tests():
    known = "\n".join(path.read_text() for folder in ("flow", "unit/scep-gw", "unit/est-gw") for path in (ROOT / "tests" / folder).glob("*_test.*"))
    lines = [line for line in (ROOT / "docs/DEVICE-QUIRKS.md").read_text().splitlines() if line.startswith("| ") and not line.startswith("| who")]
    assert len(lines) > 30
    for line in lines:
        named = re.findall(r"`(\w+)`", line.split(" | ")[-1])
        assert named, line
        assert not [one for one in named if not re.search(rf"(def {one}\(|^{one}\(void)", known, re.MULTILINE)], line
