"""SCEP as devices speak it: real clients, and a client of our own that shows what real ones have sent to other servers."""

import http.client
import subprocess
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from scep_kit import CERT_POLL, GET_CERT, GET_CRL, PENDING, RENEWAL_REQ, SUCCESS, FAILURE, RECIPIENT_NONCE, Device, Refused, Reply, csr, integer, new_key, self_signed, seq, with_sha1
from stack_kit import until


def make_profile(stack, name, *options):
    stack.signetctl("profile", "create", name, "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", *options)
    return f"{stack.scep_url}/scep/{name}"


@pytest.fixture(scope="module")
def phones(stack):
    """(URL, passphrase)"""
    url = make_profile(stack, "phones")
    return url, stack.signetctl("profile", "rotate-passphrase", "phones", "--kind", "scep").stdout.strip()


@pytest.fixture(scope="module")
def old_phones(stack):
    url = make_profile(stack, "old-phones", "--legacy", "true")
    return url, stack.signetctl("profile", "rotate-passphrase", "old-phones", "--kind", "scep").stdout.strip()


def pem(path, *certificates):
    path.write_bytes(b"".join(one.public_bytes(x509.base.serialization.Encoding.PEM) for one in certificates))
    return str(path)


# ---- what is asked before ----

def test_capabilities_are_words_on_lines(stack, phones, old_phones):
    headers, body = Device(phones[0]).get("operation=GetCACaps&message=whatever")
    assert headers["Content-Type"] == "text/plain"
    assert body == b"AES\nSHA-256\nSHA-384\nSHA-512\nPOSTPKIOperation\nSCEPStandard\nRenewal\n"
    assert Device(old_phones[0] + "/pkiclient.exe").get("operation=GetCACaps")[1] == (
        b"AES\nDES3\nSHA-256\nSHA-384\nSHA-512\nSHA-1\nPOSTPKIOperation\nSCEPStandard\nRenewal\n")


def test_ca_certificates_are_a_set_or_one_as_the_profile_says(stack, phones):
    ra, ca, root = Device(phones[0]).ca()
    assert ra.issuer == ca.subject and ca.issuer == root.subject == root.issuer
    usage = ra.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment
    single = Device(make_profile(stack, "single", "--ca-certificates", "ra-only"))
    assert len(single.ca()) == 1
    stripped = Device(make_profile(stack, "stripped", "--strip-root", "true"))
    assert [one.subject == one.issuer for one in stripped.ca()] == [False, False]


def test_an_unknown_profile_and_an_unknown_operation(stack, phones):
    with pytest.raises(Refused) as unknown:
        Device(stack.scep_url + "/scep/nobody").get("operation=GetCACaps")
    assert unknown.value.status == 404
    line = until(lambda: next((line for line in stack.log("scep-gw").splitlines() if '"profile":"nobody"' in line), None))
    assert all(word in line for word in ('"rule":"profile"', '"client":"127.0.0.1"', '"user_agent":"scep-kit/1"'))
    for query in ("operation=Frobnicate", "", "operation=PKIOperation", "operation=PKIOperation&message=%25%25"):
        with pytest.raises(Refused) as unknown:
            Device(phones[0]).get(query)
        assert unknown.value.status == 400
    with pytest.raises(Refused) as unknown:
        Device(phones[0]).get("operation=GetNextCACert")
    assert unknown.value.status == 404


def test_http_1_0_without_a_host(stack, phones):
    parts = urllib.parse.urlsplit(phones[0])
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"
    connection.putrequest("GET", f"{parts.path}/pkiclient.exe?operation=GetCACaps&message=ident", skip_host=True)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 200 and b"AES\n" in answer.read()


# ---- enrolment ----

def test_strongswan_enrols_and_renews(stack, phones, tmp_path):
    ra, ca, root = Device(phones[0]).ca()
    trust = ["--cacert-enc", pem(tmp_path / "ra.pem", ra), "--cacert-sig", pem(tmp_path / "ra.pem", ra), "--cacert", pem(tmp_path / "ca.pem", ca),
             "--cacert", pem(tmp_path / "root.pem", root)]
    for number in ("1", "2"):
        made = subprocess.run(["pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"], capture_output=True, timeout=60)
        (tmp_path / f"{number}.key").write_bytes(made.stdout)
    common = ["pki", "--scep", "--url", phones[0], "--dn", "CN=swan.demo.test", "--san", "swan.demo.test", "--outform", "pem", *trust]
    first = subprocess.run([*common, "--in", str(tmp_path / "1.key"), "--password", phones[1]], capture_output=True, timeout=60)
    assert first.returncode == 0, first.stderr.decode()
    old = x509.load_pem_x509_certificate(first.stdout)
    assert old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["swan.demo.test"]
    (tmp_path / "old.pem").write_bytes(first.stdout)
    again = subprocess.run([*common, "--in", str(tmp_path / "2.key"), "--cert", str(tmp_path / "old.pem"), "--key", str(tmp_path / "1.key")],
                           capture_output=True, timeout=60)
    assert again.returncode == 0, again.stderr.decode()
    new = x509.load_pem_x509_certificate(again.stdout)
    assert new.serial_number != old.serial_number and new.subject == old.subject
    assert new.public_key().public_numbers() != old.public_key().public_numbers()


def test_micromdm_enrols_where_legacy_is_allowed_and_renews(stack, old_phones, tmp_path):
    ra = Device(old_phones[0]).ca()[0]
    fingerprint = ra.fingerprint(x509.base.hashes.SHA256()).hex()
    command = ["scepclient", "-server-url", old_phones[0], "-challenge", old_phones[1], "-private-key", "key.pem", "-certificate", "cert.pem",
               "-cn", "mdm.demo.test", "-ca-fingerprint", fingerprint]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (tmp_path / "cert.pem").exists(), done.stdout + done.stderr
    first = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    # Run again, it sends the very same request, signed with the certificate that it got: a renewal.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    second = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    assert second.serial_number != first.serial_number, done.stdout + done.stderr


def test_micromdm_is_refused_where_it_is_not(stack, phones, tmp_path):
    ra = Device(phones[0]).ca()[0]
    done = subprocess.run(["scepclient", "-server-url", phones[0], "-challenge", phones[1], "-private-key", "key.pem", "-certificate", "cert.pem",
                           "-ca-fingerprint", ra.fingerprint(x509.base.hashes.SHA256()).hex()], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "badAlg" in done.stdout + done.stderr and not (tmp_path / "cert.pem").exists()


@pytest.mark.parametrize("wish", [
    {"cipher": "aes256", "digest": "sha512"},
    {"pieces": True},
    {"nonce": None},
    {"nonce": b"8 octets"},
    {"transaction": "short"},
], ids=str)
def test_what_devices_are_known_to_send(stack, phones, wish):
    device = Device(phones[0], "quirk.demo.test")
    reply = device.enroll(phones[1], ["quirk.demo.test"], **wish)
    assert reply.status == SUCCESS
    assert reply.certificate.public_key().public_numbers() == device.key.public_key().public_numbers()
    assert reply.cipher == wish.get("cipher", "aes128")
    assert reply.attributes.get(RECIPIENT_NONCE, b"") is not None


def test_by_get_escaped_and_raw(stack, phones):
    for raw in (False, True):
        device = Device(phones[0], "get.demo.test")
        message = device.message(csr(device.key, "get.demo.test", phones[1]))
        headers, body = device.get(device.get_message(message, raw))
        assert headers["Content-Type"] == "application/x-pki-message"
        assert Reply(body, device.key).status == SUCCESS


def test_triple_des_and_sha_1_only_where_legacy_is_allowed(stack, phones, old_phones):
    assert Device(old_phones[0]).enroll(old_phones[1], cipher="des3", digest="sha1").cipher == "des3"
    for wish in ({"cipher": "des3"}, {"digest": "sha1"}, {"cipher": "des"}):
        reply = Device(phones[0]).enroll(phones[1], **wish)
        assert (reply.status, reply.fail_info) == (FAILURE, "0")
    # What comes in DES is never answered in DES.
    assert Device(old_phones[0]).enroll(old_phones[1], cipher="des").cipher == "aes128"


def test_a_certification_request_signed_with_sha_1_only_where_legacy_is_allowed(stack, phones, old_phones):
    """Routers from before SHA-256 sign it like the message."""
    router = Device(old_phones[0], "router.demo.test")
    request = with_sha1(csr(router.key, "router.demo.test", old_phones[1]), router.key)
    reply = router.send(request, cipher="des3", digest="sha1")
    assert reply.status == SUCCESS
    assert isinstance(reply.certificate.signature_hash_algorithm, hashes.SHA256)
    assert router.send(request, cipher="des3", digest="sha1").certificate == reply.certificate
    assert stack.sql("SELECT detail ->> 'csr_signature' FROM audit.event WHERE action = 'certificate.issued'"
                     f" AND detail ->> 'serial' = '{reply.certificate.serial_number:034x}'") == [["sha1WithRSAEncryption"]]
    refused = Device(phones[0], "router.demo.test")
    reply = refused.send(with_sha1(csr(refused.key, "router.demo.test", phones[1]), refused.key))
    assert (reply.status, reply.fail_info) == (FAILURE, "0")
    assert "the certification request is signed with SHA-1" in stack.log("scep-gw")


def test_the_same_request_gets_the_same_certificate(stack, phones):
    device = Device(phones[0], "again.demo.test")
    first = device.enroll(phones[1], ["again.demo.test"])
    second = device.send(device.csr)
    assert first.certificate == second.certificate
    other = Device(phones[0], "again.demo.test")
    reply = other.send(device.csr, transaction=device.transaction, signer=(other.key, other.certificate))
    assert (reply.status, reply.fail_info) == (FAILURE, "2")
    assert "begun with another key" in stack.log("scep-gw")


def test_a_wrong_passphrase_and_none(stack, phones):
    for wrong in ("wrong", None, phones[1][:-1]):
        reply = Device(phones[0]).enroll(wrong)
        assert (reply.status, reply.fail_info) == (FAILURE, "2")
    line = next(line for line in stack.log("scep-gw").splitlines() if '"rule":"passphrase"' in line and '"profile":"phones"' in line)
    for part in ('"client":"127.0.0.1"', '"user_agent":"scep-kit/1"', '"transaction":"'):
        assert part in line
    assert phones[1] not in stack.log("scep-gw")


def test_a_new_passphrase_ends_the_old_one_and_cancel_ends_both(stack):
    url = make_profile(stack, "rotated")
    old = stack.signetctl("profile", "rotate-passphrase", "rotated", "--kind", "scep").stdout.strip()
    assert Device(url).enroll(old).status == SUCCESS
    new = stack.signetctl("profile", "rotate-passphrase", "rotated", "--kind", "scep").stdout.strip()
    assert Device(url).enroll(old).status == FAILURE and Device(url).enroll(new).status == SUCCESS
    stack.signetctl("profile", "rotate-passphrase", "rotated", "--kind", "scep", "--cancel")
    assert Device(url).enroll(new).status == FAILURE
    assert new not in stack.sql("SELECT encode(passphrase, 'escape') FROM scep.profile WHERE passphrase IS NOT NULL").__str__()


# ---- afterwards ----

def enrolled(phones, common_name):
    device = Device(phones[0], common_name)
    device.certificate = device.enroll(phones[1], [common_name]).certificate
    return device


def test_the_old_certificate_authorises_its_renewal_and_nothing_else(stack, phones):
    device = enrolled(phones, "renew.demo.test")
    key = new_key()
    reply = device.send(csr(key, "renew.demo.test", names=["renew.demo.test"]), RENEWAL_REQ)
    assert reply.status == SUCCESS and reply.certificate.public_key().public_numbers() == key.public_key().public_numbers()
    assert device.send(csr(key, "renew.demo.test", names=["renew.demo.test", "more.demo.test"]), RENEWAL_REQ).fail_info == "2"
    assert device.send(csr(key, "other.demo.test", names=["other.demo.test"]), RENEWAL_REQ).fail_info == "2"
    # Apple renews with PKCSReq, without a challenge.
    assert device.send(csr(new_key(), "renew.demo.test", names=["renew.demo.test"])).status == SUCCESS


def test_renewal_is_for_the_last_days_and_some_days_after_where_the_profile_says_so(stack):
    url = make_profile(stack, "windowed", "--renewal-window-days", "30")
    passphrase = stack.signetctl("profile", "rotate-passphrase", "windowed", "--kind", "scep").stdout.strip()
    device = enrolled((url, passphrase), "window.demo.test")
    assert device.send(csr(new_key(), "window.demo.test", names=["window.demo.test"]), RENEWAL_REQ).fail_info == "2"
    assert "it is too early" in stack.log("scep-gw")
    stack.signetctl("profile", "set", "windowed", "--kind", "scep", "--renewal-window-days", "3650")
    assert device.send(csr(new_key(), "window.demo.test", names=["window.demo.test"]), RENEWAL_REQ).status == SUCCESS
    stack.signetctl("profile", "set", "windowed", "--kind", "scep", "--renewal", "false")
    assert device.send(csr(new_key(), "window.demo.test", names=["window.demo.test"]), RENEWAL_REQ).fail_info == "2"
    assert b"Renewal" not in device.get("operation=GetCACaps")[1]


def test_the_authority_in_the_answer_where_the_profile_says_so(stack):
    url = make_profile(stack, "with-ca", "--include-ca-in-reply", "true")
    passphrase = stack.signetctl("profile", "rotate-passphrase", "with-ca", "--kind", "scep").stdout.strip()
    device = Device(url + "/cgi-bin/pkiclient.exe", "with-ca.demo.test")
    leaf, ca = device.enroll(passphrase).issued
    assert leaf.issuer == ca.subject and leaf.public_key().public_numbers() == device.key.public_key().public_numbers()


def test_a_revoked_certificate_and_a_self_signed_one_renew_nothing(stack, phones):
    device = enrolled(phones, "revoked.demo.test")
    stack.revoke(device.certificate.serial_number, "superseded")
    assert device.send(csr(new_key(), "revoked.demo.test", names=["revoked.demo.test"]), RENEWAL_REQ).fail_info == "2"
    stranger = Device(phones[0], "stranger.demo.test")
    assert stranger.send(csr(stranger.key, "stranger.demo.test"), RENEWAL_REQ).fail_info == "2"


def test_a_certificate_of_another_profile_renews_nothing(stack, phones, old_phones):
    device = enrolled(old_phones, "elsewhere.demo.test")
    device.url = phones[0]
    assert device.send(csr(new_key(), "elsewhere.demo.test", names=["elsewhere.demo.test"]), RENEWAL_REQ).fail_info == "2"


def test_get_cert_and_get_crl(stack, phones):
    device = enrolled(phones, "fetch.demo.test")
    ca = device.ca()[1]
    wanted = seq(ca.subject.public_bytes(), integer(device.certificate.serial_number))
    assert device.send(wanted, GET_CERT).certificate == device.certificate
    assert device.send(seq(ca.subject.public_bytes(), integer(12345)), GET_CERT).fail_info == "4"
    assert device.send(seq(device.certificate.subject.public_bytes(), integer(12345)), GET_CERT).fail_info == "4"
    assert Device(phones[0]).send(wanted, GET_CERT).fail_info == "4"
    assert device.send(wanted, GET_CRL).crl.issuer == ca.subject


def test_who_did_not_begin_it_polls_nothing(stack, phones):
    assert Device(phones[0]).poll().fail_info == "4"
    assert Device(phones[0]).send(b"rubbish", CERT_POLL).fail_info == "4"


def test_the_certificate_is_in_the_catalogue_with_its_profile(stack, phones):
    device = enrolled(phones, "catalogue.demo.test")
    serial = f"{device.certificate.serial_number:034x}"
    shown = until(lambda: stack.signetctl("cert", "show", serial, check=False).stdout)
    assert "scep/phones" in shown
    for protocol, is_listed in {"scep": True, "scep/phones": True, "scep/phone": False, "est": False}.items():
        assert (serial in stack.signetctl("cert", "list", "--protocol", protocol, "--name", device.common_name).stdout) == is_listed


def test_a_template_or_a_ca_that_is_not_there_is_the_operators_affair(stack):
    for option, says in (("--template", "template: "), ("--issuer", "issuer: ")):
        words = {"--issuer": "demo-issuing", "--template": "Device-Certificate", option: "nobody"}
        refused = stack.signetctl("profile", "create", "broken", "--kind", "scep", *(word for pair in words.items() for word in pair), check=False)
        assert refused.returncode != 0 and says in refused.stderr
    device = Device(make_profile(stack, "broken", "--authorization", "approval"), "broken.demo.test")
    stack.sql("UPDATE scep.profile SET settings = decode(replace(encode(settings, 'hex'), encode('Device-Cert', 'hex'), encode('Nobody-Cert', 'hex')), 'hex')"
              " WHERE name = 'broken'")

    def come_again():
        try:
            return device.enroll(names=["broken.demo.test"]) and None
        except Refused as refused:
            return refused.status == 503
    until(come_again)


def test_a_file_that_says_little_makes_what_create_makes(stack, tmp_path):
    make_profile(stack, "by-options")
    little = tmp_path / "little.yaml"
    little.write_text("name: by-file\nissuer: demo-issuing\ntemplate: Device-Certificate\n")
    stack.signetctl("profile", "import", str(little), "--kind", "scep")
    exported = [stack.signetctl("profile", "export", name, "--kind", "scep").stdout for name in ("by-file", "by-options")]
    assert exported[0].replace("by-file", "by-options") == exported[1]
    assert "by-file" in stack.signetctl("profile", "list").stdout



def test_export_and_import(stack, phones, tmp_path):
    text = stack.signetctl("profile", "export", "phones", "--kind", "scep").stdout
    copy = tmp_path / "copy.yaml"
    copy.write_text(text.replace("phones", "phones-copy", 1))
    stack.signetctl("profile", "import", str(copy), "--kind", "scep")
    assert stack.signetctl("profile", "export", "phones-copy", "--kind", "scep").stdout == copy.read_text()
    assert "phones-copy" in stack.signetctl("profile", "list", "--kind", "scep").stdout


def test_a_profile_that_is_deleted_is_gone_and_what_it_issued_is_not(stack):
    url = make_profile(stack, "gone")
    passphrase = stack.signetctl("profile", "rotate-passphrase", "gone", "--kind", "scep").stdout.strip()
    device = Device(url, "gone.demo.test")
    certificate = device.enroll(passphrase, ["gone.demo.test"]).certificate
    message = device.message(csr(device.key, "gone.demo.test", passphrase))
    assert "deleted" in stack.signetctl("profile", "delete", "gone", "--kind", "scep").stdout
    for ask in (lambda: device.get("operation=GetCACaps"), lambda: device.post(message)):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.status == 404
    assert stack.sql("SELECT count(*) FROM scep.transaction WHERE profile = 'gone'") == [["0"]]
    until(lambda: "gone.demo.test" in stack.signetctl("cert", "list", "--name", "gone.demo.test").stdout)
    assert stack.sql(f"SELECT count(*) FROM ra.revocation WHERE serial = '\\x{certificate.serial_number:034x}'") == [["0"]]
    assert stack.signetctl("profile", "delete", "gone", "--kind", "scep", check=False).returncode != 0
    # Under the same name again, the old secret is none.
    make_profile(stack, "gone")
    assert device.send(csr(device.key, "gone.demo.test", passphrase)).status == FAILURE


def test_a_profile_that_is_made_again_renews_nothing_of_the_one_before(stack):
    def make():
        stack.signetctl("profile", "create", "again", "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", "--renewal", "true")
        return stack.signetctl("profile", "rotate-passphrase", "again", "--kind", "scep").stdout.strip()
    device = Device(f"{stack.scep_url}/scep/again", "again.demo.test")
    device.certificate = device.enroll(make(), ["again.demo.test"]).certificate
    renewal = csr(new_key(), "again.demo.test", names=["again.demo.test"])
    stack.signetctl("profile", "set", "again", "--kind", "scep", "--renewal-window-days", "0", "--strip-root", "true")
    assert device.send(renewal, RENEWAL_REQ).status == SUCCESS
    stack.signetctl("profile", "delete", "again", "--kind", "scep")
    passphrase = make()
    reply = device.send(csr(new_key(), "again.demo.test", names=["again.demo.test"]), RENEWAL_REQ)
    assert (reply.status, reply.fail_info) == (FAILURE, "2")
    device.certificate, before = self_signed(device.key, "again.demo.test"), device.certificate
    assert device.enroll(passphrase, ["again.demo.test"]).certificate != before


def test_the_key_of_a_deleted_profile_is_destroyed_also_when_the_signer_was_away(stack):
    def state():
        return stack.sql("SELECT retired_at IS NOT NULL, destroyed_at IS NOT NULL FROM ca.service_key WHERE name LIKE 'scep:retired.%'")
    make_profile(stack, "retired")
    assert state() == [["f", "f"]]
    stack.stop("signer")
    stack.signetctl("profile", "delete", "retired", "--kind", "scep")
    until(lambda: stack.sql("SELECT attempts > 0 AND lease_holder IS NULL FROM scep.retired_ra WHERE name LIKE 'retired.%'") == [["t"]])
    assert state() == [["f", "f"]]
    stack.start("signer")
    stack.wait("signer")
    stack.sql("UPDATE scep.retired_ra SET due_at = now()")
    until(lambda: state() == [["t", "t"]])
    until(lambda: stack.sql("SELECT count(*) FROM scep.retired_ra") == [["0"]])
    assert stack.sql("SELECT count(*) FROM ca.scep_ra_certificate WHERE profile LIKE 'retired.%'") == [["0"]]
    until(lambda: "scep ra key" in stack.signetctl("audit", "show", "--action", "configuration", "--json").stdout)
    # One that is made again has a key of its own.
    make_profile(stack, "retired")
    assert state().count(["f", "f"]) == 1 and len(state()) == 2
