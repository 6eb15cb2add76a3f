"""One device that is reached by XMPP: what it was told and has yet to acknowledge, and which of its
sessions are online. Nothing here is the record, all of it can be read again from the rows.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Protocol
from uuid import UUID

from delivery import live, mailbox
from delivery.batch import Asking
from delivery.layers import MISSED, Event
from delivery.messages import Ack, Message, ack_of, of_json_frame
from xmpp.models import Address
from xmpp.news import Features, Parcel

PAGE = 50  # messages told at once; the next when these are acknowledged
FEW = 5  # messages that are put in words when they come together
REMEMBERED = 100  # subjects of which a box knows what it was told last
MOST_SESSIONS = 20  # of one JID
ASKED_AFTER = 3.0  # seconds
SETTLING = 1.0  # seconds until what was being fanned out is looked for again, then twice that
LONGEST_SETTLING = 60.0

logger = logging.getLogger(__name__)
reading = Asking(partial(mailbox.read, limit=PAGE), largest=200)
message_of = lru_cache(maxsize=64)(of_json_frame)  # one text for all who get it


class Poster(Protocol):
    """Who sends what boxes have to say."""

    def post(self, box: "Box", parcel: Parcel) -> None: ...

    def close(self, box: "Box") -> None: ...

    def idle(self, box: "Box") -> None: ...

    def introduce(self, box: "Box", resource: str, features: Features) -> None: ...


class Box:
    def __init__(self, address: Address, poster: Poster) -> None:
        device = address.device
        self.jid, self.device, self.user = address.jid, device.pk, device.user_id
        self.language, self.poster = device.user.language, poster
        self.newest: OrderedDict[str, int] = OrderedDict()
        self.unacknowledged: dict[str, Message] = {}
        self.sessions: dict[str, Features | None] = {}
        self.asked: dict[str, str] = {}  # the hash of what a session can do, when it was asked
        self.behind = self.draining = self.again = self.was_read = self.is_idle = False
        self.is_watching = False
        self.settling = SETTLING
        self.sink: Callable[[Event], None] = self.take
        self.groups = [live.user_group(self.user), live.device_group(self.device), MISSED]

    @property
    def is_app(self) -> bool:
        return "/" in self.jid

    @property
    def is_online(self) -> bool:
        return self.is_app or bool(self.sessions)

    def take(self, event: Event) -> None:
        """What the layer says."""
        if text := event.get("text"):
            self.offer(message_of(text))
        elif event.get("close"):
            self.poster.close(self)
        elif ("drain" in event or "missed" in event) and self.is_online:
            self.drain()

    def offer(self, message: Message, *, quiet: bool = False) -> None:
        """Tell it, unless it was told as much. A JID that is away gets one message to find when it
        comes back, and the newest of everything then."""
        subject, rev = ack_of(message)
        if self.newest.get(subject, 0) >= rev:
            return
        if self.unacknowledged and not self.is_online:
            self.behind = True
            return
        self.newest[subject] = rev
        self.newest.move_to_end(subject)
        self.unacknowledged[subject] = message
        while len(self.newest) > max(REMEMBERED, len(self.unacknowledged)):
            self.newest.popitem(last=False)
        self.watch()
        self.post(message, quiet=quiet)

    def post(self, message: Message, **how: bool) -> None:
        sessions = dict(self.sessions)
        parcel = Parcel(message, self.jid, self.user, self.language, sessions, **how)
        self.poster.post(self, parcel)

    def watch(self) -> None:
        """Clients give receipts only to whom they show their presence; who has given none after a
        while is asked whether they are there, as they answer that after what came before."""
        if self.is_watching or self.is_app:
            return
        self.is_watching = True
        asyncio.get_running_loop().call_later(ASKED_AFTER, self.ask, self.owed())

    def ask(self, told: dict[str, int]) -> None:
        self.is_watching = False
        late = self.owed().items() & told.items()
        for subject, _rev in late if self.sessions else ():
            self.post(self.unacknowledged[subject], is_question=True)
        if len(late) < len(self.owed()):
            self.watch()

    def was_told(self, ack: Ack) -> bool:
        subject, rev = ack
        return self.newest.get(subject, 0) >= rev

    def acknowledged(self, ack: Ack) -> None:
        """It is stored that the device has this."""
        subject, rev = ack
        if self.newest.get(subject, 0) <= rev:
            self.unacknowledged.pop(subject, None)
        if self.behind and not self.unacknowledged:
            self.behind = False
            self.drain()
        self.say_if_idle()

    def appear(self, resource: str, features: Features | None) -> bool:
        """A session is online; whether it was not before. What it can do, where that is known now
        and was not, or was something else, is news."""
        is_new = resource not in self.sessions
        if is_new and len(self.sessions) >= MOST_SESSIONS:
            self.vanish(next(iter(self.sessions)))
        before = self.sessions.get(resource)
        if is_new or features is not None:
            self.sessions[resource] = features
        if features and features != before:
            self.poster.introduce(self, resource, features - (before or frozenset()))
        return is_new

    def tell_again(self, told: dict[str, int]) -> None:
        """What was told before somebody came, and is not acknowledged yet, may have been lost."""
        for subject, rev in told.items():
            if subject in self.unacknowledged and self.newest.get(subject) == rev:
                del self.newest[subject]
                self.unacknowledged.pop(subject, None)
        self.drain()

    def owed(self) -> dict[str, int]:
        """What it was told and has yet to acknowledge."""
        return {each: self.newest[each] for each in self.unacknowledged if each in self.newest}

    def vanish(self, resource: str) -> None:
        self.sessions.pop(resource, None)
        self.asked.pop(resource, None)

    def drain(self) -> None:
        """Tell it what is pending."""
        if self.draining:
            self.again = True
            return
        self.draining = True
        task = asyncio.create_task(self.read())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def read(self) -> None:
        try:
            page = await reading(self.device)
        except Exception:  # a database that is away comes back
            logger.exception("What is pending could not be read")
            return self.drain_later()
        finally:
            self.draining = False
        for said in page.said:
            self.offer(said.message, quiet=len(page.said) > FEW)
        self.behind = self.behind or page.after is not None
        if page.settled:
            self.settling = SETTLING
        else:
            self.drain_later()
        self.was_read = True
        self.say_if_idle()
        if self.again:
            self.again = False
            self.drain()

    def drain_later(self) -> None:
        asyncio.get_running_loop().call_later(self.settling, self.drain)
        self.settling = min(2 * self.settling, LONGEST_SETTLING)

    def was_not_told(self, parcel: Parcel) -> None:
        """It could not be put into words, and is read again."""
        subject, _rev = ack_of(parcel.message)
        self.newest.pop(subject, None)
        self.unacknowledged.pop(subject, None)
        self.drain_later()

    def say_if_idle(self) -> None:
        """Once, when an app has acknowledged all that was pending when it came."""
        if (
            self.is_app
            and self.was_read
            and not (self.unacknowledged or self.behind or self.is_idle)
        ):
            self.is_idle = True
            self.poster.idle(self)


tasks: set[asyncio.Task[None]] = set()  # the loop itself holds them weakly


class Boxes:
    """All of them, by where they are and by what device they are."""

    def __init__(self) -> None:
        self.by_jid: dict[str, Box] = {}
        self.by_device: dict[UUID, Box] = {}

    def add(self, box: Box) -> None:
        for before in (self.by_jid.get(box.jid), self.by_device.get(box.device)):
            if before:
                self.remove(before)
        self.by_jid[box.jid] = self.by_device[box.device] = box
        live.layer().attach(box.groups, box.sink)

    def remove(self, box: Box) -> None:
        if self.by_jid.get(box.jid) is box:
            del self.by_jid[box.jid], self.by_device[box.device]
            live.layer().detach(box.groups, box.sink)

    def clear(self) -> None:
        for box in list(self.by_jid.values()):
            self.remove(box)

    def __contains__(self, box: Any) -> bool:
        return self.by_jid.get(box.jid) is box
