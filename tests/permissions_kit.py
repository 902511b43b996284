"""deploy/bus/permissions and proto/signet/v1 as data."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent


def permissions():
    """service → {"calls": set, "serves": set, "announces": set, "hears": set, "live": set}; what is heard live is in "hears", too"""
    table = {}
    for line in (ROOT / "deploy/bus/permissions").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        service, *cells = [cell.strip() for cell in line.split("|")]
        table[service] = {
            kind: set() if cell == "-" else {subject.strip() for subject in cell.split(",")}
            for kind, cell in zip(("calls", "serves", "announces", "hears"), cells, strict=True)
        }
        table[service]["live"] = {subject[1:] for subject in table[service]["hears"] if subject.startswith("~")}
        table[service]["hears"] = {subject.removeprefix("~") for subject in table[service]["hears"]}
    return table


def kebab(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"-\1", name).lower()


def snake(name):
    return kebab(name).replace("-", "_")


def contracts():
    """(service, method, callers, comment keys) of every rpc. `folder` serves it: a contract file is named like it, and may hold more than one service."""
    found = []
    for path in sorted((ROOT / "proto/signet/v1").glob("*.proto")):
        service, comment = None, []
        for line in path.read_text().splitlines():
            text = line.strip()
            if match := re.match(r"service (\w+) {", text):
                service = kebab(match[1])
            elif text.startswith("//"):
                comment.append(text[2:].strip())
            elif match := re.match(r"rpc (\w+)\s*\((\w+)\)\s*returns\s*\((\w+)\)", text):
                keys = dict(part.split(":", 1) for part in comment if re.match(r"(callers|deadline|repeat|errors):", part))
                found.append({"file": path.name, "folder": path.stem.replace("_", "-"), "service": service, "method": match[1], "request": match[2], "reply": match[3], "keys": keys})
                comment = []
            else:
                comment = []
    return found


def events():
    """event name, subject, announcers, hearers"""
    found, comment = [], []
    for line in (ROOT / "proto/signet/v1/event.proto").read_text().splitlines():
        text = line.strip()
        if text.startswith("//"):
            comment.append(text[2:].strip())
        elif match := re.match(r"message (\w+) {", text):
            keys = dict(part.split(":", 1) for part in comment if ":" in part)
            subject = next((part for part in comment if part.startswith("signet.event.")), None)
            if subject:
                found.append({"name": match[1], "subject": subject.removeprefix("signet.event."),
                              "announced": set(keys["announced by"].split()), "heard": set(keys["heard by"].split())})
            comment = []
        else:
            comment = []
    return found
