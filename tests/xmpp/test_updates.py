"""A JID is a device: told at once, again when it was away, and done when it has acknowledged."""

import asyncio
from xml.etree import ElementTree as ET

import pytest
from asgiref.sync import sync_to_async as in_rows
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from accounts import devices
from accounts.models import Device, User
from bindings import exchange
from bindings.models import Binding
from cards.models import Card
from delivery.models import OfflineMessage
from tests.conftest import change
from tests.prosody import RunningProsody
from tests.xmpp.clients import BODY, Client, signed_in
from tests.xmpp.conftest import a_bridge, fan_out, stored, until
from tests.xmpp.house import freeze
from tests.xmpp.test_answers import give_photo
from xmpp import addresses, boxes, stanzas
from xmpp.bridge import Bridge
from xmpp.looks import jpeg_of
from xmpp.news import LETTER, LONGEST, id_of

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = "alice@cards.example.org"
VCARD = "{urn:ietf:params:xml:ns:vcard-4.0}"
CARD = "{urn:cardsite:cards:1}card"


def has_all(user: User) -> bool:
    """Whether this person's JID has acknowledged everything, and there was something."""
    messages = OfflineMessage.objects.filter(device__user=user, device__platform="xmpp")
    return messages.exists() and not messages.pending().exists()


async def change_tel(card: Card, number: str) -> None:
    await in_rows(change)(card, tel=number)
    await fan_out()


async def holds(his: Client, bob: User) -> None:
    """He has Alice for a contact, and all there is of her card."""
    his.send_presence(pto=ALICE, ptype="subscribe")
    await his.hears("presence", ALICE, "subscribed")
    await fan_out()
    await stored(lambda: has_all(bob))


async def test_an_update_is_the_whole_card_and_is_acknowledged_by_a_receipt(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        await change_tel(alice_card, "+43 1 999")
        told = await his.hears("message", ALICE, having="+43 1 999")
        card = told.find(CARD)
        assert card is not None
        assert int(card.get("rev", "0")) == alice_card.rev
        assert card.findtext(f"{VCARD}vcard/{VCARD}tel/{VCARD}text") == "+43 1 999"
        assert "+43 664 222" not in ET.tostring(told, encoding="unicode")
        await stored(lambda: has_all(bob))


async def test_a_client_without_receipts_acknowledges_by_answering_a_ping(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob", receipts=False) as his:
        his.send_presence(pto="cards.example.org")
        await holds(his, bob)
        await change_tel(alice_card, "+43 1 999")
        await his.hears("message", ALICE, having="+43 1 999")
        await stored(lambda: has_all(bob))


async def test_whoever_has_blocked_a_card_has_not_got_what_is_new(
    bridge: Bridge,
    prosody: RunningProsody,
    held: Binding,
    alice_card: Card,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The question whether it has arrived is blocked with it."""
    monkeypatch.setattr(boxes, "ASKED_AFTER", 0.1)
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block>"
        await his.asks("", block, "set")
        await change_tel(alice_card, "+43 1 999")
        await is_not_asked(his, bridge, alice_card)
        await his.asks("", block.replace("block ", "unblock ").replace("/block", "/unblock"), "set")
    async with signed_in(prosody, "bob") as his:
        await his.hears("message", ALICE, having="+43 1 999")
        await stored(lambda: has_all(bob))


async def is_not_asked(his: Client, bridge: Bridge, card: Card) -> None:
    """Whether they have the newest of it, though it is time to."""
    box = bridge.boxes.by_jid["bob@example.org"]
    await until(lambda: box.unacknowledged and not box.is_watching)
    await until(lambda: bridge.posted.running and bridge.posted.running.done())
    await his.is_heard()
    question = id_of(str(card.pk), card.rev, LETTER)
    assert question not in [each.get("id") for each in his.stanzas("iq", type="get")]


async def test_whoever_wants_no_messages_has_not_got_what_their_server_keeps(
    bridge: Bridge,
    prosody: RunningProsody,
    held: Binding,
    alice_card: Card,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boxes, "ASKED_AFTER", 0.1)
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        his.send_presence(ppriority=-1)
        await his.is_heard()
        await change_tel(alice_card, "+43 1 999")
        await is_not_asked(his, bridge, alice_card)
        his.send_presence(ppriority=0)
        await his.hears("message", ALICE, having="+43 1 999")
        await stored(lambda: has_all(bob))


async def test_an_app_has_not_what_the_client_that_it_is_as_well_has(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    """It answers the ping for its bare JID at once, and the frame only when that is on disk."""
    async with signed_in(prosody, "bob", receipts=False) as his:
        frames: list[object] = []
        for kind in ("binding", "card"):  # an IQ that nobody takes is answered with an error
            path = MatchXPath(f"{{jabber:client}}iq/{{urn:cardsite:cards:1}}{kind}")
            his.register_handler(Callback(kind, path, frames.append))
        his.send_presence(pto="cards.example.org")
        await holds(his, bob)
        hello = "<hello xmlns='urn:cardsite:cards:1' platform='android' identifier='12345678'/>"
        await his.asks("cards.example.org", hello, "set")
        await change_tel(alice_card, "+43 1 999")
        await stored(lambda: has_all(bob))
        await until(lambda: frames)
        rows = OfflineMessage.objects.filter(device__user=bob, device__platform="android")
        assert await rows.pending().aexists()


async def test_who_was_away_gets_the_newest_and_nothing_older_after_it(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
    for number in ("+43 1 1", "+43 1 2", "+43 1 3"):
        await change_tel(alice_card, number)
        await asyncio.to_thread(bridge_has_looked, bridge)
    assert not await in_rows(has_all)(bob)
    async with signed_in(prosody, "bob") as his:
        await his.hears("message", ALICE, having="+43 1 3")
        await stored(lambda: has_all(bob))
        cards = [each.find(CARD) for each in his.stanzas("message", ALICE)]
        revs = [int(each.get("rev", "0")) for each in cards if each is not None]
        assert revs == sorted(revs)
        assert len(revs) <= 2  # what his server kept, and the newest


def bridge_has_looked(bridge: Bridge) -> None:
    """Twice, so that what was there when this was asked has been seen."""
    import time

    before = bridge.looks
    while bridge.looks < before + 2:
        time.sleep(0.01)  # as in `until`


async def test_what_no_circle_of_the_holder_sees_is_no_news(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        before = len(his.stanzas("message", ALICE))
        await in_rows(change)(alice_card, note="still hidden")
        await fan_out()
        await asyncio.to_thread(bridge_has_looked, bridge)
        await his.is_heard()
        assert len(his.stanzas("message", ALICE)) == before


async def test_a_removal_beats_what_comes_late(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
    await change_tel(alice_card, "+43 1 999")
    await in_rows(exchange.revoke)(held)
    await fan_out()
    async with signed_in(prosody, "bob") as his:
        await his.hears("message", ALICE, having="removed")
        await stored(lambda: has_all(bob))
        last = his.stanzas("message", ALICE)[-1]
        assert last.find("{urn:cardsite:cards:1}removed") is not None


async def test_a_jid_that_was_signed_out_hears_nothing_more(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        device = await Device.objects.aget(user=bob, platform="xmpp")
        await his.is_heard()  # what was said before may still be taken for the device's
        await in_rows(devices.revoke)(device)
        await his.hears("presence", "cards.example.org", "unavailable")
        before = len(his.heard)
        await change_tel(alice_card, "+43 1 999")
        await asyncio.to_thread(bridge_has_looked, bridge)
        await his.is_heard()
        assert not [each for each in his.stanzas("message", ALICE) if "999" in text_of(each)]
        assert len(his.heard) == before + 1  # the answer to `is_heard`


def text_of(stanza: ET.Element) -> str:
    return ET.tostring(stanza, encoding="unicode")


async def test_who_wants_events_gets_them_and_others_do_not(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob", show=False) as his:
        his.part("xep_0030").add_feature("urn:xmpp:vcard4+notify")
        await his.part("xep_0115").update_caps()
        his.send_presence()
        await holds(his, bob)
        his.send_presence(pto=ALICE)
        await his.hears("iq", "cards.example.org", "get", having="disco#info")
        await his.is_heard()
        await change_tel(alice_card, "+43 1 999")
        event = await his.hears("message", ALICE, "headline", having="+43 1 999")
        item = event.find(".//{http://jabber.org/protocol/pubsub#event}item")
        assert item is not None
        assert item[0].tag == f"{VCARD}vcard"
        assert item.get("id") == str(alice_card.rev)


async def test_it_is_said_in_the_language_of_whoever_reads_it(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    await User.objects.filter(pk=bob.pk).aupdate(language="zh-hans")
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        await change_tel(alice_card, "+43 1 999")
        told = await his.hears("message", ALICE, having="+43 1 999")
        assert "名片" in told.findtext(BODY, "")


async def test_a_card_that_no_server_would_carry_is_told_of(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        await change_tel(alice_card, "+43" + "9" * LONGEST)
        await his.hears("message", ALICE, having="too long")
        assert (await his.refusal(ALICE)) == "resource-constraint"


async def test_a_bridge_that_starts_again_tells_what_was_missed_and_nothing_twice(
    prosody: RunningProsody,
    held: Binding,
    alice_card: Card,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with signed_in(prosody, "bob") as his:
        async with a_bridge(monkeypatch):
            await holds(his, bob)
        await change_tel(alice_card, "+43 1 1")
        await change_tel(alice_card, "+43 1 2")
        async with a_bridge(monkeypatch):
            his.send_presence(pto=ALICE, ptype="probe")
            await his.hears("message", ALICE, having="+43 1 2")
            await stored(lambda: has_all(bob))
        assert not [each for each in his.stanzas("message", ALICE) if "+43 1 1<" in text_of(each)]


async def test_whoever_signs_in_while_no_bridge_is_there_has_all_when_it_comes(
    prosody: RunningProsody, held: Binding, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with signed_in(prosody, "bob") as his:
        await in_rows(addresses.signed_in)(bob)  # as his server says
        async with a_bridge(monkeypatch):
            await his.hears("message", ALICE, having="+43 1 111")
            await stored(lambda: has_all(bob))


async def test_whoever_signs_in_anew_before_it_is_seen_that_they_were_signed_out_is_a_device(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        before = bridge.boxes.by_jid["bob@example.org"]

        def again() -> None:
            devices.revoke(Device.objects.active().get(user=bob, platform="xmpp"))
            addresses.signed_in(bob)

        await in_rows(again)()
        his.send_presence()
        await until(lambda: bridge.boxes.by_jid.get("bob@example.org") not in (None, before))
        await change_tel(alice_card, "+43 1 999")
        await his.hears("message", ALICE, having="+43 1 999")
        await stored(lambda: has_all(bob))


async def test_a_session_that_comes_and_goes_is_not_there(
    bridge: Bridge, prosody: RunningProsody, held: Binding, bob: User
) -> None:
    """Also where it has gone before it was known whose it is."""
    await in_rows(addresses.signed_in)(bob)
    sender, to = "bob@example.org/phone", "cards.example.org"
    bridge.hear(stanzas.presence(sender, to))
    bridge.hear(stanzas.presence(sender, to, type="unavailable"))
    await until(lambda: bridge.lanes.is_free("bob@example.org"))
    assert not bridge.boxes.by_jid["bob@example.org"].sessions


async def test_a_prosody_that_dies_is_come_back_to(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        prosody.kill()
        await change_tel(alice_card, "+43 1 1")
        await change_tel(alice_card, "+43 1 2")
    prosody.start()
    async with signed_in(prosody, "bob") as his:
        await his.hears("message", ALICE, having="+43 1 2")
        await stored(lambda: has_all(bob))
        assert not [each for each in his.stanzas("message", ALICE) if "+43 1 1<" in text_of(each)]


async def test_a_prosody_that_dies_while_it_does_not_read_makes_nobody_wait_for_ever(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
    link = bridge.link
    assert link and prosody.process
    freeze(prosody.process.pid)
    while link.emptied.is_set():
        link.write(" " * 1_000_000)
        await asyncio.sleep(0)
    assert (wire := link.transport)
    full = wire.get_write_buffer_size()
    await change_tel(alice_card, "+43 1 999")
    await until(lambda: wire.get_write_buffer_size() > full)
    prosody.kill()
    await until(lambda: bridge.link is not link)
    prosody.start()
    async with signed_in(prosody, "bob") as his:
        await his.hears("message", ALICE, having="+43 1 999")
        await stored(lambda: has_all(bob))


async def test_a_new_photo_is_told_by_presence_and_nothing_else_is(
    bridge: Bridge, prosody: RunningProsody, held: Binding, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "bob") as his:
        await holds(his, bob)
        before = len(his.stanzas("presence", ALICE, ""))
        await change_tel(alice_card, "+43 1 999")
        await his.hears("message", ALICE, having="+43 1 999")
        assert len(his.stanzas("presence", ALICE, "")) == before
        await in_rows(give_photo)(alice_card, "*")
        await fan_out()
        avatar = await in_rows(jpeg_of)(alice_card.photo)
        assert avatar
        await his.hears("presence", ALICE, "", having=avatar.hash)
