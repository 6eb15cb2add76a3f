"""The whole story over nothing but HTTP, WebSocket and APNs, with the reference device.

Claims 1, 2, 3, 6 and 7 of the patent: exchange through the server, binding of both, and a change
that reaches the online device at once, the Android one that was off when it signs in again, and
the iOS one after a prompt from Apple.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clients.phone import Phone
from tests.apple import TOPIC, Apple, signing_key
from tests.servers import Server, running_server

FILES = Path(__file__).parent / "cards" / "vcf"
PASSWORD = "correct-horse-battery"
PUSH_TOKEN = "a1" * 32
PATIENCE = 30.0  # seconds; no measure of speed, which is the bench's: others may have the machine


@pytest.fixture(scope="module")
def apple() -> Iterator[tuple[Apple, str]]:
    private, public = signing_key()
    with Apple(public_key=public) as apple:
        yield apple, private


@pytest.fixture(scope="module", params=["1", "0"], ids=["ready frames", "the ordinary way"])
def server(
    request: pytest.FixtureRequest, apple: tuple[Apple, str], tmp_path_factory: Any
) -> Iterator[Server]:
    apns, key = apple
    with running_server(
        tmp_path_factory.mktemp("server"),
        READY_FRAMES=request.param,
        PROMPT_GRACE="0.2",
        APNS_HOST=apns.host,
        APNS_PORT=str(apns.port),
        APNS_CA_FILE=apns.ca_file,
        APNS_AUTH_KEY=key,
        APNS_AUTH_KEY_ID=apns.key_id,
        APNS_TEAM_ID=apns.team_id,
        APNS_TOPIC=TOPIC,
    ) as server:
        yield server


@asynccontextmanager
async def online(phone: Phone) -> Any:
    """The phone with its socket open and up to date: what changes from now on comes through it
    alone, as the phone asks for nothing by itself."""
    listening = asyncio.create_task(phone.listen())
    try:
        async with asyncio.timeout(PATIENCE):
            await phone.wait_until(lambda: phone.up_to_date)
        yield phone
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def shows(phone: Phone, text: str) -> bool:
    """Whether a card in the phone's folder has this in it."""
    return any(text in file.read_text() for file in phone.folder.path.glob("*.vcf"))


def waits(phone: Phone, card: str) -> bool:
    return card in phone.folder.waiting()


async def until(phone: Phone, text: str) -> None:
    async with asyncio.timeout(PATIENCE):
        await phone.wait_until(lambda: shows(phone, text))


@pytest.mark.parametrize("xml", [False, True], ids=["json", "xml"])
async def test_two_people_exchange_cards_and_every_copy_follows(
    server: Server, apple: tuple[Apple, str], tmp_path: Path, xml: bool
) -> None:
    apns, _key = apple
    push_token = PUSH_TOKEN if xml else PUSH_TOKEN[::-1]

    def phone(name: str, platform: str, **options: Any) -> Phone:
        return Phone(server.url, tmp_path / name, platform=platform, xml=xml, **options)

    async with AsyncExitStack() as stack:
        alice, laptop, android, iphone = [
            await stack.enter_async_context(each)
            for each in (
                phone("alice", "desktop"),
                phone("bob-laptop", "desktop"),
                phone("bob-android", "android"),
                phone("bob-iphone", "ios", push_token=push_token),
            )
        ]
        alice_address, bob_address = (f"{who}-{xml}@example.org" for who in ("alice", "bob"))
        await alice.sign_up(alice_address, PASSWORD, "Alice")
        await laptop.sign_up(bob_address, PASSWORD, "Bob")
        for device in (android, iphone):
            await device.sign_in(bob_address, PASSWORD)
            await device.sync()
        mine = (await alice.import_cards(FILES / "iphone.vcf", ["*"]))[0]["card"]
        his = (await laptop.import_cards(FILES / "google_30.vcf", ["*"]))[0]["card"]

        await stack.enter_async_context(online(alice))
        await stack.enter_async_context(online(laptop))
        invitation = await alice.create_invitation(mine["id"], [])
        preview = await laptop.preview(invitation["code"])
        assert preview["view"]["fn"] == mine["fn"]
        await laptop.accept(invitation["code"], his["id"], [])
        await until(alice, his["fn"])
        await until(laptop, mine["fn"])
        await asyncio.to_thread(apns.wait_for, push_token)
        await iphone.wake()
        assert shows(iphone, mine["fn"])

        (card,) = await alice.cards()
        card["properties"].append(
            {"name": "tel", "value": "+43 1 5550199", "params": {}, "circles": ["*"]}
        )
        edited = await alice.edit(card["id"], card["rev"], {"properties": card["properties"]})
        await until(laptop, "+43 1 5550199")

        prompt = await asyncio.to_thread(apns.wait_for, push_token)
        assert mine["fn"] not in str(prompt.payload)
        await iphone.sign_in(bob_address, PASSWORD)
        await iphone.wake()
        assert shows(iphone, "+43 1 5550199")

        assert not shows(android, mine["fn"])
        await android.sign_in(bob_address, PASSWORD)
        await android.sync()
        assert shows(android, "+43 1 5550199")

        deliveries = await alice.every(f"cards/{card['id']}/deliveries")
        assert {each["platform"] for each in deliveries} == {"desktop", "android", "ios"}
        assert {each["acknowledged_rev"] for each in deliveries} == {edited["rev"]}


async def test_a_revocation_is_said_at_once_and_nothing_follows(
    server: Server, tmp_path: Path
) -> None:
    async with (
        Phone(server.url, tmp_path / "dora") as dora,
        Phone(server.url, tmp_path / "emil") as emil,
    ):
        await dora.sign_up("dora@example.org", PASSWORD, "Dora")
        await emil.sign_up("emil@example.org", PASSWORD, "Emil")
        cards = [
            await phone.call("POST", "cards", json={"fn": name, "properties": []})
            for phone, name in ((dora, "Dora"), (emil, "Emil"))
        ]
        async with online(dora), online(emil):
            invitation = await dora.create_invitation(cards[0]["id"], [])
            await emil.accept(invitation["code"], cards[1]["id"], [])
            await until(emil, "Dora")
            (given,) = await dora.every("bindings", side="owner")
            await dora.call("DELETE", f"bindings/{given['id']}")
            async with asyncio.timeout(PATIENCE):
                await emil.wait_until(lambda: not list(emil.folder.path.glob("*.vcf")))
            hers, his = (await dora.cards())[0], (await emil.cards())[0]
            await dora.edit(hers["id"], hers["rev"], {"fn": "Dora Later"})
            # His change is fanned out after hers: once it is there, hers has passed him by.
            await emil.edit(his["id"], his["rev"], {"fn": "Emil Later"})
            await until(dora, "Emil Later")
            assert not list(emil.folder.path.glob("*.vcf"))


@pytest.mark.parametrize("xml", [False, True], ids=["json", "xml"])
async def test_who_is_asked_has_the_newest_and_their_address_book_what_they_took_over(
    server: Server, tmp_path: Path, xml: bool
) -> None:
    async with (
        Phone(server.url, tmp_path / "frida") as frida,
        Phone(server.url, tmp_path / "gustav", xml=xml) as gustav,
        Phone(server.url, tmp_path / "tablet", xml=xml) as tablet,
    ):
        await frida.sign_up(f"frida-{xml}@example.org", PASSWORD, "Frida")
        await gustav.sign_up(f"gustav-{xml}@example.org", PASSWORD, "Gustav")
        await tablet.sign_in(f"gustav-{xml}@example.org", PASSWORD)
        tel = {"name": "tel", "value": "+43 1 111", "circles": ["*"]}
        email = {"name": "email", "value": "frida@example.org", "circles": ["*"]}
        hers = await frida.call("POST", "cards", json={"fn": "Frida", "properties": [tel, email]})
        his = await gustav.call("POST", "cards", json={"fn": "Gustav", "properties": []})
        async with online(frida), online(gustav), online(tablet):
            invitation = await frida.create_invitation(hers["id"], [])
            await gustav.accept(invitation["code"], his["id"], [])
            await until(gustav, "+43 1 111")
            await gustav.call("PATCH", "me/asking", json={"asks": True})
            entries = gustav.folder.state.entries
            await gustav.wait_until(lambda: entries[hers["id"]].binding["approved_rev"] is not None)
            hers = (await frida.cards())[0]
            changed = [{**tel, "value": "+43 1 222"}]
            edited = await frida.edit(hers["id"], hers["rev"], {"properties": changed})
            for phone in (gustav, tablet):
                await phone.wait_until(partial(waits, phone, hers["id"]))
                assert shows(phone, "+43 1 111") and not shows(phone, "frida@example.org")
                await phone.sync()  # what it acknowledged is stored
            deliveries = await frida.every(f"cards/{hers['id']}/deliveries")
            assert {each["acknowledged_rev"] for each in deliveries} == {edited["rev"]}
            await gustav.take_over(hers["id"])
            for phone in (gustav, tablet):
                await until(phone, "+43 1 222")
