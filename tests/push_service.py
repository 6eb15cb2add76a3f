"""A push service of browsers for tests: HTTPS on a free port of 127.0.0.1, in a thread, and the
browser behind it. It looks at each signature and reads each message as that browser would.

RFC 8030, RFC 8291, RFC 8292.
"""

import json
import re
import ssl
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from accounts.webpush import Subscription, decoded, encoded
from tests.apple import write_certificate

CURVE = ec.SECP256R1()
AUTH = b"sixteen bytes!!!"


@dataclass
class PushService:
    """The server; a context manager. `script` are the next answers, each a status and headers;
    `taken` what the browser was told, with the headers that it came with."""

    public_key: str
    script: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    taken: list[tuple[dict[str, Any], dict[str, str]]] = field(default_factory=list)
    asked: int = 0
    heard: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="push-")
        self.ca_file = str(Path(self._folder.name, "ca.pem"))
        self._key = ec.generate_private_key(CURVE)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(write_certificate(Path(self.ca_file)))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="push", daemon=True).start()
        return self

    def __exit__(self, *trouble: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()

    def subscription(self, name: str = "bob") -> Subscription:
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return Subscription(f"https://{self.host}/push/{name}", encoded(point), encoded(AUTH))

    def next_message(self) -> dict[str, Any]:
        """What the browser is told next, waited for."""
        with self.heard:
            assert self.heard.wait_for(lambda: self.taken, timeout=20), "nothing was pushed"
            message, _headers = self.taken.pop(0)
        return message

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        self.asked += 1
        if self.script:
            return self.script.popleft()
        if not self.has_signed(headers.get("authorization", "")):
            return 403, {}
        if headers.get("content-encoding") != "aes128gcm" or not headers["ttl"].isdecimal():
            return 400, {}
        text = http_ece.decrypt(body, private_key=self._key, auth_secret=AUTH, version="aes128gcm")
        with self.heard:
            self.taken.append((json.loads(text), headers))
            self.heard.notify_all()
        return 201, {"location": "/message/1"}

    def has_signed(self, authorization: str) -> bool:
        found = re.fullmatch(r"vapid t=([\w.-]+), k=([\w-]+)", authorization)
        if not found or found[2] != self.public_key:
            return False
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decoded(found[2]))
        try:
            jwt.decode(found[1], key, algorithms=["ES256"], audience=f"https://{self.host}")
        except jwt.InvalidTokenError:
            return False
        return True


def handler_of(service: PushService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, said = service.answer(headers, body)
            self.send_response(status)
            for name, value in {**said, "content-length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nothing to the terminal."""

    return Handler
