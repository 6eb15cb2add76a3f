"""What a person publishes from an XMPP client changes their card, as at any other door: one rev,
and all that the client knows nothing of stays, hidden from whom it was hidden.

Servers repeat what was published last whenever somebody comes; what is repeated is no change.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast
from xml.etree.ElementTree import Element

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from cards import importing, photos, vcard
from cards.models import Card, Door
from cards.vcard import temp
from cards.vcard.canonical import NO_NAME
from cards.vcard.xcard import text_of
from xmpp import disco, looks, stanzas
from xmpp.addresses import card_given, person_of
from xmpp.jids import Jid, contact, house
from xmpp.models import Address

AVATAR_DATA = "urn:xmpp:avatar:data"
PUBSUB = "http://jabber.org/protocol/pubsub"
LONGEST_AVATAR = photos.MAX_BYTES

Plain = dict[str, Any]  # a property as JSON


class Unreadable(ValueError):
    """This cannot be taken as a card; the text says why."""


# What comes


def publish(person: User, sender: Jid, payload: Element) -> None:
    """A vCard in one of its forms, or an avatar, at a person's own contact. Raises Unreadable."""
    room = payload.find(f"{{{PUBSUB}}}publish")
    if payload.tag != f"{{{PUBSUB}}}pubsub":
        take_vcard(person, sender, payload)
    elif room is not None:
        for item in room.iterfind(f"{{{PUBSUB}}}item"):
            for each in item:
                take(person, sender, each, item.get("id", ""))


def noticed(sender: Jid, event: Element) -> list[Element]:
    """What a person has published at their own server; and what is to be asked there about it. Our
    own server sends the picture along."""
    person = person_of(sender)
    address = Address.objects.active().filter(jid=sender.bare, device__user=person).first()
    if person is None or address is None:
        return []
    items = list(event.iterfind("{*}items/{*}item"))
    has_picture = any(each.tag == f"{{{AVATAR_DATA}}}data" for item in items for each in item)
    for item in items:
        for each in item:
            if each.tag == f"{{{disco.AVATAR}}}metadata" and len(each) and not has_picture:
                return wanted(sender, address, each)
            with suppress(Unreadable):
                take(person, sender, each, item.get("id", ""))
    return []


def take(person: User, sender: Jid, payload: Element, id: str) -> None:
    if payload.tag == f"{{{AVATAR_DATA}}}data":
        set_photo(person, sender, picture_in(payload, id))
    elif payload.tag == f"{{{disco.AVATAR}}}metadata":
        if not len(payload):
            set_photo(person, sender, b"")
    else:
        take_vcard(person, sender, payload)


def wanted(sender: Jid, address: Address, metadata: Element) -> list[Element]:
    """The question for the picture, if it is another than before."""
    info = metadata.find(f"{{{disco.AVATAR}}}info")
    hash = info.get("id", "") if info is not None else ""
    if hash in ("", address.avatar):
        return []
    item = stanzas.element(PUBSUB, "item", id=hash)
    items = stanzas.element(PUBSUB, "items", item, node=AVATAR_DATA)
    asked = stanzas.element(PUBSUB, "pubsub", items)
    return [stanzas.iq(house(), sender.bare, asked, type="get", id=f"a.{hash[:40]}")]


def take_avatar(sender: Jid, answer: Element) -> None:
    """The answer to that."""
    data = answer.find(f".//{{{AVATAR_DATA}}}data")
    person = person_of(sender)
    if person and data is not None and not sender.resource:
        with suppress(Unreadable):
            set_photo(person, sender, picture_in(data, answer.get("id", "").removeprefix("a.")))


def picture_in(data: Element, hash: str) -> bytes:
    text = "".join((data.text or "").split())
    if len(text) > LONGEST_AVATAR * 4 // 3 + 4:
        raise Unreadable("The picture is too large.")
    try:
        picture = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Unreadable("This is not base64.") from error
    if hashlib.sha1(picture, usedforsecurity=False).hexdigest() != hash.lower():
        raise Unreadable("The picture is another than its id says.")
    return picture


def take_vcard(person: User, sender: Jid, payload: Element) -> None:
    try:
        if payload.tag == f"{{{temp.NAMESPACE}}}vCard":
            parsed = temp.read(payload)
        else:
            parsed = vcard.xcard.loads(text_of(payload))[0]
    except vcard.VCardError as error:
        raise Unreadable(error.reason) from error
    change(person, sender, parsed)
    for each in parsed.properties:
        if importing.is_inline(each) and each.name == "photo":
            head, _comma, octets = str(each.value).partition(",")
            set_photo(person, sender, base64.b64decode(octets))
            break


# What follows


@transaction.atomic
def change(person: User, sender: Jid, parsed: vcard.ParsedCard) -> None:
    address, card = locked(person, sender)
    after = known_parts(card, person, parsed)
    before = address.published if address else []
    fn = parsed.fn[:500]
    said = [{"name": "fn", "value": fn, "params": {}}, *after]
    if address and before == said:
        return
    content = card.content()
    card.fn = card.fn if fn == NO_NAME else fn
    card.properties = cast(Any, merged(cast(Any, card.properties), before, after))
    if card.content() != content:
        save(card, person)
    if address:
        address.published = said
        address.save(update_fields=["published"])


def known_parts(card: Card, person: User, parsed: vcard.ParsedCard) -> list[Plain]:
    """The properties that the owner could also write by hand, without what we add ourselves."""
    ours = [f"urn:uuid:{card.pk}", f"xmpp:{contact(person.username)}"]
    kept: list[Plain] = []
    for each in parsed.properties:
        if each.name in importing.OURS or each.name == "photo" or each.value in ours:
            continue
        plain = vcard.to_json([as_written(each)])
        try:
            kept += vcard.to_json(vcard.from_json(plain))
        except vcard.VCardError:
            continue
    return kept


def as_written(each: vcard.Property) -> vcard.Property:
    """A number as people write it: servers make an address of it when they turn one form of a vCard
    into the other."""
    if each.name != "tel" or not str(each.value).startswith("tel:"):
        return each
    params = {name: values for name, values in each.params.items() if name != "value"}
    return vcard.Property("tel", str(each.value).removeprefix("tel:"), params)


def merged(own: list[Plain], before: Iterable[Plain], after: list[Plain]) -> list[Plain]:
    """The properties of a card when a client that had published `before` publishes `after`.

    What it does not know stays. A new value takes the place, and the audience, of one of the same
    name that the client has changed, or, when it publishes for the first time, that others see; one
    that is altogether new is hidden.
    """
    before = list(before)
    new = [each for each in after if not among(each, own)]
    names = {each["name"] for each in new}
    left = [
        each
        for each in own
        if not among(each, after)
        and (among(each, before) or (not before and each["circles"] and each["name"] in names))
    ]
    kept = list(own)
    for each in new:
        alike = [old for old in left if old["name"] == each["name"]]
        alike.sort(key=lambda old: old["params"].get("type") != each["params"].get("type"))
        if alike:
            left.remove(alike[0])
            kept[kept.index(alike[0])] = {**each, "circles": alike[0]["circles"]}
        else:
            kept.append({**each, "circles": []})
    return [each for each in kept if each not in left or not among(each, before)]


def among(wanted: Plain, properties: Iterable[Plain]) -> bool:
    return any(
        each["name"] == wanted["name"] and each["value"] == wanted["value"] for each in properties
    )


def set_photo(person: User, sender: Jid, picture: bytes) -> None:
    """Without a picture, none. Who sees it stays; the first one is seen by nobody yet. Raises
    Unreadable."""
    hash = hashlib.sha1(picture, usedforsecurity=False).hexdigest() if picture else ""
    try:
        reencoded = photos.reencoded(picture) if picture else b""
    except ValidationError as error:
        raise Unreadable(" ".join(error.messages)) from error
    with transaction.atomic():
        address, card = locked(person, sender)
        shown = {
            each.hash for each in (looks.jpeg_of(card.photo), looks.png_of(card.photo)) if each
        }
        if (address and address.avatar == hash) or hash in shown:
            return
        before, card.photo = card.photo, photos.store(card, reencoded) if picture else ""
        if card.photo != before:
            save(card, person)
        if address:
            address.avatar = hash
            address.save(update_fields=["avatar"])


def locked(person: User, sender: Jid) -> tuple[Address | None, Card]:
    """What was published from there, and the card that it is about; nobody else writes them until
    the end of the transaction."""
    addresses = Address.objects.select_for_update(of=("self",))
    address = addresses.filter(jid=sender.bare, device__user=person).first()
    return address, Card.objects.select_for_update().get(pk=card_given(person).pk)


def save(card: Card, person: User) -> None:
    card.changed_by, card.changed_via = person, Door.XMPP
    card.save()
