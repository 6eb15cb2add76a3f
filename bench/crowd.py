"""Many devices in one process: they connect, receive, acknowledge, and note when.

The same small client for every system that is measured, so that none pays for a slower one. It
speaks just enough of WebSocket (RFC 6455), MQTT 3.1.1 and XMPP (RFC 6120), and is driven over a
pipe by bench.live.
"""

import asyncio
import json
import random
import re
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from multiprocessing.connection import Connection
from typing import Any, ClassVar, NamedTuple

import uvloop

MARKER = b"MARKER-000000000"  # in the trigger; a number takes its place, and comes back
UNREAD = 2**24  # bytes for the one who sends the triggers, which nobody reads

Step = tuple[bytes, bytes]  # what to say, and what to wait for then


class Task(NamedTuple):
    """What the crowd is to do. `tokens` name its devices, one each. The `trigger` is sent on a
    connection of its own to make the system say something to all of them. Where there is a
    `greeting`, it is gone through before the devices come, and all triggers go the same way; where
    there is none, each has a connection for itself. `pending` messages wait for every device."""

    system: str
    addresses: list[tuple[str, int]]
    tokens: list[str]
    trigger_address: tuple[str, int]
    greeting: list[Step]
    trigger: bytes
    pending: int = 0


class Client(asyncio.Protocol):
    """One device."""

    transport: asyncio.Transport

    def __init__(self, crowd: "Crowd", token: str) -> None:
        self.crowd, self.token = crowd, token
        self.rest = b""
        self.is_ready = self.is_lost = False
        self.settled = asyncio.Event()  # that it is one or the other

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.crowd.clients[self.token] = self
        transport.write(self.hello())

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self.settled.set()
        self.crowd.lost += 1

    def data_received(self, data: bytes) -> None:
        if data == self.crowd.usual and not self.rest:
            self.transport.write(self.crowd.answer)
            self.crowd.has_come(self.token, data)
            return
        data = self.rest + data
        while (end := self.end_of_message(data)) is not None:
            self.message(data[:end])
            data = data[end:]
        self.rest = data
        self.acknowledge()

    def ready(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            self.settled.set()
            self.crowd.one_is_ready(self.token)

    def hello(self) -> bytes:
        raise NotImplementedError

    def end_of_message(self, data: bytes) -> int | None:
        raise NotImplementedError

    def message(self, message: bytes) -> None:
        raise NotImplementedError

    def acknowledge(self) -> None:
        """All that has just come, where they may be acknowledged together."""


class WebSocketClient(Client):
    """A device of the product: `cards.v1.json`, docs/wire.md."""

    is_open = False

    def __init__(self, crowd: "Crowd", token: str) -> None:
        super().__init__(crowd, token)
        self.came: list[bytes] = []

    def acknowledge(self) -> None:
        if self.came:
            acknowledgement = self.crowd.acknowledgement(tuple(self.came))
            self.transport.write(acknowledgement)
            if len(self.came) == 1:
                self.crowd.others_may_get(self.came[0], acknowledgement)
            self.came.clear()

    def hello(self) -> bytes:
        return (
            "GET /ws/v1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: "
            f"cards.v1.json\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        ).encode()

    def end_of_message(self, data: bytes) -> int | None:
        if not self.is_open:
            end = data.find(b"\r\n\r\n")
            return end + 4 if end >= 0 else None
        if len(data) < 4:
            return None
        size = data[1]
        if size < 126:
            end = 2 + size
        elif size == 126:
            end = 4 + int.from_bytes(data[2:4], "big")
        else:
            end = 10 + int.from_bytes(data[2:10], "big")
        return end if len(data) >= end else None

    def message(self, message: bytes) -> None:
        if not self.is_open:
            assert message.startswith(b"HTTP/1.1 101"), message
            self.is_open = True
        elif message[0] == 0x89:
            self.transport.write(b"\x8a\x80\0\0\0\0" if len(message) == 2 else pong(message))
        elif b'"type":"card"' in message[:40]:
            self.crowd.has_come(self.token, message)
            self.came.append(message)
        elif b'"type":"idle"' in message[:40]:
            self.ready()


def pong(ping: bytes) -> bytes:
    return bytes((0x8A, 0x80 | ping[1])) + bytes(4) + ping[2:]


class MqttClient(Client):
    """A subscriber with QoS 1."""

    TOPIC: ClassVar[bytes] = b"card"

    def hello(self) -> bytes:
        return mqtt_connect(self.token) + mqtt_subscribe(self.TOPIC)

    def end_of_message(self, data: bytes) -> int | None:
        size, shift, at = 0, 0, 1
        while True:
            if at >= len(data):
                return None
            size |= (data[at] & 0x7F) << shift
            at += 1
            if data[at - 1] < 0x80:
                break
            shift += 7
        return at + size if len(data) >= at + size else None

    def message(self, message: bytes) -> None:
        kind = message[0] & 0xF0
        if kind == 0x90:  # SUBACK
            self.ready()
        elif kind == 0x30:  # PUBLISH
            self.crowd.has_come(self.token, message)
            at = message.index(self.TOPIC) + len(self.TOPIC)
            acknowledgement = b"\x40\x02" + message[at : at + 2]  # PUBACK
            self.transport.write(acknowledgement)
            self.crowd.others_may_get(message, acknowledgement)


class OfflineMqttClient(MqttClient):
    """One whose session was kept, with what has come for it: ready when the broker has read that
    all of it is acknowledged, which it shows by its answer to what was sent after that."""

    came = 0

    def hello(self) -> bytes:
        return mqtt_connect(self.token, kept=True)

    def message(self, message: bytes) -> None:
        super().message(message)
        kind = message[0] & 0xF0
        if kind == 0x30:
            self.came += 1
            if self.came == self.crowd.task.pending:
                self.transport.write(b"\xc0\0")  # PINGREQ
        elif kind == 0xD0:  # PINGRESP
            self.ready()


def mqtt_connect(name: str, *, kept: bool = False) -> bytes:
    """With a session that is kept when the connection ends, or not."""
    clean = b"\0" if kept else b"\2"
    return packet(0x10, b"\0\4MQTT\4" + clean + b"\0\0" + text(name.encode()))


def mqtt_subscribe(topic: bytes) -> bytes:
    return packet(0x82, b"\0\1" + text(topic) + b"\1")


def packet(kind: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes((digit | (0x80 if size else 0),))
        if not size:
            return bytes((kind,)) + length + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


CARD_NODE = b"urn:cardsite:card"
PING = b"<iq type='get' id='ping-pong'><ping xmlns='urn:xmpp:ping'/></iq>"
PONG = b"ping-pong"

# What a device can do, and the name of that by XEP-0115.
CAPABILITY = CARD_NODE + b"+notify"
VERSION = b64encode(sha1(b"client/pc//<" + CAPABILITY + b"<", usedforsecurity=False).digest())
PRESENCE = (
    b"<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:cardsite' "
    b"ver='" + VERSION + b"'/></presence>"
)


class XmppClient(Client):
    """A contact of the owner, who is notified of what that publishes: PEP, XEP-0163."""

    def __init__(self, crowd: "Crowd", token: str) -> None:
        super().__init__(crowd, token)
        self.steps = iter([*xmpp_login(token), (self.coming(), b"")])

    def coming(self) -> bytes:
        """What it says when it is signed in."""
        return PRESENCE + PING

    def hello(self) -> bytes:
        said, self.awaited = next(self.steps)
        return said

    def end_of_message(self, data: bytes) -> int | None:
        """That of the first element. Elements do not contain others of the same name here, and
        these servers escape every > in an attribute."""
        opened = data.find(b">") + 1
        if not opened:
            return None
        name = data[1 : opened - 1].split(b" ", 1)[0]
        if name in (b"?xml", b"stream:stream") or data[opened - 2] == ord("/"):
            return opened
        closing = b"</" + name + b">"
        at = data.find(closing, opened)
        return at + len(closing) if at >= 0 else None

    def message(self, message: bytes) -> None:
        if not self.awaited:
            self.stanza(message)
        elif self.awaited in message:
            said, self.awaited = next(self.steps)
            self.transport.write(said)
        else:
            assert not message.startswith((b"<failure", b"<stream:error")), message

    def stanza(self, message: bytes) -> None:
        """What comes when it is signed in. It is able to receive when the server has answered what
        was sent after its presence."""
        if message.startswith(b"<message"):
            self.crowd.has_come(self.token, message)
        elif PONG in message:
            self.ready()


class ToldClient(XmppClient):
    """A device of the product at its XMPP server, which is told and says nothing."""

    def coming(self) -> bytes:
        return b"<presence/>" + PING


class BridgedClient(ToldClient):
    """One that acknowledges with receipts (XEP-0184)."""

    HEAD: ClassVar[re.Pattern[bytes]] = re.compile(rb" (id|from)='([^']*)'")

    def stanza(self, message: bytes) -> None:
        super().stanza(message)
        if message.startswith(b"<message"):
            head = dict(self.HEAD.findall(message, 0, message.index(b">")))
            self.transport.write(
                b"<message to='%s'><received xmlns='urn:xmpp:receipts' id='%s'/></message>"
                % (head[b"from"], head[b"id"])
            )


class OfflineXmppClient(XmppClient):
    """One for whom messages are stored, and who acknowledges them (XEP-0198): ready when the server
    has read that, which it shows by its answer to what was sent after it."""

    stanzas = messages = 0
    is_asked = False

    def coming(self) -> bytes:
        return b"<enable xmlns='urn:xmpp:sm:3'/>" + PRESENCE

    def stanza(self, message: bytes) -> None:
        if message.startswith((b"<message", b"<presence", b"<iq")):
            self.stanzas += 1
            self.messages += message.startswith(b"<message")
        elif message.startswith(b"<r "):
            self.is_asked = True
        elif message.startswith(b"<a "):
            self.ready()

    def acknowledge(self) -> None:
        if self.is_asked:
            self.is_asked = False
            self.transport.write(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % self.stanzas)
            if self.messages == self.crowd.task.pending:
                self.transport.write(b"<r xmlns='urn:xmpp:sm:3'/>")


def xmpp_login(name: str) -> list[Step]:
    """All that comes before one's presence; the password is the name."""
    stream = (
        b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    password = b64encode(f"\0{name}\0{name}".encode())
    plain = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>" % password
    bind = b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    features = b"</stream:features>"
    return [(stream, features), (plain, b"<success"), (stream, features), (bind, b"</iq>")]


def xmpp_capabilities(question: bytes) -> bytes:
    """What is answered to a server that does not know this name yet and has asked."""
    iq = re.findall(rb"<iq [^>]*>", question)[0]
    asked = dict(re.findall(rb" (id|from)='([^']*)'", iq))
    return (
        b"<iq type='result' id='%s' to='%s'><query xmlns='http://jabber.org/protocol/disco#info'>"
        b"<identity category='client' type='pc'/><feature var='%s'/></query></iq>"
    ) % (asked[b"id"], asked[b"from"], CAPABILITY)


CLIENTS: dict[str, Callable[["Crowd", str], Client]] = {
    "websocket": WebSocketClient,
    "mqtt": MqttClient,
    "offline-mqtt": OfflineMqttClient,
    "xmpp": XmppClient,
    "offline-xmpp": OfflineXmppClient,
    "bridged": BridgedClient,
    "told": ToldClient,
}


class Crowd:
    def __init__(self, task: Task) -> None:
        self.task = task
        self.lost = self.messages = 0
        self.clients: dict[str, Client] = {}
        self.stopped: set[str] = set()
        self.marker = b""
        self.ready_times: dict[str, float] = {}
        self.times: dict[str, float] = {}
        self.all_ready, self.all_told = asyncio.Event(), asyncio.Event()
        self.last_said: tuple[tuple[bytes, ...], bytes] = ((), b"")
        self.usual = self.answer = b""  # what many get alike, and what each says to it
        self.owner: asyncio.StreamWriter | None = None

    def one_is_ready(self, token: str) -> None:
        self.ready_times[token] = time.perf_counter()
        if len(self.ready_times) == len(self.task.tokens):
            self.all_ready.set()

    def has_come(self, token: str, message: bytes) -> None:
        self.messages += 1
        if self.marker and self.marker in message:
            self.times.setdefault(token, time.perf_counter())
            if len(self.times) == len(self.task.tokens) - len(self.stopped):
                self.all_told.set()

    def others_may_get(self, message: bytes, answer: bytes) -> None:
        """Whoever gets the same as the last one need not read it: the crowd shares the machine with
        what it measures, and must cost as little as it can."""
        if self.marker and self.marker in message:
            self.usual, self.answer = message, answer

    def acknowledgement(self, messages: tuple[bytes, ...]) -> bytes:
        """The frame that acknowledges these; the same for all who get the same."""
        if messages != self.last_said[0]:
            frames = [json.loads(message[message.index(b"{") :]) for message in messages]
            acks = [[frame["card"], frame["rev"]] for frame in frames]
            said = json.dumps({"type": "ack", "acks": acks}).encode()
            long = len(said) > 125
            size = b"\xfe" + len(said).to_bytes(2, "big") if long else bytes((0x80 | len(said),))
            self.last_said = messages, b"\x81" + size + bytes(4) + said
        return self.last_said[1]

    async def connect(self, at_once: int) -> float:
        """All of them, this many at a time; the seconds until all are ready."""
        if self.task.greeting:
            self.owner = await self.greeted()
        start, room = time.perf_counter(), asyncio.Semaphore(at_once)

        async def one(number: int, token: str) -> None:
            async with room:
                await self.open(number, token)

        await asyncio.gather(*(one(*each) for each in enumerate(self.task.tokens)))
        async with asyncio.timeout(120):
            await self.all_ready.wait()
        return time.perf_counter() - start

    async def open(self, number: int, token: str) -> None:
        host, port = self.task.addresses[number % len(self.task.addresses)]
        make = CLIENTS[self.task.system]
        await asyncio.get_running_loop().create_connection(lambda: make(self, token), host, port)

    async def cut(self) -> None:
        """As if the network were gone: nothing is said, all connections are broken."""
        for client in self.clients.values():
            client.transport.abort()

    async def stop(self, number: int) -> None:
        """So many read nothing any more, and answer no ping."""
        for token in self.task.tokens[:number]:
            self.clients[token].transport.pause_reading()
            self.stopped.add(token)

    async def come_back(self, within: float) -> tuple[list[float], int]:
        """All who were cut off or stopped connect again, each at some time from now. The seconds
        until each is ready, and how many connections failed."""
        away = {
            token: number
            for number, token in enumerate(self.task.tokens)
            if token in self.stopped or self.clients[token].is_lost
        }
        failures = 0

        async def one(token: str, number: int) -> None:
            nonlocal failures
            await asyncio.sleep(random.uniform(0, within))  # noqa: S311
            self.clients[token].transport.abort()
            while token not in self.ready_times:
                try:
                    await self.open(number, token)
                    await self.clients[token].settled.wait()
                except OSError:
                    await asyncio.sleep(1)
                failures += token not in self.ready_times

        self.stopped.clear()
        self.all_ready.clear()
        for token in away:
            del self.ready_times[token]
        start = time.perf_counter()
        async with asyncio.timeout(300):
            await asyncio.gather(*(one(*each) for each in away.items()))
        return sorted(self.ready_times[token] - start for token in away), failures

    async def greeted(self) -> asyncio.StreamWriter:
        """A connection for triggers, on which all is said that has to be said before."""
        reader, writer = await asyncio.open_connection(*self.task.trigger_address, limit=UNREAD)
        for said, awaited in self.task.greeting:
            writer.write(said)
            await reader.readuntil(awaited)
        return writer

    async def round(self, number: int) -> list[float]:
        """Send the trigger once; seconds from then until each device had its message."""
        self.marker = marker(number)
        self.times.clear()
        self.all_told.clear()
        self.usual = b""
        owner = self.owner or await self.greeted()
        start = time.perf_counter()
        owner.write(self.task.trigger.replace(MARKER, self.marker))
        async with asyncio.timeout(60):
            await self.all_told.wait()
        if not self.owner:
            owner.close()
        return sorted(at - start for at in self.times.values())

    async def trigger(self, number: int) -> float:
        """Send the trigger, whoever gets something of it; seconds until it is answered."""
        start = time.perf_counter()
        reader, writer = await asyncio.open_connection(*self.task.trigger_address)
        writer.write(self.task.trigger.replace(MARKER, marker(number)))
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        return time.perf_counter() - start

    async def heard(self) -> int:
        """How many messages have come, all devices together."""
        return self.messages


def marker(number: int) -> bytes:
    return b"MARKER-%09d" % number


async def follow(orders: Connection, task: Task) -> None:
    crowd = Crowd(task)
    loop = asyncio.get_running_loop()
    while (order := await loop.run_in_executor(None, orders.recv)) is not None:
        name, *arguments = order
        try:
            answer = await getattr(crowd, name)(*arguments)
        except Exception as error:
            counted = f"{crowd.lost} lost, {len(crowd.ready_times)} ready"
            answer = f"{type(error).__name__}: {error}; {counted}"
        orders.send(answer)


def main(orders: Connection, task: Task) -> None:
    """In a process of its own: do what is ordered until None is."""
    sys.setswitchinterval(1)
    uvloop.run(follow(orders, task))
