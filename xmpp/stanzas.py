"""Stanzas (RFC 6120, RFC 6121) as XML elements, and as the text that is sent. Pure.

https://www.rfc-editor.org/rfc/rfc6120#section-8
"""

import re
from typing import Literal
from xml.etree.ElementTree import Element, SubElement

from cards.vcard import xcard

COMPONENT = "jabber:component:accept"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"

# What RFC 6120 section 8.3.3 advises to do about each.
ErrorType = Literal["auth", "cancel", "modify", "wait"]
CONDITIONS: dict[str, ErrorType] = {
    "bad-request": "modify",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "not-acceptable": "modify",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
}
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def stanza(
    name: str, sender: str, to: str, *children: Element, type: str = "", id: str = ""
) -> Element:
    attributes = {"type": type, "id": id, "from": sender, "to": to}
    made = Element(
        f"{{{COMPONENT}}}{name}", {key: value for key, value in attributes.items() if value}
    )
    made.extend(children)
    return made


def presence(sender: str, to: str, *children: Element, type: str = "") -> Element:
    return stanza("presence", sender, to, *children, type=type)


def message(sender: str, to: str, *children: Element, type: str = "", id: str = "") -> Element:
    return stanza("message", sender, to, *children, type=type, id=id)


def iq(sender: str, to: str, *children: Element, type: str, id: str) -> Element:
    return stanza("iq", sender, to, *children, type=type, id=id)


def element(
    namespace: str, name: str, /, *children: Element, text: str = "", **attributes: str
) -> Element:
    made = Element(f"{{{namespace}}}{name}", attributes)
    made.text = text or None
    made.extend(children)
    return made


def with_body(said: str) -> Element:
    return element(COMPONENT, "body", text=said)


def answer(asked: Element, *children: Element) -> Element:
    """The result of an IQ, from where it was sent to."""
    return iq(asked.get("to", ""), asked.get("from", ""), *children, type="result", id=id_of(asked))


def refusal(asked: Element, condition: str, said: str = "") -> Element:
    """The error to a stanza."""
    error = element(COMPONENT, "error", type=CONDITIONS[condition])
    SubElement(error, f"{{{STANZA_ERRORS}}}{condition}")
    if said:
        SubElement(error, f"{{{STANZA_ERRORS}}}text").text = said
    return stanza(
        kind_of(asked),
        asked.get("to", ""),
        asked.get("from", ""),
        error,
        type="error",
        id=id_of(asked),
    )


def id_of(heard: Element) -> str:
    return heard.get("id", "")


def kind_of(heard: Element) -> str:
    """iq, message, presence; or whatever else it is called."""
    return heard.tag.rpartition("}")[2]


def text_in(heard: Element, name: str) -> str:
    """The text of a child of a stanza, such as its body."""
    found = heard.find(f"{{{COMPONENT}}}{name}")
    return (found.text or "").strip() if found is not None else ""


def written(made: Element) -> str:
    """As it is sent. One sign that XML forbids would end the stream for everybody, so none
    passes."""
    return NOT_XML.sub("", xcard.text_of(made, COMPONENT))
