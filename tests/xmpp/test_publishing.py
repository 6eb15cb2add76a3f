"""What a person publishes from a client changes their card: once, and nothing that the client does
not know of."""

import base64
import hashlib
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from asgiref.sync import sync_to_async as in_rows

from accounts.models import User
from bindings.models import Binding
from cards.models import Card, CardRevision, Door
from tests.conftest import change, make_card, prop
from tests.prosody import RunningProsody
from tests.xmpp.clients import CARDS, Client, signed_in
from tests.xmpp.conftest import fan_out, stored
from tests.xmpp.test_answers import give_photo, picture
from xmpp import publishing
from xmpp.bridge import Bridge

ALICE = "alice@cards.example.org"
AVATAR = "urn:xmpp:avatar"

in_the_rows = pytest.mark.django_db(transaction=True)


def vcard4(*properties: str) -> str:
    fn = "<fn><text>Alice Example</text></fn>"
    return f"<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>{fn}{''.join(properties)}</vcard>"


def tel(number: str) -> str:
    return f"<tel><text>{number}</text></tel>"


async def publish(hers: Client, vcard: str, node: str = "urn:xmpp:vcard4", to: str = "") -> None:
    """In the node of her own server, as clients do; or at her contact."""
    pubsub = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>"
    await hers.asks(
        to or hers.boundjid.bare,
        f"{pubsub}<item id='current'>{vcard}</item></publish></pubsub>",
        "set",
    )


async def properties(card: Card) -> list[tuple[str, Any, list[str]]]:
    await in_rows(card.refresh_from_db)()
    return [(each["name"], each["value"], each["circles"]) for each in card.properties]


# Putting together, without rows


def own(name: str, value: Any, *circles: str) -> dict[str, Any]:
    return {"name": name, "value": value, "params": {}, "circles": [*circles]}


def said(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "params": {}}


OWN = [own("tel", "1", "*"), own("tel", "2"), own("title", "Engineer", "a"), own("note", "n", "*")]


@pytest.mark.parametrize(
    ("before", "after", "made"),
    [
        # The first time: what is new takes the place of what is shown, or is hidden.
        ([], [said("title", "Boss")], [*OWN[:2], own("title", "Boss", "a"), OWN[3]]),
        ([], [said("tel", "3")], [own("tel", "3", "*"), *OWN[1:]]),
        ([], [said("email", "x")], [*OWN, own("email", "x")]),
        # What was published before and is no more is gone; what never was stays.
        ([said("tel", "1")], [], OWN[1:]),
        ([said("tel", "2")], [said("tel", "4")], [OWN[0], own("tel", "4"), *OWN[2:]]),
        ([said("tel", "1")], [said("tel", "1")], OWN),
        # Hidden and unknown to the client: not replaced.
        ([], [said("tel", "1"), said("tel", "5")], [*OWN, own("tel", "5")]),
    ],
)  # fmt: skip
def test_what_the_client_knows_nothing_of_stays(
    before: list[Any], after: list[Any], made: list[Any]
) -> None:
    assert publishing.merged([dict(each) for each in OWN], before, after) == made


# At a server


@in_the_rows
@pytest.mark.parametrize("way", ["at her server", "at her contact", "as vcard-temp"])
async def test_a_published_vcard_is_one_change_with_one_fan_out(
    way: str, bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "alice") as hers, signed_in(prosody, "bob") as his:
        await hers.linked()
        await his.linked()
        await fan_out()
        before = await CardRevision.objects.acount()
        if way == "as vcard-temp":
            temp = "<vCard xmlns='vcard-temp'><FN>Alice Example</FN><TEL><NUMBER>+43 1 777"
            await hers.asks("alice@example.org", f"{temp}</NUMBER></TEL></vCard>", "set")
        else:
            to = ALICE if way == "at her contact" else ""
            await publish(hers, vcard4(tel("+43 1 777")), to=to)
        await stored(lambda: CardRevision.objects.count() == before + 1)
        assert ("tel", "+43 1 777", ["*"]) in await properties(alice_card)
        assert ("note", "hidden from all", []) in await properties(alice_card)
        assert alice_card.changed_via == Door.XMPP
        await fan_out()
        await his.hears("message", ALICE, having="+43 1 777")


@in_the_rows
async def test_what_a_server_repeats_undoes_nothing(
    bridge: Bridge, prosody: RunningProsody, alice_card: Card
) -> None:
    async with signed_in(prosody, "alice") as hers:
        await hers.linked()
        await publish(hers, vcard4(tel("+43 1 777")))
        await stored(lambda: CardRevision.objects.count() == 2)
        await in_rows(change)(alice_card, tel="+43 1 888")
        await publish(hers, vcard4(tel("+43 1 777")))
        await hers.is_heard()
        numbers = [value for name, value, _seen in await properties(alice_card) if name == "tel"]
        assert numbers == ["+43 1 888", "+43 664 222"]


@in_the_rows
@pytest.mark.parametrize("way", ["at her server", "at her contact"])
async def test_a_published_avatar_is_the_photo(
    way: str, bridge: Bridge, prosody: RunningProsody, alice_card: Card
) -> None:
    octets = await in_rows(picture)()
    hash = hashlib.sha1(octets).hexdigest()
    data = f"<data xmlns='{AVATAR}:data'>{base64.b64encode(octets).decode()}</data>"
    info = f"<info id='{hash}' type='image/png' bytes='{len(octets)}'/>"
    to = ALICE if way == "at her contact" else ""
    async with signed_in(prosody, "alice") as hers:
        await hers.linked()

        async def tell(payload: str, node: str) -> None:
            pubsub = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>"
            item = f"<item id='{hash}'>{payload}</item></publish></pubsub>"
            await hers.asks(to or "alice@example.org", pubsub + item, "set")

        await tell(data, f"{AVATAR}:data")
        await tell(f"<metadata xmlns='{AVATAR}:metadata'>{info}</metadata>", f"{AVATAR}:metadata")
        await stored(lambda: Card.objects.exclude(photo="").exists())
        await in_rows(alice_card.refresh_from_db)()
        assert alice_card.photo_circles == []  # nobody sees it before she says so
        await tell(f"<metadata xmlns='{AVATAR}:metadata'/>", f"{AVATAR}:metadata")
        await stored(lambda: not Card.objects.exclude(photo="").exists())


@in_the_rows
async def test_her_own_avatar_come_back_is_no_new_photo(
    bridge: Bridge, prosody: RunningProsody, alice_card: Card
) -> None:
    await in_rows(give_photo)(alice_card, "*")
    async with signed_in(prosody, "alice") as hers:
        vcard = ET.tostring(await hers.vcard(ALICE), encoding="unicode")
        await hers.asks(ALICE, vcard, "set")
        photo = alice_card.photo
        await in_rows(alice_card.refresh_from_db)()
        assert alice_card.photo == photo
        names = [name for name, _value, _circles in await properties(alice_card)]
        assert "uid" not in names  # which only we had added
        assert "impp" not in names


@in_the_rows
async def test_it_is_the_chosen_card_that_changes(
    bridge: Bridge, prosody: RunningProsody, alice: User, alice_card: Card
) -> None:
    second = await in_rows(make_card)(alice, prop("tel", "+43 2 222", "*"), fn="Alice at work")
    async with signed_in(prosody, "alice") as hers:
        await hers.linked()
        hers.tells(CARDS, "use 2")
        await hers.hears("message", CARDS, having="Alice at work")
        await publish(hers, vcard4(tel("+43 1 777")))
        await stored(lambda: CardRevision.objects.count() == 3)
        assert ("tel", "+43 1 777", ["*"]) in await properties(second)
        assert ("tel", "+43 1 111", ["*"]) in await properties(alice_card)


@in_the_rows
async def test_nobody_publishes_for_another(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await his.linked()
        vcard = vcard4(tel("+1 666"))
        refused = await his.refusal(ALICE, vcard, "set")
        assert refused == "service-unavailable"
        assert ("tel", "+43 1 111", ["*"]) in await properties(alice_card)


@in_the_rows
async def test_an_answer_that_nobody_asked_for_is_no_photo_of_anothers(
    bridge: Bridge, prosody: RunningProsody, alice_card: Card, bob: User, bob_card: Card
) -> None:
    """And one that is not what its hash says is none at all."""
    async with signed_in(prosody, "bob") as his:
        await his.linked()
        octets = base64.b64encode(await in_rows(picture)()).decode()
        for id in ("a.0000", "a." + hashlib.sha1(b"another").hexdigest()):
            for to in (ALICE, CARDS):
                iq: Any = his.make_iq_result(ito=to)
                iq["id"] = id
                data = f"<data xmlns='{AVATAR}:data'>{octets}</data>"
                iq.xml.append(ET.fromstring(data))
                iq.send()
        await his.is_heard()
        assert not await Card.objects.exclude(photo="").aexists()


@in_the_rows
async def test_a_picture_that_is_not_what_its_id_says_is_refused(
    bridge: Bridge, prosody: RunningProsody, alice_card: Card
) -> None:
    octets = base64.b64encode(await in_rows(picture)()).decode()
    item = f"<item id='{'0' * 40}'><data xmlns='{AVATAR}:data'>{octets}</data></item>"
    publish = f"<publish node='{AVATAR}:data'>{item}</publish>"
    pubsub = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{publish}</pubsub>"
    async with signed_in(prosody, "alice") as hers:
        assert await hers.refusal(ALICE, pubsub, "set") == "not-acceptable"
        assert not await Card.objects.exclude(photo="").aexists()
