"""How a device is told by XMPP what delivery/messages.py has for it.

An app of ours gets the XML frame of docs/wire.md in an IQ, and acknowledges it with the result. Any
other client gets a message with words, and the same frame in it, from the card's contact: it
acknowledges with a receipt (XEP-0184), or with the answer to a ping that follows it (XEP-0199). The
id of each stanza is what is acknowledged by it, so nothing has to be remembered; it also tells
which of the two it was, as an app answers for the client that it is as well.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.models import User
from bindings.models import Binding
from cards.face import Face
from cards.models import Card, CardRevision
from delivery.messages import Ack, Message, ack_of, xml_element
from xmpp import disco, stanzas
from xmpp.jids import contact, house, voice
from xmpp.looks import Look, absolute, png_of, seen_through
from xmpp.stanzas import element, iq, presence, with_body, written

FRAME, LETTER = "c", "m"  # an app's, any client's
ACK_ID = re.compile(rf"[{FRAME}{LETTER}]\.([0-9a-f]{{32}})\.([0-9]{{1,19}})")
EVENT = "http://jabber.org/protocol/pubsub#event"
TO = "@"  # no JID, so it stands nowhere else in the head of a stanza
MOST_EVENTS = 200  # cards of which a client is told when it comes
LONGEST = 450_000  # characters; servers refuse stanzas of half a megabyte

Features = frozenset[str]


class Parcel(NamedTuple):
    """A message, and the device that it is for, where it is now. Of `sessions` it is known what
    they can do, or it is None. `quiet`: one of many, which a person need not read. `is_question`:
    the message was sent, and nobody has said that it arrived."""

    message: Message
    jid: str
    user: int
    language: str
    sessions: Mapping[str, Features | None]
    quiet: bool = False
    is_question: bool = False

    @property
    def is_app(self) -> bool:
        return "/" in self.jid


class Ready(NamedTuple):
    """The text of a stanza but for whom it is sent to."""

    head: str
    tail: str

    @classmethod
    def of(cls, made: Element) -> "Ready":
        return cls(*written(made).split(f"to={quoteattr(TO)}", 1))

    def to(self, jid: str) -> str:
        return f"{self.head}to={quoteattr(jid)}{self.tail}"


class Said(NamedTuple):
    """What clients are told: about the contact, the message itself, and what else those get that
    have asked for it, by the feature with which they do."""

    about: list[Ready]
    message: Ready
    events: dict[str, Ready]
    asked: Ready | None = None


def ack_id(message: Message, kind: str) -> str:
    return id_of(*ack_of(message), kind)


def id_of(subject: str, rev: int, kind: str) -> str:
    return f"{kind}.{UUID(subject).hex}.{rev}"


def is_of_frame(id: str) -> bool:
    return id.startswith(f"{FRAME}.")


@lru_cache(maxsize=1000)  # many say the same of the same card
def ack_in(id: str) -> Ack | None:
    """What a stanza with this id acknowledges."""
    found = ACK_ID.fullmatch(id)
    return (str(UUID(found[1])), int(found[2])) if found and int(found[2]) < 2**63 else None


def rendered(parcels: Iterable[Parcel]) -> list[tuple[int, Ready, str]]:
    """What is sent to whom, in this order, each with the place of its parcel. Messages that are the
    same are rendered once, and are the same object."""
    parcels = list(parcels)
    owners = owners_of({each.message["card"] for each in parcels})
    kept = still_held(parcels, owners)
    known: dict[tuple[str, int, str, str, bool, bool], Said] = {}
    sent: list[tuple[int, Ready, str]] = []
    for at, each in enumerate(parcels):
        key = (*ack_of(each.message), each.message["kind"], each.language, each.quiet, each.is_app)
        if key not in known:
            owner = owners.get(each.message["card"])
            known[key] = app_is_told(each) if each.is_app else client_is_told(each, owner)
        about = (each.user, each.message["card"]) not in kept
        sent += ((at, *to) for to in addressed(known[key], each, about=about))
    return sent


def owners_of(cards: set[str]) -> dict[str, User]:
    found = Card.objects.filter(pk__in=cards).select_related("owner")
    return {str(card.pk): card.owner for card in found}


def still_held(parcels: Iterable[Parcel], owners: Mapping[str, User]) -> set[tuple[int, str]]:
    """Who holds another card of the owner whose card was taken from them: the contact stays."""
    gone = [each for each in parcels if each.message["kind"] == "removed" and not each.is_app]
    if not gone:
        return set()
    people = {each.user for each in gone}
    those = {owners[each.message["card"]].pk for each in gone if each.message["card"] in owners}
    active = Binding.objects.active().filter(holder__in=people, card__owner__in=those)
    pairs = set(active.values_list("holder", "card__owner"))
    return {
        (each.user, each.message["card"])
        for each in gone
        if (owner := owners.get(each.message["card"])) and (each.user, owner.pk) in pairs
    }


def addressed(said: Said, parcel: Parcel, *, about: bool) -> Iterator[tuple[Ready, str]]:
    """To the device, and beside the message what those of its sessions want that are online."""
    if parcel.is_question:
        yield from ((said.asked, f"{parcel.jid}/{each}") for each in parcel.sessions if said.asked)
        return
    if about:
        yield from ((ready, parcel.jid) for ready in said.about)
    yield said.message, parcel.jid
    for resource, features in parcel.sessions.items():
        full = f"{parcel.jid}/{resource}"
        for wanted, ready in said.events.items():
            if wanted in (features or ()):
                yield ready, full
        if said.asked and features is not None and disco.RECEIPTS not in features:
            yield said.asked, full


# An app of ours


def app_is_told(parcel: Parcel) -> Said:
    message = parcel.message
    told = iq(house(), TO, frame(message), type="set", id=ack_id(message, FRAME))
    return Said([], Ready.of(told), {})


def frame(message: Message) -> Element:
    """The frame of docs/wire.md. What is around it has no base, so the photo's address is whole."""
    if view := message.get("view"):
        message = {**message, "view": {**view, "photo": absolute(view["photo"]) or None}}
    return xml_element(message)


# Any client


def client_is_told(parcel: Parcel, owner: User | None) -> Said:
    message = parcel.message
    sender = sender_of(message, owner)
    with override(parcel.language):
        words = "" if parcel.quiet else in_words(message, owner)
        told = Ready.of(letter(sender, message, frame(message), words))
        if len(told.tail) > LONGEST:
            words = _("This card is too long to be sent here.") + f"\n{absolute('/')}"
            told = Ready.of(letter(sender, message, None, words))
    seen = None
    if owner and "view" in message:
        seen = Look(message["card"], owner.username, message["rev"], message["view"])
    about = [Ready.of(each) for each in presences(sender, message, seen)]
    return Said(about, told, events(sender, seen) if seen else {}, ping(sender, message))


def ping(sender: str, message: Message) -> Ready:
    """From the same as the message, so that it goes no further: somebody may have blocked them."""
    asked = element(disco.PING, "ping")
    return Ready.of(iq(voice(sender), TO, asked, type="get", id=ack_id(message, LETTER)))


def sender_of(message: Message, owner: User | None) -> str:
    """The contact that it is about. Whoever was erased has none any more."""
    holder = message.get("binding", {}).get("holder")
    if holder:
        return contact(holder["username"])
    return contact(owner.username) if owner and owner.is_active else house()


def letter(sender: str, message: Message, inside: Element | None, words: str) -> Element:
    parts = [with_body(words)] if words else []
    parts += [inside] if inside is not None else []
    receipt = element(disco.RECEIPTS, "request")
    voiced = voice(sender)
    return stanzas.message(voiced, TO, *parts, receipt, type="chat", id=ack_id(message, LETTER))


def presences(sender: str, message: Message, seen: Look | None) -> list[Element]:
    """That the contact is there, with this avatar, or no more."""
    side = message.get("binding", {}).get("side")
    if message["kind"] == "removed":
        gone = [presence(sender, TO, type=kind) for kind in ("unsubscribed", "unsubscribe")]
        return [*gone, presence(voice(sender), TO, type="unavailable")]
    if seen is None or side == "owner":
        return []
    here = presence(voice(sender), TO, seen.photo_update(), disco.of_contacts())
    if side == "holder":
        return [presence(sender, TO, type="subscribed"), here]
    return [here] if photo_moved(seen.card) else []


def photo_moved(card: str) -> bool:
    """Whether the last change was about the photo: all else is not told by presence."""
    last = CardRevision.objects.filter(card=UUID(card)).values_list("photo", "photo_circles")[:2]
    return len({str(each) for each in last}) > 1


def events(sender: str, seen: Look) -> dict[str, Ready]:
    """As if the contact had published its vCard and its avatar (XEP-0163)."""
    told = {f"{disco.VCARD4}+notify": event(sender, disco.VCARD4, str(seen.rev), seen.xcard())}
    if avatar := png_of(seen.photo):
        about = avatar_info(seen)
        told[f"{disco.AVATAR}+notify"] = event(sender, disco.AVATAR, avatar.hash, about)
    return told


def last_events(user: int, wanted: Features) -> list[Ready]:
    """Of the cards that this person holds, the newest first: what was published last."""
    if not wanted & {f"{disco.VCARD4}+notify", f"{disco.AVATAR}+notify"}:
        return []
    held = Binding.objects.active().complete().filter(holder=user).order_by("-view__rev")
    return [
        ready
        for binding in held[:MOST_EVENTS]
        for want, ready in events(
            contact(binding.card.owner.username), seen_through(binding)
        ).items()
        if want in wanted
    ]


def avatar_info(seen: Look) -> Element:
    """The metadata of an avatar (XEP-0084); empty without one."""
    avatar = png_of(seen.photo)
    info = []
    if avatar:
        named = {"bytes": str(len(avatar.octets)), "id": avatar.hash, "type": avatar.type}
        info.append(element(disco.AVATAR, "info", **named))
    return element(disco.AVATAR, "metadata", *info)


def event(sender: str, node: str, id: str, payload: Element) -> Ready:
    item = element(EVENT, "item", payload, id=id)
    items = element(EVENT, "items", item, node=node)
    told = stanzas.message(sender, TO, element(EVENT, "event", items), type="headline")
    return Ready.of(told)


def in_words(message: Message, owner: User | None) -> str:
    """What a person reads; nothing of what only their own devices tell each other."""
    kind, binding = message["kind"], message.get("binding", {})
    if kind == "private":
        return ""
    if holder := binding.get("holder"):
        holds = _("%s holds a card of yours."), _("%s no longer holds a card of yours.")
        return str(holds[binding["state"] != "active"] % holder["name"])
    if kind == "removed":
        name = owner.name if owner else ""
        return _("You no longer hold the card of %s.") % name if name else _("A card has gone.")
    view = message["view"]
    about = _("You hold this card: %s") if kind == "binding" else _("This card has changed: %s")
    lines = [f"{line.label}: {line.text}" for line in Face.of(view).lines if line.text]
    return "\n".join([about % view["fn"], *lines])
