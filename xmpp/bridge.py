"""The bridge: the one process that speaks for the cards.

It holds the lease, keeps a link to the server, coming back by itself, and has a box for each device
that is reached by XMPP. What must arrive is in the rows; a bridge that dies loses nothing.
"""

import asyncio
import logging
import random
import secrets
from collections import defaultdict
from contextlib import suppress
from functools import partial
from xml.etree.ElementTree import Element

from django.conf import settings

from delivery import live, mailbox, messages, rows
from delivery.batch import Asking, Batch, in_thread
from delivery.layers import LocalLayer
from delivery.messages import Ack
from xmpp import answers, disco, multicast, news, stanzas
from xmpp.boxes import Box, Boxes
from xmpp.jids import Jid, house, voice
from xmpp.lanes import Lanes
from xmpp.link import Link, Refused
from xmpp.models import Address, Lease
from xmpp.news import Features, Parcel

RENEW_EVERY = 2.0  # seconds; the lease lasts three times that
LOOK_EVERY = 1.0  # seconds, for what nobody says
WISHES_EVERY = 3.0  # seconds
PING_EVERY = 20.0  # seconds
AGAIN_AFTER = 1.0  # seconds, where the database could not be reached
GRACE = 2.0  # seconds that somebody who has come has to acknowledge what their server kept
LONGEST_WAIT = 30.0  # seconds between two tries to reach the server

SERVER = "d.server"  # the question to our own
RECEIVED = f"{{{disco.RECEIPTS}}}received"

logger = logging.getLogger(__name__)


def addresses_at(jids: list[str]) -> list[Address | None]:
    """The address at each JID, with its device and person; None where no device is."""
    found = {each.jid: each for each in Address.objects.active().complete().filter(jid__in=jids)}
    return [found.get(jid) if found.get(jid) and is_theirs(found[jid]) else None for jid in jids]


def all_addresses() -> list[Address]:
    """Those who have signed in while no bridge was there are given what their people hold."""
    known = Address.objects.active().complete()
    rows.fill([each.device for each in known.filter(device__mailbox__filled_at=None)])
    return [each for each in known if is_theirs(each)]


def is_theirs(address: Address) -> bool:
    """Whether a JID of this house still has its person's username."""
    jid = Jid.read(address.jid)
    return jid is not None and (not jid.is_local or jid.local == address.device.user.username)


class Bridge:
    def __init__(self) -> None:
        self.name = secrets.token_hex(8)
        self.boxes, self.clients = Boxes(), disco.Clients()
        self.link: Link | None = None
        self.finding = Asking(addresses_at, largest=200)
        self.posted: Batch[tuple[Box, Parcel]] = Batch(self.send, largest=5000, breath=0.002)
        self.heard: Batch[tuple[Box, Ack]] = Batch(self.store, largest=5000, breath=0.05)
        self.lanes = Lanes()
        self.heard_at, self.is_connected = 0.0, False
        self.looks = self.stores = 0
        self.has_multicast = False

    # Being the one

    async def run(self) -> None:
        """Until it is stopped. Of several only one speaks, the others wait for it to end."""
        listening = asyncio.create_task(live.layer().listen())
        attempt = 0
        try:
            while True:
                try:
                    if await in_thread(Lease.take, self.name):
                        await self.speak()
                        attempt = 0
                except Refused as error:
                    logger.warning("The XMPP server cannot be reached at %s", error)
                    attempt += 1
                except Exception:  # a database that is away for a while must not end the bridge
                    logger.exception("The bridge failed, and goes on")
                    attempt += 1
                longest = min(LONGEST_WAIT, 2.0 ** min(attempt, 5))
                await asyncio.sleep(random.uniform(0.2, longest))  # noqa: S311  (spreads bridges)
        finally:
            listening.cancel()
            with suppress(Exception):
                await in_thread(Lease.give_back, self.name)

    async def speak(self) -> None:
        """For as long as the lease is held and the link is open. Raises Refused."""
        self.link = link = Link(house(), settings.XMPP_SECRET, self.hear)
        host, _colon, port = settings.XMPP_COMPONENT.rpartition(":")
        tasks = [asyncio.create_task(self.keep_lease())]
        try:
            await link.open(host, int(port))
            for address in await in_thread(all_addresses):
                if address.jid not in self.boxes.by_jid:  # else it has said something already
                    self.boxes.add(Box(address, self))
            self.is_connected = True
            logger.info("The bridge is connected.")
            self.greet()
            parts = (link.until_it_ends(), self.keep_awake(), self.look(), self.watch_wishes())
            tasks += map(asyncio.create_task, parts)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            logger.warning("The bridge is not connected any more.")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.link, self.is_connected = None, False
            link.close()
            self.boxes.clear()
            with suppress(Exception):
                await in_thread(Lease.give_back, self.name)

    def greet(self) -> None:
        """Find out who is online; whoever is gets what is pending. Our own server tells it of all
        its people at once."""
        self.has_multicast = False
        self.say(
            disco.question(settings.XMPP_DOMAIN, SERVER),
            stanzas.presence(house(), settings.XMPP_DOMAIN, type="probe"),
        )
        for jid, box in list(self.boxes.by_jid.items()):
            if box.is_app:
                box.drain()
            elif not jid.endswith(f"@{settings.XMPP_DOMAIN}"):
                self.say(stanzas.presence(house(), jid, type="probe"))

    async def keep_lease(self) -> None:
        """Ends when another may have it: at the latest when it would run out."""
        loop = asyncio.get_running_loop()
        until = loop.time() + Lease.DURATION.total_seconds()
        while loop.time() < until:
            await asyncio.sleep(RENEW_EVERY)
            asked = loop.time()
            try:
                async with asyncio.timeout_at(until):
                    if not await in_thread(Lease.take, self.name):
                        return
                until = asked + Lease.DURATION.total_seconds()
            except Exception:
                logger.exception("The lease could not be renewed")

    async def keep_awake(self) -> None:
        """Ends when the server says nothing any more."""
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            ping = stanzas.element(disco.PING, "ping")
            self.say(stanzas.iq(house(), settings.XMPP_DOMAIN, ping, type="get", id="ping"))
            await asyncio.sleep(PING_EVERY)
            if self.heard_at < asked:
                return

    async def look(self) -> None:
        """What nobody has hinted at; and who was signed out. Without Redis there are no hints."""
        while True:
            self.looks += 1
            await asyncio.sleep(LOOK_EVERY)
            try:
                gone = await in_thread(live.signed_out_groups)
                live.layer().hand_out(gone, {"close": live.SIGNED_OUT})
                if isinstance(live.layer(), LocalLayer) or self.looks % 20 == 0:
                    await self.look_for_news(everywhere=self.looks % 10 == 0)
            except Exception:
                logger.exception("Looking for news failed")

    async def look_for_news(self, *, everywhere: bool) -> None:
        """Let those read who have something pending. Who has yet to acknowledge something is not
        asked so often, and not at all while they are away."""
        awake = [
            box.device
            for box in self.boxes.by_jid.values()
            if not box.unacknowledged or (everywhere and box.is_online)
        ]
        for device, _first in await in_thread(live.debts, awake) if awake else ():
            if box := self.boxes.by_device.get(device):
                box.drain()

    async def watch_wishes(self) -> None:
        """Tell people in their own clients who asks for their cards: each wish once, as long as the
        link is open; their server keeps it for them."""
        told: set[tuple[str, str]] = set()
        while True:
            try:
                found = await in_thread(answers.wishes)
            except Exception:
                logger.exception("Looking for requests failed")
            else:
                wishes = {(jid, wish.get("from", "")): wish for jid, wish in found}
                if new := [wish for key, wish in wishes.items() if key not in told]:
                    self.say(*new)
                told = set(wishes)
            await asyncio.sleep(WISHES_EVERY)

    # Telling

    def say(self, *made: Element) -> None:
        if self.link:
            self.link.say(*made)

    def post(self, box: Box, parcel: Parcel) -> None:
        self.posted.add((box, parcel))

    def close(self, box: Box) -> None:
        """The device was signed out. Whoever has signed in there since was heard by its box."""
        if box in self.boxes:
            self.boxes.remove(box)
            self.say(stanzas.presence(voice(house()), box.jid, type="unavailable"))
            self.lanes.add(box.jid.partition("/")[0], partial(self.load, box.jid))

    def introduce(self, box: Box, resource: str, features: Features) -> None:
        """A client wants events of a kind: it gets the last of each, as from any PEP service."""
        self.lanes.add(box.jid, partial(self.tell_last, box, resource, features))

    async def tell_last(self, box: Box, resource: str, features: Features) -> None:
        link, full = self.link, f"{box.jid}/{resource}"
        for ready in await in_thread(news.last_events, box.user, features):
            if link and link is self.link and box in self.boxes:
                link.write(ready.to(full))

    def idle(self, box: Box) -> None:
        nothing = messages.xml_element({"kind": "idle"})
        self.say(stanzas.message(house(), box.jid, nothing))

    async def send(self, taken: list[tuple[Box, Parcel]]) -> None:
        link = self.link
        try:
            sent = await in_thread(news.rendered, [parcel for _box, parcel in taken])
        except Exception:  # as in `store`
            logger.exception("What is new could not be told")
            for box, parcel in taken:
                box.was_not_told(parcel)
            return
        if link is None or link is not self.link:
            return  # whoever was meant is told when there is another
        alive = [box in self.boxes for box, _parcel in taken]
        groups = multicast.grouped((ready, jid) for at, ready, jid in sent if alive[at])
        for text in multicast.written(groups, is_understood=self.has_multicast):
            link.write(text)
        await link.emptied.wait()

    async def store(self, taken: list[tuple[Box, Ack]]) -> None:
        devices: dict[Ack, list[str]] = defaultdict(list)
        for box, ack in taken:
            devices[ack].append(str(box.device))
        told = {ack for box, ack in taken if box.was_told(ack)}
        told -= {ack for box, ack in taken if not box.was_told(ack)}
        try:
            await in_thread(mailbox.hear, devices, told)
        except Exception:  # a database that is away comes back; nobody says it again
            logger.exception("Acknowledgements could not be stored")
            await asyncio.sleep(AGAIN_AFTER)
            for each in taken:
                self.heard.add(each)
            return
        self.stores += 1
        for box, ack in taken:
            box.acknowledged(ack)

    # Hearing

    def hear(self, heard: Element) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        sender, to = Jid.read(heard.get("from")), Jid.read(heard.get("to"))
        if sender is None or to is None or sender.domain == house():
            return
        if str(sender) == settings.XMPP_DOMAIN:
            return self.hear_server(heard)
        kind, type_ = stanzas.kind_of(heard), heard.get("type", "")
        receipt = heard.find(RECEIVED) if kind == "message" else None
        if receipt is not None:
            self.take_ack(str(sender), receipt.get("id", ""))
        elif self.is_understood(kind, type_, sender, heard) or type_ == "error":
            return
        elif (
            not self.lanes.add(sender.bare, partial(self.answer, heard, self.link)) and kind == "iq"
        ):
            self.say(stanzas.refusal(heard, "resource-constraint"))

    def hear_server(self, heard: Element) -> None:
        """What our own server says for itself: what it can do, and what many have acknowledged."""
        if stanzas.id_of(heard) == SERVER:
            self.has_multicast = disco.says(heard, multicast.NAMESPACE)
        for id, jid in multicast.acks_in(heard):
            self.take_ack(jid, id)

    def is_understood(self, kind: str, type_: str, sender: Jid, heard: Element) -> bool:
        """Whether no rows are needed for it, nor for what they said before: who comes and goes is
        not there."""
        if kind == "iq":
            return type_ in ("result", "error") and self.take_answer(sender, heard)
        is_about_them = kind == "presence" and type_ in ("", "unavailable")
        return is_about_them and self.lanes.is_free(sender.bare) and self.see(sender, heard)

    def see(self, sender: Jid, presence: Element) -> bool:
        """That a session is online, or no more. False if it may be of a device that has no box
        here, as it became one elsewhere."""
        box = self.boxes.by_jid.get(sender.bare)
        if presence.get("type") == "unavailable":
            if box:
                box.vanish(sender.resource)
            if app := self.boxes.by_jid.get(str(sender)):
                self.boxes.remove(app)
            return True
        if box is None or not sender.resource:
            return box is not None
        if stanzas.text_in(presence, "priority").startswith("-"):
            box.vanish(sender.resource)  # it is here, and wants no messages (RFC 6121, 4.7.2.3)
            return True
        ver, features = self.clients.of(presence)
        if features is None and box.asked.get(sender.resource) != ver:
            box.asked[sender.resource] = ver
            self.say(disco.question(str(sender), "d." + secrets.token_hex(4)))
        if box.appear(sender.resource, features):
            asyncio.get_running_loop().call_later(GRACE, box.tell_again, box.owed())
        return True

    async def load(self, jid: str) -> Box | None:
        """The box of this JID, if there is a device."""
        if address := await self.finding(jid):
            known = self.boxes.by_jid.get(jid)
            if known and known.device == address.device_id:
                return known
            await in_thread(mailbox.arrive, [address.device], 1)
            box = Box(address, self)
            self.boxes.add(box)
            if not box.is_app:
                self.say(stanzas.presence(house(), jid, type="probe"))
            return box
        return None

    def take_ack(self, jid: str, id: str) -> None:
        """What a session acknowledges: for itself if it was a frame, else for the bare JID."""
        ack = news.ack_in(id)
        box = self.boxes.by_jid.get(jid if news.is_of_frame(id) else jid.partition("/")[0])
        if box and ack:
            self.heard.add((box, ack))

    def take_answer(self, sender: Jid, heard: Element) -> bool:
        """Whether that was all there is to it."""
        id, is_error = stanzas.id_of(heard), heard.get("type") == "error"
        if news.ack_in(id) and not is_error:
            self.take_ack(str(sender), id)
        elif news.is_of_frame(id):
            if app := self.boxes.by_jid.get(str(sender)):
                self.boxes.remove(app)  # it has gone; when it is back, it says so
        elif id.startswith("d."):
            box = self.boxes.by_jid.get(sender.bare)
            features = frozenset() if is_error else self.clients.learn(heard)
            if box and sender.resource in box.sessions and features is not None:
                box.appear(sender.resource, features)
        return is_error or not id.startswith("a.")

    async def answer(self, heard: Element, link: Link | None) -> None:
        """What takes rows to answer."""
        sender, to = Jid.read(heard.get("from")), Jid.read(heard.get("to"))
        if sender is None or to is None:
            return
        kind, type_ = stanzas.kind_of(heard), heard.get("type", "")
        if kind == "presence" and type_ in ("", "probe", "unavailable"):
            if link is self.link and (type_ == "unavailable" or await self.load(sender.bare)):
                self.see(sender, heard)
            if type_ != "probe":
                return
        try:
            answer = await in_thread(answers.answer, sender, to, heard)
        except Exception:
            if type_ not in ("get", "set"):
                raise
            logger.exception("A stanza could not be answered")
            self.say(stanzas.refusal(heard, "internal-server-error"))
            return
        if link is self.link:
            self.say(*answer.stanzas)
        if answer.linked and (box := await self.load(answer.linked)):
            box.drain()
