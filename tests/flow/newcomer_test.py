"""What README.md tells a newcomer to type, typed into a shell that knows nothing."""

import os
import re
import subprocess

from stack_kit import BUILD, ROOT


def commands(heading):
    """The indented blocks below a heading, joined lines as one."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", (ROOT / "README.md").read_text(), re.M | re.S).group(1)
    block = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    return block.replace("\\\n", " ").splitlines()


def typed(stack, lines):
    text = "\n".join(lines).replace("run/", f"{stack.run_directory}/").replace("build/current/bin", os.environ.get("SIGNET_BIN", str(BUILD / "bin")))
    return subprocess.run(["bash", "-ec", text], env={"PATH": os.environ["PATH"], "HOME": str(stack.directory)}, cwd=ROOT,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def test_certbot_and_signetctl_as_the_readme_has_them(stack):
    lines = commands("Point certbot at it")
    done = typed(stack, [line for line in lines if "SERIAL" not in line])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Successfully received certificate" in done.stdout and "the audit log verifies" in done.stdout


def test_policies_and_limits_as_the_readme_has_them(stack):
    lines = commands("Policies, invitations, limits")
    # Nobody has the roots of these makers here, and no name has failed.
    without = [line for line in lines if "makers.pem" not in line and "acme resume" not in line]
    # Under names of its own: other tests of this stack have an "intra", too.
    mine = [re.sub(r"\b(intra|team-a|tight)\b(?!\.)", r"newcomer-\1", line) for line in without]
    done = typed(stack, ["shopt -s expand_aliases", *mine])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "configuration.changed" in done.stdout


def test_the_demo_says_how_to_come_by_its_settings():
    assert "set -a; . $run/demo.env; set +a" in (ROOT / "deploy" / "dev" / "demo").read_text()
