"""One socket of a device or of a browser page at `/ws/v1/` (docs/wire.md).

A device gets what it has yet to acknowledge, then what comes, and says what it has. A page gets
what comes, as a hint to look again.
"""

import asyncio
import logging
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any

from channels.consumer import AsyncConsumer

from accounts.authentication import devices_of
from accounts.models import Device
from delivery import live, mailbox, messages
from delivery.batch import Asking, Batch, Desk, in_thread
from delivery.frames import EXTENSION, Frames, frame_of
from delivery.layers import MISSED, Event

MAX_WAITING = 1024 * 1024  # characters that a socket may lie behind before it is dropped
ROOM = 128 * 1024  # characters that a drain says at once before it waits until they are gone
PAGE = 100  # messages read at once for a device that drains
SETTLING = 1.0  # seconds until what was being fanned out is looked for again, then twice that
LONGEST_SETTLING = 60.0  # seconds
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

signed_in = Asking(devices_of, largest=200)


def note_said(event: Event) -> None:
    """Remember what is said to any socket, here or elsewhere: the card has come to that rev."""
    if "owes" in event:
        note(*event["owes"])


def note(subject: str, rev: int) -> None:
    if said.get(subject, 0) < rev:
        if len(said) >= MAX_SAID:
            said.clear()
        said[subject] = rev


async def store(taken: list[tuple["DeviceSocket", messages.Acks]]) -> None:
    """What several devices acknowledge, in one go. Whoever was not told it must be looked up."""
    devices: dict[messages.Ack, list[str]] = defaultdict(list)
    for socket, acks in taken:
        for ack in acks:
            devices[ack].append(socket.device_id)
    told = {(subject, rev) for subject, rev in devices if said.get(subject, 0) >= rev}
    try:
        await storing(mailbox.hear, devices, told)
    except Exception:  # whoever is closed comes back, is told again what is pending, and says it
        logger.exception("Acknowledgements could not be stored")
        for socket, _acks in taken:
            socket.end(FAILED)
    else:
        for socket, acks in taken:
            if socket.owed is not None or socket.unstored >= MAX_UNSTORED:
                socket.stored(acks)
            else:  # as it mostly is, of thousands
                socket.unstored -= len(acks)


storing = Desk("acknowledgements")
heard = Batch(store, largest=1000, breath=0.005)


def arrive(sockets: list["DeviceSocket"]) -> list[mailbox.Arrival]:
    """Several devices are here: their older sockets may go, and what is pending is read."""
    newest = {socket.device_id: socket.id for socket in sockets}
    live.layer().publish(
        [live.device_group(socket.device.pk) for socket in sockets], {"newest": newest}
    )
    return mailbox.arrive([socket.device for socket in sockets], PAGE)


arriving = Asking(arrive, largest=200)
reading = Asking(partial(mailbox.read, limit=PAGE), largest=200)


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
        self.is_empty = False  # once greeted, that nothing waits
        self.greeted, self.filled, self.emptied = (asyncio.Event() for _ in range(3))
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        await receive()  # websocket.connect
        await self.emit({"type": "websocket.accept", "subprotocol": self.chosen_subprotocol()})
        groups = await self.groups()
        if groups is None:
            return await self.close(live.SIGNED_OUT)
        live.layer().witness = note_said
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
            self.now_empty()

    def sink(self, event: Event) -> None:
        """Take an event from the layer. Never waits: whoever falls too far behind is dropped, and
        gets what it missed when it comes back."""
        text = event.get("text")
        if text is not None:
            self.put([self.in_format(text)])
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
        if self.frames and self.frames.write and self.is_empty:
            return self.frames.write(b"".join(map(frame_of, texts)))
        if self.frames and self.frames.is_over:
            return
        length = sum(map(len, texts))
        if self.waiting and self.waiting + length > MAX_WAITING:  # one alone may be any size
            self.outbox.clear()
            return self.end(live.TOO_SLOW)
        self.waiting += length
        self.outbox.extend(texts)
        self.is_empty = False
        self.emptied.clear()
        self.filled.set()

    def begin(self, greeting: list[str]) -> None:
        """From now on what is said goes out: the greeting, and then what has come meanwhile."""
        first = [*greeting, *self.outbox]
        self.outbox.clear()
        self.waiting = 0
        self.now_empty()
        self.greeted.set()
        if first:
            self.put(first)

    def now_empty(self) -> None:
        self.is_empty = True
        self.emptied.set()

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
    """A device: drains, follows, acknowledges. The scope has the `token` that it came with."""

    __slots__ = ("device_id", "frames", "framed", "is_empty", "owed", "read_acks", "unstored")

    device: Device

    async def groups(self) -> list[str] | None:
        device = await signed_in(self.scope["token"])
        if device is None:
            return None
        self.device, self.device_id = device, str(device.pk)
        self.behind, self.idle_is_due, self.settling = asyncio.Event(), False, SETTLING
        self.owed: dict[str, int] | None = {}
        self.read_acks = messages.acks_in_xml if self.as_xml else messages.acks_in_json
        self.framed = xml_frame_of if self.as_xml else frame_of
        self.unstored, self.has_stored = 0, asyncio.Event()
        return [live.user_group(device.user_id), live.device_group(device.pk)]

    async def serve(self) -> None:
        live.open_devices[self.id] = self.device.pk
        try:
            await super().serve()
        finally:
            live.open_devices.pop(self.id, None)

    def sink(self, event: Event) -> None:
        """As for all, only sooner: there may be thousands who owe nothing since their `idle`."""
        text, frames = event.get("text"), self.frames
        if frames and frames.write and text is not None and self.is_empty and self.owed is None:
            frames.write(self.framed(text))
        else:
            self.slow_sink(event)

    def slow_sink(self, event: Event) -> None:
        if "owes" in event:
            self.owe(*event["owes"])
        super().sink(event)

    def owe(self, subject: str, rev: int) -> None:
        """Remember, until the device is `idle`, that it has yet to acknowledge this."""
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
        if page.settled:
            self.settling = SETTLING
        else:
            asyncio.get_running_loop().call_later(self.settling, self.behind.set)
            self.settling = min(2 * self.settling, LONGEST_SETTLING)
        await self.say_page(page)
        while page.after is not None:
            [page] = await in_thread(mailbox.read, [self.device.pk], PAGE, page.after)
            await self.say_page(page)

    async def say_page(self, page: mailbox.Page) -> None:
        for message, _text in page.said:
            ack = messages.ack_of(message)
            note(*ack)
            self.owe(*ack)
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
                self.has_stored.clear()
                await self.has_stored.wait()
            text = event.get("text")
            if text is None:
                self.complain("Expected text, not bytes.")
            else:
                self.take(text.encode())

    def take(self, payload: bytes) -> bool:
        """Hear a text, whichever way it came. False: not now or not here, so read no further."""
        if self.unstored >= MAX_UNSTORED:
            return False
        try:
            acks = self.read_acks(payload)
        except messages.BadFrame as error:
            self.complain(str(error))
        except UnicodeDecodeError:
            return False
        else:
            self.unstored += len(acks)
            heard.add((self, acks))
        return True

    def complain(self, detail: str) -> None:
        self.say({"kind": "error", "detail": detail})

    def stored(self, acks: messages.Acks) -> None:
        before, self.unstored = self.unstored, self.unstored - len(acks)
        if before >= MAX_UNSTORED > self.unstored:
            self.has_stored.set()
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


def xml_frame_of(text: str) -> bytes:
    return frame_of(xml_of(text))
