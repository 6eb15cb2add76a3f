"""What contacts and the component answer, to whom: everybody sees what is for them."""

import base64
import hashlib
import io
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from asgiref.sync import sync_to_async as in_rows
from PIL import Image

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding
from cards import photos, public
from cards.models import PUBLIC, Card
from tests.cards.test_vcard_temp import assert_fits_the_dtd
from tests.prosody import RunningProsody
from tests.xmpp.clients import CARDS, signed_in
from xmpp.bridge import Bridge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bridge")]

ALICE, BOB, NOBODY = (f"{name}@cards.example.org" for name in ("alice", "bob", "nobody"))
VCARD = "{urn:ietf:params:xml:ns:vcard-4.0}"
PUBSUB = "{http://jabber.org/protocol/pubsub}"
COMMANDS = "http://jabber.org/protocol/commands"
VCARD4_IQ = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>"


def items(node: str) -> str:
    return f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'/></pubsub>"


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (400, 300), "red").save(out, "PNG")
    return out.getvalue()


def give_photo(card: Card, *circles: str) -> None:
    card.refresh_from_db()
    card.photo, card.photo_circles = photos.keep(card, picture()), list(circles)
    card.save()


def text_of(found: Any) -> str:
    return ET.tostring(found, encoding="unicode")


async def test_each_holder_sees_their_own_view_and_a_stranger_nothing(
    prosody: RunningProsody, held: Binding, alice_card: Card, family: Circle, charlie: User
) -> None:
    async with signed_in(prosody, "bob") as his, signed_in(prosody, "charlie") as strange:
        vcard = (await his.asks(ALICE, VCARD4_IQ)).xml[0]
        assert vcard.findtext(f"{VCARD}tel/{VCARD}text") == "+43 1 111"
        assert vcard.findtext(f"{VCARD}uid/{VCARD}uri") == f"urn:uuid:{alice_card.pk}"
        assert "+43 664 222" not in text_of(vcard)
        await in_rows(exchange.regrant)(held, [str(family.pk)])
        assert "+43 664 222" in text_of((await his.asks(ALICE, VCARD4_IQ)).xml)
        for payload in (VCARD4_IQ, "<vCard xmlns='vcard-temp'/>", items("urn:xmpp:vcard4")):
            assert await strange.refusal(ALICE, payload) == "service-unavailable"
            assert await strange.refusal(NOBODY, payload) == "service-unavailable"


async def test_a_stranger_sees_what_is_public(
    prosody: RunningProsody, alice_card: Card, charlie: User
) -> None:
    def publish() -> None:
        alice_card.properties[0]["circles"].append(PUBLIC)
        alice_card.save()
        public.publish(alice_card)

    await in_rows(publish)()
    async with signed_in(prosody, "charlie") as strange:
        vcard = text_of((await strange.asks(ALICE, VCARD4_IQ)).xml)
        assert "+43 1 111" in vcard
        assert "+43 664 222" not in vcard
        await in_rows(exchange.block)(alice_card.owner, charlie)
        assert await strange.refusal(ALICE, VCARD4_IQ) == "service-unavailable"
        await in_rows(charlie.blocked_by.all().delete)()
        assert "+43 1 111" in text_of((await strange.asks(ALICE, VCARD4_IQ)).xml)
        await in_rows(public.unpublish)(alice_card)
        assert await strange.refusal(ALICE, VCARD4_IQ) == "service-unavailable"


async def test_an_owner_sees_all_of_their_own(prosody: RunningProsody, alice_card: Card) -> None:
    async with signed_in(prosody, "alice") as hers:
        assert "hidden from all" in text_of((await hers.asks(ALICE, VCARD4_IQ)).xml)


async def test_vcard_temp_fits_its_dtd_and_carries_the_avatar_that_presence_names(
    prosody: RunningProsody, held: Binding, alice_card: Card
) -> None:
    await in_rows(give_photo)(alice_card, "*")
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        await his.hears("presence", ALICE, "subscribed")
        here = await his.hears("presence", ALICE, "")
        named = here.findtext("{vcard-temp:x:update}x/{vcard-temp:x:update}photo")
        vcard = await his.vcard(ALICE)
        assert_fits_the_dtd(vcard)
        carried = vcard.findtext("{vcard-temp}PHOTO/{vcard-temp}BINVAL") or ""
        assert hashlib.sha1(base64.b64decode(carried)).hexdigest() == named


async def test_an_avatar_is_found_by_its_hash(
    prosody: RunningProsody, held: Binding, alice_card: Card
) -> None:
    await in_rows(give_photo)(alice_card, "*")
    async with signed_in(prosody, "bob") as his:
        metadata = (await his.asks(ALICE, items("urn:xmpp:avatar:metadata"))).xml
        info = metadata.find(".//{urn:xmpp:avatar:metadata}info")
        data = (await his.asks(ALICE, items("urn:xmpp:avatar:data"))).xml
        octets = base64.b64decode(data.findtext(".//{urn:xmpp:avatar:data}data"))
        assert hashlib.sha1(octets).hexdigest() == info.get("id")
        assert (info.get("type"), info.get("bytes")) == ("image/png", str(len(octets)))
        with Image.open(io.BytesIO(octets)) as avatar:
            assert avatar.format == "PNG"


async def test_a_photo_for_others_is_no_avatar(
    prosody: RunningProsody, held: Binding, alice_card: Card, family: Circle
) -> None:
    await in_rows(give_photo)(alice_card, str(family.pk))
    async with signed_in(prosody, "bob") as his:
        assert (await his.vcard(ALICE)).find("{vcard-temp}PHOTO") is None
        refused = await his.refusal(ALICE, items("urn:xmpp:avatar:data"))
        assert refused == "item-not-found"


async def test_the_vcard_is_an_item_of_a_node(
    prosody: RunningProsody, held: Binding, alice_card: Card
) -> None:
    async with signed_in(prosody, "bob") as his:
        item = (await his.asks(ALICE, items("urn:xmpp:vcard4"))).xml.find(f".//{PUBSUB}item")
        assert item.get("id") == str(held.followed_rev)
        assert item[0].findtext(f"{VCARD}fn/{VCARD}text") == "Alice Example"
        assert await his.refusal(ALICE, items("urn:xmpp:omemo:2:devices")) == "item-not-found"


async def test_it_says_what_it_can_do(
    prosody: RunningProsody, held: Binding, charlie: User
) -> None:
    async with signed_in(prosody, "bob") as his, signed_in(prosody, "charlie") as strange:
        of_house = await his.part("xep_0030").get_info(CARDS)
        assert ("gateway", "cardsite", None, "Cardsite") in of_house["disco_info"]["identities"]
        assert "http://jabber.org/protocol/commands" in of_house["disco_info"]["features"]
        of_contact = await his.part("xep_0030").get_info(ALICE)
        assert "urn:xmpp:vcard4" in of_contact["disco_info"]["features"]
        info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        assert await strange.refusal(ALICE, info) == await strange.refusal(NOBODY, info)
        assert (await his.part("xep_0092").get_version(CARDS))["software_version"]["name"]
        await his.part("xep_0199").send_ping(ALICE)


async def test_the_hash_of_its_capabilities_is_that_of_what_it_says(
    prosody: RunningProsody, held: Binding
) -> None:
    """As slixmpp computes it."""
    async with signed_in(prosody, "bob") as his:
        his.send_presence(pto=ALICE, ptype="subscribe")
        here = await his.hears("presence", ALICE, "", having="caps")
        caps = here.find("{http://jabber.org/protocol/caps}c")
        assert caps is not None
        node = f"{caps.get('node')}#{caps.get('ver')}"
        info = await his.part("xep_0030").get_info(ALICE, node=node)
        assert his.part("xep_0115").generate_verstring(info["disco_info"], "sha-1") == caps.get(
            "ver"
        )


@pytest.mark.parametrize(
    ("to", "type_", "payload", "condition"),
    [
        (ALICE, "get", "<query xmlns='jabber:iq:roster'/>", "service-unavailable"),
        (CARDS, "get", "<odd xmlns='urn:odd'/>", "service-unavailable"),
        (CARDS, "set", "<hello xmlns='urn:cardsite:cards:1'/>", "bad-request"),
        (ALICE, "set", "<vCard xmlns='vcard-temp'><FN>Mallory</FN></vCard>", "service-unavailable"),
        (BOB, "set", "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><a/>" * 30, "not-acceptable"),
        (CARDS, "set", f"<command xmlns='{COMMANDS}' node='odd'/>", "item-not-found"),
        (ALICE, "get", f"<pubsub xmlns='{PUBSUB[1:-1]}'/>", "feature-not-implemented"),
    ],
)  # fmt: skip
async def test_garbage_is_refused_with_the_right_condition(
    prosody: RunningProsody,
    held: Binding,
    to: str,
    type_: str,
    payload: str,
    condition: str,
) -> None:
    payload += "</vcard>" * payload.count("<vcard ")
    async with signed_in(prosody, "bob") as his:
        assert await his.refusal(to, payload, type_) == condition
        assert await in_rows(lambda: held.card.fn)() == "Alice Example"


async def test_somebody_without_an_account_has_no_commands_and_no_devices(
    prosody: RunningProsody, bridge: Bridge
) -> None:
    """Bob can sign in at the XMPP server, and is nobody to the cards."""
    async with signed_in(prosody, "bob") as his:
        command = "<command xmlns='http://jabber.org/protocol/commands' node='cards'/>"
        assert await his.refusal(CARDS, command, "set") == "forbidden"
        hello = "<hello xmlns='urn:cardsite:cards:1' platform='android' identifier='12345678'/>"
        assert await his.refusal(CARDS, hello, "set") == "forbidden"
        his.tells(CARDS, "cards")
        await his.is_heard()
        assert not his.stanzas("message", CARDS)
