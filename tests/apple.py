"""Apple's push service for tests: HTTP/2 over TLS on a free port of 127.0.0.1, in a thread.

It speaks the provider protocol, refuses what Apple refuses, and misbehaves where a test asks it to.
RFC 9113; developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
"""

import asyncio
import ipaddress
import json
import re
import ssl
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Self, cast

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

KEY_ID = "KEY4TESTS1"
TEAM_ID = "TEAM4TESTS"
TOPIC = "org.example.cardsite"
PUSH_TYPES = frozenset({"alert", "background"})


@dataclass(frozen=True)
class Reply:
    """An answer: `timestamp` in milliseconds, `retry_after` as the header is to read."""

    status: int = 200
    reason: str = ""
    timestamp: int | None = None
    retry_after: str = ""

    @property
    def body(self) -> bytes:
        said = {"reason": self.reason, "timestamp": self.timestamp}
        said = {name: value for name, value in said.items() if value}
        return json.dumps(said).encode() if said else b""


class Fault(Enum):
    """What may happen to a request in the place of an answer."""

    HANG = "nothing comes"
    GOAWAY = "the connection ends, the request was not looked at"
    GOAWAY_LATE = "the connection ends, the request may have been processed"
    CLOSE = "the connection breaks off without a word"
    RESET = "the stream ends with an internal error"
    REFUSE = "the stream ends, the request was not looked at"


@dataclass(frozen=True)
class Notification:
    token: str
    headers: dict[str, str]
    payload: dict[str, Any]


@dataclass
class Request:
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")

    @property
    def token(self) -> str:
        return self.header(":path").removeprefix("/3/device/")

    @property
    def bearer(self) -> str:
        scheme, _, bearer = self.header("authorization").partition(" ")
        return bearer if scheme.lower() == "bearer" else ""

    @property
    def payload(self) -> dict[str, Any]:
        try:
            payload = json.loads(self.body)
        except ValueError:
            return {}
        return payload if isinstance(payload, dict) else {}


@dataclass
class Apple:
    """The server; a context manager. `public_key` is the PEM of the key that signs our tokens.

    `connections` counts the connections made, `requests` the whole requests for each token,
    whatever became of them, `provider_tokens` has each accepted one with the time of its first use.
    `on_push` is called with each accepted notification, in a thread beside the server's own.
    """

    public_key: str
    key_id: str = KEY_ID
    team_id: str = TEAM_ID
    topics: tuple[str, ...] = (TOPIC,)
    limit_provider_tokens: bool = False
    clock: Callable[[], float] = time.time
    on_push: Callable[[Notification], object] | None = None

    host: str = field(default="127.0.0.1", init=False)
    port: int = field(default=0, init=False)
    ca_file: str = field(default="", init=False)
    connections: int = field(default=0, init=False)
    requests: Counter[str] = field(default_factory=Counter, init=False)
    accepted: list[Notification] = field(default_factory=list, init=False)
    provider_tokens: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._script: dict[str, deque[Reply | Fault]] = defaultdict(deque)
        self._always: dict[str, Reply | Fault] = {}
        self._inbox: dict[str, deque[Notification]] = defaultdict(deque)
        self._arrival = threading.Condition()
        self.open_connections: set[_Connection] = set()
        self._hooks: list[Future[object]] = []

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="apple-")
        self.ca_file = str(Path(self._folder.name, "ca.pem"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="apple", daemon=True)
        self._thread.start()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="apple-hook")
        self._in_loop(self._listen())
        return self

    def __exit__(self, *trouble: object) -> None:
        """Raises what a hook raised, so that no test passes over it."""
        self._in_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._pool.shutdown()
        self._folder.cleanup()
        for hook in self._hooks:
            hook.result()

    def script(self, token: str, *answers: Reply | Fault) -> None:
        """Answer the next requests for the token so, each once, and then as usual again."""
        self._script[token].extend(answers)

    def script_always(self, token: str, answer: Reply | Fault) -> None:
        self._always[token] = answer

    def wait_for(self, token: str, timeout: float = 20.0) -> Notification:
        """The next accepted notification for the token, each only once. Raises TimeoutError."""
        with self._arrival:
            if not self._arrival.wait_for(lambda: self._inbox[token], timeout):
                raise TimeoutError(f"no push within {timeout} s")
            return self._inbox[token].popleft()

    def hang_up(self, *, goaway: bool = False) -> None:
        """End every connection, with a GOAWAY or without a word."""
        self._in_loop(self._hang_up(goaway))

    def judge(self, request: Request) -> Reply | Fault:
        """What to do with the request; called in the loop's thread, as all below."""
        token = request.token
        self.requests[token] += 1
        for status, reason, is_broken in RULES:
            if is_broken(self, request):
                return Reply(status, reason)
        scripted = self._script[token]
        return scripted.popleft() if scripted else self._always.get(token, Reply())

    def accept(self, request: Request) -> None:
        notification = Notification(request.token, dict(request.headers), request.payload)
        with self._arrival:
            self.accepted.append(notification)
            self._inbox[notification.token].append(notification)
            self._arrival.notify_all()
        if self.on_push is not None:
            self._hooks.append(self._pool.submit(self.on_push, notification))

    def has_signed(self, bearer: str) -> bool:
        try:
            claims = jwt.decode(
                bearer, self.public_key, algorithms=["ES256"], options={"verify_iat": False}
            )
        except jwt.InvalidTokenError:
            return False
        kid = jwt.get_unverified_header(bearer).get("kid")
        return (kid, claims.get("iss")) == (self.key_id, self.team_id)

    def is_fresh(self, bearer: str) -> bool:
        claims = jwt.decode(bearer, options={"verify_signature": False})
        return abs(self.clock() - float(claims.get("iat", 0))) <= 3600

    def admits(self, bearer: str) -> bool:
        """Remember the provider token, unless it comes too soon after another."""
        newest = max(self.provider_tokens.values(), default=float("-inf"))
        is_new = bearer not in self.provider_tokens
        if is_new and self.limit_provider_tokens and self.clock() - newest < 20 * 60:
            return False
        self.provider_tokens.setdefault(bearer, self.clock())
        return True

    def opened(self, connection: "_Connection") -> None:
        self.connections += 1
        self.open_connections.add(connection)

    def closed(self, connection: "_Connection") -> None:
        self.open_connections.discard(connection)

    def _in_loop(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(write_certificate(Path(self.ca_file)))
        tls.set_alpn_protocols(["h2"])
        self._server = await self._loop.create_server(
            # A client that reads nothing would otherwise keep an ended connection for 30 s.
            lambda: _Connection(self),
            self.host,
            0,
            ssl=tls,
            ssl_shutdown_timeout=0.1,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._hang_up(goaway=False)
        await self._server.wait_closed()

    async def _hang_up(self, goaway: bool) -> None:
        ending = list(self.open_connections)
        for connection in ending:
            if goaway:
                connection.say_goodbye(connection.last_stream_id)
            else:
                connection.break_off()
        for connection in ending:
            await connection.is_lost.wait()


# Status, reason and what is wrong with the request, in the order in which it is looked at.
RULES: tuple[tuple[int, str, Callable[[Apple, Request], bool]], ...] = (
    (405, "MethodNotAllowed", lambda _, r: r.header(":method") != "POST"),
    (404, "BadPath", lambda _, r: not re.fullmatch("/3/device/[^/]*", r.header(":path"))),
    (400, "DuplicateHeaders", lambda _, r: len(r.headers) != len(dict(r.headers))),
    (403, "MissingProviderToken", lambda _, r: not r.bearer),
    (403, "InvalidProviderToken", lambda apple, r: not apple.has_signed(r.bearer)),
    (403, "ExpiredProviderToken", lambda apple, r: not apple.is_fresh(r.bearer)),
    (429, "TooManyProviderTokenUpdates", lambda apple, r: not apple.admits(r.bearer)),
    (400, "MissingDeviceToken", lambda _, r: not r.token),
    (400, "BadDeviceToken", lambda _, r: not re.fullmatch("[0-9A-Fa-f]{64,}", r.token)),
    (400, "MissingTopic", lambda _, r: not r.header("apns-topic")),
    (400, "TopicDisallowed", lambda apple, r: r.header("apns-topic") not in apple.topics),
    # Apple lets the push type be absent for old systems; ours never may be.
    (400, "InvalidPushType", lambda _, r: r.header("apns-push-type") not in PUSH_TYPES),
    (400, "BadPriority", lambda _, r: r.header("apns-priority") not in {"", "1", "5", "10"}),
    (400, "BadExpirationDate", lambda _, r: not _is_number(r.header("apns-expiration"))),
    (400, "BadMessageId", lambda _, r: not _is_uuid(r.header("apns-id"))),
    (400, "BadCollapseId", lambda _, r: len(r.header("apns-collapse-id").encode()) > 64),
    (413, "PayloadTooLarge", lambda _, r: len(r.body) > 4096),
    (400, "PayloadEmpty", lambda _, r: not isinstance(r.payload.get("aps"), dict)),
)


class _Connection(asyncio.Protocol):
    def __init__(self, apple: Apple) -> None:
        self._apple = apple
        self._requests: dict[int, Request] = {}
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.last_stream_id = 0
        self.is_lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._apple.opened(self)
        # As Apple does: one stream until the first valid provider token, many after it.
        self._h2.local_settings.max_concurrent_streams = 1
        self._h2.local_settings.acknowledge()
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._apple.closed(self)
        self.is_lost.set()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._flush()
            self._transport.close()
            return
        for event in events:
            match event:
                case RequestReceived(stream_id=stream_id, headers=headers):
                    self.last_stream_id = stream_id
                    self._requests[stream_id] = Request(cast(list[tuple[str, str]], headers))
                case DataReceived(stream_id=stream_id, data=part):
                    self._requests[stream_id].body += part
                    self._h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
                case StreamEnded(stream_id=stream_id):
                    self._answer(stream_id, self._requests.pop(stream_id))
                case StreamReset(stream_id=stream_id):
                    self._requests.pop(stream_id, None)
        self._flush()

    def say_goodbye(self, last_stream_id: int) -> None:
        last_words = Reply(reason="Shutdown").body
        self._h2.close_connection(last_stream_id=last_stream_id, additional_data=last_words)
        self._flush()
        self._transport.close()

    def break_off(self) -> None:
        self._transport.abort()

    def _answer(self, stream_id: int, request: Request) -> None:
        match self._apple.judge(request):
            case Reply() as reply:
                self._reply(stream_id, request, reply)
            case Fault.HANG:
                pass
            case Fault.GOAWAY:
                self.say_goodbye(max(0, stream_id - 2))
            case Fault.GOAWAY_LATE:
                self.say_goodbye(stream_id)
            case Fault.CLOSE:
                self.break_off()
            case Fault.RESET:
                self._h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            case Fault.REFUSE:
                self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)

    def _reply(self, stream_id: int, request: Request, reply: Reply) -> None:
        apns_id = request.header("apns-id") or str(uuid.uuid4())
        headers = [(":status", str(reply.status)), ("apns-id", apns_id)]
        if reply.retry_after:
            headers.append(("retry-after", reply.retry_after))
        self._h2.send_headers(stream_id, headers, end_stream=not reply.body)
        if reply.body:
            self._h2.send_data(stream_id, reply.body, end_stream=True)
        if reply.status == 200:
            if self._h2.local_settings.max_concurrent_streams == 1:
                self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
            self._apple.accept(request)

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._transport.write(data)


def signing_key(curve: ec.EllipticCurve | None = None) -> tuple[str, str]:
    """A new key for provider tokens: the PEM of the private one for us, of the public for Apple."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return _private_pem(key).decode(), public.decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_certificate(ca_file: Path) -> Path:
    """Write a certificate that is its own authority; returns the file with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Apple for tests")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    ca_file.write_bytes(certificate)
    chain = ca_file.with_name("chain.pem")
    chain.write_bytes(certificate + _private_pem(key))
    return chain


def _is_number(text: str) -> bool:
    return not text or text.isdecimal()


def _is_uuid(text: str) -> bool:
    try:
        return not text or str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
