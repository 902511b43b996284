"""A SCEP client for tests: every message can be made wrong on purpose, and every answer is taken apart as it came."""

import base64
import datetime
import hashlib
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID

SCEP = "2.16.840.1.113733.1.9."
MESSAGE_TYPE, PKI_STATUS, FAIL_INFO, SENDER_NONCE, RECIPIENT_NONCE, TRANSACTION = (SCEP + str(n) for n in range(2, 8))
DATA, SIGNED, ENVELOPED = ("1.2.840.113549.1.7." + str(n) for n in (1, 2, 3))
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
RSA, ECDSA_SHA256, ED25519 = "1.2.840.113549.1.1.1", "1.2.840.10045.4.3.2", "1.3.101.112"
CIPHERS = {
    "aes128": ("2.16.840.1.101.3.4.1.2", algorithms.AES, 16, 16),
    "aes256": ("2.16.840.1.101.3.4.1.42", algorithms.AES, 32, 16),
    "des3": ("1.2.840.113549.3.7", algorithms.TripleDES, 24, 8),
    "des": ("1.3.14.3.2.7", algorithms.TripleDES, 8, 8),
}
DIGESTS = {"sha1": "1.3.14.3.2.26", "sha256": "2.16.840.1.101.3.4.2.1", "sha512": "2.16.840.1.101.3.4.2.3", "md5": "1.2.840.113549.2.5"}
RENEWAL_REQ, PKCS_REQ, CERT_POLL, GET_CERT, GET_CRL = 17, 19, 20, 21, 22
SUCCESS, FAILURE, PENDING = "0", "2", "3"


# ---- DER, and BER where a test wants it ----

def tlv(tag, content, indefinite=False):
    if indefinite:
        return bytes([tag, 0x80]) + content + b"\0\0"
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def seq(*parts, **form):
    return tlv(0x30, b"".join(parts), **form)


def oid(dotted):
    arcs = [int(arc) for arc in dotted.split(".")]
    out = bytes([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.insert(0, arc & 0x7F | 0x80)
        out += bytes(octets)
    return tlv(6, out)


def integer(number):
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def take(data, at=0):
    """(tag, content, behind) of the value at this place; definite lengths only, as we answer."""
    length, head = data[at + 1], 2
    if length > 127:
        head += length & 0x7F
        length = int.from_bytes(data[at + 2:at + head], "big")
    return data[at], data[at + head:at + head + length], at + head + length


def children(content):
    at, found = 0, []
    while at < len(content):
        tag, inside, behind = take(content, at)
        found.append((tag, inside, content[at:behind]))
        at = behind
    return found


# ---- keys and requests ----

POOL = []


def new_key(bits=2048):
    """Another one than the few calls before; making RSA keys is most of a test's time, so they come again."""
    if bits != 2048:
        return rsa.generate_private_key(65537, bits)
    POOL.append(POOL.pop(0) if len(POOL) == 8 else rsa.generate_private_key(65537, bits))
    return POOL[-1]


def name(common_name, **more):
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if "organization" in more:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, more["organization"]))
    return x509.Name(parts)


def csr(key, common_name, challenge=None, names=(), printable=False, **more):
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(common_name, **more))
    if challenge is not None:
        builder = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, challenge.encode(),
                                        _tag=x509.name._ASN1Type.PrintableString if printable else None)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
    return builder.sign(key, digest_for(key)).public_bytes(serialization.Encoding.DER)


def digest_for(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def with_sha1(request, key):
    """The same request as old routers sign it; libraries refuse to."""
    info = children(take(request)[1])[0][2]
    return seq(info, seq(oid("1.2.840.113549.1.1.5"), tlv(5, b"")), tlv(3, b"\0" + key.sign(info, rsa_padding.PKCS1v15(), hashes.SHA1())))


def self_signed(key, common_name, days=1, begin=None, issuer=None):
    begin = begin or datetime.datetime.utcnow() - datetime.timedelta(hours=1)
    signer, above = issuer or (key, common_name)
    return (x509.CertificateBuilder().subject_name(name(common_name)).issuer_name(name(above)).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=days))
            .sign(signer, digest_for(signer)))


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


# ---- messages ----

def envelope(content, recipients, cipher="aes128", rubbish_key=False, pieces=False, key_padding=None, recipient_id=None, change=None):
    dotted, algorithm, key_len, block = CIPHERS[cipher]
    key, iv = os.urandom(key_len), os.urandom(block)
    padder = padding.PKCS7(block * 8).padder()
    run = Cipher(algorithm(key * 3 if cipher == "des" else key), modes.CBC(iv)).encryptor()
    encrypted = run.update(padder.update(content) + padder.finalize()) + run.finalize()
    if change is not None:
        encrypted = change(encrypted)
    infos = b""
    for certificate in recipients:
        wrapped = certificate.public_key().encrypt(key, key_padding or rsa_padding.PKCS1v15())
        if rubbish_key:
            wrapped = b"\x01" + os.urandom(len(wrapped) - 1)
        who = recipient_id or seq(certificate.issuer.public_bytes(), integer(certificate.serial_number))
        infos += seq(integer(2 if who[0] == 0x80 else 0), who, seq(oid(RSA), tlv(5, b"")), tlv(4, wrapped))
    if pieces:  # as BouncyCastle streams it: indefinite, in chunks
        chunks = b"".join(tlv(4, encrypted[at:at + 100]) for at in range(0, len(encrypted), 100))
        body = tlv(0xA0, chunks, indefinite=True)
    else:
        body = tlv(0x80, encrypted)
    info = seq(oid(DATA), seq(oid(dotted), tlv(4, iv)), body, indefinite=pieces)
    data = seq(integer(0), tlv(0x31, infos), info, indefinite=pieces)
    return seq(oid(ENVELOPED), tlv(0xA0, data, indefinite=pieces), indefinite=pieces)


def sign(key, octets, hash_):
    """The signature and its AlgorithmIdentifier."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(octets), seq(oid(ED25519))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(octets, ec.ECDSA(hash_)), seq(oid(ECDSA_SHA256))
    return key.sign(octets, rsa_padding.PKCS1v15(), hash_), seq(oid(RSA), tlv(5, b""))


def signed(content, key, certificate, attributes, digest="sha256", content_type=SIGNED, pieces=False, more_certificates=b""):
    """`attributes`: (dotted, DER value) pairs beside contentType and messageDigest."""
    hash_ = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha512": hashes.SHA512(), "md5": hashes.MD5()}[digest]
    pairs = [(CONTENT_TYPE, oid(DATA)), (MESSAGE_DIGEST, tlv(4, hashlib.new(digest, content).digest())), *attributes]
    body = b"".join(sorted(seq(oid(dotted), tlv(0x31, value)) for dotted, value in pairs))
    signature, signed_by = sign(key, tlv(0x31, body), hash_)
    algorithm = seq(oid(DIGESTS[digest]), tlv(5, b""))
    signer = seq(integer(1), seq(certificate.issuer.public_bytes(), integer(certificate.serial_number)), algorithm, tlv(0xA0, body),
                 signed_by, tlv(4, signature))
    if pieces:
        octets = tlv(0x24, b"".join(tlv(4, content[at:at + 77]) for at in range(0, len(content), 77)), indefinite=True)
    else:
        octets = tlv(4, content)
    data = seq(integer(1), tlv(0x31, algorithm), seq(oid(DATA), tlv(0xA0, octets, indefinite=pieces), indefinite=pieces),
               tlv(0xA0, der(certificate) + more_certificates), tlv(0x31, signer), indefinite=pieces)
    return seq(oid(content_type), tlv(0xA0, data, indefinite=pieces), indefinite=pieces)


class Reply:
    """A CertRep: its attributes, and what is inside of its envelope, for the device's RSA key or under a password."""

    def __init__(self, octets, device=None):
        outer = children(take(octets)[1])
        data = children(take(outer[1][1])[1])
        self.octets = octets
        content = children(data[2][1])
        self.content = take(content[1][1])[1] if len(content) > 1 else b""
        self.certificates = [x509.load_der_x509_certificate(one) for _, _, one in children(data[3][1])]
        signer = children(take(data[-1][1])[1])
        attributes = signer[3]
        self.attributes = {}
        for _, attribute, _ in children(attributes[1]):
            dotted, values = children(attribute)
            self.attributes[dotted[2]] = take(values[1])[1]
        self.digest = children(signer[2][1])[0][2]
        hash_ = {oid(DIGESTS["sha1"]): hashes.SHA1(), oid(DIGESTS["sha256"]): hashes.SHA256(), oid(DIGESTS["sha512"]): hashes.SHA512()}[self.digest]
        self.certificates[0].public_key().verify(signer[5][1], tlv(0x31, attributes[1]), rsa_padding.PKCS1v15(), hash_)
        assert hashlib.new(hash_.name, self.content).digest() == self.attributes[oid(MESSAGE_DIGEST)]
        assert self.text(MESSAGE_TYPE) == "3"
        self.cipher, self.issued, self.crl = None, [], None
        if self.content:
            self.open(device)

    def text(self, dotted):
        value = self.attributes.get(oid(dotted))
        return None if value is None else value.decode()

    @property
    def status(self):
        return self.text(PKI_STATUS)

    @property
    def fail_info(self):
        return self.text(FAIL_INFO)

    def open(self, device):
        if isinstance(device, str):
            opened = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-pwri_password", device], input=self.content, capture_output=True)
            assert opened.returncode == 0, opened.stderr
            return self.read(opened.stdout)
        data = children(take(children(take(self.content)[1])[1][1])[1])
        wrapped = children(take(data[1][1])[1])[3][1]
        key = device.decrypt(wrapped, rsa_padding.PKCS1v15())
        _, algorithm, encrypted = children(data[2][1])
        cipher, iv = children(algorithm[1])
        self.cipher = next(known for known, about in CIPHERS.items() if oid(about[0]) == cipher[2])
        _, kind, _, block = CIPHERS[self.cipher]
        run = Cipher(kind(key), modes.CBC(iv[1])).decryptor()
        unpadder = padding.PKCS7(block * 8).unpadder()
        self.read(unpadder.update(run.update(encrypted[1]) + run.finalize()) + unpadder.finalize())

    def read(self, plain):
        for tag, inside, _ in children(take(children(take(plain)[1])[1][1])[1]):
            if tag == 0xA0:
                self.issued = [x509.load_der_x509_certificate(one) for _, _, one in children(inside)]
            if tag == 0xA1:
                self.crl = x509.load_der_x509_crl(inside)

    @property
    def certificate(self):
        return self.issued[0]


def certificates_in(degenerate):
    data = children(take(children(take(degenerate)[1])[1][1])[1])
    return [x509.load_der_x509_certificate(one) for _, _, one in children(next(inside for tag, inside, _ in data if tag == 0xA0))]


class Refused(Exception):
    def __init__(self, status, text, headers):
        super().__init__(f"{status} {text}")
        self.status, self.text, self.headers = status, text, headers


class Device:
    """One device with its key, talking to one URL."""

    def __init__(self, url, common_name="device.demo.test", key=None):
        self.url, self.common_name = url, common_name
        self.key = key or new_key()
        self.certificate = self_signed(self.key, common_name)
        self.transaction = hashlib.sha256(os.urandom(16)).hexdigest()[:40].upper()
        self.agent = "scep-kit/1"
        self.headers = {}

    def get(self, query):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}?{query}", headers={"User-Agent": self.agent, **self.headers}), timeout=30) as answer:
                return answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            raise Refused(refused.code, refused.read().decode(errors="replace"), refused.headers) from None

    def post(self, message):
        request = urllib.request.Request(f"{self.url}?operation=PKIOperation", data=message,
                                         headers={"User-Agent": self.agent, **self.headers, "Content-Type": "application/x-pki-message"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.headers["Content-Type"] == "application/x-pki-message"
                return answer.read()
        except urllib.error.HTTPError as refused:
            raise Refused(refused.code, refused.read().decode(errors="replace"), refused.headers) from None

    def ca(self):
        headers, body = self.get("operation=GetCACert&message=any")
        if headers["Content-Type"] == "application/x-x509-ca-cert":
            return [x509.load_der_x509_certificate(body)]
        assert headers["Content-Type"] == "application/x-x509-ca-ra-cert"
        return certificates_in(body)

    def message(self, content, kind=PKCS_REQ, **wrong):
        recipients = wrong.pop("recipients", None) or [self.ca()[0]]
        cipher, digest = wrong.pop("cipher", "aes128"), wrong.pop("digest", "sha256")
        nonce = wrong.pop("nonce", os.urandom(16))
        pieces = wrong.get("pieces", False)
        attributes = [(MESSAGE_TYPE, tlv(0x13, str(kind).encode())), (TRANSACTION, tlv(0x13, wrong.pop("transaction", self.transaction).encode()))]
        attributes += wrong.pop("more_attributes", [])
        if nonce is not None:
            attributes.append((SENDER_NONCE, tlv(4, nonce)))
        body = envelope(content, recipients, cipher, rubbish_key=wrong.pop("rubbish_key", False), pieces=pieces, key_padding=wrong.pop("key_padding", None),
                        recipient_id=wrong.pop("recipient_id", None), change=wrong.pop("change", None))
        key, certificate = wrong.pop("signer", (self.key, self.certificate))
        return signed(body, key, certificate, attributes, digest, **wrong)

    def send(self, content, kind=PKCS_REQ, **wrong):
        opens = wrong.pop("password", None) or wrong.get("signer", (self.key, None))[0]
        return Reply(self.post(self.message(content, kind, **wrong)), opens)

    def enroll(self, challenge=None, names=(), **wrong):
        self.csr = csr(self.key, self.common_name, challenge, names)
        return self.send(self.csr, **wrong)

    def poll(self, **wrong):
        ca = self.ca()[1]
        return self.send(seq(ca.subject.public_bytes(), self.certificate.subject.public_bytes()), CERT_POLL, **wrong)

    def get_message(self, message, raw=False):
        text = base64.b64encode(message).decode()
        return "operation=PKIOperation&message=" + (text.replace("=", "%3D") if raw else urllib.parse.quote(text, safe=""))
