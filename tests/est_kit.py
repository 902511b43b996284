"""An EST client of the standard library, and a maker of devices: keys, device certificates, CSRs, one request at a time."""

import base64
import datetime
import http.client
import itertools
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CHALLENGE_PASSWORD = x509.ObjectIdentifier("1.2.840.113549.1.9.7")
IDENTITY_LINKING = x509.ObjectIdentifier("1.2.840.113549.1.9.16.2.58")
_numbers = itertools.count(1)


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def name_of(text):
    kinds = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}
    return x509.Name([x509.NameAttribute(kinds[part.split("=")[0]], part.split("=", 1)[1]) for part in text.split(",")])


def make_csr(key, subject, names=(), attributes=()):
    builder = x509.CertificateSigningRequestBuilder().subject_name(name_of(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    for oid, value in attributes:
        builder = builder.add_attribute(oid, value)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def tlv(tag, content):
    length = len(content)
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([length]) if length < 128 else bytes([0x80 | len(octets)]) + octets) + content


def oid_octets(dotted):
    arcs = [int(arc) for arc in dotted.split(".")]
    content = bytes([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        groups = [arc & 127]
        while arc > 127:
            arc >>= 7
            groups.insert(0, arc & 127 | 128)
        content += bytes(groups)
    return tlv(0x06, content)


def csr_with_attribute(key, subject, oid, value):
    """For attributes whose values are no texts, which the library cannot write."""
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    attribute = tlv(0x30, oid_octets(oid) + tlv(0x31, value))
    info = tlv(0x30, b"\x02\x01\x00" + name_of(subject).public_bytes() + spki + tlv(0xA0, attribute))
    ecdsa_with_sha256 = tlv(0x30, oid_octets("1.2.840.10045.4.3.2"))
    return tlv(0x30, info + ecdsa_with_sha256 + tlv(0x03, b"\0" + key.sign(info, ec.ECDSA(hashes.SHA256()))))


class Maker:
    """A manufacturer with a CA of his own."""

    def __init__(self, name="Maker CA"):
        self.key = new_key()
        self.name = name_of(f"CN={name} {next(_numbers)}")
        self.certificate = self._sign(self.name, self.key.public_key(), is_ca=True)

    def _sign(self, subject, public_key, is_ca=False, days=30, purpose=None):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=40))
                   .not_valid_after(now + datetime.timedelta(days=days)).add_extension(x509.BasicConstraints(is_ca, None), critical=True))
        if purpose:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False).sign(self.key, hashes.SHA256())

    def authority(self, name):
        """A CA below this one."""
        below = Maker.__new__(Maker)
        below.key, below.name = new_key(), name_of(f"CN={name} {next(_numbers)}")
        below.certificate = self._sign(below.name, below.key.public_key(), is_ca=True)
        return below

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def device(self, subject, **more):
        key = more.pop("key", None) or new_key()
        return Identity(key, self._sign(name_of(subject), key.public_key(), **more))


class Identity:
    """What a device comes with: a key and its certificate."""

    def __init__(self, key, certificate):
        self.key, self.certificate, self.chain = key, certificate, []

    def files(self, directory):
        stem = directory / f"identity-{next(_numbers)}"
        cert, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
        cert.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in [self.certificate, *self.chain]))
        key.write_bytes(self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return cert, key


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def der(self):
        return base64.b64decode(self.body)

    @property
    def certificates(self):
        return pkcs7.load_der_pkcs7_certificates(self.der)

    @property
    def certificate(self):
        assert self.status == 200, self.text
        (one,) = self.certificates
        return one


class Est:
    """The gateway of a stack, as devices see it."""

    def __init__(self, stack, directory):
        self.stack, self.directory = stack, directory
        self.port = int(stack.env["SIGNET_EST_PORT"])

    # ---- the operator's side

    def profile(self, name, *options, verb="create", **fields):
        if verb == "create":
            fields = {"template": "Device-Certificate", "authentication": "basic", **fields}
        words = [part for key, value in fields.items() for part in (f"--{key.replace('_', '-')}", str(value))]
        self.stack.signetctl("profile", verb, name, "--kind", "est", *words, *options)
        return name

    def anchors(self, *makers):
        path = self.directory / f"anchors-{next(_numbers)}.pem"
        path.write_text("".join(maker.pem() for maker in makers))
        return path

    def password(self, profile, user="alice"):
        return user, self.stack.signetctl("profile", "reset-password", profile, "--kind", "est", "--user", user).stdout.strip()

    # ---- the device's side

    def context(self, identity=None, version=None):
        context = ssl.create_default_context(cafile=self.stack.ca_bundle)
        if version:
            context.minimum_version = context.maximum_version = version
        if identity:
            context.load_cert_chain(*identity.files(self.directory))
        return context

    def connect(self, identity=None, version=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context(identity, version))
        connection.connect()
        return connection

    def ask(self, path, body=None, identity=None, auth=None, headers=None, connection=None, content_type="application/pkcs10", encode=True):
        own = connection or self.connect(identity)
        head = {"User-Agent": "est-kit", **(headers or {})}
        if auth:
            head["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        if body is not None and content_type:
            head["Content-Type"] = content_type
        if body is not None and encode:
            body = base64.encodebytes(body)
        own.request("GET" if body is None else "POST", f"/.well-known/est/{path}", body=body, headers=head)
        answer = own.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
        if not connection:
            own.close()
        return reply

    def enroll(self, profile, key, subject, names=(), operation="simpleenroll", attributes=(), **more):
        return self.ask(f"{profile}/{operation}", make_csr(key, subject, names, attributes), **more)


def exporter_session(est, request_for):
    """One request over TLS 1.3 by openssl, whose channel binding request_for() gets: the status line and the body."""
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{est.port}", "-CAfile", est.stack.ca_bundle, "-tls1_3", "-keymatexport", "EXPORTER-Channel-Binding",
         "-keymatexportlen", "32", "-ign_eof", "-nocommands"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    binding = None
    while binding is None:
        line = client.stdout.readline()
        assert line, "the connection ended before its keying material was shown"
        if b"Keying material: " in line:
            binding = bytes.fromhex(line.split(b": ")[1].strip().decode())
    client.stdin.write(request_for(binding))
    client.stdin.flush()
    out, _ = client.communicate(timeout=20)
    return out[out.index(b"HTTP/1.1"):]
