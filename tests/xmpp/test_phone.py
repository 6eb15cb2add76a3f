"""The patent's story over nothing but XMPP: two reference devices, every part in a process of its
own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.jabber import JabberPhone
from tests.xmpp.house import PATIENCE, House, running_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(tmp_path_factory.mktemp("house")) as running:
        yield running


def xcard(fn: str, tel: str) -> str:
    return (
        f"<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>{fn}</text></fn>"
        f"<tel><text>{tel}</text></tel></vcard>"
    )


def files(phone: JabberPhone) -> str:
    return "".join(path.read_text() for path in sorted(phone.folder.path.glob("*.vcf")))


async def shows(phone: JabberPhone, text: str) -> None:
    await asyncio.wait_for(phone.wait_until(lambda: text in files(phone)), PATIENCE)


async def gone(phone: JabberPhone, text: str) -> None:
    await asyncio.wait_for(phone.wait_until(lambda: text not in files(phone)), PATIENCE)


async def test_two_people_exchange_cards_and_every_copy_follows(
    house: House, tmp_path: Path
) -> None:
    await house.until_connected()
    hers, his = tmp_path / "alice", tmp_path / "bob"
    async with house.phone("alice", hers) as alice:
        await alice.publish(xcard("Alice Example", "+43 1 111"))
        async with house.phone("bob", his) as bob:
            # Claim 1 A: he asks, she accepts; 1 B and 2: both devices are told of the binding.
            bob.ask("alice", "We met")
            await asyncio.wait_for(alice.wait_until(lambda: "bob" in alice.requests), PATIENCE)
            alice.accept("bob")
            await shows(bob, "Alice Example")
            await shows(alice, "FN:Bob")
            # Claims 1 C and 3: she changes her card, his copy follows. What is new is hidden until
            # she gives it to somebody, so it is her name.
            await alice.publish(xcard("Alice Married", "+43 1 111"))
            await shows(bob, "Alice Married")
        # Away: kept, and sent again after the next login.
        await alice.publish(xcard("Alice Away", "+43 1 111"))
        async with house.phone("bob", his) as bob:
            await shows(bob, "Alice Away")
            await asyncio.wait_for(bob.wait_until(lambda: bob.up_to_date), PATIENCE)
            bob.leave("alice")
            await asyncio.wait_for(bob.wait_until(lambda: not files(bob)), PATIENCE)
    # A device of its own, by its identifier: what it has acknowledged it is not told again.
    async with house.phone("bob", his) as bob:
        await asyncio.wait_for(bob.wait_until(lambda: bob.up_to_date), PATIENCE)
        assert not files(bob)


async def test_an_invitation_is_a_code_that_is_said(house: House, tmp_path: Path) -> None:
    await house.until_connected()
    async with house.phone("alice", tmp_path / "a") as alice:
        link = await alice.say("link")
        code = link.splitlines()[-1].partition(": ")[2]
        async with house.phone("charlie", tmp_path / "c") as charlie:
            charlie.ask("alice", code)
            await shows(charlie, "FN:Alice")


async def test_two_devices_of_one_person_each_get_all(house: House, tmp_path: Path) -> None:
    await house.until_connected()
    async with (
        house.phone("alice", tmp_path / "a") as alice,
        house.phone("bob", tmp_path / "b1") as one,
        house.phone("bob", tmp_path / "b2", platform="desktop") as two,
    ):
        link = await alice.say("link")
        await one.say("code " + link.splitlines()[-1].partition(": ")[2])
        await shows(one, "FN:Alice")
        await shows(two, "FN:Alice")
        one.leave("alice")
        for phone in (one, two):
            await gone(phone, "FN:Alice")
        await two.sign_out()
