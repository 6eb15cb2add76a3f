"""The WebSocket `/ws/v1/`: one socket of a device or of a browser page (docs/wire.md).

A device gets what it has yet to acknowledge, then what comes, and says what it has. A page gets
what comes, as a hint to look again.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts.authentication import devices_of
from accounts.models import Device
from delivery import live, mailbox, messages
from delivery.batch import Batch, in_thread
from delivery.frames import EXTENSION, Frames, frame_of
from delivery.layers import MISSED, Event

MAX_WAITING = 1024 * 1024  # characters that a socket may lie behind before it is dropped
ROOM = 128 * 1024  # characters that a drain says at once before it waits until they are gone
PAGE = 100  # messages read at once for a device that drains
SETTLING = 1.0  # seconds until what was being fanned out is looked for again
MAX_UNSTORED = 2 * messages.MAX_ACKS  # acknowledgements of one socket that may wait
MAX_SAID = 10_000  # subjects
FAILED = 1011  # RFC 6455, section 7.4.1
CLOSING_TIME = 2.0  # seconds that a socket has to take its close frame

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)

# The newest rev of each subject that was said here lately: whoever acknowledges it is believed.
said: dict[str, int] = {}

signed_in = Batch(devices_of, largest=200)
heard = Batch(mailbox.hear, largest=1000, breath=0.005)


def note_said(subject: str, rev: int) -> None:
    if len(said) >= MAX_SAID:
        said.clear()
    said[subject] = rev


def arrive(sockets: list["DeviceSocket"]) -> list[mailbox.Arrival]:
    """Several devices are here: their older sockets may go, and what is pending is read."""
    newest = {socket.device_id: socket.id for socket in sockets}
    live.layer().publish(
        [live.device_group(socket.device.pk) for socket in sockets], {"newest": newest}
    )
    return mailbox.arrive([socket.device for socket in sockets], PAGE)


arriving = Batch(arrive, largest=200)
reading = Batch(partial(mailbox.read, limit=PAGE), largest=200)


class Socket(AsyncConsumer):  # type: ignore[misc]
    """What both kinds have in common: groups, and an outbox that never makes others wait.

    Channels' own dispatch gives every socket a channel to poll and every message a trip through
    a thread; here an event is handed straight to the socket's outbox.
    """

    as_xml = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.id = uuid.uuid4().hex
        self.scope, self.receive, self.emit = scope, receive, send
        self.frames: Frames | None = scope.get("extensions", {}).get(EXTENSION)
        self.outbox: deque[str] = deque()
        self.waiting = 0
        self.greeted, self.filled, self.emptied = (asyncio.Event() for _ in range(3))
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        await receive()  # websocket.connect
        await self.emit({"type": "websocket.accept", "subprotocol": self.chosen_subprotocol()})
        groups = await self.groups()
        if groups is None:
            return await self.close(live.SIGNED_OUT)
        live.layer().attach(groups, self.sink)
        try:
            await self.serve()
        finally:
            live.layer().detach(groups, self.sink)

    def chosen_subprotocol(self) -> str | None:
        offered = self.scope["subprotocols"]
        for name in ("cards.v1.json", "cards.v1.xml"):
            if name in offered:
                self.as_xml = name.endswith("xml")
                return name
        return None

    async def groups(self) -> list[str] | None:
        """The groups to listen to; None if whoever asks is not signed in."""
        raise NotImplementedError

    async def serve(self) -> None:
        """Write, greet and read until one of the two sides has had enough."""
        tasks = [asyncio.create_task(part()) for part in (self.write, self.greet, self.read)]
        writing, greeting, reading = tasks
        greeting.add_done_callback(self.greeting_ended)
        try:
            # A write may hang for as long as the other side takes nothing: an end does not wait.
            await asyncio.wait((writing, reading, self.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    logger.error("A socket failed", exc_info=outcome)
                    self.end(FAILED)
        if self.ended.done():
            await self.close(self.ended.result())

    def greeting_ended(self, greeting: asyncio.Task[None]) -> None:
        """It goes on in silence for as long as the socket is open, so its failure is the end."""
        if not greeting.cancelled() and greeting.exception():
            self.end(FAILED)

    async def greet(self) -> None:
        """What is said before anything else, and from then on without being asked."""
        self.begin([])

    async def read(self) -> None:
        """Listen until the other side goes. A page has nothing to say."""
        while (await self.receive())["type"] != "websocket.disconnect":
            pass

    async def write(self) -> None:
        await self.greeted.wait()
        while True:
            await self.filled.wait()
            self.filled.clear()
            while self.outbox:
                text = self.outbox.popleft()
                self.waiting -= len(text)
                await self.emit({"type": "websocket.send", "text": text})
            self.emptied.set()

    def sink(self, event: Event) -> None:
        """Take an event from the layer. Never waits: whoever falls too far behind is dropped, and
        gets what it missed when it comes back."""
        text = event.get("text")
        if text is not None:
            self.put([xml_of(text) if self.as_xml else text])
        elif event.get("close"):
            self.end(event["close"])
        else:
            self.react(event)

    def react(self, event: Event) -> None:
        """Whatever else an event may ask for."""

    def in_format(self, text: str) -> str:
        return xml_of(text) if self.as_xml else text

    def put(self, texts: list[str]) -> None:
        """Send them now if there is a shorter way and nothing waits, otherwise when it is time."""
        if self.frames and self.emptied.is_set() and self.frames.has_room:
            return self.frames.write(
                frame_of(texts[0]) if len(texts) == 1 else b"".join(map(frame_of, texts))
            )
        length = sum(map(len, texts))
        if self.waiting and self.waiting + length > MAX_WAITING:  # one alone may be any size
            self.outbox.clear()
            return self.end(live.TOO_SLOW)
        self.waiting += length
        self.outbox.extend(texts)
        self.emptied.clear()
        self.filled.set()

    def begin(self, greeting: list[str]) -> None:
        """From now on what is said goes out: the greeting, and then what has come meanwhile."""
        first = [*greeting, *self.outbox]
        self.outbox.clear()
        self.waiting = 0
        self.emptied.set()
        self.greeted.set()
        if first:
            self.put(first)

    def say(self, message: messages.Message) -> None:
        self.put([self.in_format(messages.json_frame(message))])

    def end(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    async def close(self, code: int) -> None:
        try:
            async with asyncio.timeout(CLOSING_TIME):
                await self.emit({"type": "websocket.close", "code": code})
        except TimeoutError:  # the other side takes nothing any more
            if self.frames:
                self.frames.abort()
        except (RuntimeError, OSError):
            pass  # the other side has gone


class DeviceSocket(Socket):
    """A device: drains, follows, acknowledges."""

    device: Device

    async def groups(self) -> list[str] | None:
        device = await signed_in(bearer(self.scope) or "")
        if device is None:
            return None
        self.device, self.device_id = device, str(device.pk)
        self.behind, self.idle_is_due = asyncio.Event(), False
        self.owed: dict[str, int] | None = {}
        self.read_acks = messages.acks_in_xml if self.as_xml else messages.acks_in_json
        self.unstored, self.stored_some = 0, asyncio.Event()
        return [live.user_group(device.user_id), live.device_group(device.pk)]

    async def serve(self) -> None:
        live.open_devices[self.id] = self.device.pk
        try:
            await super().serve()
        finally:
            live.open_devices.pop(self.id, None)

    def sink(self, event: Event) -> None:
        if "owes" in event:
            self.owe(*event["owes"])
        super().sink(event)

    def owe(self, subject: str, rev: int) -> None:
        """Remember that this was said and, until the device is `idle`, that it has yet to
        acknowledge it."""
        if said.get(subject, 0) < rev:
            note_said(subject, rev)
        if self.owed is not None and self.owed.get(subject, 0) < rev:
            self.owed[subject] = rev

    def react(self, event: Event) -> None:
        if event.get("newest", {}).get(self.device_id, self.id) != self.id:
            self.end(live.REPLACED)
        elif "drain" in event:
            self.behind.set()

    async def greet(self) -> None:
        epoch, page = await arriving(self)
        welcome = {"kind": "welcome", "pending": page.pending, "epoch": epoch}
        self.begin([self.in_format(messages.json_frame(welcome))])
        await self.drain(page)
        self.idle_is_due = True
        self.say_if_idle()
        while True:
            await self.behind.wait()
            self.behind.clear()
            await self.drain(await reading(self.device.pk))

    async def drain(self, page: mailbox.Page) -> None:
        """Say what the device has yet to acknowledge, of which this is the first page."""
        if not page.settled:
            asyncio.get_running_loop().call_later(SETTLING, self.behind.set)
        await self.say_page(page)
        while page.after is not None:
            [page] = await in_thread(mailbox.read, [self.device.pk], PAGE, page.after)
            await self.say_page(page)

    async def say_page(self, page: mailbox.Page) -> None:
        for message, _text in page.said:
            self.owe(*messages.ack_of(message))
        for texts in parts([self.in_format(text) for _message, text in page.said], ROOM):
            self.put(texts)
            await self.emptied.wait()
            if self.frames:
                await self.frames.writable.wait()

    async def read(self) -> None:
        """Hear what the device says: at once if there is a shorter way."""
        if self.frames:
            self.frames.listen(self.take)
        while (event := await self.receive())["type"] != "websocket.disconnect":
            while self.unstored >= MAX_UNSTORED:
                self.stored_some.clear()
                await self.stored_some.wait()
            text = event.get("text")
            if text is None:
                self.complain("Expected text, not bytes.")
            else:
                self.hear(text)

    def take(self, text: str) -> bool:
        """The same for a text that came the shorter way. False: not now, so read no further."""
        if self.unstored >= MAX_UNSTORED:
            return False
        self.hear(text)
        return True

    def hear(self, text: str) -> None:
        try:
            acks = self.read_acks(text)
        except messages.BadFrame as error:
            return self.complain(str(error))
        told = True
        for subject, rev in acks:
            told = told and said.get(subject, 0) >= rev
        self.unstored += len(acks)
        heard.add((self.device_id, acks, told), self.stored)

    def complain(self, detail: str) -> None:
        self.say({"kind": "error", "detail": detail})

    def stored(self, what: mailbox.Heard | Exception) -> None:
        if isinstance(what, Exception):
            logger.error("Acknowledgements could not be stored", exc_info=what)
            return self.end(FAILED)
        _device, acks, _told = what
        self.unstored -= len(acks)
        self.stored_some.set()
        if self.owed is not None:
            for subject, rev in acks:
                if self.owed.get(subject, rev + 1) <= rev:
                    del self.owed[subject]
            self.say_if_idle()

    def say_if_idle(self) -> None:
        """Once, when all that was pending at the welcome, and what came since, is acknowledged."""
        if self.idle_is_due and not self.owed:
            self.owed = None
            self.say({"kind": "idle"})


class BrowserSocket(Socket):
    """A page of somebody signed in with a session."""

    async def groups(self) -> list[str] | None:
        user, session = self.scope["user"], self.scope["session"]
        if not user.is_authenticated or not session.session_key:
            return None
        live.open_sessions[self.id] = live.Opened(session.session_key, user.pk, user.password)
        return [live.user_group(user.pk), live.session_group(session.session_key), MISSED]

    def react(self, event: Event) -> None:
        if "missed" in event:
            self.end(live.RESTARTED)

    async def serve(self) -> None:
        try:
            await super().serve()
        finally:
            live.open_sessions.pop(self.id, None)


browsers = AuthMiddlewareStack(BrowserSocket.as_asgi())


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """`/ws/v1/`: a device by its token, a page by its session if it is one of our own pages."""
    if bearer(scope) is not None:
        await DeviceSocket.as_asgi()(scope, receive, send)
    elif same_origin(scope):
        await browsers(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": 4403})  # refused before it is open


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """No socket has this address."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


def bearer(scope: Scope) -> str | None:
    """The device token, from the Authorization header or, where no header can be set, from the
    subprotocol `bearer.<token>`."""
    scheme, _space, token = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for offered in scope["subprotocols"]:
        if offered.startswith("bearer."):
            return str(offered.removeprefix("bearer."))
    return None


def same_origin(scope: Scope) -> bool:
    """Whether the page that opens the socket is ours: a browser sends the session's cookie with
    whatever page it shows (RFC 6455, section 10.2)."""
    origin, host = urlsplit(header(scope, b"origin")), header(scope, b"host")
    if not origin.netloc or not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    return origin.netloc == host or origin.geturl() in settings.CSRF_TRUSTED_ORIGINS


def header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def parts(texts: Iterable[str], length: int) -> Iterator[list[str]]:
    """The texts in lists that are not longer together than this, or alone."""
    part: list[str] = []
    size = 0
    for text in texts:
        if part and size + len(text) > length:
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield part


@lru_cache(maxsize=64)
def xml_of(text: str) -> str:
    """The XML of a JSON frame of ours; once for all sockets of this process that want it."""
    return messages.xml_frame(messages.of_json_frame(text))
