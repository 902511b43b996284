"""Devices that attest themselves: makers' CAs, CBOR, a TPM simulator. What a test wants wrong it changes in the statement before it is packed."""

import datetime
import os
import socket
import struct
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from acme_kit import b64
from stack_kit import until

PERMANENT_IDENTIFIER = ObjectIdentifier("1.3.6.1.5.5.7.8.3")
HARDWARE_MODULE_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.4")


def cbor(value):
    """Maps, arrays, texts, octets and integers, in the canonical form."""

    def head(major, number):
        if number < 24:
            return bytes([major << 5 | number])
        if number < 256:
            return bytes([major << 5 | 24, number])
        return bytes([major << 5 | 25]) + number.to_bytes(2, "big")

    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(key) + cbor(item) for key, item in value.items())


def attestation(fmt, statement):
    return {"attObj": b64(cbor({"fmt": fmt, "attStmt": statement}))}


# ---- DER ----


def der(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    out = bytes([first * 40 + second])
    for arc in rest:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.insert(0, 0x80 | arc & 0x7F)
        out += bytes(digits)
    return der(0x06, out)


def permanent_identifier(value, assigner=None):
    return x509.OtherName(PERMANENT_IDENTIFIER, der(0x30, der(0x0C, value.encode()), oid(assigner) if assigner else b""))


def hardware_module(serial, kind):
    return x509.OtherName(HARDWARE_MODULE_NAME, der(0x30, oid(kind), der(0x04, serial.encode())))


# ---- makers ----


class Maker:
    """A root that says whose devices are genuine."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP384R1())
        self.serial = None  # of what is signed next; any
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.root = self.sign(self.name, self.key.public_key(), [(x509.BasicConstraints(True, None), True)])

    def sign(self, subject, key, extensions):
        now = datetime.datetime.utcnow()
        builder = x509.CertificateBuilder(self.name, subject, key, self.serial or x509.random_serial_number(), now - datetime.timedelta(hours=1),
                                          now + datetime.timedelta(days=7))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA384())

    def device(self, key, **extensions):
        """The leaf alone: the root is known. Extensions by their object identifiers."""
        more = [(x509.UnrecognizedExtension(ObjectIdentifier(dotted), value), False) for dotted, value in extensions.items()]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
        return self.sign(subject, key, more).public_bytes(serialization.Encoding.DER)

    def crl(self, serial):
        now = datetime.datetime.utcnow()
        revoked = x509.RevokedCertificateBuilder(serial, now).build()
        builder = x509.CertificateRevocationListBuilder(self.name, now, now + datetime.timedelta(days=1), [], [revoked])
        return builder.sign(self.key, hashes.SHA384()).public_bytes(serialization.Encoding.PEM).decode()

    @property
    def pem(self):
        return self.root.public_bytes(serialization.Encoding.PEM).decode()


def digest(text):
    one = hashes.Hash(hashes.SHA256())
    one.update(text.encode())
    return one.finalize()


def apple(maker, key, token, serial, udid):
    leaf = maker.device(key.public_key(), **{"1.2.840.113635.100.8.9.1": serial.encode(), "1.2.840.113635.100.8.9.2": udid.encode(),
                                             "1.2.840.113635.100.8.11.1": digest(token)})
    return attestation("apple", {"x5c": [leaf]})


def step(maker, key, key_authorization, serial):
    leaf = maker.device(key.public_key(), **{"1.3.6.1.4.1.41482.3.7": der(0x02, serial.to_bytes(serial.bit_length() // 8 + 1, "big"))})
    signature = key.sign(key_authorization.encode(), ec.ECDSA(hashes.SHA256()))
    return attestation("step", {"alg": -7, "sig": cbor(signature), "x5c": [leaf]})


# ---- a TPM ----

AK, KEY = 0x81010001, 0x81010002


class Tpm:
    """swtpm with an attestation key that a maker has certified, and a key to be attested."""

    def __init__(self, directory, maker, serial):
        self.directory, self.maker, self.serial = directory, maker, serial
        self.path = str(directory / "tpm")
        self.process = subprocess.Popen(["swtpm", "socket", "--tpmstate", f"dir={directory}", "--tpm2", "--server", f"type=unixio,path={self.path}",
                                         "--ctrl", f"type=unixio,path={self.path}.ctrl", "--flags", "not-need-init,startup-clear"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        try:
            self.provision()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def provision(self):
        until(lambda: os.path.exists(self.path) and os.path.exists(f"{self.path}.ctrl"))
        self.tool("createek", "-G", "ecc", "-c", "ek.ctx")
        self.tool("createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa")
        self.tool("createprimary", "-C", "o", "-G", "ecc", "-c", "primary.ctx")
        self.tool("create", "-C", "primary.ctx", "-G", "ecc", "-u", "key.pub", "-r", "key.priv", "-a",
                  "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign")
        self.tool("load", "-C", "primary.ctx", "-u", "key.pub", "-r", "key.priv", "-c", "key.ctx")
        self.tool("evictcontrol", "-C", "o", "-c", "ak.ctx", hex(AK))
        self.tool("evictcontrol", "-C", "o", "-c", "key.ctx", hex(KEY))
        self.tool("readpublic", "-c", hex(AK), "-f", "pem", "-o", "ak.pem")
        self.tool("readpublic", "-c", hex(KEY), "-f", "der", "-o", "key.der")
        self.certificate = self.certify_ak(self.maker, self.serial)

    def tool(self, name, *arguments):
        """Nobody manages the few places that a TPM has for keys: they are emptied after each step."""
        for command in ([f"tpm2_{name}", *arguments], ["tpm2_flushcontext", "-t"]):
            done = subprocess.run(command, cwd=self.directory, env={**os.environ, "TPM2TOOLS_TCTI": f"swtpm:path={self.path}"}, capture_output=True,
                                  text=True, timeout=60)
            assert done.returncode == 0, done.stderr

    def certify_ak(self, maker, serial):
        """As the TCG and WebAuthn §8.3.1 want it: no subject; which TPM and which device it is, and what the key is for."""
        ak = serialization.load_pem_public_key((self.directory / "ak.pem").read_bytes())
        tpm = x509.Name([x509.NameAttribute(ObjectIdentifier(f"2.23.133.2.{number}"), value)
                         for number, value in ((1, "id:00001014"), (2, "swtpm"), (3, "id:20191023"))])
        names = x509.SubjectAlternativeName([x509.DirectoryName(tpm), permanent_identifier(serial), hardware_module(serial, "2.23.133.1.2")])
        return maker.sign(x509.Name([]), ak, [(x509.BasicConstraints(False, None), True), (names, True),
                                              (x509.ExtendedKeyUsage([ObjectIdentifier("2.23.133.8.3")]), False)]).public_bytes(serialization.Encoding.DER)

    def certify(self, qualifying_data):
        """TPM2_Certify (Part 3 §18.2) by hand: tpm2_certify has no place for what a challenge asks."""
        password = struct.pack(">IHBH", 0x40000009, 0, 0, 0)
        body = struct.pack(">II", KEY, AK) + struct.pack(">I", 2 * len(password)) + 2 * password
        body += struct.pack(">H", len(qualifying_data)) + qualifying_data + struct.pack(">H", 0x0010)
        command = struct.pack(">HII", 0x8002, 10 + len(body), 0x148) + body
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(self.path)
            connection.sendall(command)
            answer = connection.recv(4096)
        _, _, code, size = struct.unpack(">HIII", answer[:14])
        assert code == 0, hex(code)
        parameters = answer[14:14 + size]
        length = int.from_bytes(parameters[:2], "big")
        return parameters[2:2 + length], parameters[2 + length:]

    def attest(self, key_authorization, **wrong):
        info, signature = self.certify(digest(key_authorization))
        area = (self.directory / "key.pub").read_bytes()[2:]
        return attestation("tpm", {"ver": "2.0", "alg": -7, "x5c": [self.certificate], "sig": signature, "certInfo": info, "pubArea": area, **wrong})

    def csr(self, names=()):
        """PKCS#10, signed inside."""
        general = b"".join(der(0xA0, oid(name.type_id.dotted_string), der(0xA0, name.value)) for name in names)
        extension = der(0x30, oid("2.5.29.17"), der(0x04, der(0x30, general)))
        attributes = der(0xA0, der(0x30, oid("1.2.840.113549.1.9.14"), der(0x31, der(0x30, extension)))) if names else der(0xA0)
        info = der(0x30, der(0x02, b"\0"), der(0x30), (self.directory / "key.der").read_bytes(), attributes)
        (self.directory / "info").write_bytes(info)
        self.tool("sign", "-c", hex(KEY), "-g", "sha256", "-s", "ecdsa", "-f", "plain", "-o", "signature", "info")
        return der(0x30, info, der(0x30, oid("1.2.840.10045.4.3.2")), der(0x03, b"\0", (self.directory / "signature").read_bytes()))
