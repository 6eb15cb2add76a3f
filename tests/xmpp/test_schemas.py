"""Every stanza that the bridge sends is what the standards have it be: by what their schemas say of
it, for those that have one."""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from asgiref.sync import sync_to_async as in_rows

from accounts.models import User
from bindings import exchange
from bindings.models import Binding
from cards.models import Card
from tests.cards.test_vcard_temp import assert_fits_the_dtd
from tests.conftest import change
from tests.prosody import RunningProsody
from tests.xmpp.clients import CARDS, signed_in
from tests.xmpp.conftest import fan_out, stored
from tests.xmpp.test_answers import COMMANDS, VCARD4_IQ, give_photo, items
from tests.xmpp.test_updates import has_all
from xmpp.bridge import Bridge
from xmpp.link import Link

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = "alice@cards.example.org"

# Of each element: the attributes it must have, those it may have, and its children in order, as an
# expression over their names, each with a space. `*` is anything of another namespace. From the
# schemas in RFC 6120 (appendix A), RFC 6121 and the XEPs that are named.
Shape = tuple[set[str], set[str], str]
STANZA = {"from", "to", "id", "type"}
CLIENT = "jabber:component:accept"
PUBSUB, EVENT = "http://jabber.org/protocol/pubsub", "http://jabber.org/protocol/pubsub#event"
INFO, ITEMS = "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items"
SHAPES: dict[str, dict[str, Shape]] = {
    CLIENT: {
        "message": ({"from", "to"}, STANZA, r"(body )?(\* )*(error )?"),
        "presence": ({"from", "to"}, STANZA, r"(status )?(\* )*(error )?"),
        "iq": ({"from", "to", "id", "type"}, STANZA, r"(\* )?(error )?"),
        "body": (set(), set(), ""),
        "status": (set(), set(), ""),
        "error": ({"type"}, {"type"}, r"\* (\* )?"),
    },
    "urn:ietf:params:xml:ns:xmpp-stanzas": {"*": (set(), set(), "")},
    "urn:xmpp:receipts": {"request": (set(), set(), "")},  # XEP-0184
    "urn:xmpp:ping": {"ping": (set(), set(), "")},  # XEP-0199
    "vcard-temp:x:update": {  # XEP-0153
        "x": (set(), set(), "(photo )?"),
        "photo": (set(), set(), ""),
    },
    "http://jabber.org/protocol/caps": {  # XEP-0115
        "c": ({"hash", "node", "ver"}, {"hash", "node", "ver", "ext"}, "")
    },
    "http://jabber.org/protocol/nick": {"nick": (set(), set(), "")},  # XEP-0172
    INFO: {  # XEP-0030
        "query": (set(), {"node"}, "(identity )*(feature )*"),
        "identity": ({"category", "type"}, {"category", "type", "name"}, ""),
        "feature": ({"var"}, {"var"}, ""),
    },
    ITEMS: {
        "query": (set(), {"node"}, "(item )*"),
        "item": ({"jid"}, {"jid", "node", "name"}, ""),
    },
    "jabber:iq:version": {  # XEP-0092
        "query": (set(), set(), "(name )?(version )?(os )?"),
        "name": (set(), set(), ""),
        "version": (set(), set(), ""),
    },
    COMMANDS: {  # XEP-0050
        "command": (
            {"node"},
            {"node", "sessionid", "status", "action"},
            r"(actions )?(\* )?(note )*",
        ),
        "actions": (set(), {"execute"}, "(prev )?(next )?(complete )?"),
        "complete": (set(), set(), ""),
        "note": (set(), {"type"}, ""),
    },
    "jabber:x:data": {  # XEP-0004
        "x": ({"type"}, {"type"}, "(title )?(instructions )*(field )*"),
        "title": (set(), set(), ""),
        "field": (set(), {"var", "type", "label"}, "(desc )?(required )?(value )*(option )*"),
        "required": (set(), set(), ""),
    },
    PUBSUB: {  # XEP-0060
        "pubsub": (set(), set(), "items "),
        "items": ({"node"}, {"node", "max_items", "subid"}, "(item )*"),
        "item": (set(), {"id", "publisher"}, r"(\* )?"),
    },
    EVENT: {
        "event": (set(), set(), "items "),
        "items": ({"node"}, {"node"}, "(item )*(retract )*"),
        "item": (set(), {"id", "node", "publisher"}, r"(\* )?"),
    },
    "urn:xmpp:avatar:data": {"data": (set(), set(), "")},  # XEP-0084
    "urn:xmpp:avatar:metadata": {
        "metadata": (set(), set(), "(info )*(pointer )*"),
        "info": ({"bytes", "id", "type"}, {"bytes", "id", "type", "height", "width", "url"}, ""),
    },
    "urn:cardsite:multicast:1": {
        "multicast": (set(), set(), r"to \* "),
        "to": (set(), set(), ""),
    },
}
# Which other tests look into: the DTD of vcard-temp, the schema of xCard, and our own frames.
ELSEWHERE = ("urn:ietf:params:xml:ns:vcard-4.0", "urn:cardsite:cards:1")


def named(element: ET.Element) -> tuple[str, str]:
    namespace, _, name = element.tag.rpartition("}")
    namespace = namespace[1:]
    return (CLIENT if namespace == "jabber:client" else namespace), name


def assert_fits(element: ET.Element) -> Iterator[str]:
    """Yields the namespaces that were looked at."""
    namespace, name = named(element)
    yield namespace
    if namespace == "vcard-temp":
        assert_fits_the_dtd(element)
        return
    if namespace in ELSEWHERE:
        return
    shapes = SHAPES[namespace]
    must, may, inside = shapes.get(name) or shapes["*"]
    assert must <= set(element.keys()) <= may, ET.tostring(element)
    children = [f"{child if space == namespace else '*'} " for space, child in map(named, element)]
    assert re.fullmatch(inside, "".join(children)), ET.tostring(element)
    for child in element:
        yield from assert_fits(child)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is written to the server."""
    texts: list[str] = []
    write = Link.write

    def noted(link: Link, text: str) -> None:
        texts.append(text)
        write(link, text)

    monkeypatch.setattr(Link, "write", noted)
    return texts


async def test_all_that_is_sent_fits(
    sent: list[str],
    bridge: Bridge,
    prosody: RunningProsody,
    alice_card: Card,
    alice: User,
    bob: User,
    bob_card: Card,
) -> None:
    await in_rows(give_photo)(alice_card, "*")
    async with (
        signed_in(prosody, "alice", approves=False) as hers,
        signed_in(prosody, "bob", receipts=False, show=False) as his,
    ):
        his.part("xep_0030").add_feature("urn:xmpp:vcard4+notify")
        his.part("xep_0030").add_feature("urn:xmpp:avatar:metadata+notify")
        await his.part("xep_0115").update_caps()
        his.send_presence()
        await hers.linked()
        await his.linked()
        his.send_presence(pto=ALICE, ptype="subscribe", pstatus="We met")
        await hers.hears("presence", "bob@cards", "subscribe")
        hers.send_presence(pto="bob@cards.example.org", ptype="subscribed")
        await stored(lambda: Binding.objects.active().count() == 2)
        await fan_out()
        await stored(lambda: has_all(bob))
        await in_rows(change)(alice_card, tel="+43 1 999")
        await fan_out()
        await his.hears("message", ALICE, "headline", having="+43 1 999")
        await ask_everything(his)
        await in_rows(exchange.revoke)(await Binding.objects.aget(card=alice_card))
        await fan_out()
        await his.hears("presence", ALICE, "unsubscribed")
        await stored(lambda: has_all(bob))
    looked_at = set()
    for text in sent:
        for stanza in ET.fromstring(f"<stream xmlns='{CLIENT}'>{text}</stream>"):
            looked_at |= set(assert_fits(stanza))
    unseen = {"urn:cardsite:multicast:1"}  # there are too few people here
    assert {*SHAPES, *ELSEWHERE, "vcard-temp"} - looked_at == unseen


async def ask_everything(his: Any) -> None:
    info = f"<query xmlns='{INFO}'/>"
    for payload in (VCARD4_IQ, "<vCard xmlns='vcard-temp'/>", info, f"<query xmlns='{ITEMS}'/>"):
        await his.asks(ALICE, payload)
        if payload != VCARD4_IQ:
            await his.asks(CARDS, payload)
    for node in ("urn:xmpp:vcard4", "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"):
        await his.asks(ALICE, items(node))
    await his.asks(CARDS, f"<query xmlns='{ITEMS}' node='{COMMANDS}'/>")
    await his.asks(CARDS, f"<query xmlns='{INFO}' node='accept'/>")
    await his.asks(ALICE, "<query xmlns='jabber:iq:version'/>")
    for node in ("accept", "cards", "link"):
        await his.asks(CARDS, f"<command xmlns='{COMMANDS}' node='{node}'/>", "set")
    await his.refusal(ALICE, "<odd xmlns='urn:odd'/>")
    his.tells(CARDS, "help")
    await his.is_heard()
