"""EST (RFC 7030) as devices use it: enrolment by password and by certificate, renewal, refusals, the layouts of base64, strongSwan and openssl."""

import base64
import http.client
import json
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from est_kit import CHALLENGE_PASSWORD, IDENTITY_LINKING, Est, Identity, Maker, csr_with_attribute, exporter_session, make_csr, name_of, new_key, tlv
from stack_kit import until


@pytest.fixture(scope="module")
def est(stack, tmp_path_factory):
    one = Est(stack, tmp_path_factory.mktemp("est"))
    one.profile("plain")
    one.alice = one.password("plain")
    until(lambda: one.ask("plain/cacerts").status == 200)
    return one


@pytest.fixture(scope="module")
def maker():
    return Maker()


def subject(certificate):
    return certificate.subject.rfc4514_string()


def dns_names(certificate):
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def log_of(est, **wanted):
    lines = [json.loads(line) for line in est.stack.log("est-gw").splitlines() if line.startswith("{")]
    return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]


# ---- what everybody may have


def test_cacerts_are_the_issuing_ca_and_the_root(est):
    reply = est.ask("plain/cacerts")
    assert reply.headers["Content-Type"] == "application/pkcs7-mime"
    assert reply.headers["Content-Transfer-Encoding"] == "base64"
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    assert [subject(one) for one in reply.certificates] == ["CN=Signet Demo Issuing CA,O=Signet Demo", "CN=Signet Demo Root CA,O=Signet Demo"]
    assert all(len(line) <= 64 for line in reply.text.splitlines()) and reply.text.endswith("\n")


def test_paths_without_label_are_the_profile_named_default(est):
    assert est.ask("cacerts").status == 404
    est.profile("default")
    assert est.ask("cacerts").body == est.ask("default/cacerts").body
    assert est.ask("nobody/cacerts").status == 404
    assert est.ask("simpleenroll").status == 405


# ---- by password


def test_a_password_enrols_and_the_inventory_says_so(est):
    reply = est.enroll("plain", new_key(), "CN=sensor-1.example", ["sensor-1.example"], auth=est.alice)
    certificate = reply.certificate
    assert reply.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    assert dns_names(certificate) == ["sensor-1.example"]
    serial = f"{certificate.serial_number:034x}"

    def entry():
        shown = est.stack.signetctl("cert", "show", serial, "--json", check=False)
        return json.loads(shown.stdout)["entry"] if shown.returncode == 0 else None
    found = until(entry)
    assert found["protocol"] == "est/plain"
    assert found["principal"] == {"kind": "est-user", "id": "alice"}


@pytest.mark.parametrize("auth", [None, ("alice", "wrong"), ("bob", "x"), ("", "")])
def test_without_the_right_password_there_is_a_challenge_and_no_certificate(est, auth):
    reply = est.enroll("plain", new_key(), "CN=a.example", auth=auth)
    assert reply.status == 401 and reply.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_a_deleted_user_is_nobody(est):
    bob = est.password("plain", "bob")
    assert est.enroll("plain", new_key(), "CN=b.example", auth=bob).status == 200
    est.stack.signetctl("profile", "delete-user", "plain", "--kind", "est", "--user", "bob")
    assert est.enroll("plain", new_key(), "CN=b.example", auth=bob).status == 401


# ---- layouts of the body


LAYOUTS = {
    "in one line": lambda der: base64.b64encode(der),
    "in lines of 64 with LF": lambda der: b"\n".join(base64.b64encode(der)[at:at + 64] for at in range(0, 4000, 64)),
    "in lines with CRLF": lambda der: base64.encodebytes(der).replace(b"\n", b"\r\n"),
    "in lines of any length": lambda der: b"\n".join(base64.b64encode(der)[at:at + 7] for at in range(0, 4000, 7)),
    "with PEM armour": lambda der: b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE REQUEST-----\n",
    "with old PEM armour": lambda der: b"-----BEGIN NEW CERTIFICATE REQUEST-----\r\n" + base64.encodebytes(der) + b"-----END NEW CERTIFICATE REQUEST-----",
    "as plain DER": lambda der: der,
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda name: name.replace(" ", "-"))
def test_a_csr_comes_in_any_layout(est, layout):
    body = LAYOUTS[layout](make_csr(new_key(), "CN=layout.example"))
    assert subject(est.ask("plain/simpleenroll", body, auth=est.alice, encode=False).certificate) == "CN=layout.example"


def test_who_sends_one_line_and_says_nothing_of_itself_gets_one_line(est):
    """strongSwan's pki takes no line end, libest and OpenSSL no long line."""
    connection = est.connect()
    connection.putrequest("GET", "/.well-known/est/plain/cacerts", skip_accept_encoding=True)
    connection.endheaders()
    assert b"\n" not in connection.getresponse().read()
    for head in ({"Accept": "*/*"}, {"Accept-Encoding": "identity"}):
        connection.putrequest("GET", "/.well-known/est/plain/cacerts", skip_accept_encoding=True)
        for name, value in head.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert max(map(len, connection.getresponse().read().split(b"\n"))) == 64


def test_heads_are_small_and_have_a_length(est):
    """strongSwan's pki wants the whole head in its first read of 1,024 octets; globalsign's client exactly one certificate."""
    reply = est.ask("plain/simpleenroll", make_csr(new_key(), "CN=small.example"), auth=est.alice)
    refused = est.ask("plain/simpleenroll", b"", auth=est.alice)
    for one in (reply, refused):
        assert sum(len(field) + len(value) + 4 for field, value in one.headers.items()) < 900
        assert int(one.headers["Content-Length"]) == len(one.body) and one.headers["Transfer-Encoding"] is None
    assert reply.headers["Content-Transfer-Encoding"] == "base64" and len(reply.certificates) == 1
    assert reply.headers["Content-Type"].startswith("application/pkcs7-mime; smime-type=certs-only")


@pytest.mark.parametrize("body,status,says", [
    (b"", 400, "empty"), (b"!!!", 400, "base64"), (b"MAA", 400, "PKCS#10"), (b"-----BEGIN X-----\nMAA=", 400, "end line"),
    (base64.b64encode(b"\x30\x82\xff\xff"), 400, "base64"), (b"A" * (200 * 1024), 413, "body"),
], ids=["empty", "no-base64", "no-csr", "half-a-pem-block", "cut-der", "too-large"])
def test_bodies_that_are_no_csr_are_refused_with_a_reason(est, body, status, says):
    reply = est.ask("plain/simpleenroll", body, auth=est.alice, encode=False)
    assert reply.status == status and says in reply.text


def test_a_csr_whose_signature_is_anothers_is_refused(est):
    der = bytearray(make_csr(new_key(), "CN=a.example"))
    der[-1] ^= 1
    assert est.ask("plain/simpleenroll", bytes(der), auth=est.alice).status == 400


def test_another_media_type_is_refused_and_none_is_not(est):
    csr = make_csr(new_key(), "CN=a.example")
    assert est.ask("plain/simpleenroll", csr, auth=est.alice, content_type="application/json").status == 415
    assert est.ask("plain/simpleenroll", csr, auth=est.alice, content_type="application/pkcs10; charset=x").status == 200


# ---- repetition


def test_the_same_request_gets_the_same_certificate_also_at_once(est):
    csr = make_csr(new_key(), "CN=again.example")
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: est.ask("plain/simpleenroll", csr, auth=est.alice), range(4)))
    assert len({reply.certificate.serial_number for reply in replies}) == 1
    assert est.ask("plain/simpleenroll", csr, auth=est.alice).certificate.serial_number == replies[0].certificate.serial_number


def test_a_csr_that_never_changes_gets_a_new_certificate_after_revocation_or_a_while(est):
    csr = make_csr(new_key(), "CN=stubborn.example")
    serials = [est.ask("plain/simpleenroll", csr, auth=est.alice).certificate.serial_number]
    est.stack.revoke(serials[0], "superseded")
    serials.append(est.ask("plain/simpleenroll", csr, auth=est.alice).certificate.serial_number)
    est.stack.sql("UPDATE est.delivery SET delivered_at = now() - interval '1 day' WHERE generation = 1")
    est.stack.sql(f"UPDATE ra.certificate SET issued_at = now() - interval '1 day' WHERE serial = '\\x{serials[1]:034x}'")
    serials.append(est.ask("plain/simpleenroll", csr, auth=est.alice).certificate.serial_number)
    assert len(set(serials)) == 3
    assert est.ask("plain/simpleenroll", csr, auth=est.alice).certificate.serial_number == serials[2]


# ---- by certificate


@pytest.fixture(scope="module")
def factory(est, maker):
    est.profile("factory", authentication="certificate", anchors=est.anchors(maker), devices="SN*", names="{cn},{cn}.devices.example")
    return "factory"


def test_a_device_certificate_enrols_under_its_own_name(est, maker, factory):
    device = maker.device("CN=SN1001,O=Maker")
    certificate = est.enroll(factory, new_key(), "CN=SN1001.devices.example", ["SN1001.devices.example"], identity=device).certificate
    assert dns_names(certificate) == ["sn1001.devices.example"]
    assert log_of(est, serial=f"{certificate.serial_number:034x}")[0]["principal"] == "est-certificate:O=Maker,CN=SN1001"


@pytest.mark.parametrize("asked,names", [("CN=SN2002.devices.example", []), ("CN=SN1001", ["other.example"]), ("CN=*", [])])
def test_other_names_than_its_own_are_refused_and_the_log_says_why(est, maker, factory, asked, names):
    reply = est.enroll(factory, new_key(), asked, names, identity=maker.device("CN=SN1001"))
    assert reply.status == 403 and "name" in reply.text
    line = log_of(est, rule="names", profile="factory")[-1]
    assert line["caller"] == "127.0.0.1" and line["user_agent"] == "est-kit" and line["principal"] == "est-certificate:CN=SN1001"


def test_a_star_in_a_device_certificate_opens_nothing(est, factory):
    wild = Maker("Wild CA")
    est.profile("wild", authentication="certificate", anchors=est.anchors(wild), names="{cn}")
    assert est.enroll("wild", new_key(), "CN=bank.example", identity=wild.device("CN=*")).status == 403


def test_devices_that_the_profile_does_not_want_are_refused(est, maker, factory):
    reply = est.enroll(factory, new_key(), "CN=PRINTER", identity=maker.device("CN=PRINTER"))
    assert reply.status == 403 and log_of(est, rule="devices")


def test_no_certificate_and_anothers_certificate_are_refused(est, factory):
    other = Maker("Other CA")
    est.profile("other", authentication="certificate", anchors=est.anchors(other))
    assert est.enroll(factory, new_key(), "CN=sn1.example").status == 403
    reply = est.enroll(factory, new_key(), "CN=sn1.example", identity=other.device("CN=SN1"))
    assert reply.status == 403 and "not one that this profile trusts" in reply.text
    assert est.enroll("other", new_key(), "CN=sn1.example", identity=other.device("CN=SN1")).status == 200


UNTRUSTED = {
    "certificate has expired": lambda maker: maker.device("CN=SN1", days=-1),
    "unsuitable certificate purpose": lambda maker: maker.device("CN=SN1", purpose=ExtendedKeyUsageOID.SERVER_AUTH),
    "unable to": lambda maker: Maker("Stranger CA").device("CN=SN1"),
}


@pytest.mark.parametrize("reason", UNTRUSTED)
def test_strangers_expired_ones_and_servers_are_refused_and_told_why(est, maker, factory, reason):
    identity = UNTRUSTED[reason](maker)
    reply = est.enroll(factory, new_key(), "CN=sn1.example", identity=identity)
    assert reply.status == 403 and reason in reply.text
    refused = log_of(est, rule="client certificate", profile=factory)[-1]
    assert reason in refused["message"] and refused["user_agent"] == "est-kit" and refused["caller"] == "127.0.0.1"
    assert est.ask(f"{factory}/cacerts", identity=identity).status == 200


def test_a_certificate_that_nobody_trusts_is_no_reason_against_a_password(est, maker):
    anchors = est.anchors(maker)
    for name in ("basic", "either"):
        est.profile(f"untrusted-{name}", authentication=name, anchors=anchors)
        user = est.password(f"untrusted-{name}")
        for make in UNTRUSTED.values():
            identity = make(maker)
            assert est.enroll(f"untrusted-{name}", new_key(), "CN=x.example", identity=identity, auth=user).status == 200
            refused = est.enroll(f"untrusted-{name}", new_key(), "CN=x.example", identity=identity)
            assert refused.status == 401 and "WWW-Authenticate" in refused.headers


def test_a_device_may_hang_by_an_intermediate_that_it_sends_along(est):
    root = Maker("Root CA")
    middle = root.authority("Middle CA")
    est.profile("deep", authentication="certificate", anchors=est.anchors(root))
    device = middle.device("CN=SN1")
    device.chain = [middle.certificate]
    assert est.enroll("deep", new_key(), "CN=deep.example", identity=device).status == 200


def test_an_anchor_that_is_taken_away_lets_nobody_in_any_more(est):
    gone = Maker("Gone CA")
    est.profile("gone", authentication="certificate", anchors=est.anchors(gone))
    device = gone.device("CN=SN1")
    assert est.enroll("gone", new_key(), "CN=sn1.example", identity=device).status == 200
    est.profile("gone", verb="set", anchors="")
    assert est.enroll("gone", new_key(), "CN=sn1.example", identity=device).status == 403


def test_either_and_both(est, maker):
    anchors = est.anchors(maker)
    device = maker.device("CN=SN7")
    est.profile("either", authentication="either", anchors=anchors)
    est.profile("both", authentication="both", anchors=anchors)
    for name in ("either", "both"):
        user = est.password(name)
        got = {
            "neither": est.enroll(name, new_key(), "CN=x.example", auth=None).status,
            "certificate": est.enroll(name, new_key(), "CN=x.example", identity=device).status,
            "password": est.enroll(name, new_key(), "CN=x.example", auth=user).status,
            "both": est.enroll(name, new_key(), "CN=x.example", identity=device, auth=user).status,
        }
        if name == "either":
            assert got == {"neither": 401, "certificate": 200, "password": 200, "both": 200}
        else:
            assert got == {"neither": 403, "certificate": 401, "password": 403, "both": 200}


# ---- renewal


@pytest.fixture(scope="module")
def renewable(est):
    key = new_key()
    certificate = est.enroll("plain", key, "CN=renew.example", ["renew.example", "also.example"], auth=est.alice).certificate
    return Identity(key, certificate)


def renew(est, identity, key=None, subject_="CN=renew.example", names=("also.example", "renew.example"), profile="plain"):
    return est.enroll(profile, key or identity.key, subject_, names, operation="simplereenroll", identity=identity)


def test_a_certificate_is_renewed_with_its_own_key_or_a_new_one(est, renewable):
    same = renew(est, renewable).certificate
    fresh = renew(est, renewable, key=new_key()).certificate
    again = renew(est, Identity(renewable.key, same)).certificate
    assert len({one.serial_number for one in (renewable.certificate, same, fresh, again)}) == 4
    assert same.subject == fresh.subject == renewable.certificate.subject
    assert sorted(dns_names(fresh)) == ["also.example", "renew.example"]


@pytest.mark.parametrize("subject_,names", [("CN=other.example", ("also.example", "renew.example")), ("CN=renew.example", ("renew.example",)),
                                            ("CN=renew.example", ("also.example", "renew.example", "more.example")), ("CN=renew.example,O=X", ("also.example", "renew.example"))])
def test_renewal_under_other_names_is_refused(est, renewable, subject_, names):
    reply = renew(est, renewable, subject_=subject_, names=names)
    assert reply.status == 400 and "not th" in reply.text
    assert log_of(est, rule="reenroll")


def test_renewal_wants_a_certificate_of_this_profile_and_of_ours(est, renewable, maker):
    assert est.enroll("plain", new_key(), "CN=x.example", operation="simplereenroll", auth=est.alice).status == 403
    est.profile("elsewhere", authentication="certificate", anchors=est.anchors(maker))
    assert renew(est, renewable, profile="elsewhere").status == 403
    device = maker.device("CN=SN9")
    assert renew(est, device, subject_="CN=SN9", names=(), profile="elsewhere").status == 403


def test_a_renewal_may_ask_for_other_names_by_its_attribute(est):
    """RFC 6402 §2.8: the CSR repeats the names of the certificate, changeSubjectName has the new ones."""
    est.profile("moving", names="*.here.example,*.there.example")
    user, key = est.password("moving"), new_key()
    identity = Identity(key, est.enroll("moving", key, "CN=a.here.example", auth=user).certificate)

    def move(to):
        change = tlv(0x30, name_of(f"CN={to}").public_bytes() + tlv(0xA1, tlv(0x82, to.encode())))
        return est.ask("moving/simplereenroll", csr_with_attribute(new_key(), "CN=a.here.example", "1.3.6.1.5.5.7.7.36", change), identity=identity)
    moved = move("a.there.example").certificate
    assert subject(moved) == "CN=a.there.example" and dns_names(moved) == ["a.there.example"]
    assert move("bank.example").status == 403
    # Without a certificate that is renewed the attribute says nothing.
    change = tlv(0x30, name_of("CN=b.there.example").public_bytes())
    csr = csr_with_attribute(new_key(), "CN=a.here.example", "1.3.6.1.5.5.7.7.36", change)
    assert subject(est.ask("moving/simpleenroll", csr, auth=user).certificate) == "CN=a.here.example"


def test_a_profile_that_is_made_again_renews_nothing_of_the_one_before(est):
    est.profile("again")
    user, key = est.password("again"), new_key()
    csr = make_csr(key, "CN=again.example")
    first = est.ask("again/simpleenroll", csr, auth=user).certificate
    identity = Identity(key, first)
    est.profile("again", verb="set", description="changed, and still the same")
    renewed = renew(est, identity, key=key, subject_="CN=again.example", names=(), profile="again")
    assert renewed.status == 200
    est.stack.signetctl("profile", "delete", "again", "--kind", "est")
    est.profile("again")
    refused = renew(est, identity, key=key, subject_="CN=again.example", names=(), profile="again")
    assert refused.status == 403
    # The same octets are a request of their own.
    assert est.ask("again/simpleenroll", csr, auth=est.password("again")).certificate != first


def test_a_revoked_certificate_renews_nothing(est):
    key = new_key()
    certificate = est.enroll("plain", key, "CN=revoked.example", auth=est.alice).certificate
    est.stack.revoke(certificate.serial_number, "keyCompromise")
    reply = renew(est, Identity(key, certificate), key=new_key(), subject_="CN=revoked.example", names=("revoked.example",))
    assert reply.status == 403 and "revoked" in reply.text


# ---- proof of possession


@pytest.fixture(scope="module")
def linked(est):
    est.profile("linked", authentication="basic", proof_required="true")
    return est.password("linked")


@pytest.mark.parametrize("oid", [CHALLENGE_PASSWORD, IDENTITY_LINKING], ids=["challengePassword", "estIdentityLinking"])
def test_tls_unique_links_a_csr_with_a_tls_1_2_connection(est, linked, oid):
    connection = est.connect(version=ssl.TLSVersion.TLSv1_2)
    binding = base64.b64encode(connection.sock.get_channel_binding("tls-unique"))
    reply = est.enroll("linked", new_key(), "CN=linked.example", attributes=[(oid, binding)], auth=linked, connection=connection)
    assert subject(reply.certificate) == "CN=linked.example"
    # The very same CSR over another connection is a replay.
    other = est.connect(version=ssl.TLSVersion.TLSv1_2)
    reply = est.enroll("linked", new_key(), "CN=linked.example", attributes=[(oid, binding)], auth=linked, connection=other)
    assert reply.status == 400 and log_of(est, rule="proof of possession")


def test_the_exporter_links_a_csr_with_a_tls_1_3_connection(est, linked):
    def request(binding):
        csr = base64.b64encode(make_csr(new_key(), "CN=exported.example", attributes=[(CHALLENGE_PASSWORD, base64.b64encode(binding))]))
        auth = base64.b64encode(":".join(linked).encode()).decode()
        return (f"POST /.well-known/est/linked/simpleenroll HTTP/1.1\r\nHost: x\r\nUser-Agent: openssl\r\nConnection: close\r\nAuthorization: Basic {auth}\r\n"
                f"Content-Type: application/pkcs10\r\nContent-Length: {len(csr)}\r\n\r\n").encode() + csr
    answer = exporter_session(est, request)
    assert answer.startswith(b"HTTP/1.1 200"), answer


def test_a_proof_that_is_required_must_come_and_one_that_comes_is_checked(est, linked):
    reply = est.enroll("linked", new_key(), "CN=a.example", auth=linked)
    assert reply.status == 400 and "channel binding" in reply.text
    reply = est.enroll("plain", new_key(), "CN=a.example", attributes=[(CHALLENGE_PASSWORD, b"c2VjcmV0")], auth=est.alice)
    assert reply.status == 400 and log_of(est, rule="proof of possession", profile="plain")


# ---- csrattrs


def parse(der):
    return subprocess.run(["openssl", "asn1parse", "-inform", "DER"], input=der, capture_output=True, check=True).stdout.decode()


def test_csrattrs_of_a_profile_that_wants_nothing_are_no_content(est):
    reply = est.ask("plain/csrattrs")
    assert reply.status == 204 and reply.body == b""


def test_csrattrs_tell_what_the_profile_wants_in_the_old_form_and_as_a_template(est):
    est.profile("wishes", csr_key_type="p384", csr_subject="CN,O=Example", csr_names="dns", csr_extended_key_usage="clientAuth", csr_attributes="1.2.3.4.5",
                proof_required="true")
    old = est.ask("wishes/csrattrs")
    assert old.headers["Content-Type"] == "application/csrattrs"
    shown = parse(old.der)
    for word in ("1.2.3.4.5", ":challengePassword", ":id-ecPublicKey", ":secp384r1", ":ecdsa-with-SHA384", ":Extension Request", "X509v3 Extended Key Usage",
                 "1.2.840.113549.1.9.16.2.58", "X509v3 Subject Alternative Name"):
        assert word in shown, word
    assert "1.2.840.113549.1.9.16.2.61" not in shown and "commonName" not in shown
    est.profile("wishes", verb="set", csr_template="true")
    shown = parse(est.ask("wishes/csrattrs").der)
    for word in ("1.2.840.113549.1.9.16.2.61", "1.2.840.113549.1.9.16.2.62", ":commonName", ":organizationName", "UTF8STRING        :Example"):
        assert word in shown, word


# ---- approval, profiles, other refusals


def test_who_must_wait_is_told_how_long_and_keeps_his_place(est):
    est.profile("patient", approval="true", retry_after_s="45")
    user = est.password("patient")
    csr = make_csr(new_key(), "CN=patient.example")
    first, second = (est.ask("patient/simpleenroll", csr, auth=user) for _ in range(2))
    assert (first.status, first.headers["Retry-After"]) == (202, "45") == (second.status, second.headers["Retry-After"])
    assert est.stack.sql("SELECT count(*) FROM ra.intent WHERE channel = 'est/patient' AND status = 'pending'") == [["1"]]
    # What an approval will do. The device polls, and gets its one certificate.
    est.stack.sql("UPDATE ra.intent SET status = 'open', due_at = now() WHERE channel = 'est/patient'")
    certificate = est.ask("patient/simpleenroll", csr, auth=user).certificate
    assert est.ask("patient/simpleenroll", csr, auth=user).certificate == certificate
    assert est.stack.sql("SELECT count(*) FROM ra.certificate WHERE channel = 'est/patient'") == [["1"]]


def test_who_must_wait_may_link_each_request_with_its_connection(est):
    """The binding of a new connection makes a new CSR of the same request (RFC 7030 §3.5, §4.2.3), and so does a signature of ECDSA."""
    est.profile("bound", approval="true", proof_required="true")
    user, key, other = est.password("bound"), new_key(), new_key()

    def ask(key, names=()):
        connection = est.connect(version=ssl.TLSVersion.TLSv1_2)
        binding = base64.b64encode(connection.sock.get_channel_binding("tls-unique"))
        return est.enroll("bound", key, "CN=bound.example", names, attributes=[(CHALLENGE_PASSWORD, binding)], auth=user, connection=connection)

    def pending():
        return [row[0] for row in est.stack.sql("SELECT encode(id, 'hex') FROM ra.intent WHERE channel = 'est/bound' AND status = 'pending' ORDER BY id")]
    assert (ask(key).status, ask(key).status) == (202, 202)
    (first,) = pending()
    # Another key, or other names, are another matter.
    assert ask(other).status == ask(key, ["more.example"]).status == 202 and len(pending()) == 3
    est.stack.signetctl("cert", "approve", first)
    certificate = ask(key).certificate
    assert certificate.public_key().public_numbers() == key.public_key().public_numbers() and ask(key).certificate == certificate
    for intent in pending():
        est.stack.signetctl("cert", "deny", intent, "--reason", "nobody knows it")
    assert ask(other).status == 403
    # Refused is refused for what was asked; asked for anew, a person decides anew.
    assert ask(other).status == 202


def test_refusals_of_ra_name_their_layer(est):
    est.profile("narrow", template="Code-Signing")
    reply = est.enroll("narrow", new_key(), "CN=a.example", auth=est.password("narrow"))
    assert reply.status == 403 and "AUTH-004" in reply.text
    assert log_of(est, rule="AUTH-004", profile="narrow")


def test_a_template_that_is_not_there_is_the_operators_affair(est):
    est.profile("broken")
    user = est.password("broken")
    est.stack.sql("UPDATE est.profile SET template = 'No Such Template' WHERE name = 'broken'")
    until(lambda: est.enroll("broken", new_key(), "CN=a.example", auth=user).status == 500)


def test_a_disabled_profile_serves_nothing_and_a_deleted_one_is_gone(est):
    est.profile("shut", disabled="true")
    assert est.ask("shut/cacerts").status == 403
    est.stack.signetctl("profile", "delete", "shut", "--kind", "est")
    assert est.ask("shut/cacerts").status == 404


def test_what_is_wrong_with_a_profile_is_said_with_its_field(est):
    for option, value, says in (("server-key-type", "dsa", "server_key_type: "), ("csr-key-type", "dsa", "csr_key_type: "),
                                ("validity-days", "99999", "validity_days: "), ("template", "", "template: "), ("template", "None", "template: "),
                                ("issuer", "nobody", "issuer: "), ("csr-names", "dns:a.example,ip", "csr_names: ")):
        refused = est.stack.signetctl("profile", "set", "plain", "--kind", "est", f"--{option}", value, check=False)
        assert refused.returncode != 0 and says in refused.stderr


def test_a_profile_travels_as_yaml(est):
    est.profile("origin", description="of the works", names="*.works.example", csr_names="dns")
    exported = est.stack.signetctl("profile", "export", "origin", "--kind", "est").stdout
    path = est.directory / "profile.yaml"
    path.write_text(exported.replace("origin", "copy"))
    est.stack.signetctl("profile", "import", str(path), "--kind", "est")
    assert est.stack.signetctl("profile", "export", "copy", "--kind", "est").stdout == exported.replace("origin", "copy")
    assert est.stack.signetctl("profile", "create", "copy", "--kind", "est", "--template", "Device-Certificate", "--authentication", "basic", check=False).returncode == 1


def test_every_replica_has_a_new_profile_and_forgets_what_is_taken_away(est, maker):
    est.stack.start("est-gw@2")
    try:
        est.stack.wait("est-gw@2")
        second = Est(est.stack, est.directory)
        second.port += int(est.stack.env["SIGNET_REPLICA_STEP"])
        assert second.enroll("plain", new_key(), "CN=second.example", auth=est.alice).status == 200
        late = Maker("Late CA")
        est.profile("late", authentication="certificate", anchors=est.anchors(late))
        device = late.device("CN=SN1")

        def enrols():
            try:
                return second.enroll("late", new_key(), "CN=late.example", identity=device).status == 200
            except OSError:
                return False
        until(enrols)
        est.stack.signetctl("profile", "delete", "late", "--kind", "est")
        until(lambda: second.ask("late/cacerts").status == 404)
    finally:
        est.stack.stop("est-gw@2")


def test_behind_a_proxy_the_address_is_the_devices_and_the_certificate_is_not(est, maker):
    est.profile("behind", authentication="either", anchors=est.anchors(maker))
    user = est.password("behind")
    est.stack.env["SIGNET_EXTRA_est_gw_2"] = "SIGNET_EST_PROXY_NETWORKS=127.0.0.0/8"
    second = Est(est.stack, est.directory)
    second.port += int(est.stack.env["SIGNET_REPLICA_STEP"])
    device = {"headers": {"X-Forwarded-For": "203.0.113.1, 192.0.2.7"}, "identity": maker.device("CN=the proxy")}
    try:
        est.stack.start("est-gw@2")
        est.stack.wait("est-gw@2")
        until(lambda: second.ask("behind/cacerts").status == 200)
        assert second.enroll("behind", new_key(), "CN=behind.example", **device).status == 401
        assert second.enroll("behind", new_key(), "CN=behind.example", auth=user, **device).status == 200
    finally:
        est.stack.stop("est-gw@2")
        del est.stack.env["SIGNET_EXTRA_est_gw_2"]
    assert est.stack.sql("SELECT client_address, principal_kind FROM ra.intent WHERE channel = 'est/behind'") == [["192.0.2.7", "est-user"]]


def test_a_gateway_that_is_killed_at_any_moment_costs_no_certificate_and_makes_none_twice(est):
    est.profile("killed")
    user = est.password("killed")
    second = Est(est.stack, est.directory)
    second.port += int(est.stack.env["SIGNET_REPLICA_STEP"])
    requests = [make_csr(new_key(), f"CN=killed-{number}.example") for number in range(12)]

    def enrol(csr):
        def attempt():
            try:
                reply = second.ask("killed/simpleenroll", csr, auth=user)
            except (OSError, http.client.HTTPException):
                return None
            return reply.certificate.serial_number if reply.status == 200 else None
        return until(attempt, seconds=40)

    try:
        with ThreadPoolExecutor(4) as pool:
            serials = [pool.submit(enrol, csr) for csr in requests]
            for _ in range(3):
                est.stack.start("est-gw@2")
                until(lambda: any(serial.done() for serial in serials) or est.stack.ready("est-gw@2")[0])
                est.stack.kill("est-gw@2")
                est.stack.stop("est-gw@2")
            est.stack.start("est-gw@2")
            got = {serial.result() for serial in serials}
    finally:
        est.stack.stop("est-gw@2")
    assert len(got) == len(requests)
    assert est.stack.sql("SELECT count(*) FROM ra.certificate WHERE channel = 'est/killed'") == [[str(len(requests))]]


# ---- stock clients


def test_strongswan_enrols_renews_and_fetches_the_cas(est, tmp_path):
    key, csr = tmp_path / "key.pem", tmp_path / "csr.pem"
    subprocess.run(f"pki --gen --type ecdsa --size 256 --outform pem >{key}", shell=True, check=True, capture_output=True)
    subprocess.run(f"pki --req --in {key} --type ecdsa --dn CN=swan.example --san swan.example --outform pem >{csr}", shell=True, check=True, capture_output=True)
    url = f"https://127.0.0.1:{est.port}"
    user = est.password("default")
    got = subprocess.run(["pki", "--est", "--url", url, "--in", csr, "--cacert", est.stack.ca_bundle, "--userpass", ":".join(user)], capture_output=True, timeout=30)
    certificate = x509.load_der_x509_certificate(got.stdout)
    assert subject(certificate) == "CN=swan.example", got.stderr
    subprocess.run(["pki", "--estca", "--url", url, "--cacert", est.stack.ca_bundle, "--caout", tmp_path / "ca.der"], capture_output=True, timeout=30, check=True)
    assert subject(x509.load_der_x509_certificate((tmp_path / "ca.der").read_bytes())) == "CN=Signet Demo Root CA,O=Signet Demo"


def test_curl_and_openssl_enrol_by_hand(est, tmp_path):
    key, csr = tmp_path / "key.pem", tmp_path / "csr.pem"
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=hand.example", "-out", csr], check=True, capture_output=True)
    body = subprocess.run(["curl", "-sSf", "--cacert", est.stack.ca_bundle, "-u", ":".join(est.alice), "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{csr}",
                           f"https://127.0.0.1:{est.port}/.well-known/est/plain/simpleenroll"], check=True, capture_output=True).stdout
    der = subprocess.run(["openssl", "base64", "-d"], input=body, check=True, capture_output=True).stdout
    pem = subprocess.run(["openssl", "pkcs7", "-inform", "DER", "-print_certs"], input=der, check=True, capture_output=True).stdout
    certificate = x509.load_pem_x509_certificate(pem)
    assert subject(certificate) == "CN=hand.example"
    assert certificate.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
