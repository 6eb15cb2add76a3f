"""Prosody as we set it up, and what its module tells the cards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP, ComponentXMPP
from slixmpp.xmlstream import ET

from tests.prosody import RunningProsody, running_prosody

PATIENCE = 60.0  # seconds
CARDS = "cards.example.org"
PUBLISH = (
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
    "<publish node='{node}'><item id='{id}'>{payload}</item></publish></pubsub>"
)


@asynccontextmanager
async def client(
    prosody: RunningProsody, name: str, password: str = ""
) -> AsyncIterator[tuple[Any, bool]]:
    """Somebody's client, and whether they are in."""
    xmpp, said = ClientXMPP(f"{name}@example.org", password or name), asyncio.Queue[bool]()
    xmpp.enable_starttls = xmpp.enable_direct_tls = False
    xmpp.enable_plaintext = True
    xmpp.plugin["feature_mechanisms"].unencrypted_plain = True
    xmpp.add_event_handler("session_start", lambda _event: said.put_nowait(True))
    xmpp.add_event_handler("failed_all_auth", lambda _event: said.put_nowait(False))
    xmpp.connect("127.0.0.1", prosody.has.port)
    try:
        yield xmpp, await asyncio.wait_for(said.get(), PATIENCE)
    finally:
        await xmpp.disconnect()


class Cards(ComponentXMPP):
    """Where the bridge would be: it answers nothing and keeps what it hears."""

    def __init__(self, prosody: RunningProsody) -> None:
        super().__init__(CARDS, prosody.has.secret, *prosody.has.component)  # type: ignore[no-untyped-call]
        self.heard, self.up = asyncio.Queue[ET.Element](), asyncio.Event()
        self.add_filter("in", self.hear)
        self.add_event_handler("session_start", lambda _event: self.up.set())

    def hear(self, stanza: Any) -> Any:
        if not stanza.xml.tag.endswith("handshake"):
            self.heard.put_nowait(stanza.xml)
        return stanza

    async def hears(self) -> ET.Element:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)


@asynccontextmanager
async def cards(prosody: RunningProsody) -> AsyncIterator[Cards]:
    component = Cards(prosody)
    component.connect()
    await asyncio.wait_for(component.up.wait(), PATIENCE)
    try:
        yield component
    finally:
        await component.disconnect()


def heard_by(xmpp: Any) -> list[str]:
    """What a client hears from now on."""
    heard: list[str] = []

    def keep(stanza: Any) -> Any:
        heard.append(text(stanza.xml))
        return stanza

    xmpp.add_filter("in", keep)
    return heard


def text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


@pytest.fixture(scope="module")
def prosody(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_prosody(tmp_path_factory.mktemp("prosody"), ["alice", "bob"]) as running:
        yield running


async def test_it_takes_people_in(prosody: RunningProsody) -> None:
    async with client(prosody, "alice") as (_xmpp, is_in):
        assert is_in
    async with client(prosody, "alice", "guess") as (_xmpp, is_in):
        assert not is_in


async def test_the_cards_hear_who_comes_and_goes(prosody: RunningProsody) -> None:
    async with cards(prosody) as component:
        async with client(prosody, "alice") as (alice, _is_in):
            alice.send_presence(pstatus="here")
            came = await component.hears()
            assert (came.get("from"), came.get("to")) == (alice.boundjid.full, CARDS)
            assert came.get("type") is None and "here" in text(came)
        went = await component.hears()
        assert (went.get("from"), went.get("type")) == (alice.boundjid.full, "unavailable")


async def test_what_many_acknowledge_is_told_at_once(prosody: RunningProsody) -> None:
    ids = [f"m.{number:032x}.7" for number in range(6)]
    async with cards(prosody) as component, client(prosody, "alice") as (alice, _is_in):
        for id, to in zip(ids, (f"bob@{CARDS}/card", f"bob@{CARDS}", CARDS) * 2, strict=True):
            said = f"<message to='{to}'><received xmlns='urn:xmpp:receipts' id='{id}'/></message>"
            if id in ids[3:]:
                said = f"<iq type='result' id='{id}' to='{to}'/>"
            alice.send_raw(said)
        told = ""
        while told.count(alice.boundjid.full) < len(ids):
            heard = await component.hears()
            assert heard.get("from") == "example.org"
            told += heard.findtext("{urn:cardsite:multicast:1}acks") or ""
        assert all(id in told for id in ids)


async def test_what_is_said_to_one_is_not_told(prosody: RunningProsody) -> None:
    async with cards(prosody) as component, client(prosody, "alice") as (alice, _is_in):
        alice.send_presence(pto="bob@example.org", pstatus="to bob")
        alice.send_presence(pstatus="to all")
        assert "to all" in text(await component.hears())


async def test_who_is_here_is_told_to_the_cards_that_come_back(prosody: RunningProsody) -> None:
    async with client(prosody, "alice") as (alice, _), client(prosody, "bob") as (bob, _):
        for each in (alice, bob):
            each.send_presence()
            await each.get_roster()  # which is answered after it
        async with cards(prosody) as component:
            component.send_presence(pto="example.org", ptype="probe")
            here = {(await component.hears()).get("from") for _each in range(2)}
        assert here == {alice.boundjid.full, bob.boundjid.full}


async def test_or_who_get_to_know_somebody(prosody: RunningProsody) -> None:
    async with client(prosody, "alice") as (alice, _), cards(prosody) as component:
        alice.send_presence(pstatus="come")
        assert "come" in text(await component.hears())
        component.send_presence(pto="nobody@example.org", ptype="probe")
        component.send_presence(pto="alice@example.org", ptype="probe")
        assert "come" in text(await component.hears())


async def test_but_nobody_else_is_told_who_asks(prosody: RunningProsody) -> None:
    async with client(prosody, "alice") as (alice, _), client(prosody, "bob") as (bob, _):
        alice.send_presence()
        await alice.get_roster()
        async with cards(prosody) as component:
            heard = heard_by(bob)
            bob.send_presence(pto="example.org", ptype="probe")
            bob.send_presence(pto="alice@example.org", ptype="probe")
            bob.send_presence(pstatus="the next thing")
            assert "the next thing" in text(await component.hears())
        assert not [each for each in heard if alice.boundjid.full in each]


async def test_they_may_be_away_and_nobody_hears_of_it(prosody: RunningProsody) -> None:
    async with client(prosody, "alice") as (alice, _is_in):
        heard = heard_by(alice)
        alice.send_presence()
        await publish(alice, "urn:xmpp:vcard4", "current", "<vcard xmlns='urn:v'/>")
        assert not [each for each in heard if CARDS in each]


async def publish(xmpp: Any, node: str, id: str, payload: str) -> None:
    iq = xmpp.make_iq_set()
    iq.xml.append(ET.fromstring(PUBLISH.format(node=node, id=id, payload=payload)))
    await iq.send(timeout=PATIENCE)


async def test_the_cards_hear_what_is_published(prosody: RunningProsody) -> None:
    async with cards(prosody) as component, client(prosody, "alice") as (alice, _is_in):
        await publish(alice, "urn:xmpp:vcard4", "current", "<vcard xmlns='urn:v'><fn/></vcard>")
        event = await component.hears()
        assert (event.get("from"), event.get("to")) == ("alice@example.org", CARDS)
        assert 'node="urn:xmpp:vcard4"' in text(event) and "fn" in text(event)
        await publish(alice, "urn:xmpp:avatar:data", "hash", "<data xmlns='urn:d'>aGk=</data>")
        avatar = "urn:xmpp:avatar:metadata"
        await publish(alice, avatar, "hash", f"<metadata xmlns='{avatar}'><info/></metadata>")
        event = await component.hears()
        assert "metadata" in text(event) and "aGk=" in text(event)
        await publish(alice, avatar, "hash", f"<metadata xmlns='{avatar}'/>")
        event = await component.hears()  # it is taken away, so it does not come along
        assert "metadata" in text(event) and "aGk=" not in text(event)


async def test_they_hear_a_vcard_of_the_old_kind_as_well(prosody: RunningProsody) -> None:
    async with cards(prosody) as component, client(prosody, "alice") as (alice, _is_in):
        iq = alice.make_iq_set()
        iq.xml.append(ET.fromstring("<vCard xmlns='vcard-temp'><FN>Alice Changed</FN></vCard>"))
        await iq.send(timeout=PATIENCE)
        assert "Alice Changed" in text(await component.hears())


async def test_a_stranger_does_not_speak_for_the_cards(prosody: RunningProsody) -> None:
    stranger = Cards(prosody)
    stranger.secret = "a-secret-that-is-guessed"
    ended = asyncio.Event()
    stranger.add_event_handler("disconnected", lambda _event: ended.set())
    stranger.connect()
    await asyncio.wait_for(ended.wait(), PATIENCE)
    assert not stranger.up.is_set()


async def test_it_starts_again_with_all_that_it_knew(tmp_path: Path) -> None:
    with running_prosody(tmp_path, ["alice"]) as prosody:
        async with client(prosody, "alice") as (alice, _is_in):
            await alice.update_roster("bob@example.org", name="Bob")
        prosody.kill()
        prosody.start()
        async with client(prosody, "alice") as (alice, _is_in):
            roster = (await alice.get_roster())["roster"]["items"]
        assert [item["name"] for item in roster.values()] == ["Bob"]
