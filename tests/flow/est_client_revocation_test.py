"""Client certificates of other CAs, revoked by CRLs that operators give: the CAs and CRLs are openssl's, the devices are curl."""

import datetime
import json
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from est_kit import Est, Maker, make_csr, new_key
from stack_kit import until

CONFIG = """
[ca]
default_ca = own
[own]
database = {at}/index.txt
new_certs_dir = {at}
serial = {at}/serial
crlnumber = {at}/crlnumber
certificate = {at}/ca.pem
private_key = {at}/ca.key
default_md = sha256
default_days = 30
default_crl_days = 1
policy = any
x509_extensions = device
[any]
commonName = supplied
[device]
basicConstraints = CA:FALSE
[authority]
basicConstraints = critical, CA:TRUE
[req]
distinguished_name = any
x509_extensions = authority
"""


class OpensslCa:
    """A maker's CA as `openssl ca` keeps it."""

    def __init__(self, directory, name):
        self.at = directory / name
        self.at.mkdir()
        (self.at / "config").write_text(CONFIG.format(at=self.at))
        (self.at / "index.txt").write_text("")
        (self.at / "serial").write_text("1000\n")
        (self.at / "crlnumber").write_text("01\n")
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "60", "-keyout", "ca.key", "-out", "ca.pem")

    def _run(self, *words):
        subprocess.run(["openssl", words[0], "-config", "config", *words[1:]], cwd=self.at, check=True, capture_output=True)

    def device(self, name):
        self._run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._run("ca", "-batch", "-notext", "-in", f"{name}.csr", "-out", f"{name}.pem")
        return self.at / f"{name}.pem", self.at / f"{name}.key"

    def revoke(self, device):
        self._run("ca", "-revoke", str(device[0]))

    def crl(self, name="crl.pem", seconds=86400):
        self._run("ca", "-gencrl", "-crlsec", str(seconds), "-out", name)
        return self.at / name


@pytest.fixture(scope="module")
def est(stack, tmp_path_factory):
    return Est(stack, tmp_path_factory.mktemp("est-revocation"))


def curl(est, profile, device, name, port=None):
    """Status and text of an enrolment."""
    csr = est.directory / "one.csr"
    csr.write_bytes(make_csr(new_key(), f"CN={name}"))
    out = subprocess.run(["curl", "-sS", "--cacert", est.stack.ca_bundle, "--cert", device[0], "--key", device[1], "-w", "\n%{http_code}", "--data-binary", f"@{csr}",
                          "-H", "Content-Type: application/pkcs10", f"https://127.0.0.1:{port or est.port}/.well-known/est/{profile}/simpleenroll"],
                         check=True, capture_output=True, text=True).stdout
    text, status = out.rsplit("\n", 1)
    return int(status), text


def give(est, profile, crl, check=True):
    return est.stack.signetctl("profile", "set", profile, "--kind", "est", "--crl", str(crl), check=check)


def log_of(est, **wanted):
    lines = [json.loads(line) for line in est.stack.log("est-gw").splitlines() if line.startswith("{")]
    return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]


def test_a_device_that_its_maker_revokes_is_refused_from_the_next_crl_on(est):
    maker = OpensslCa(est.directory, "maker")
    good, stolen = maker.device("SN1"), maker.device("SN2")
    est.profile("fleet", authentication="certificate", anchors=maker.at / "ca.pem", crl=maker.crl("first.pem"))
    assert curl(est, "fleet", good, "sn1.example")[0] == curl(est, "fleet", stolen, "sn2.example")[0] == 200
    maker.revoke(stolen)
    said = give(est, "fleet", maker.crl("second.pem")).stdout
    assert "CRL of CN=maker: stored, number 02, 1 certificates, until 20" in said
    assert curl(est, "fleet", good, "sn1.example")[0] == 200
    status, text = curl(est, "fleet", stolen, "sn2.example")
    assert status == 403 and "revoked" in text
    line = log_of(est, rule="client certificate revoked", profile="fleet")[-1]
    assert (line["caller"], line["client_serial"], line["client_issuer"]) == ("127.0.0.1", "1001", "CN=maker") and line["user_agent"].startswith("curl/")
    # The list of yesterday would let it in again.
    old = give(est, "fleet", maker.at / "first.pem", check=False)
    assert old.returncode == 1 and "newer CRL of CN=maker: number 02" in old.stderr
    assert "already there" in give(est, "fleet", maker.at / "second.pem").stdout
    records = est.stack.signetctl("audit", "show", "--action", "configuration", "--json").stdout
    assert records.count("est client crl") >= 2 or until(lambda: est.stack.signetctl("audit", "show", "--action", "configuration", "--json").stdout.count("est client crl") >= 2)


def test_where_a_crl_is_required_nobody_enrols_without_one_in_force(est):
    maker = OpensslCa(est.directory, "strict")
    device = maker.device("SN1")
    est.profile("strict", authentication="certificate", anchors=maker.at / "ca.pem", client_revocation="required")
    status, text = curl(est, "strict", device, "sn1.example")
    assert status == 403 and "no CRL in force" in text
    assert log_of(est, rule="client revocation not known", profile="strict", client_issuer="CN=strict")
    subprocess.run(["openssl", "crl", "-in", maker.crl(), "-outform", "DER", "-out", maker.at / "crl.der"], check=True)
    give(est, "strict", maker.at / "crl.der")
    assert curl(est, "strict", device, "sn1.example")[0] == 200
    # One that has ended by the time it comes.
    give(est, "strict", maker.crl("short.pem", seconds=1))
    assert until(lambda: curl(est, "strict", device, "sn1.example")[0] == 403)
    est.profile("strict", verb="set", client_revocation="when-known")
    assert curl(est, "strict", device, "sn1.example")[0] == 200
    shown = json.loads(est.stack.signetctl("profile", "show", "strict", "--kind", "est", "--json").stdout)
    assert [(one["issuer"], one["number"], one["entries"]) for one in shown["crls"]] == [("CN=strict", "02", 0)]
    assert "when_known" in est.stack.signetctl("profile", "export", "strict", "--kind", "est").stdout
    assert "CRLs deleted" in give(est, "strict", "").stdout
    assert json.loads(est.stack.signetctl("profile", "show", "strict", "--kind", "est", "--json").stdout)["crls"] == []


def test_a_crl_that_no_message_of_the_bus_carries_whole_comes_in_parts(est):
    maker = OpensslCa(est.directory, "large")
    good, stolen = maker.device("SN1"), maker.device("SN2")
    maker.revoke(stolen)
    with (maker.at / "index.txt").open("a") as index:
        index.writelines(f"R\t491231235959Z\t251120000000Z\t{number:032X}\tunknown\t/CN=x\n" for number in range(1 << 120, (1 << 120) + 60000))
    est.profile("large", authentication="certificate", anchors=maker.at / "ca.pem", client_revocation="required", crl=maker.crl())
    assert (maker.at / "crl.pem").stat().st_size > 2_000_000
    assert curl(est, "large", good, "sn1.example")[0] == 200
    assert curl(est, "large", stolen, "sn2.example")[0] == 403
    shown = json.loads(est.stack.signetctl("profile", "show", "large", "--kind", "est", "--json").stdout)
    assert shown["crls"][0]["entries"] == 60001
    assert est.stack.sql("SELECT count(*) FROM est.client_crl_part") == [["0"]]


def test_crls_of_strangers_and_what_is_none_are_refused(est):
    maker, stranger = OpensslCa(est.directory, "own"), OpensslCa(est.directory, "stranger")
    est.profile("own", authentication="certificate", anchors=maker.at / "ca.pem")
    refused = give(est, "own", stranger.crl(), check=False)
    assert refused.returncode == 1 and "signed by none of the profile's anchors" in refused.stderr
    assert give(est, "own", maker.at / "ca.pem", check=False).returncode == 1
    assert give(est, "nobody", maker.crl(), check=False).returncode == 4


def test_an_intermediate_that_its_root_revokes_takes_its_devices_along(est):
    root = Maker("Crl Root")
    middle = root.authority("Crl Middle")
    device = middle.device("CN=SN1")
    device.chain = [middle.certificate]
    est.profile("deep-crl", authentication="certificate", anchors=est.anchors(root))
    assert est.enroll("deep-crl", new_key(), "CN=deep.example", identity=device).status == 200
    now = datetime.datetime.utcnow()
    revoked = x509.RevokedCertificateBuilder().serial_number(middle.certificate.serial_number).revocation_date(now).build()
    crl = (x509.CertificateRevocationListBuilder().issuer_name(root.name).last_update(now).next_update(now + datetime.timedelta(days=1))
           .add_revoked_certificate(revoked).sign(root.key, hashes.SHA256()))
    path = est.directory / "root.crl"
    path.write_bytes(crl.public_bytes(serialization.Encoding.DER))
    give(est, "deep-crl", path)
    assert est.enroll("deep-crl", new_key(), "CN=deep.example", identity=device).status == 403


def test_another_replica_has_it_a_moment_later_and_a_new_one_at_once(est):
    maker = OpensslCa(est.directory, "replicas")
    device = maker.device("SN1")
    est.profile("replicas", authentication="certificate", anchors=maker.at / "ca.pem")
    port = est.port + int(est.stack.env["SIGNET_REPLICA_STEP"])
    est.stack.start("est-gw@2")
    try:
        est.stack.wait("est-gw@2")
        assert curl(est, "replicas", device, "sn1.example", port)[0] == 200
        maker.revoke(device)
        give(est, "replicas", maker.crl())
        until(lambda: curl(est, "replicas", device, "sn1.example", port)[0] == 403)
        est.stack.stop("est-gw@2")
        est.stack.start("est-gw@2")
        est.stack.wait("est-gw@2")
        assert curl(est, "replicas", device, "sn1.example", port)[0] == 403
    finally:
        est.stack.stop("est-gw@2")
