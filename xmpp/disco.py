"""What the component and the contacts can do (XEP-0030, XEP-0115), which clients it is asked of,
and what of theirs is of interest here."""

import base64
import hashlib
from collections import OrderedDict
from functools import cache
from xml.etree.ElementTree import Element

from xmpp import stanzas
from xmpp.jids import house

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
CAPS = "http://jabber.org/protocol/caps"
DATA_FORMS = "jabber:x:data"
COMMANDS = "http://jabber.org/protocol/commands"
RECEIPTS = "urn:xmpp:receipts"
PING = "urn:xmpp:ping"
VCARD4 = "urn:xmpp:vcard4"
AVATAR = "urn:xmpp:avatar:metadata"
NODE = "https://cardsite.example"  # XEP-0115: which software; not which server
OF_INTEREST = frozenset({RECEIPTS, PING, f"{VCARD4}+notify", f"{AVATAR}+notify"})
KEPT = 1000  # kinds of clients
MOST = 500  # features of one client

CONTACT = ("client", "bot", "Cardsite")
HOUSE = ("gateway", "cardsite", "Cardsite")
OF_BOTH = (CAPS, INFO, PING, "jabber:iq:version", "vcard-temp", VCARD4)
CONTACTS_FEATURES = (*OF_BOTH, AVATAR, RECEIPTS)
HOUSE_FEATURES = (*OF_BOTH, COMMANDS, ITEMS, f"{VCARD4}+notify", f"{AVATAR}+notify", RECEIPTS)
VCARD_NAMESPACE = "urn:ietf:params:xml:ns:vcard-4.0"


def info(node: str = "", *, of_contact: bool) -> Element:
    """The `query` that says it."""
    kind, features = (CONTACT, CONTACTS_FEATURES) if of_contact else (HOUSE, HOUSE_FEATURES)
    category, type_, name = kind
    given = {"node": node} if node else {}
    return stanzas.element(
        INFO,
        "query",
        stanzas.element(INFO, "identity", category=category, type=type_, name=name),
        *(stanzas.element(INFO, "feature", var=each) for each in sorted(features)),
        **given,
    )


@cache
def capabilities() -> Element:
    return caps(info(of_contact=False))


@cache
def of_contacts() -> Element:
    return caps(info(of_contact=True))


def caps(query: Element) -> Element:
    return stanzas.element(CAPS, "c", hash="sha-1", node=NODE, ver=ver_of(query))


def ver_of(query: Element) -> str:
    """XEP-0115, section 5.1, for a query without forms."""
    identities = sorted(
        "/".join(each.get(name, "") for name in ("category", "type", XML_LANG, "name"))
        for each in query.iterfind(f"{{{INFO}}}identity")
    )
    features = sorted(each.get("var", "") for each in query.iterfind(f"{{{INFO}}}feature"))
    said = "".join(f"{each}<" for each in (*identities, *features))
    return base64.b64encode(hashlib.sha1(said.encode(), usedforsecurity=False).digest()).decode()


XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def question(to: str, id: str, node: str = "") -> Element:
    given = {"node": node} if node else {}
    return stanzas.iq(house(), to, stanzas.element(INFO, "query", **given), type="get", id=id)


def says(answer: Element, feature: str) -> bool:
    """Whether it says that there is this feature."""
    said = answer.iterfind(f"{{{INFO}}}query/{{{INFO}}}feature")
    return any(each.get("var") == feature for each in said)


class Clients:
    """What the kinds of clients can do that were met, by the hash that they show. Only what fits
    its hash is kept: nobody speaks for another's client."""

    def __init__(self) -> None:
        self.known: OrderedDict[str, frozenset[str]] = OrderedDict()

    def of(self, presence: Element) -> tuple[str, frozenset[str] | None]:
        """The hash in a presence, and what is known of it."""
        found = presence.find(f"{{{CAPS}}}c")
        ver = found.get("ver", "")[:64] if found is not None else ""
        return ver, self.known.get(ver)

    def learn(self, result: Element) -> frozenset[str] | None:
        """What the answer to a question says; None if it says nothing."""
        query = result.find(f"{{{INFO}}}query")
        if query is None or len(query) > MOST:
            return None
        said = {each.get("var", "") for each in query.iterfind(f"{{{INFO}}}feature")}
        features = frozenset(said & OF_INTEREST)
        if query.find(f"{{{DATA_FORMS}}}x") is None:
            self.known[ver_of(query)] = features
            if len(self.known) > KEPT:
                self.known.popitem(last=False)
        return features
