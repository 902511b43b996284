"""The NATS client protocol in a few lines: enough to try what a service's certificate may publish and subscribe."""

import json
import socket
import ssl
import time


class Nats:
    def __init__(self, stack, service):
        bus = stack.run_directory / "bus"
        plain = socket.create_connection(("127.0.0.1", int(stack.env["SIGNET_NATS_PORT"])), timeout=10)
        greeting = b""
        while not greeting.endswith(b"\r\n"):
            greeting += plain.recv(4096)
        assert json.loads(greeting.split(b" ", 1)[1])["tls_required"]
        context = ssl.create_default_context(cafile=str(bus / "ca.pem"))
        if service:
            context.load_cert_chain(str(bus / f"{service}.pem"), str(bus / f"{service}.key"))
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false,"tls_required":true,"name":"test","lang":"python","version":"0","protocol":1,"headers":true}\r\n')
        self.rest = b""
        self.said = self.flush()

    def flush(self):
        """Sends PING; everything the server said up to its PONG."""
        self.socket.sendall(b"PING\r\n")
        said = self.rest
        end = time.monotonic() + 10
        while b"PONG\r\n" not in said:
            chunk = self.socket.recv(65536)
            if not chunk or time.monotonic() > end:
                raise ConnectionError(said.decode(errors="replace"))
            said += chunk
        said, self.rest = said.split(b"PONG\r\n", 1)
        return said.decode(errors="replace")

    def may_publish(self, subject):
        self.socket.sendall(f"PUB {subject} 0\r\n\r\n".encode())
        return "Permissions Violation" not in self.flush()

    def may_subscribe(self, subject):
        self.socket.sendall(f"SUB {subject} 1\r\nUNSUB 1\r\n".encode())
        return "Permissions Violation" not in self.flush()

    def close(self):
        self.socket.close()
