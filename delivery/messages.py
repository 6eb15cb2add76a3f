"""What a device is told about one binding, and the text frames that say it in JSON and in XML.

Pure, apart from reading the rows it is given. docs/wire.md describes every frame.
"""

import json
import uuid
from contextlib import suppress
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeET

from bindings.models import Binding
from cards.models import Card, View
from cards.vcard import of_canonical, xcard
from delivery.models import OfflineMessage

NAMESPACE = "urn:cardsite:cards:1"
Message = dict[str, Any]
Ack = tuple[str, int]  # the id in its canonical text, and the rev
Acks = tuple[Ack, ...]
MAX_ACKS = 1000
MAX_REV = 2**63 - 1
MAX_ID = len("urn:uuid:") + 36  # characters

ET.register_namespace("", NAMESPACE)


class BadFrame(ValueError):
    """A frame that cannot be read; its text says why."""


# What is said


def of_row(row: OfflineMessage) -> Message:
    """The message for a row read with `complete()`: the newest state, whatever made it pending."""
    if row.is_private:
        return private(row.binding)
    if row.for_owner:
        return {**to_owner(row.binding), "rev": max(row.rev, row.binding.rev)}
    if row.binding.is_active and row.binding.held_rev <= row.acknowledged_rev:
        message = of_view(row.binding.card, row.binding.view)
    else:
        message = to_holder(row.binding)
    return {**message, "rev": max(row.rev, message["rev"])}


def of_view(card: Card, view: View) -> Message:
    """What all who see the card through this view are told when it has changed."""
    about = {"card": str(card.pk), "rev": view.rev}
    if card.retired_at:
        return {"kind": "removed", **about}
    return {"kind": "card", **about, "view": card.visible_to(view.circles)}


def to_holder(binding: Binding) -> Message:
    """What the holder is told of the binding itself: what it is now, or that it has ended."""
    if not binding.is_active:
        return {"kind": "removed", "card": str(binding.card_id), "rev": binding.followed_rev}
    return {
        **of_view(binding.card, binding.view),
        "kind": "binding",
        "rev": binding.followed_rev,
        "binding": holders_side(binding),
    }


def private(binding: Binding) -> Message:
    """What the holder's devices are told when the holder has changed what they keep to themselves;
    of a binding that has ended, nothing but that."""
    ended = {"id": str(binding.pk), "side": "holder", "state": "ended"}
    return {
        "kind": "private",
        "card": str(binding.card_id),
        "rev": binding.private_rev,
        "binding": holders_side(binding) if binding.is_active else ended,
    }


def holders_side(binding: Binding) -> dict[str, Any]:
    return {
        "id": str(binding.pk),
        "side": "holder",
        "state": "active",
        "owner": person(binding.card.owner),
        "nickname": binding.nickname,
        "note": binding.note,
        "tags": binding.tags,
        "approved_rev": binding.approved_rev if binding.asks_first else None,
        "private_rev": binding.private_rev,
    }


def to_owner(binding: Binding) -> Message:
    """What the owner is told: who holds the card, or no more."""
    return {
        "kind": "binding",
        "card": str(binding.card_id),
        "rev": binding.rev,
        "binding": {
            "id": str(binding.pk),
            "side": "owner",
            "state": "active" if binding.is_active else "ended",
            "holder": person(binding.holder),
            "circles": binding.view.circles,
        },
    }


def ack_of(message: Message) -> tuple[str, int]:
    """What a device acknowledges this message with: (id, rev)."""
    binding = message.get("binding", {})
    by_binding = binding.get("side") == "owner" or message["kind"] == "private"
    return (binding["id"] if by_binding else message["card"], message["rev"])


def person(user: Any) -> dict[str, str]:
    return {"username": user.username, "name": user.name}


# How it is said


def json_frame(message: Message) -> str:
    """The message as a JSON frame: its kind is the frame's `type`."""
    rest = {name: value for name, value in message.items() if name != "kind"}
    return json.dumps({"type": message["kind"], **rest}, ensure_ascii=False, separators=(",", ":"))


def of_json_frame(text: str) -> Message:
    """The message that `json_frame` made this text of."""
    frame = json.loads(text)
    return {"kind": frame.pop("type"), **frame}


def xml_frame(message: Message) -> str:
    """The same as an XML frame; the view is an xCard (RFC 6351)."""
    return ET.tostring(xml_element(message), encoding="unicode")


def xml_element(message: Message) -> ET.Element:
    return XML_FORMS.get(message["kind"], plain_element)(message)


def plain_element(message: Message) -> ET.Element:
    said = {name: str(value) for name, value in message.items() if name != "kind"}
    return ET.Element(tag(message["kind"]), said)


def card_element(message: Message) -> ET.Element:
    element = ET.Element(tag("card"), {"card": message["card"], "rev": str(message["rev"])})
    element.append(vcard_element(message["view"]))
    return element


def binding_element(message: Message) -> ET.Element:
    binding = message["binding"]
    element = ET.Element(
        tag(message["kind"]),
        {
            "card": message["card"],
            "rev": str(message["rev"]),
            **{name: str(value) for name, value in binding.items() if isinstance(value, str | int)},
        },
    )
    for side in ("owner", "holder"):
        if side in binding:
            ET.SubElement(element, tag(side), binding[side])
    for name in binding.get("tags", ()):
        ET.SubElement(element, tag("tag")).text = name
    for circle in binding.get("circles", ()):
        ET.SubElement(element, tag("circle"), {"id": circle})
    if "view" in message:
        element.append(vcard_element(message["view"]))
    return element


def vcard_element(view: dict[str, Any]) -> ET.Element:
    properties = [{"name": "fn", "value": view["fn"], "params": {}}, *view["properties"]]
    if view["photo"]:
        properties.append({"name": "photo", "value": view["photo"], "params": {"value": ["uri"]}})
    return xcard.element(of_canonical(properties))


XML_FORMS = {"card": card_element, "binding": binding_element, "private": binding_element}


def tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


# What is heard


@lru_cache(maxsize=64)  # many devices say the same of the same card
def acks_in_json(payload: bytes) -> Acks:
    """The acknowledgements in `{"type": "ack", "acks": [[id, rev], ...]}`. Raises BadFrame, and
    UnicodeDecodeError if this is no text at all."""
    text = payload.decode()
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame("This is not JSON.") from error
    if not isinstance(frame, dict) or frame.get("type") != "ack":
        raise BadFrame('Expected an object with the type "ack".')
    return acks_in(frame.get("acks"))


@lru_cache(maxsize=64)
def acks_in_xml(payload: bytes) -> Acks:
    """The acknowledgements in `<ack><item id="" rev=""/>...</ack>`. Raises as above."""
    text = payload.decode()
    try:
        frame = SafeET.fromstring(text, forbid_dtd=True)
    except (ET.ParseError, DefusedXmlException, ValueError) as error:
        raise BadFrame("This is not well-formed XML without a DTD.") from error
    if frame.tag != tag("ack"):
        raise BadFrame(f"Expected an element ack in the namespace {NAMESPACE}.")
    items = frame.findall(tag("item"))
    return acks_in([[item.get("id"), number(item.get("rev"))] for item in items])


def number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None


def acks_in(pairs: Any) -> Acks:
    """The pairs [id, rev] of an acknowledgement, checked. Raises BadFrame."""
    if not isinstance(pairs, list) or not 0 < len(pairs) <= MAX_ACKS:
        raise BadFrame(f"Expected acks: a list of 1 to {MAX_ACKS} pairs [id, rev].")
    return tuple(ack_in(pair) for pair in pairs)


def ack_in(pair: Any) -> Ack:
    if isinstance(pair, list) and len(pair) == 2:
        subject, rev = pair
        if isinstance(subject, str) and type(rev) is int and 0 < rev <= MAX_REV:  # no bool is
            with suppress(ValueError):
                return canonical_id(subject), rev
    raise BadFrame("Each acknowledgement is a pair of an id and the rev that came with it.")


@lru_cache(maxsize=10_000)
def canonical_id(text: str) -> str:
    """A UUID as it is written here. Kept for a while, as many devices name the same cards. Raises
    ValueError."""
    if len(text) > MAX_ID:
        raise ValueError
    return str(uuid.UUID(text))
