"""An ACME client for tests: every message can be made wrong on purpose, and every answer is looked at as it came."""

import base64
import datetime
import http.client
import http.server
import json
import socket
import ssl
import threading
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The last word of the problem's type, "" when it is none."""
        if self.headers.get("Content-Type", "").split(";")[0] != "application/problem+json":
            return ""
        return self.json()["type"].rsplit(":", 1)[-1]


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(f"{answer.status} {answer.body[:500]!r}")
        self.answer = answer


class Client:
    def __init__(self, stack, key=None, patient=False, policy=None, algorithm=None):
        directory = stack.acme_directory.replace("/acme/", f"/acme/{policy}/") if policy else stack.acme_directory
        self.base = urllib.parse.urlsplit(directory)
        self.context = ssl.create_default_context(cafile=stack.ca_bundle)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.algorithm = algorithm  # None: the usual one of the key
        self.kid = None
        self.nonce = None
        self.connection = None
        self.patient = patient  # outlives what is killed: asks again after 503, closed connections, used nonces
        self.directory = None

    # ---- the wire ----

    def http(self, method, url, body=None, headers=None):
        parts = urllib.parse.urlsplit(url)
        path = parts.path + ("?" + parts.query if parts.query else "")
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=self.context, timeout=40)
        try:
            self.connection.request(method, path, body=body, headers=headers or {})
            raw = self.connection.getresponse()
            answer = Answer(raw.status, raw.headers, raw.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if raw.will_close:
            self.close()
        self.nonce = answer.headers.get("Replay-Nonce", self.nonce)
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def url(self, name):
        if self.directory is None:
            self.directory = self.persist(lambda: self.http("GET", self.base.geturl())).json()
        return self.directory[name]

    def persist(self, ask, seconds=120):
        """`ask` until the suite is there again; only a patient client does that."""
        end = time.monotonic() + seconds
        while True:
            try:
                answer = ask()
                if not self.patient or answer.status not in (500, 502, 503, 504, 429) and answer.problem != "badNonce":
                    return answer
            except (OSError, http.client.HTTPException):
                if not self.patient:
                    raise
            if time.monotonic() > end:
                raise AssertionError("the suite did not come back")
            time.sleep(0.1)

    # ---- JWS ----

    def jwk(self, key=None):
        public = (key or self.key).public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))}
        numbers = public.public_numbers()
        if isinstance(public, rsa.RSAPublicKey):
            return {"kty": "RSA", "n": b64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")), "e": b64(numbers.e.to_bytes(3, "big"))}
        octets = (public.curve.key_size + 7) // 8
        return {"kty": "EC", "crv": f"P-{public.curve.key_size}", "x": b64(numbers.x.to_bytes(octets, "big")), "y": b64(numbers.y.to_bytes(octets, "big"))}

    def thumbprint(self):
        digest = hashes.Hash(hashes.SHA256())
        digest.update(json.dumps(self.jwk(), sort_keys=True, separators=(",", ":")).encode())
        return b64(digest.finalize())

    def algorithm_of(self, key):
        if isinstance(key, rsa.RSAPrivateKey):
            return "RS256"
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return "EdDSA"
        return {256: "ES256", 384: "ES384", 521: "ES512"}[key.curve.key_size]

    def sign(self, text, key=None):
        algorithm = self.algorithm if key is None and self.algorithm else self.algorithm_of(key or self.key)
        key = key or self.key
        if algorithm == "EdDSA":
            return key.sign(text)
        digest = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[algorithm[2:]]()
        if algorithm.startswith("RS"):
            return key.sign(text, padding.PKCS1v15(), digest)
        if algorithm.startswith("PS"):
            return key.sign(text, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        octets = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(digest)))
        return r.to_bytes(octets, "big") + s.to_bytes(octets, "big")

    def jws(self, url, payload, header=None, key=None, use_jwk=False):
        algorithm = self.algorithm if key is None and self.algorithm else self.algorithm_of(key or self.key)
        protected = {"alg": algorithm, "nonce": self.nonce, "url": url}
        protected.update({"jwk": self.jwk()} if use_jwk or not self.kid else {"kid": self.kid})
        for name, value in (header or {}).items():
            if value is None:
                protected.pop(name, None)
            else:
                protected[name] = value
        first = b64(json.dumps(protected).encode())
        second = "" if payload is None else b64(json.dumps(payload).encode())
        return {"protected": first, "payload": second, "signature": b64(self.sign(f"{first}.{second}".encode(), key))}

    def fresh_nonce(self):
        self.http("HEAD", self.url("newNonce"))
        return self.nonce

    def post(self, url, payload=None, header=None, key=None, use_jwk=False, content_type="application/jose+json", mangle=None):
        """POST, or POST-as-GET without payload. `mangle` changes the finished JWS; it may return bytes."""

        def ask():
            if self.nonce is None:
                self.fresh_nonce()
            message = self.jws(url, payload, header, key, use_jwk)
            self.nonce = None
            body = mangle(message) if mangle else message
            return self.http("POST", url, body if isinstance(body, bytes) else json.dumps(body).encode(), {"Content-Type": content_type})

        return self.persist(ask)

    def must(self, *arguments, **keywords):
        answer = self.post(*arguments, **keywords)
        if answer.status >= 300:
            raise Refused(answer)
        return answer

    # ---- the usual way ----

    def register(self, **fields):
        answer = self.must(self.url("newAccount"), {"termsOfServiceAgreed": True, **fields}, use_jwk=True)
        self.kid = answer.headers["Location"]
        return answer

    def order(self, *names, **fields):
        return self.must(self.url("newOrder"), {"identifiers": [{"type": "dns", "value": name} for name in names], **fields})

    def authorise(self, order, responder, seconds=120):
        for url in order["authorizations"]:
            authorization = self.must(url).json()
            if authorization["status"] == "valid":
                continue
            challenge = next(item for item in authorization["challenges"] if item["type"] == "http-01")
            responder.answers[challenge["token"]] = f"{challenge['token']}.{self.thumbprint()}"
            self.must(challenge["url"], {})
            self.poll(url, {"valid", "invalid"}, seconds)

    def poll(self, url, wanted, seconds=120):
        end = time.monotonic() + seconds
        while True:
            answer = self.must(url)
            if answer.json()["status"] in wanted:
                return answer
            if time.monotonic() > end:
                raise AssertionError(f"{url} is still {answer.json()}")
            time.sleep(0.05)

    def change_key(self, new_key, **wrong):
        """RFC 8555 §7.3.5; `wrong` replaces members of the inner header (url, jwk) or of its payload (account, oldKey)."""
        url = self.url("keyChange")
        header = {"alg": self.algorithm_of(new_key), "jwk": self.jwk(new_key), "url": url}
        payload = {"account": self.kid, "oldKey": self.jwk()}
        for name, value in wrong.items():
            (header if name in header else payload)[name] = value
        first, second = b64(json.dumps(header).encode()), b64(json.dumps(payload).encode())
        inner = {"protected": first, "payload": second, "signature": b64(self.sign(f"{first}.{second}".encode(), new_key))}
        answer = self.post(url, inner)
        if answer.status == 200:
            self.key, self.algorithm = new_key, None
        return answer

    def finalize(self, order_url, order, csr_der, seconds=120):
        answer = self.post(order["finalize"], {"csr": b64(csr_der)})
        if answer.status >= 300 and answer.problem != "orderNotReady":
            raise Refused(answer)
        return self.poll(order_url, {"valid", "invalid"}, seconds)

    def issue(self, responder, *names, key=None):
        """(leaf DER, PEM chain)"""
        made = self.order(*names)
        order_url, order = made.headers["Location"], made.json()
        self.authorise(order, responder)
        self.poll(order_url, {"ready", "valid"})
        done = self.finalize(order_url, order, csr(names, key)).json()
        assert done["status"] == "valid", done
        chain = self.must(done["certificate"]).body
        return x509.load_pem_x509_certificate(chain).public_bytes(serialization.Encoding.DER), chain


def csr(names, key=None, common_name=None, extensions=(), digest=hashes.SHA256()):
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)


class Responder:
    """The http-01 side: answers what it was told, on the port where the validator looks."""

    def __init__(self, port):
        answers = self.answers = {}
        self.asked = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                asked.append(self.path)
                text = answers.get(self.path.rsplit("/", 1)[-1])
                if callable(text):
                    text(self)
                    return
                self.send_response(200 if text else 404)
                self.end_headers()
                if text:
                    self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class AlpnResponder:
    """The tls-alpn-01 side (RFC 8737): for each server name the certificate that was put up, in a handshake of acme-tls/1 and nothing after it."""

    def __init__(self, port, directory):
        self.directory, self.asked_for, self.contexts = directory, [], {}
        self.gate = threading.Event()  # closed by clear(): who connects waits before the handshake
        self.gate.set()
        self.listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
        threading.Thread(target=self.serve, daemon=True).start()

    def put(self, server_name, san, digest):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ACME challenge")])
        now = datetime.datetime.utcnow()
        identifier = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"), b"\x04\x20" + digest)
        certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
                       .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
                       .add_extension(x509.SubjectAlternativeName([san]), critical=False).add_extension(identifier, critical=True).sign(key, hashes.SHA256()))
        file = self.directory / f"alpn-{server_name}.pem"
        file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) +
                         certificate.public_bytes(serialization.Encoding.PEM))
        self.contexts[server_name] = self.context(file)

    def context(self, file=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["acme-tls/1"])
        if file:
            context.load_cert_chain(file)
        return context

    def choose(self, tls, server_name, _):
        self.asked_for.append(server_name)
        if server_name not in self.contexts:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = self.contexts[server_name]
        return None

    def serve(self):
        try:
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.shake_hands, args=(connection,), daemon=True).start()
        except OSError:
            pass

    def shake_hands(self, connection):
        self.gate.wait(30)
        context = self.context()
        context.sni_callback = self.choose
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
