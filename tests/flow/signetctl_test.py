"""The operator's command: tables for people, JSON for programs, exit codes for scripts."""

import json
import re
import subprocess

import pytest
from cryptography import x509

from acme_kit import csr
from stack_kit import until


def as_json(stack, *arguments):
    return json.loads(stack.signetctl(*arguments, "--json").stdout)


def test_status_shows_every_service(stack):
    said = stack.signetctl("status").stdout
    for name in ("acme-gw", "crl-publisher", "est-gw", "inventory", "ocsp-responder", "ra", "scep-gw", "signer", "validator"):
        line = next(line for line in said.splitlines() if line.startswith(name))
        assert " ready " in line and "0.1.0" in line
    told = as_json(stack, "status")
    assert told["healthy"] is True
    assert [one["service"] for one in told["services"]] == sorted(one["service"] for one in told["services"])
    stack.stop("inventory")
    try:
        done = stack.signetctl("status", "--json", check=False)
        away = next(one for one in json.loads(done.stdout)["services"] if one["service"] == "inventory")
        assert done.returncode == 3 and not away["ready"] and away["reason"] == "no answer"
        assert "inventory       -               NO ANSWER" in stack.signetctl("status", check=False).stdout
    finally:
        stack.start("inventory")
        stack.wait("inventory")


def test_ca_list_and_show(stack):
    said = stack.signetctl("ca", "list").stdout
    assert "demo-root" in said and "demo-issuing" in said
    one = as_json(stack, "ca", "show", "demo-issuing")
    assert one["parent"] == "demo-root" and one["key_uri"].startswith("pkcs11:") and one["is_default"]
    evidence = json.loads(stack.signetctl("ca", "show", "demo-issuing", "--evidence").stdout)
    assert "sensitive" in json.dumps(evidence).lower()
    assert stack.signetctl("ca", "show", "nobody", check=False).returncode == 4


def test_a_ca_exists_once(stack):
    done = stack.signetctl("ca", "create", "demo-root", "--common-name", "Another", check=False)
    assert done.returncode == 1 and "demo-root" in done.stderr


@pytest.mark.parametrize("key_type", ["rsa-2048", "p384"])
def test_csr_only_ca_signed_by_a_foreign_root_and_imported(stack, key_type):
    home = stack.directory
    name = f"foreign-{key_type}"
    openssl = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)  # noqa: E731
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", home / "f.key", "-out", home / "f.pem", "-subj", "/CN=Foreign Root", "-days", "3650")
    stack.signetctl("ca", "create", name, "--common-name", "Ours below a foreign root", "--csr-only", "--key-type", key_type, "--out", str(home / "f.csr"))
    assert as_json(stack, "ca", "show", name)["status"] == "waiting-for-certificate"
    (home / "f.ext").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n")
    openssl("x509", "-req", "-in", home / "f.csr", "-CA", home / "f.pem", "-CAkey", home / "f.key", "-days", "900", "-out", home / "ours.pem",
            "-extfile", home / "f.ext")
    wrong = stack.signetctl("ca", "import", name, "--certificate", str(home / "f.pem"), check=False)
    assert wrong.returncode == 1 and wrong.stderr
    stack.signetctl("ca", "import", name, "--certificate", str(home / "ours.pem"), "--chain", str(home / "f.pem"))
    assert as_json(stack, "ca", "show", name)["status"] == "active"
    (home / "below.csr").write_bytes(csr(["below.demo.test"]))
    leaf = stack.signetctl("cert", "request", "--csr", str(home / "below.csr"), "--template", "Web Server", "--issuer", name).stdout
    (home / "below.pem").write_text(leaf)
    openssl("verify", "-CAfile", home / "f.pem", "-untrusted", home / "ours.pem", home / "below.pem")


def test_the_default_templates_are_there(stack):
    names = {template["name"] for template in as_json(stack, "template", "list")["templates"]}
    assert {"TLS-Server-Internal", "TLS-Server-External", "TLS-Client-Auth", "Code-Signing", "Email-SMIME", "Device-Certificate", "Web Server",
            "Certificate Authority"} <= names


def test_a_template_goes_out_and_in_as_yaml(stack):
    text = stack.signetctl("template", "export", "TLS-Server-Internal").stdout
    path = stack.directory / "template.yaml"
    path.write_text(text)
    assert "(unchanged)" in stack.signetctl("template", "import", str(path)).stdout
    version = as_json(stack, "template", "show", "TLS-Server-Internal")["version"]
    path.write_text(text.replace('name: "TLS-Server-Internal"', 'name: "Short"').replace("validity_days: 730", "validity_days: 7"))
    assert "version 1" in stack.signetctl("template", "import", str(path)).stdout
    path.write_text(path.read_text().replace("validity_days: 7", "validity_days: 8"))
    assert "version 2" in stack.signetctl("template", "import", str(path)).stdout
    assert as_json(stack, "template", "show", "Short", "--version", "1")["validity_days"] == 7
    assert as_json(stack, "template", "show", "TLS-Server-Internal")["version"] == version
    record = until(lambda: next((entry["record"] for entry in as_json(stack, "audit", "show", "--action", "configuration")
                                 if entry["record"]["name"] == "Short" and entry["record"]["done"] == "changed"), None))
    assert record["what"] == "template" and record["operator"] and "validity_days: 7 → 8" in record["changes"]


@pytest.mark.parametrize("yaml, says", [
    ("nonsense: 1\nname: x\n", "nonsense"), ("name: x\nname: y\n", "twice"), ("name: [x]\n", "name"), ("- a\n", "mapping"), ("name: x\nvalidity_days: never\n", "number"),
    ("name: 'x\n", "YAML"), ("name: x\nkey_types: [dsa]\nvalidity_days: 5\n", "ed25519")])
def test_a_wrong_template_is_refused_with_the_place(stack, yaml, says):
    path = stack.directory / "wrong.yaml"
    path.write_text(yaml)
    done = stack.signetctl("template", "import", str(path), check=False)
    assert done.returncode == 1 and says in done.stderr


def test_the_catalogue_is_searched_and_a_certificate_shown_and_revoked(stack):
    name = "searched.search.demo.test"
    request = stack.directory / "catalogue.csr"
    request.write_bytes(csr([name]))
    stack.signetctl("cert", "request", "--csr", str(request), "--template", "TLS-Server-Internal", "--owner", "team-blue")
    found = until(lambda: as_json(stack, "cert", "list", "--owner", "team-blue")["entries"])
    assert len(found) == 1 and found[0]["names"][0]["value"] == name and found[0]["template"] == "TLS-Server-Internal"
    for pattern in (name, "*.search.demo.test", "searched.*", "SEARCHED.search.*"):
        assert [entry["serial"] for entry in as_json(stack, "cert", "list", "--name", pattern)["entries"]] == [found[0]["serial"]], pattern
    assert as_json(stack, "cert", "list", "--name", "nothing.*")["entries"] == []
    assert as_json(stack, "cert", "list", "--owner", "team-blue", "--expires-within", "30")["entries"] == []
    assert "team-blue" in stack.signetctl("cert", "show", found[0]["serial"]).stdout
    assert stack.signetctl("cert", "show", found[0]["sha256"], "--pem").stdout.startswith("-----BEGIN CERTIFICATE-----")
    stack.signetctl("cert", "revoke", found[0]["serial"], "--reason", "superseded")
    until(lambda: as_json(stack, "cert", "list", "--owner", "team-blue")["entries"][0]["status"] == "revoked")
    again = stack.signetctl("cert", "revoke", found[0]["serial"], "--reason", "superseded")
    assert "before" in again.stdout
    assert stack.signetctl("cert", "show", "00ff", check=False).returncode == 4
    assert stack.signetctl("cert", "revoke", found[0]["serial"], "--reason", "boredom", check=False).returncode == 1


def test_a_serial_number_and_its_issuer_revoke_while_the_catalogue_is_away(stack):
    request = stack.directory / "emergency.csr"
    request.write_bytes(csr(["emergency.demo.test"]))
    pem = stack.signetctl("cert", "request", "--csr", str(request), "--template", "TLS-Server-Internal").stdout
    serial = f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:034x}"
    stack.stop("inventory")
    try:
        assert stack.signetctl("cert", "revoke", serial, "--issuer", "demo-root", check=False).returncode == 4
        assert stack.signetctl("cert", "revoke", serial, "--issuer", "demo-issuing", "--reason", "keyCompromise").stdout.startswith("revoked at")
    finally:
        stack.start("inventory")
        stack.wait("inventory")


def test_pages_neither_repeat_nor_skip(stack):
    for number in range(5):
        request = stack.directory / "page.csr"
        request.write_bytes(csr([f"page-{number}.paging.demo.test"]))
        stack.signetctl("cert", "request", "--csr", str(request), "--template", "Web Server", "--owner", "pager")
    until(lambda: len(as_json(stack, "cert", "list", "--owner", "pager")["entries"]) == 5)
    seen, cursor = [], ""
    while True:
        page = as_json(stack, "cert", "list", "--owner", "pager", "--limit", "2", *(["--cursor", cursor] if cursor else []))
        seen += [entry["serial"] for entry in page["entries"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert len(seen) == 5 == len(set(seen))


def test_the_same_request_again_is_the_same_certificate(stack):
    request = stack.directory / "again.csr"
    request.write_bytes(csr(["again.demo.test"]))
    words = ["cert", "request", "--csr", str(request), "--template", "Web Server"]
    first, second = stack.signetctl(*words), stack.signetctl(*words)
    assert first.stdout == second.stdout
    assert first.stderr == "" and "issued before" in second.stderr


def test_another_wish_for_the_same_csr_is_another_request(stack):
    request = stack.directory / "other.csr"
    request.write_bytes(csr(["other-wish.demo.test"]))
    words = ["cert", "request", "--csr", str(request), "--template"]
    wishes = [["Web Server"], ["Web Server", "--days", "3"], ["TLS-Server-Internal"], ["Web Server", "--owner", "team-red"]]
    assert len({as_json(stack, *words, *wish)["serial"] for wish in wishes}) == len(wishes)
    refused = stack.signetctl(*words, "No-Such-Template", check=False)
    assert refused.returncode == 4 and "No-Such-Template" in refused.stderr


def test_a_subject_is_certified_in_the_string_types_of_rfc_5280(stack):
    """Devices write '_' and '@' into PrintableString, which does not have them; OpenSSL does not mind."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.name import _ASN1Type
    from cryptography.x509.oid import NameOID
    name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "DE", _type=_ASN1Type.UTF8String),
                      x509.NameAttribute(NameOID.COMMON_NAME, "device_1@site", _type=_ASN1Type.PrintableString)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("device-1.demo.test")]), critical=False)
    request = stack.directory / "spelling.csr"
    request.write_bytes(builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.DER))
    made = stack.signetctl("cert", "request", "--csr", str(request), "--template", "Device-Certificate").stdout
    subject = x509.load_pem_x509_certificate(made.encode()).subject.public_bytes()
    assert b"\x13\x02DE" in subject and b"\x0c\x0ddevice_1@site" in subject


@pytest.mark.parametrize("template, key_bits, says", [("Code-Signing", 2048, "4096"), ("No-Such-Template", 2048, "No-Such-Template")])
def test_layer_four_refuses(stack, template, key_bits, says):
    from cryptography.hazmat.primitives.asymmetric import rsa
    request = stack.directory / "refused.csr"
    request.write_bytes(csr([], rsa.generate_private_key(65537, key_bits), common_name="Somebody"))
    done = stack.signetctl("cert", "request", "--csr", str(request), "--template", template, check=False)
    assert done.returncode in (1, 4) and says in done.stderr


def test_code_signing_waits_for_an_approval_and_explain_says_so(stack):
    from cryptography.hazmat.primitives.asymmetric import rsa
    request = stack.directory / "code.csr"
    request.write_bytes(csr([], rsa.generate_private_key(65537, 4096), common_name="Team Blue Code Signing"))
    words = ["--csr", str(request), "--template", "Code-Signing"]
    said = as_json(stack, "cert", "explain", *words)
    assert said["needs_approval"] and [layer["code"] for layer in said["layers"]] == ["AUTH-001", "AUTH-002", "AUTH-003", "AUTH-004"]
    assert "pending" in stack.signetctl("cert", "request", *words).stdout
    assert as_json(stack, "cert", "request", *words)["status"] == "pending"


def test_wrong_usage_is_exit_code_two_and_says_what_is_right(stack):
    for words in (["nothing"], ["ca", "create"], ["cert", "list", "--colour", "red"], ["cert", "list", "--limit", "many"]):
        done = stack.signetctl(*words, check=False)
        assert done.returncode == 2 and "signetctl" in done.stderr
        told = json.loads(stack.signetctl(*words, "--json", check=False).stderr) if words[0] != "nothing" else None
        assert told is None or told["error"]["kind"] == "bad-request"
    assert "Exit codes" in stack.signetctl("--help").stdout
    group = stack.signetctl("acme", "policy", "--help").stdout
    assert "acme policy import" in group and "acme eab" not in group
    assert "--common-name" in stack.signetctl("ca", "create", "--help", check=False).stdout
    options = stack.signetctl("profile", "create", "--kind", "est", "--help").stdout
    assert "--proof-required" in options and "--crl" in options and "--webhook-url" not in options


def test_migrate_again_changes_nothing(stack):
    assert as_json(stack, "migrate")["applied"] == []


def test_the_making_of_a_ca_is_on_record_once(stack):
    for name in ("demo-root", "demo-issuing"):
        until(lambda name=name: stack.sql(f"SELECT count(*) FROM audit.event WHERE action = 'ca.created' AND issuer = '{name}'") == [["1"]])


NO_CA = 'no CA named "typo": see signetctl ca list'
NO_TEMPLATE = 'no template named "typo": see signetctl template list'


@pytest.mark.parametrize("words, says", [
    ("acme policy create a --template typo", NO_TEMPLATE),
    ("acme policy create a --issuer typo", NO_CA),
    ("acme policy create a --profiles short=typo:6", NO_TEMPLATE),
    ("acme policy set default --template typo", NO_TEMPLATE),
    ("acme policy delete typo", "see signetctl acme policy list"),
    ("acme eab create a --policy typo", "see signetctl acme policy list"),
    ("acme eab create a --allowed-templates typo", NO_TEMPLATE),
    ("acme eab delete typo", "see signetctl acme eab list"),
    ("acme eab revoke typo", "see signetctl acme eab list"),
    ("acme limits delete typo", "see signetctl acme limits list"),
    ("ca create a --common-name A --parent typo", NO_CA),
    ("ca successor typo --to demo-issuing", NO_CA),
    ("ca successor demo-issuing --to typo", NO_CA),
    ("crl publish --issuer typo", NO_CA),
    ("cert list --issuer typo", NO_CA),
    ("cert list --template typo", NO_TEMPLATE),
    ("cert request --template typo --csr CSR", NO_TEMPLATE),
    ("cert explain --template Device-Certificate --issuer typo --csr CSR", NO_CA),
    ("profile delete typo --kind scep", "see signetctl profile list --kind scep"),
    ("profile delete typo --kind est", "see signetctl profile list --kind est"),
    ("profile reset-password typo --kind est --user a", "see signetctl profile list --kind est"),
    ("profile delete-user typo --kind est --user a", "see signetctl profile list --kind est"),
    ("profile rotate-passphrase typo --kind scep", "see signetctl profile list --kind scep"),
])
def test_a_name_that_nobody_has_is_refused_and_the_refusal_says_where_they_stand(stack, words, says):
    request = stack.directory / "typo.csr"
    request.write_bytes(csr(["typo.demo.test"]))
    done = stack.signetctl(*(str(request) if word == "CSR" else word for word in words.split()), check=False)
    assert (done.returncode, says in done.stderr) == (4, True), done.stderr


def test_a_template_of_a_ca_that_nobody_has_is_refused(stack):
    path = stack.directory / "typo.yaml"
    text = stack.signetctl("template", "export", "TLS-Server-Internal").stdout.replace("name: TLS-Server-Internal", "name: typo")
    path.write_text(re.sub(r"(?m)^issuer:.*$", "issuer: typo", text))
    done = stack.signetctl("template", "import", str(path), check=False)
    assert (done.returncode, NO_CA in done.stderr) == (4, True), done.stderr


def test_a_search_that_finds_nothing_is_no_error_unless_it_cannot_find_anything(stack):
    assert as_json(stack, "cert", "list", "--issuer", "demo-root", "--protocol", "scep/nobody", "--owner", "nobody")["entries"] == []
    assert stack.signetctl("cert", "list", "--protocol", "scap", check=False).returncode == 2
