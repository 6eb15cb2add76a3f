"""The WebSocket: who may open it, what it says, in JSON and in XML, and how it ends."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.test import Client

from accounts import devices
from accounts.models import Device, User
from bindings import exchange
from bindings.models import Binding
from cards.models import Card
from cardsite.asgi import application
from delivery import consumers, fanout, live, mailbox, routing
from delivery.messages import NAMESPACE
from tests.conftest import (
    bind,
    catch_up,
    change,
    heard_live,
    make_card,
    make_device,
    make_person,
    pending,
    prop,
)

pytestmark = pytest.mark.django_db(transaction=True)


class Peer(ApplicationCommunicator):  # type: ignore[misc]
    """The other end of a socket."""

    path = "/ws/v1/"

    def __init__(self, token: str = "", subprotocols: Any = None, **headers: str) -> None:
        given = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if token:
            given.append((b"authorization", f"Bearer {token}".encode()))
        scope = {"type": "websocket", "path": self.path, "query_string": b"", "headers": given}
        super().__init__(application, {**scope, "subprotocols": subprotocols or []})

    async def connect(self) -> tuple[bool, str | None]:
        """Whether it was opened, and the subprotocol."""
        await self.send_input({"type": "websocket.connect"})
        event = await self.receive_output(timeout=5)
        return event["type"] == "websocket.accept", event.get("subprotocol")

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=5)

    async def send_to(self, text: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send_input({"type": "websocket.receive", "text": text, "bytes": bytes_data})

    async def text(self) -> str:
        event = await self.receive_output(timeout=5)
        assert event["type"] == "websocket.send", event
        return str(event["text"])

    async def frame(self) -> dict[str, Any]:
        return dict(json.loads(await self.text()))

    async def element(self) -> ET.Element:
        return ET.fromstring(await self.text())

    async def closed_with(self) -> int:
        event = await self.receive_output(timeout=5)
        assert event["type"] == "websocket.close", event
        return int(event["code"])

    async def acknowledge(self, frame: dict[str, Any]) -> None:
        binding = frame.get("binding") or {}
        by_binding = binding.get("side") == "owner" or frame.get("type") == "private"
        subject = binding["id"] if by_binding else frame["card"]
        await self.send_to(json.dumps({"type": "ack", "acks": [[subject, frame["rev"]]]}))


@asynccontextmanager
async def opened(*args: Any, **kwargs: Any) -> AsyncIterator[Peer]:
    peer = Peer(*args, **kwargs)
    connected, _subprotocol = await peer.connect()
    assert connected
    try:
        yield peer
    finally:
        await peer.disconnect()


async def all_stored(device: Device) -> None:
    """Wait until the device has nothing left to acknowledge."""
    async with asyncio.timeout(5):
        while await sync_to_async(pending)(device):  # noqa: ASYNC110  (it is in the database)
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
async def listening() -> AsyncIterator[None]:
    async with heard_live():
        yield


@pytest.fixture
def phone(held: Binding, bob: User) -> Device:
    fanout.run_all()
    return make_device(bob)


def token(device: Device) -> str:
    return str(device.token)  # type: ignore[attr-defined]


in_thread = sync_to_async


async def test_a_device_is_welcomed_drains_and_is_idle(phone: Device, held: Binding) -> None:
    async with opened(token(phone), ["cards.v1.json"]) as peer:
        welcome, card = await peer.frame(), await peer.frame()
        assert (welcome["type"], welcome["pending"]) == ("welcome", 1)
        assert (card["type"], card["rev"]) == ("binding", held.rev)
        await peer.acknowledge(card)
        assert await peer.frame() == {"type": "idle"}


async def test_the_greeting_comes_first(
    phone: Device, held: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even before what is published while it is being made."""
    arrive = mailbox.arrive

    def slowly(devices: list[Device], limit: int) -> list[mailbox.Arrival]:
        change(held.card, tel="+43 1 999")
        fanout.run_all()
        return arrive(devices, limit)

    monkeypatch.setattr(mailbox, "arrive", slowly)
    async with opened(token(phone)) as peer:
        assert [(await peer.frame())["type"] for _ in range(2)] == ["welcome", "card"]


async def test_no_socket_has_another_address(
    phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Peer, "path", "/ws/v1")
    assert await Peer(token(phone)).connect() == (False, None)


async def test_a_change_comes_to_an_open_socket(phone: Device, held: Binding) -> None:
    async with opened(token(phone)) as peer:
        await peer.frame()
        await peer.acknowledge(await peer.frame())
        await peer.frame()
        await in_thread(change)(held.card, tel="+43 1 999")
        await in_thread(fanout.run_all)()
        frame = await peer.frame()
        assert frame["view"]["properties"][0]["value"] == "+43 1 999"


async def test_a_device_that_comes_between_a_frame_and_its_row_gets_the_change(
    phone: Device, held: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame was too early for it, and the first look at its rows as well."""
    monkeypatch.setattr(consumers, "SETTLING", 0.05)
    await in_thread(catch_up)(phone)
    said, may_write, write_rows = threading.Event(), threading.Event(), fanout.write_rows

    def slowly(told: Any, **how: Any) -> None:
        said.set()
        assert may_write.wait(5)
        write_rows(told, **how)

    monkeypatch.setattr(fanout, "write_rows", slowly)
    await in_thread(change)(held.card, tel="+43 1 999")
    fanned_out = asyncio.create_task(asyncio.to_thread(fanout.run_all))
    assert await asyncio.to_thread(said.wait, 5)
    async with opened(token(phone)) as peer:
        assert (await peer.frame())["pending"] == 0
        assert (await peer.frame())["type"] == "idle"
        may_write.set()
        frame = await peer.frame()
        assert frame["view"]["properties"][0]["value"] == "+43 1 999"
    await fanned_out


async def test_what_is_long_in_coming_is_looked_for_less_and_less(
    phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SETTLING", 0.02)
    looks: list[int] = []

    def never_settled(devices: Iterable[Any]) -> set[Any]:
        looks.append(1)
        return set(devices)

    monkeypatch.setattr(mailbox, "unsettled", never_settled)
    async with opened(token(phone)):
        await asyncio.sleep(0.5)  # six looks, where there would be twenty-five
    assert 1 < len(looks) < 8


async def test_what_is_not_acknowledged_comes_again(phone: Device) -> None:
    for _time in range(2):
        async with opened(token(phone)) as peer:
            assert (await peer.frame())["pending"] == 1
            await peer.frame()


async def test_the_same_in_xml(phone: Device, held: Binding) -> None:
    async with opened(token(phone), ["cards.v1.xml"]) as peer:
        welcome, binding = await peer.element(), await peer.element()
        assert (welcome.tag, welcome.get("pending")) == (f"{{{NAMESPACE}}}welcome", "1")
        texts = [each.text for each in binding.iter() if each.tag.endswith("}text")]
        assert "+43 1 111" in texts and "Alice Example" in texts
        ack = f'<ack xmlns="{NAMESPACE}"><item id="{held.card_id}" rev="{held.rev}"/></ack>'
        await peer.send_to(ack)
        assert (await peer.element()).tag == f"{{{NAMESPACE}}}idle"


async def test_the_token_may_come_as_a_subprotocol(phone: Device) -> None:
    offered = ["cards.v1.json", f"bearer.{token(phone)}"]
    peer = Peer(subprotocols=offered)
    assert await peer.connect() == (True, "cards.v1.json")
    await peer.disconnect()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        '{"type": "ack"}',
        '{"type": "ack", "acks": []}',
        '{"type": "ack", "acks": [["x", 1]]}',
        f'{{"type": "ack", "acks": [["{"-" * 99}{"0" * 32}", 1]]}}',
        '{"type": "ack", "acks": [["00000000-0000-0000-0000-000000000000", -1]]}',
        '{"type": "ack", "acks": [["00000000-0000-0000-0000-000000000000", true]]}',
        '{"type": "ack", "acks": [["00000000-0000-0000-0000-000000000000", 1e400]]}',
        '{"type": "nonsense"}',
    ],
)
async def test_garbage_gets_an_error_and_the_socket_stays(phone: Device, bad: str) -> None:
    async with opened(token(phone)) as peer:
        await peer.frame()
        card = await peer.frame()
        await peer.send_to(bad)
        assert (await peer.frame())["type"] == "error"
        await peer.acknowledge(card)
        assert await peer.frame() == {"type": "idle"}


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><ack>&b;</ack>'


@pytest.mark.parametrize("bad", ["<", "<ack/>", BOMB, f'<ack xmlns="{NAMESPACE}"/>'])
async def test_garbage_in_xml_gets_an_error(phone: Device, bad: str) -> None:
    async with opened(token(phone), ["cards.v1.xml"]) as peer:
        await peer.element()
        await peer.element()
        await peer.send_to(bad)
        assert (await peer.element()).tag == f"{{{NAMESPACE}}}error"


async def test_bytes_are_refused_in_words(phone: Device) -> None:
    async with opened(token(phone)) as peer:
        await peer.frame()
        await peer.frame()
        await peer.send_to(bytes_data=b"\x00")
        assert "not bytes" in (await peer.frame())["detail"]


async def test_an_acknowledgement_of_a_rev_that_never_was_is_not_believed(
    phone: Device, held: Binding
) -> None:
    async with opened(token(phone)) as peer:
        await peer.frame()
        card = await peer.frame()
        await peer.acknowledge({**card, "rev": held.rev + 100})
        await peer.acknowledge(card)
        assert await peer.frame() == {"type": "idle"}
    row = await in_thread(phone.messages.get)()
    assert row.acknowledged_rev == held.rev


async def test_nobody_acknowledges_for_another(phone: Device, charlie: User, held: Binding) -> None:
    stranger = await in_thread(make_device)(charlie)
    async with opened(token(stranger)) as peer:
        await peer.frame()
        await peer.frame()
        await peer.acknowledge({"card": str(held.card_id), "rev": held.rev})
        await peer.send_to("and what was said before it was heard")
        assert (await peer.frame())["type"] == "error"
        assert consumers.heard.running
        await consumers.heard.running
    async with opened(token(phone)) as peer:
        assert (await peer.frame())["pending"] == 1


@pytest.mark.parametrize("bad", ["x", "A" * 10_000])
async def test_an_unknown_token_is_closed_with_4401(db: None, bad: str) -> None:
    async with opened(bad) as peer:
        assert await peer.closed_with() == live.SIGNED_OUT


async def test_a_newer_socket_of_the_device_replaces_the_older(phone: Device) -> None:
    async with opened(token(phone)) as older:
        await older.frame()
        await older.frame()
        async with opened(token(phone)) as newer:
            assert await older.closed_with() == live.REPLACED
            assert (await newer.frame())["type"] == "welcome"


async def test_a_revoked_device_is_closed_and_hears_no_more(phone: Device, held: Binding) -> None:
    watch = asyncio.create_task(live.watch(live.signed_out_groups))
    async with opened(token(phone)) as peer:
        await peer.frame()
        await peer.frame()
        await in_thread(devices.revoke)(phone)
        async with asyncio.timeout(30):
            assert await peer.closed_with() == live.SIGNED_OUT
        await in_thread(change)(held.card, tel="+43 1 999")
        await in_thread(fanout.run_all)()
        assert await peer.receive_nothing(timeout=0.1)
    watch.cancel()


async def test_a_slow_socket_is_dropped_and_never_waited_for(
    phone: Device, held: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "MAX_WAITING", 2000)
    monkeypatch.setattr(consumers, "CLOSING_TIME", 0.05)
    stuck, never = asyncio.Event(), asyncio.Event()
    sent: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)
        if event["type"] == "websocket.send":
            stuck.set()
            await never.wait()  # the peer takes nothing any more

    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "websocket.connect"})
    headers = [(b"authorization", f"Bearer {token(phone)}".encode())]
    scope = {"type": "websocket", "headers": headers, "subprotocols": []}
    socket = asyncio.create_task(routing.websocket(scope, inbox.get, send))
    await stuck.wait()
    for _frame in range(10):
        live.publish([phone.user_id], {"kind": "card", "card": "-", "rev": 1, "filling": "x" * 500})
    async with asyncio.timeout(5):
        await socket
    assert sent[-1] == {"type": "websocket.close", "code": live.TOO_SLOW}
    assert not live.layer().sinks


# Pages


def browser(user: User) -> str:
    client = Client()
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return client.cookies["sessionid"].value


OURS = {"host": "localhost:8000", "origin": "http://localhost:8000"}


async def test_a_page_hears_what_changes(phone: Device, held: Binding, bob: User) -> None:
    cookie = await in_thread(browser)(bob)
    async with opened(cookie=f"sessionid={cookie}", **OURS) as page:
        assert await page.receive_nothing(timeout=0.05)
        await in_thread(change)(held.card, tel="+43 1 999")
        await in_thread(fanout.run_all)()
        assert (await page.frame())["card"] == str(held.card_id)


@pytest.mark.parametrize(
    "origin",
    [
        {"host": "localhost:8000", "origin": "https://evil.example"},
        {"host": "localhost:8000", "origin": "null"},
        {"host": "localhost:8000"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"host": "localhost:8000", "origin": "http://localhost:8000.evil.example"},
    ],
)
async def test_a_foreign_page_cannot_open_it_with_the_holders_cookie(
    phone: Device, bob: User, origin: dict[str, str]
) -> None:
    cookie = await in_thread(browser)(bob)
    peer = Peer(cookie=f"sessionid={cookie}", **origin)
    connected, _code = await peer.connect()
    assert not connected


async def test_a_page_that_is_not_signed_in_is_closed(db: None) -> None:
    async with opened(**OURS) as page:
        assert await page.closed_with() == live.SIGNED_OUT


@pytest.mark.parametrize("field", ["is_active", "password"])
async def test_who_is_shut_out_or_has_another_password_loses_the_open_pages(
    bob: User, field: str
) -> None:
    cookie = await in_thread(browser)(bob)
    watch = asyncio.create_task(live.watch(live.signed_out_groups))
    async with opened(cookie=f"sessionid={cookie}", **OURS) as page:
        assert await page.receive_nothing(timeout=1)
        await in_thread(User.objects.filter(pk=bob.pk).update)(**{field: False})
        assert await page.closed_with() == live.SIGNED_OUT
    watch.cancel()


@pytest.mark.parametrize("count", [1, 30])
async def test_a_device_drains_however_large_its_cards_are(
    phone: Device, held: Binding, bob: User, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(consumers, "MAX_WAITING", 20_000)
    monkeypatch.setattr(consumers, "ROOM", 2_000)

    def give() -> None:
        for number in range(count):
            dora = make_person(f"dora{number}", "Dora")
            bind(make_card(dora, prop("note", "x" * (30_000 // count), "*")), bob)
        fanout.run_all()

    await in_thread(give)()
    async with opened(token(phone)) as peer:
        frames = [await peer.frame() for _ in range(count * 2 + 2)]
    assert [frame["type"] for frame in frames].count("binding") == count * 2 + 1


async def test_a_card_at_its_limit_is_told_in_xml(phone: Device, held: Binding) -> None:
    def fill() -> None:
        card = Card.objects.get(pk=held.card_id)
        card.properties = [prop("note", str(number), "*") for number in range(1000)]
        card.save()
        fanout.run_all()

    async with opened(token(phone), ["cards.v1.xml"]) as peer:
        await peer.element()
        await peer.element()
        await in_thread(fill)()
        assert len(list((await peer.element()).iter())) > 2000


async def test_one_socket_that_fails_does_not_deafen_the_others() -> None:
    def broken(event: dict[str, Any]) -> None:
        raise ZeroDivisionError

    heard: list[dict[str, Any]] = []
    layer = live.layer()
    layer.attach(["a"], broken)
    layer.attach(["b"], heard.append)
    layer.hand_out(["a", "b"], {"text": "-"})
    layer.detach(["a"], broken)
    layer.detach(["b"], heard.append)
    assert heard == [{"text": "-"}]


async def test_a_greeting_that_fails_ends_the_socket(
    phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(mailbox, "read", fail)
    async with opened(token(phone)) as peer:
        assert await peer.closed_with() == consumers.FAILED


async def test_signing_out_closes_the_pages_of_the_session(phone: Device, bob: User) -> None:
    cookie = await in_thread(browser)(bob)
    client = Client()
    client.cookies["sessionid"] = cookie
    async with opened(cookie=f"sessionid={cookie}", **OURS) as page:
        await in_thread(client.logout)()
        assert await page.closed_with() == live.SIGNED_OUT


async def test_a_session_that_ended_elsewhere_is_noticed(phone: Device, bob: User) -> None:
    cookie = await in_thread(browser)(bob)
    watch = asyncio.create_task(live.watch(live.signed_out_groups))
    async with opened(cookie=f"sessionid={cookie}", **OURS) as page:
        client = Client()
        client.cookies["sessionid"] = cookie
        await in_thread(client.session.delete)()
        assert await page.closed_with() == live.SIGNED_OUT
    watch.cancel()


async def test_a_revoked_binding_is_said_while_draining(phone: Device, held: Binding) -> None:
    await in_thread(catch_up)(phone)
    await in_thread(exchange.revoke)(held)
    await in_thread(fanout.run_all)()
    async with opened(token(phone)) as peer:
        await peer.frame()
        frame = await peer.frame()
        card = await in_thread(Card.objects.get)(pk=held.card_id)
        assert frame == {"type": "removed", "card": str(card.pk), "rev": card.rev}
