"""One bridge speaks, whatever becomes of it; and each part of it by itself."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from asgiref.sync import sync_to_async as in_rows
from django.db import InterfaceError, OperationalError

from tests.xmpp.house import House, running_house
from tests.xmpp.test_phone import shows, xcard
from xmpp import lanes as lanes_module
from xmpp.jids import Jid, contact
from xmpp.lanes import Lanes
from xmpp.models import Lease
from xmpp.news import FRAME, LETTER, ack_id, ack_in
from xmpp.stanzas import element, message, with_body, written


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_another_bridge_follows_and_nothing_is_lost_or_said_twice(
    how: str, tmp_path: Path
) -> None:
    with running_house(tmp_path) as house:
        await house.until_connected()
        house.start_bridge("second")
        async with (
            house.phone("alice", tmp_path / "a") as alice,
            house.phone("bob", tmp_path / "b") as bob,
        ):
            link = await alice.say("link")
            await bob.say("code " + link.splitlines()[-1].partition(": ")[2])
            await shows(bob, "FN:Alice")
            assert house.connections("second") == 0
            first = house.product.processes["xmpp"]
            if how == "killed":
                house.kill_bridge()
            else:
                os.killpg(first.pid, signal.SIGSTOP)
            await house.until_connected("second")
            await alice.publish(xcard("Alice Again", "+43 1 111"))
            await shows(bob, "Alice Again")
            if how == "frozen":
                os.killpg(first.pid, signal.SIGCONT)
                await until_quiet(house)
                await alice.publish(xcard("Alice Thawed", "+43 1 111"))
                await shows(bob, "Alice Thawed")
                assert house.connections() == 1


async def until_quiet(house: House) -> None:
    from tests.xmpp.conftest import until

    gone = "The bridge is not connected any more."
    await until(lambda: gone in house.product.log("xmpp"), 20)


async def test_a_bridge_that_ends_in_an_orderly_way_is_followed_at_once(tmp_path: Path) -> None:
    with running_house(tmp_path) as house:
        await house.until_connected()
        house.stop_bridge()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        house.start_bridge()
        await house.until_connected(times=2)
        assert loop.time() - begun < Lease.DURATION.total_seconds()


@pytest.mark.django_db(transaction=True)
async def test_the_lease_is_one_bridges_until_it_gives_it_back() -> None:
    take, give_back = in_rows(Lease.take), in_rows(Lease.give_back)
    assert await take("one")
    assert await take("one")
    assert not await take("other")
    await give_back("other")
    assert not await take("other")
    await give_back("one")
    assert await take("other")
    assert not await take("one")


# Parts


async def test_lanes_keep_the_order_and_refuse_a_flood() -> None:
    heard: list[tuple[str, int]] = []
    go = asyncio.Event()

    async def job(*item: Any) -> None:
        await go.wait()
        if item == ("bob", 0):
            raise ValueError("what is wrong with one must not stop the others")
        heard.append(item)

    lanes = Lanes(abreast=2, depth=3, lanes=2)
    room = [lanes.add("bob", partial(job, "bob", n)) for n in range(5)]
    assert room == [True] * 3 + [False] * 2
    assert lanes.add("alice", partial(job, "alice", 0))
    assert not lanes.add("charlie", partial(job, "charlie", 0))
    go.set()
    await asyncio.gather(*lanes.tasks)
    assert [each for each in heard if each[0] == "bob"] == [("bob", 1), ("bob", 2)]
    assert ("alice", 0) in heard
    assert lanes.is_free("bob"), "nothing is kept of those who have spoken"


async def test_what_is_said_while_the_database_is_away_is_heard_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes_module, "AGAIN_AFTER", [0.001] * 3)
    heard: list[int] = []
    away = [OperationalError("gone"), InterfaceError("closed")]

    async def job(number: int) -> None:
        if away:
            raise away.pop()
        heard.append(number)

    async def never() -> None:
        heard.append(0)
        raise OperationalError("not for this one")

    lanes = Lanes()
    for each in (partial(job, 1), never, partial(job, 2)):
        lanes.add("bob", each)
    await asyncio.gather(*lanes.tasks)
    assert heard == [1, 0, 0, 0, 0, 2], "in order, and no one stops the others"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("bob@example.org/phone", Jid("bob", "example.org", "phone")),
        ("BOB@Example.ORG/Phone/2", Jid("bob", "example.org", "Phone/2")),
        ("example.org", Jid("", "example.org")),
        ("", None),
        (None, None),
        ("b" * 600 + "@example.org", None),
    ],
)
def test_jids_are_read(text: str | None, read: Jid | None) -> None:
    assert Jid.read(text) == read


def test_a_contact_has_its_owners_username(settings: object) -> None:
    jid = Jid.read(contact("guest:ab12"))
    assert jid
    assert (jid.local, jid.owner) == ("guest\\3aab12", "guest:ab12")
    invited = Jid.read("alice?abcd-efgh@cards.example.org")
    assert invited
    assert (invited.owner, invited.code) == ("alice", "abcd-efgh")


def test_nothing_that_xml_forbids_is_sent() -> None:
    """It would end the stream for everybody."""
    said = message("a", "b", with_body("one\x00two\x0b\ufffe\ud800<&>"), element("urn:x", "odd"))
    assert written(said) == (
        '<message from="a" to="b"><body>onetwo&lt;&amp;&gt;</body><odd xmlns="urn:x"/></message>'
    )


@pytest.mark.parametrize(
    "id",
    ["", "c.", "c.0.1", "c." + "0" * 32 + ".x", "c." + "0" * 32 + "." + "9" * 19, "d.1234", "ping"],
)
def test_an_id_that_acknowledges_nothing(id: str) -> None:
    assert ack_in(id) is None


@pytest.mark.parametrize("kind", [FRAME, LETTER])
def test_an_id_is_what_is_acknowledged(kind: str) -> None:
    card = "0b9a2f0e-0000-4000-8000-000000000000"
    assert ack_in(ack_id({"kind": "card", "card": card, "rev": 7}, kind)) == (card, 7)


def test_elements_are_stanzas_of_the_components_stream() -> None:
    assert isinstance(message("a", "b"), Element)
    assert message("a", "b").tag == "{jabber:component:accept}message"
