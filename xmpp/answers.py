"""What is asked of the contacts and of the component, and what each answers: one function for each
kind of stanza. Whoever may see nothing of a contact hears that nobody is there.
"""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from accounts.models import User
from bindings.models import Request
from cards.vcard import Property, temp
from delivery import messages
from xmpp import adhoc, commands, contacts, disco, publishing, stanzas, terminals
from xmpp.addresses import owner_of, person_of
from xmpp.contacts import NOTHING, Answer
from xmpp.jids import Jid, house
from xmpp.looks import Look, look, png_of
from xmpp.models import Address
from xmpp.news import LONGEST, avatar_info
from xmpp.stanzas import element

PUBSUB = "http://jabber.org/protocol/pubsub"
EVENT = "http://jabber.org/protocol/pubsub#event"
AVATAR_DATA = "urn:xmpp:avatar:data"
VERSION = "jabber:iq:version"
MOST_WISHES = 1000


def answer(sender: Jid, to: Jid, heard: Element) -> Answer:
    return KINDS[stanzas.kind_of(heard)](sender, to, heard)


def wishes() -> list[tuple[str, Element]]:
    """Who is to be told in their own client that somebody asks for their card: the JID, and the
    presence that says it."""
    waiting = Request.objects.waiting().order_by("-created_at")[:MOST_WISHES]
    people = {request.recipient_id for request in waiting} - {None}
    at = Address.objects.active().complete().filter(device__user__in=people)
    return [
        (address.jid, wish)
        for address in at
        if "/" not in address.jid
        for wish in contacts.wishes(address.device.user, address.jid)
    ]


# Presence and messages


def presence(sender: Jid, to: Jid, heard: Element) -> Answer:
    return contacts.heard(sender, to, heard) if heard.get("type") in contacts.DOORS else NOTHING


def message(sender: Jid, to: Jid, heard: Element) -> Answer:
    """What is said to the component is a command; what a person has published changes their
    card."""
    event = heard.find(f"{{{EVENT}}}event")
    if event is not None:
        return Answer(publishing.noticed(sender, event))
    said = stanzas.text_in(heard, "body")
    if to.local or not said or heard.get("type", "normal") not in ("chat", "normal"):
        return NOTHING
    person = person_of(sender)
    reply = commands.reply(person, said) if person else ""
    if not reply:
        return NOTHING
    told = stanzas.message(house(), str(sender), stanzas.with_body(reply), type="chat")
    return Answer([told])


# IQ: by the name of what is in it


def iq(sender: Jid, to: Jid, heard: Element) -> Answer:
    type_, payload = heard.get("type"), next(iter(heard), None)
    if type_ == "result":
        publishing.take_avatar(sender, heard)
        return NOTHING
    if type_ not in ("get", "set") or payload is None or len(heard) != 1:
        return Answer([stanzas.refusal(heard, "bad-request")])
    person = person_of(sender)
    asked = Asked(sender, to, heard, payload, person)
    if not to.local:
        door = OF_HOUSE.get((type_, payload.tag))
    else:
        door = (OWN if type_ == "set" and asked.is_own else OF_CONTACTS).get((type_, payload.tag))
        if not asked.is_own and asked.seen is None:
            return Answer([stanzas.refusal(heard, "service-unavailable")])
    return door(asked) if door else Answer([stanzas.refusal(heard, "service-unavailable")])


class Asked:
    """An IQ, who asks it, and what they may see of the contact that they ask."""

    def __init__(
        self, sender: Jid, to: Jid, heard: Element, payload: Element, person: User | None
    ) -> None:
        self.sender, self.to, self.heard, self.payload = sender, to, heard, payload
        self.person = person
        self.owner = owner_of(to) if to.local else None
        self.seen: Look | None = look(self.owner, person) if to.local else None
        self.is_own = person is not None and self.owner == person

    @property
    def view(self) -> Look:
        assert self.seen is not None  # noqa: S101  (iq() has looked)
        return self.seen

    def says(self, *inside: Element) -> Answer:
        said = stanzas.answer(self.heard, *inside)
        too_long = len(stanzas.written(said)) > LONGEST
        return self.refuses("resource-constraint") if too_long else Answer([said])

    def refuses(self, condition: str, why: str = "") -> Answer:
        return Answer([stanzas.refusal(self.heard, condition, why)])


Door = Callable[[Asked], Answer]


def ping(asked: Asked) -> Answer:
    return asked.says()


def version(asked: Asked) -> Answer:
    """XEP-0092; which release it is, is nobody's business."""
    return asked.says(
        element(
            VERSION,
            "query",
            element(VERSION, "name", text="Cardsite"),
            element(VERSION, "version", text="1"),
        )
    )


def info(asked: Asked) -> Answer:
    node = asked.payload.get("node", "")
    of_contact = bool(asked.to.local)
    own = disco.of_contacts() if of_contact else disco.capabilities()
    if node in ("", f"{disco.NODE}#{own.get('ver')}"):
        return asked.says(disco.info(node, of_contact=of_contact))
    found = adhoc.info(node) if not of_contact else None
    return asked.says(found) if found is not None else asked.refuses("item-not-found")


def items(asked: Asked) -> Answer:
    node = asked.payload.get("node", "")
    listed: list[Element] = []
    if not asked.to.local and node == disco.COMMANDS:
        listed = adhoc.items(asked.person)
    given = {"node": node} if node else {}
    return asked.says(element(disco.ITEMS, "query", *listed, **given))


def vcard_temp(asked: Asked) -> Answer:
    return asked.says(asked.view.vcard_temp())


def vcard4(asked: Asked) -> Answer:
    return asked.says(asked.view.xcard())


def house_vcard(asked: Asked) -> Answer:
    """The component's own."""
    return asked.says(temp.element([Property("fn", "Cardsite")]))


def published(asked: Asked) -> Answer:
    """What a contact would have published, of the three nodes that there are."""
    wanted = asked.payload.find(f"{{{PUBSUB}}}items")
    if wanted is None:
        return asked.refuses("feature-not-implemented")
    node, seen = wanted.get("node", ""), asked.view
    avatar = png_of(seen.photo) if node in (disco.AVATAR, AVATAR_DATA) else None
    if node == disco.VCARD4:
        item = element(PUBSUB, "item", seen.xcard(), id=str(seen.rev))
    elif node == disco.AVATAR and avatar:
        item = element(PUBSUB, "item", avatar_info(seen), id=avatar.hash)
    elif node == AVATAR_DATA and avatar:
        octets = element(AVATAR_DATA, "data", text=avatar.text)
        item = element(PUBSUB, "item", octets, id=avatar.hash)
    else:
        return asked.refuses("item-not-found")
    return asked.says(element(PUBSUB, "pubsub", element(PUBSUB, "items", item, node=node)))


def publish(asked: Asked) -> Answer:
    """Somebody publishes at their own contact: that changes their card."""
    assert asked.person  # noqa: S101  (it is their own)
    try:
        publishing.publish(asked.person, asked.sender, asked.payload)
    except publishing.Unreadable as error:
        return asked.refuses("not-acceptable", str(error))
    return asked.says()


def command(asked: Asked) -> Answer:
    return Answer([adhoc.execute(asked.heard, asked.payload, asked.person)])


def hello(asked: Asked) -> Answer:
    return terminals.hello(asked.heard, asked.payload, asked.person, asked.sender)


def goodbye(asked: Asked) -> Answer:
    terminals.goodbye(asked.sender, asked.person)
    return asked.says()


VCARD_TEMP = "{vcard-temp}vCard"
VCARD_4 = f"{{{disco.VCARD_NAMESPACE}}}vcard"
OF_BOTH: dict[tuple[str, str], Door] = {
    ("get", f"{{{disco.PING}}}ping"): ping,
    ("get", f"{{{VERSION}}}query"): version,
    ("get", f"{{{disco.INFO}}}query"): info,
    ("get", f"{{{disco.ITEMS}}}query"): items,
}
OF_HOUSE: dict[tuple[str, str], Door] = {
    **OF_BOTH,
    ("get", VCARD_TEMP): house_vcard,
    ("set", f"{{{disco.COMMANDS}}}command"): command,
    ("set", messages.tag("hello")): hello,
    ("set", messages.tag("goodbye")): goodbye,
}
OF_CONTACTS: dict[tuple[str, str], Door] = {
    **OF_BOTH,
    ("get", VCARD_TEMP): vcard_temp,
    ("get", VCARD_4): vcard4,
    ("get", f"{{{PUBSUB}}}pubsub"): published,
}
OWN: dict[tuple[str, str], Door] = {
    ("set", VCARD_TEMP): publish,
    ("set", VCARD_4): publish,
    ("set", f"{{{PUBSUB}}}pubsub"): publish,
}
KINDS: dict[str, Callable[[Jid, Jid, Element], Answer]] = {
    "iq": iq,
    "message": message,
    "presence": presence,
}
