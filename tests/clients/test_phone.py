"""The reference device's own rules, against a server that speaks just enough of docs/wire.md.

Whether the real server keeps its side is tested elsewhere, with the same device.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import stat
import sys
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from clients.phone import (
    Phone,
    PhoneError,
    Refused,
    Replaced,
    SignedOut,
    differences,
    folded,
    frame_from_xml,
    unfolded,
    vcard,
    wait_before,
)

Json = dict[str, Any]
ALICE = "11111111-1111-4111-8111-111111111111"
OTHER_ALICE = "22222222-2222-4222-8222-222222222222"
BINDING = "33333333-3333-4333-8333-333333333333"
OTHER_BINDING = "44444444-4444-4444-8444-444444444444"
PHONE_SCRIPT = Path(__file__).parents[2] / "clients" / "phone.py"


def tel(value: str) -> Json:
    return {"name": "tel", "value": value, "params": {"type": ["work"]}}


def card(
    rev: int, number: str = "+43 1 111", fn: str = "Alice Example", card_id: str = ALICE
) -> Json:
    view = {"fn": fn, "properties": [tel(number)], "photo": None}
    return {"kind": "card", "card": card_id, "rev": rev, "view": view}


def removed(rev: int) -> Json:
    return {"kind": "removed", "card": ALICE, "rev": rev}


class Server:
    """Keeps what the device has yet to acknowledge, and everything that the device said."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.epoch = "first"
        self.token = "token-1"
        self.username = "bob"
        self.pending: dict[tuple[str, int], Json] = {}
        self.acks: list[list[tuple[str, int]]] = []
        self.calls: list[tuple[str, str, Json]] = []
        self.sockets: list[Callable[[Json], Any]] = []
        self.page = 100
        self._heard = asyncio.Condition()

    def hold(self, *messages: Json) -> None:
        """Keep messages for the next sync or connection."""
        for message in messages:
            binding = message.get("binding", {})
            by_binding = message["kind"] == "private" or binding.get("side") == "owner"
            id_ = binding["id"] if by_binding else message["card"]
            self.pending[id_, message["rev"]] = message

    async def push(self, *messages: Json) -> None:
        """Send messages to a connected device, in this order."""
        self.hold(*messages)
        for message in messages:
            await self.send(json.dumps({**message, "type": message["kind"]}))

    async def send(self, text: str) -> None:
        await self.until(lambda: self.sockets)
        await self.sockets[-1]({"type": "websocket.send", "text": text})

    async def close(self, code: int) -> None:
        await self.until(lambda: self.sockets)
        await self.sockets.pop()({"type": "websocket.close", "code": code})

    async def until(self, predicate: Callable[[], Any]) -> None:
        async with asyncio.timeout(10), self._heard:
            await self._heard.wait_for(predicate)

    async def acknowledged(self, *expected: tuple[str, int]) -> None:
        await self.until(lambda: set(expected) <= {it for acks in self.acks for it in acks})

    async def _hear(self, acks: list[tuple[str, int]]) -> None:
        self.acks.append(acks)
        for it in acks:
            self.pending.pop(it, None)
        async with self._heard:
            self._heard.notify_all()

    async def __call__(self, scope: Json, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._talk(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Json, receive: Any, send: Any) -> None:
        content = b""
        while (part := await receive()).get("more_body") or part.get("body"):
            content += part["body"]
            if not part.get("more_body"):
                break
        is_json = dict(scope["headers"]).get(b"content-type") == b"application/json"
        path = scope["path"].removeprefix("/api/v1/")
        said = json.loads(content) if is_json else {"content": content.decode()}
        self.calls.append((scope["method"], path, said))
        status, answer = await self._reply(scope, path, said)
        kind = b"application/json" if status < 400 else b"application/problem+json"
        headers = [(b"content-type", kind)] if answer else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = json.dumps(answer).encode() if answer else b""
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, scope: Json, path: str, said: Json) -> tuple[int, Json]:
        headers = dict(scope["headers"])
        if path in ("session", "signup") and scope["method"] == "POST":
            if said["password"] != "secret":
                return 401, {"detail": "Wrong email or password."}
            user = {"username": self.username, "name": "Bob"}
            return 201, {"token": self.token, "device": {"id": "device-1"}, "user": user}
        if headers.get(b"authorization") != f"Bearer {self.token}".encode():
            return 401, {"detail": "No such token."}
        if path == "sync":
            page = list(self.pending.values())[: self.page]
            more = len(self.pending) > self.page
            return 200, {"epoch": self.epoch, "messages": page, "more": more}
        if path == "sync/ack":
            await self._hear([(id_, rev) for id_, rev in said["acks"]])
            return 200, {"pending": len(self.pending)}
        if path == "cards" and b"cursor" not in scope["query_string"]:
            return 200, {"next": "http://inside/api/v1/cards?cursor=2", "results": [{"id": "a"}]}
        if path == "cards":
            return 200, {"next": None, "results": [{"id": "b"}]}
        if path == "cards/import":
            return 200, {"cards": [{"card": {"id": "a"}, "warnings": []}]}
        if path.startswith("cards/") and headers.get(b"if-match") != b'"7"':
            return 412, {"detail": "The card has changed.", "errors": {"tel": ["is newer"]}}
        return (204, {}) if path in ("sync/reset", "session") else (200, {"echo": said})

    async def _talk(self, scope: Json, receive: Any, send: Any) -> None:
        await receive()
        is_xml = scope["subprotocols"] == ["cards.v1.xml"]
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        if dict(scope["headers"])[b"authorization"] != f"Bearer {self.token}".encode():
            await send({"type": "websocket.close", "code": 4401})
            return
        welcome = json.dumps({"type": "welcome", "pending": 0, "epoch": self.epoch})
        xml_welcome = f'<welcome xmlns="urn:cardsite:cards:1" pending="0" epoch="{self.epoch}"/>'
        await send({"type": "websocket.send", "text": xml_welcome if is_xml else welcome})
        self.sockets.append(send)
        for message in [] if is_xml else list(self.pending.values()):
            text = json.dumps({**message, "type": message["kind"]})
            await send({"type": "websocket.send", "text": text})
        await self._hear([])
        idle = '<idle xmlns="urn:cardsite:cards:1"/>' if is_xml else '{"type": "idle"}'
        while (heard := await receive())["type"] == "websocket.receive":
            await self._hear(read_acks(heard["text"]))
            if not self.pending:
                await send({"type": "websocket.send", "text": idle})
        if send in self.sockets:
            self.sockets.remove(send)
        await self._hear([])


def read_acks(text: str) -> list[tuple[str, int]]:
    if text.startswith("{"):
        return [(id_, rev) for id_, rev in json.loads(text)["acks"]]
    root = ET.fromstring(text)
    assert root.tag == "{urn:cardsite:cards:1}ack"
    items = root.findall("{urn:cardsite:cards:1}item")
    return [(it.attrib["id"], int(it.attrib["rev"])) for it in items]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}")
    config = uvicorn.Config(server, ws="websockets-sansio", lifespan="off", log_level="critical")
    web = uvicorn.Server(config)
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    yield server
    web.should_exit = web.force_exit = True
    await serving


@pytest.fixture
async def phone(server: Server, tmp_path: Path) -> AsyncIterator[Phone]:
    async with Phone(server.address, tmp_path / "bob") as phone:
        await phone.sign_in("bob@example.org", "secret")
        yield phone


@asynccontextmanager
async def listening(phone: Phone) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(phone.listen())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


def files(phone: Phone) -> list[str]:
    return sorted(path.name for path in phone.folder.path.glob("*.vcf"))


def said_by(phone: Phone) -> list[str]:
    lines: list[str] = []
    phone.on_change = lambda _, words: lines.extend(words)
    return lines


async def sync(server: Server, phone: Phone, *messages: Json) -> None:
    server.hold(*messages)
    await phone.sync()


# What is applied, and what is not.


async def test_an_older_frame_after_a_newer_one_changes_nothing(
    server: Server, phone: Phone
) -> None:
    async with listening(phone):
        await server.push(card(5, "+43 1 555"))
        await server.push(card(4, "+43 1 444"))
        await server.acknowledged((ALICE, 5), (ALICE, 4))
    assert "TEL;TYPE=work:+43 1 555" in phone.folder.lines(ALICE)


async def test_a_removal_beats_an_older_update_that_comes_later(
    server: Server, phone: Phone
) -> None:
    async with listening(phone):
        await server.push(card(3))
        await server.push(removed(5), card(4))
        await server.acknowledged((ALICE, 5), (ALICE, 4))
    assert files(phone) == []


async def test_a_tombstone_survives_a_restart(server: Server, phone: Phone) -> None:
    await sync(server, phone, card(3), removed(5))
    async with Phone(server.address, phone.folder.path) as restarted:
        await sync(server, restarted, card(4))
        assert files(restarted) == []
        await sync(server, restarted, card(6))
        assert len(files(restarted)) == 1


async def test_a_duplicate_is_acknowledged_and_says_nothing(server: Server, phone: Phone) -> None:
    await sync(server, phone, card(3))
    words = said_by(phone)
    await sync(server, phone, card(3))
    assert words == []
    assert server.acks == [[(ALICE, 3)], [(ALICE, 3)]]


async def test_another_epoch_forgets_the_revs_and_keeps_the_cards(
    server: Server, phone: Phone
) -> None:
    await sync(server, phone, card(9), card(9, card_id=OTHER_ALICE))
    server.epoch = "restored"
    await sync(server, phone, card(2, "+43 1 222"))
    async with Phone(server.address, phone.folder.path) as restarted:
        assert "TEL;TYPE=work:+43 1 222" in restarted.folder.lines(ALICE)
        assert "TEL;TYPE=work:+43 1 111" in restarted.folder.lines(OTHER_ALICE)


async def test_another_epoch_forgets_tombstones_also_on_the_socket(
    server: Server, phone: Phone
) -> None:
    await sync(server, phone, card(8), removed(9))
    server.epoch = "restored"
    server.hold(card(2))
    async with listening(phone):
        await server.acknowledged((ALICE, 2))
    assert len(files(phone)) == 1


async def test_who_holds_my_card_is_kept_under_the_binding(server: Server, phone: Phone) -> None:
    words = said_by(phone)
    binding = {
        "id": BINDING,
        "side": "owner",
        "state": "active",
        "holder": {"name": "Carol\x1b[2J"},
    }
    message = {"kind": "binding", "card": ALICE, "rev": 4, "binding": binding}
    await sync(server, phone, message)
    await sync(server, phone, {**message, "rev": 5, "binding": {**binding, "state": "ended"}})
    assert words == ["Carol [2J holds a card of yours", "Carol [2J no longer holds a card of yours"]
    assert server.acks == [[(BINDING, 4)], [(BINDING, 5)]]


async def test_notes_on_a_binding_stay_when_the_card_changes(server: Server, phone: Phone) -> None:
    binding = {"id": BINDING, "side": "holder", "state": "active", "nickname": "Al"}
    await sync(server, phone, {**card(1), "kind": "binding", "binding": binding}, card(2))
    assert phone.folder.state.entries[ALICE].binding == binding


# Whether a change is to be taken over.


def asked(rev: int, approved_rev: int | None, private_rev: int = 1, *numbers: Json) -> Json:
    """The card of somebody who has taken it over up to a rev, or is not asked."""
    binding: Json = {"id": BINDING, "side": "holder", "state": "active", "nickname": "Al"}
    binding |= {"approved_rev": approved_rev, "private_rev": private_rev}
    view = {"fn": "Alice Example", "properties": [*numbers] or [tel("+43 1 111")], "photo": None}
    return {"kind": "binding", "card": ALICE, "rev": rev, "view": view, "binding": binding}


def private(approved_rev: int | None, private_rev: int) -> Json:
    binding = asked(1, approved_rev, private_rev)["binding"]
    return {"kind": "private", "card": ALICE, "rev": private_rev, "binding": binding}


def numbers_of(phone: Phone) -> list[str]:
    return [line for line in phone.folder.lines(ALICE) if line.startswith("TEL")]


async def test_a_change_waits_until_it_is_taken_over(server: Server, phone: Phone) -> None:
    words = said_by(phone)
    await sync(server, phone, asked(1, 1), card(2, "+43 1 222"))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 111"]
    assert server.acks[-1] == [(ALICE, 1), (ALICE, 2)]
    await sync(server, phone, private(2, 2))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 222"]
    assert server.acks[-1] == [(BINDING, 2)]
    assert words[1:] == [
        "Alice Example: tel work +43 1 111 -> +43 1 222, when you take it over",
        "Alice Example: tel work +43 1 111 -> +43 1 222",
    ]


async def test_what_waits_survives_a_restart(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(1, 1), card(2, "+43 1 222", fn="Alicia"))
    async with Phone(server.address, phone.folder.path) as restarted:
        assert files(restarted) == ["alice-example-111111111111.vcf"]
        assert restarted.folder.waiting()[ALICE][0] == "Alice Example: fn Alice Example -> Alicia"
        await restarted.take_over(ALICE)
        await sync(server, restarted, private(2, 2))
        assert files(restarted) == ["alicia-111111111111.vcf"]
        assert restarted.folder.waiting() == {}
    assert server.calls[-3][1:] == (f"bindings/{BINDING}", {"approved_rev": 2})


async def test_what_the_owner_takes_away_is_not_asked_about(server: Server, phone: Phone) -> None:
    mobile, home, fax = ({**tel(n), "params": {"type": [n]}} for n in ("cell", "home", "fax"))
    await sync(server, phone, asked(1, 1, 1, tel("1"), home, mobile))
    await sync(server, phone, asked(2, 1, 1, tel("2"), {**home, "params": {}}, fax))
    assert numbers_of(phone) == ["TEL;TYPE=work:1", "TEL;TYPE=home:home"]
    await sync(server, phone, asked(3, 1, 1, fax))
    assert numbers_of(phone) == []
    await sync(server, phone, asked(4, 4, 2, tel("1"), tel("2")))
    await sync(server, phone, asked(5, 4, 2, tel("3")))
    assert numbers_of(phone) == ["TEL;TYPE=work:1"]


async def test_a_removal_is_not_asked_about(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(1, 1), card(2, "+43 1 222"), removed(3))
    assert (files(phone), phone.folder.waiting()) == ([], {})
    await sync(server, phone, private(3, 2))
    assert files(phone) == []


async def test_what_was_taken_over_before_it_came_is_applied(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(1, 1), private(2, 2))
    await sync(server, phone, card(2, "+43 1 222"))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 222"]


async def test_a_copy_that_is_new_here_is_taken_as_it_is(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(5, 3))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 111"]


async def test_whoever_wants_no_question_any_more_gets_what_waits(
    server: Server, phone: Phone
) -> None:
    await sync(server, phone, asked(1, 1), card(2, "+43 1 222"), private(None, 2))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 222"]


async def test_an_older_answer_does_not_undo_a_newer_one(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(1, 1), private(2, 3))
    await sync(server, phone, {**private(1, 2)})
    await sync(server, phone, asked(2, 1, 2, tel("+43 1 222")))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 222"]
    assert phone.folder.state.entries[ALICE].binding["private_rev"] == 3


async def test_a_change_that_only_reorders_is_nothing_to_ask(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(1, 1, 1, tel("1"), tel("2")))
    await sync(server, phone, asked(2, 1, 1, tel("2"), tel("1")))
    assert phone.folder.waiting() == {}


async def test_after_a_restore_what_is_private_counts_anew(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(8, 8, 5))
    server.epoch = "restored"
    await sync(server, phone, asked(3, 2, 1, tel("+43 1 222")))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 111"]
    assert phone.folder.state.entries[ALICE].binding["approved_rev"] == 2


async def test_what_is_private_may_come_before_the_card(server: Server, phone: Phone) -> None:
    await sync(server, phone, private(1, 1))
    async with Phone(server.address, phone.folder.path) as restarted:
        await sync(server, restarted, asked(1, 1, 0))
        binding = restarted.folder.state.entries[ALICE].binding
        assert (binding["approved_rev"], binding["private_rev"]) == (1, 1)
    assert server.acks == [[(BINDING, 1)], [(ALICE, 1)]]


async def test_what_is_private_may_come_before_a_view_without_a_binding(
    server: Server, phone: Phone
) -> None:
    await sync(server, phone, private(1, 1), card(1))
    await sync(server, phone, card(2, "+43 1 222"))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 111"]


async def test_what_is_private_leaves_a_tombstone_its_rev(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(1, 1), removed(3), private(1, 2))
    await sync(server, phone, asked(2, 1, 2))
    assert (files(phone), phone.folder.state.entries[ALICE].rev) == ([], 3)


def given_anew(message: Json) -> Json:
    return {**message, "binding": {**message["binding"], "id": OTHER_BINDING}}


@pytest.mark.parametrize("state", ["active", "ended"])
async def test_what_was_private_of_the_binding_before_changes_nothing(
    server: Server, phone: Phone, state: str
) -> None:
    await sync(server, phone, asked(1, 1), removed(2), given_anew(asked(3, 3)))
    await sync(server, phone, card(4, "+43 1 222"))
    late = private(None, 5)
    await sync(server, phone, {**late, "binding": {**late["binding"], "state": state}})
    assert server.acks[-1] == [(BINDING, 5)]
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 111"]
    await phone.take_over(ALICE)
    assert server.calls[-1][1:] == (f"bindings/{OTHER_BINDING}", {"approved_rev": 4})


async def test_the_end_of_a_binding_is_not_private(server: Server, phone: Phone) -> None:
    ended = {"id": BINDING, "side": "holder", "state": "ended"}
    await sync(server, phone, asked(1, 1), {**private(1, 2), "binding": ended})
    assert phone.folder.state.entries[ALICE].binding["state"] == "active"


@pytest.mark.parametrize("early", [[], [given_anew(private(4, 1))]])
async def test_a_card_that_is_given_anew_is_taken_as_it_is(
    server: Server, phone: Phone, early: list[Json]
) -> None:
    words = said_by(phone)
    await sync(server, phone, asked(1, 1), card(2, "+43 1 222"))
    await sync(server, phone, *early, given_anew(asked(5, 4, 0, tel("+43 1 555"))))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 555"]
    assert phone.folder.waiting() == {}
    assert words[-1] == "Alice Example: new card (rev 5)"
    await sync(server, phone, card(6, "+43 1 666"))
    assert numbers_of(phone) == ["TEL;TYPE=work:+43 1 555"]


async def test_what_is_kept_beside_a_card_that_has_ended_is_acknowledged(
    server: Server, phone: Phone
) -> None:
    ended = {"id": BINDING, "side": "holder", "state": "ended"}
    await sync(server, phone, {"kind": "private", "card": ALICE, "rev": 4, "binding": ended})
    assert server.acks == [[(BINDING, 4)]]


def test_an_answer_is_read_from_xml() -> None:
    frame = frame_from_xml(
        f'<private xmlns="urn:cardsite:cards:1" card="{ALICE}" rev="2" id="{BINDING}"'
        ' side="holder" state="active" nickname="Al" note="" private_rev="2">'
        '<owner username="alice" name="Alice"/></private>'
    )
    assert frame["rev"] == frame["binding"]["private_rev"] == 2
    assert frame["binding"]["approved_rev"] is None
    ended = f'<private card="{ALICE}" rev="3" id="{BINDING}" side="holder" state="ended"/>'
    assert frame_from_xml(ended)["binding"] == {"id": BINDING, "side": "holder", "state": "ended"}


async def test_kinds_of_a_later_day_are_left_alone(server: Server, phone: Phone) -> None:
    await sync(server, phone, {"kind": "party", "card": ALICE, "rev": 1}, card(2))
    assert server.acks == [[(ALICE, 2)]]


async def test_a_sync_asks_again_while_there_is_more(server: Server, phone: Phone) -> None:
    server.page = 2
    many = [card(1, card_id=f"00000000-0000-4000-8000-00000000000{n}") for n in range(5)]
    await sync(server, phone, *many)
    assert len(files(phone)) == 5
    assert [len(acks) for acks in server.acks] == [2, 2, 1]


async def test_frames_that_come_together_are_acknowledged_together(
    server: Server, phone: Phone
) -> None:
    server.hold(*(card(1, card_id=f"00000000-0000-4000-8000-0000000000{n}") for n in range(10, 60)))
    async with listening(phone):
        await server.until(lambda: not server.pending)
    assert 0 < len([acks for acks in server.acks if acks]) < 25


# Disk before acknowledgement, and kills.


@pytest.mark.parametrize("in_the_way", [".phone.tmp", ".phone.json"])
async def test_what_could_not_be_written_is_not_acknowledged(
    server: Server, phone: Phone, in_the_way: str
) -> None:
    obstacle = phone.folder.path / in_the_way
    async with listening(phone) as task:
        await phone.wait_until(lambda: phone.connected)
        obstacle.unlink(missing_ok=True)
        obstacle.mkdir()
        await server.push(card(3))
        with pytest.raises(IsADirectoryError):
            await task
    await server.until(lambda: not server.sockets)
    assert [acks for acks in server.acks if acks] == []


async def test_a_kill_between_card_and_state_is_mended(server: Server, phone: Phone) -> None:
    await sync(server, phone, card(3))
    state = phone.folder.path / ".phone.json"
    before = state.read_bytes()
    await sync(server, phone, card(4, fn="Alicia Example"))
    state.write_bytes(before)
    (phone.folder.path / "alice-example-111111111111.vcf").write_bytes(b"old")
    async with Phone(server.address, phone.folder.path) as restarted:
        assert files(restarted) == ["alice-example-111111111111.vcf"]
        await sync(server, restarted, card(5, fn="Alina Example"))
        assert files(restarted) == ["alina-example-111111111111.vcf"]


async def test_a_kill_between_removal_and_state_is_mended(server: Server, phone: Phone) -> None:
    await sync(server, phone, card(3))
    (phone.folder.path / files(phone)[0]).unlink()
    async with Phone(server.address, phone.folder.path) as restarted:
        await sync(server, restarted, removed(4))
        assert files(restarted) == []
    assert server.acks[-1] == [(ALICE, 4)]


async def test_the_state_is_for_this_user_alone(phone: Phone) -> None:
    assert stat.S_IMODE((phone.folder.path / ".phone.json").stat().st_mode) == 0o600


# Files.


@pytest.mark.parametrize(
    "fn",
    ["../../etc/x", "/etc/x", "\x00\x1b]0;x\x07\r\n", "x" * 300, "山" * 300, "", "\ud800", "..."],
)
async def test_a_hostile_fn_stays_in_the_folder(server: Server, phone: Phone, fn: str) -> None:
    await sync(server, phone, card(1, fn=fn))
    (name,) = files(phone)
    assert re.fullmatch(r"[\w-]+\.vcf", name)
    assert {path.name for path in phone.folder.path.parent.rglob("*") if path.is_file()} == {
        ".phone.json",
        name,
    }
    assert len(phone.folder.lines(ALICE)) == 6


async def test_an_id_that_is_no_uuid_writes_nothing(server: Server, phone: Phone) -> None:
    with pytest.raises(ValueError, match="UUID"):
        await sync(server, phone, card(1, card_id="../../x"))
    assert [path.name for path in phone.folder.path.iterdir()] == [".phone.json"]


async def test_two_of_the_same_name_do_not_clash(server: Server, phone: Phone) -> None:
    await sync(server, phone, card(1), card(1, card_id=OTHER_ALICE))
    assert files(phone) == ["alice-example-111111111111.vcf", "alice-example-222222222222.vcf"]


async def test_a_file_is_renamed_with_its_card(server: Server, phone: Phone) -> None:
    words = said_by(phone)
    await sync(server, phone, card(1))
    await sync(server, phone, card(2, fn="Alice Müller"))
    assert files(phone) == ["alice-müller-111111111111.vcf"]
    assert words[-1] == "Alice Example: fn Alice Example -> Alice Müller"


async def test_files_of_others_in_the_folder_stay(server: Server, phone: Phone) -> None:
    (phone.folder.path / "mine.vcf").write_text("mine")
    (phone.folder.path / "left-over-aaaaaaaaaaaa.vcf").write_text("after a kill")
    async with Phone(server.address, phone.folder.path) as restarted:
        assert files(restarted) == ["mine.vcf"]


def test_a_line_is_folded_at_75_octets_and_not_inside_a_character() -> None:
    for text in ("a" * 75, "a" * 76, "ü" * 200, "a" + "😀" * 100, "NOTE:" + "a b " * 50):
        pieces = folded(text).removesuffix(b"\r\n").split(b"\r\n")
        assert all(len(piece) <= 75 and piece.decode() for piece in pieces)
        assert all(piece.startswith(b" ") for piece in pieces[1:])
        assert unfolded(folded(text)) == [text]


def test_a_vcard_is_escaped_component_by_component() -> None:
    prop = {"params": {}, "name": "note", "value": "a,b;c\\d\r\ne\nEND:VCARD\x07"}
    properties = [
        prop,
        {"name": "n", "value": ["Ex;ample", ["Al,ice", "Ann"]], "params": {}},
        {"name": "categories", "value": ["a,b", "c"], "params": {}},
        {"name": "url", "value": "https://x.example/a,b;c\n", "params": {}},
        {
            "name": "tel",
            "value": "1",
            "params": {"group": ["item1"], "x-a": ['q"^\n', "a;b"], "x-b": []},
        },
        {"name": "gender", "value": ["F", ""], "params": {}},
        {"name": "x-custom", "value": "a;b,c", "params": {}},
        {"name": "x-custom", "value": "a;b,c", "params": {"value": ["text"]}},
        {"name": "evil\r\nFN", "value": "x", "params": {}},
        {"name": "uid", "value": "another", "params": {}},
    ]
    view = {"fn": "Alice\nX", "properties": properties, "photo": "/media/a.webp"}
    assert vcard(ALICE, view, "http://cards.example") == [
        "BEGIN:VCARD",
        "VERSION:4.0",
        f"UID:urn:uuid:{ALICE}",
        r"FN:Alice\nX",
        r"NOTE:a\,b\;c\\d\ne\nEND:VCARD",
        r"N:Ex\;ample;Al\,ice,Ann;;;",
        r"CATEGORIES:a\,b,c",
        "URL:https://x.example/a,b;c",
        'item1.TEL;X-A=q^\'^^^n,"a;b":1',
        "GENDER:F",
        "X-CUSTOM:a;b,c",
        r"X-CUSTOM;VALUE=text:a\;b\,c",
        "PHOTO:http://cards.example/media/a.webp",
        "END:VCARD",
    ]


# The connection.


@pytest.mark.parametrize("code", [1012, 4408])
async def test_it_reconnects_and_drains_after_a_restart(
    server: Server, phone: Phone, code: int
) -> None:
    async with listening(phone):
        await phone.wait_until(lambda: phone.connected)
        await server.close(code)
        server.hold(card(7))
        await server.acknowledged((ALICE, 7))
        await asyncio.wait_for(phone.wait_until(lambda: phone.up_to_date), 10)


async def test_it_keeps_trying_when_there_is_no_server(tmp_path: Path) -> None:
    told: list[str] = []
    nowhere = Phone("http://127.0.0.1:9", tmp_path, on_status=told.append)
    async with nowhere as phone, listening(phone):
        await asyncio.wait_for(phone.wait_until(lambda: len(told) == 2), 10)
    assert all(words.startswith("not connected") for words in told)


async def test_it_stops_when_it_is_signed_out(server: Server, phone: Phone) -> None:
    async with listening(phone) as task:
        await server.close(4401)
        with pytest.raises(SignedOut, match="sign in again"):
            await asyncio.wait_for(task, 10)
    assert json.loads((phone.folder.path / ".phone.json").read_text())["token"] == ""


async def test_it_stops_when_a_newer_connection_takes_over(server: Server, phone: Phone) -> None:
    async with listening(phone) as task:
        await server.close(4409)
        with pytest.raises(Replaced):
            await asyncio.wait_for(task, 10)


async def test_a_frame_that_cannot_be_read_is_an_error_in_words(
    server: Server, phone: Phone
) -> None:
    async with listening(phone) as task:
        await server.send("{")
        with pytest.raises(PhoneError, match="cannot be read"):
            await asyncio.wait_for(task, 10)


async def test_what_the_server_could_not_read_is_told(server: Server, phone: Phone) -> None:
    told: list[str] = []
    phone.on_status = told.append
    async with listening(phone):
        await server.send(json.dumps({"type": "error", "detail": "No\x1b such frame."}))
        await asyncio.wait_for(phone.wait_until(lambda: "No such frame." in told), 10)


def test_waits_grow_with_jitter_up_to_half_a_minute() -> None:
    late = [wait_before(1000, 1006) for _ in range(300)]
    assert 20 < max(late) <= 30
    assert min(late) < 10
    assert max(wait_before(0, 1006) for _ in range(300)) <= 1
    assert max(wait_before(1000, 1012) for _ in range(300)) <= 0.5


# XML.

XML_BINDING = f"""<binding xmlns="urn:cardsite:cards:1" card="{ALICE}" rev="7" id="{BINDING}"
 side="holder" state="active" nickname="Al" note="" approved_rev="7" private_rev="2">
<owner username="alice" name="Alice"/>
<tag>vienna</tag><vcard xmlns="urn:ietf:params:xml:ns:vcard-4.0">
<fn><text>Alice &lt;X&gt;</text></fn>
<n><surname>X</surname><given>Alice</given><given>Ann</given><additional/><prefix/><suffix/></n>
<tel><parameters><type><text>work</text><text>voice</text></type></parameters>
<uri>tel:+43-1</uri></tel><group name="item1"><url><uri>https://x.example/</uri></url></group>
<org><text>Acme</text><text>Sales</text></org><bday><date>19800101</date></bday>
<x-custom><unknown>a;b</unknown></x-custom><anniversary><time>1030</time></anniversary>
<x-ablabel><text>Home</text></x-ablabel><tel xmlns="urn:other">not a property</tel>
<photo><uri>/media/a.webp</uri></photo></vcard></binding>"""
JSON_VIEW = {
    "fn": "Alice <X>",
    "photo": "/media/a.webp",
    "properties": [
        {"name": "n", "value": ["X", ["Alice", "Ann"], "", "", ""], "params": {}},
        {
            "name": "tel",
            "value": "tel:+43-1",
            "params": {"type": ["work", "voice"], "value": ["uri"]},
        },
        {"name": "url", "value": "https://x.example/", "params": {"group": ["item1"]}},
        {"name": "org", "value": ["Acme", "Sales"], "params": {}},
        {"name": "bday", "value": "19800101", "params": {}},
        {"name": "x-custom", "value": "a;b", "params": {}},
        {"name": "anniversary", "value": "T1030", "params": {}},
        {"name": "x-ablabel", "value": "Home", "params": {}},
    ],
}
JSON_BINDING = {
    "id": BINDING,
    "side": "holder",
    "state": "active",
    "owner": {"username": "alice", "name": "Alice"},
    "nickname": "Al",
    "note": "",
    "tags": ["vienna"],
    "approved_rev": 7,
    "private_rev": 2,
}


async def test_xml_ends_in_the_same_file_as_json(
    server: Server, phone: Phone, tmp_path: Path
) -> None:
    message = {"kind": "binding", "card": ALICE, "rev": 7, "binding": JSON_BINDING}
    await sync(server, phone, {**message, "view": JSON_VIEW})
    server.acks.clear()
    async with Phone(server.address, tmp_path / "xml", xml=True) as other:
        await other.sign_in("bob@example.org", "secret")
        async with listening(other):
            await server.send(XML_BINDING)
            await server.acknowledged((ALICE, 7))
        assert files(other) == files(phone)
        assert other.folder.lines(ALICE) == phone.folder.lines(ALICE)
        assert other.folder.state.entries == phone.folder.state.entries


async def test_a_removal_in_xml_deletes_the_file(server: Server, phone: Phone) -> None:
    await sync(server, phone, card(1))
    async with Phone(server.address, phone.folder.path, xml=True) as restarted:
        async with listening(restarted):
            await server.send(f'<removed xmlns="urn:cardsite:cards:1" card="{ALICE}" rev="2"/>')
            await server.acknowledged((ALICE, 2))
            await asyncio.wait_for(restarted.wait_until(lambda: restarted.up_to_date), 10)
        assert files(restarted) == []


def test_who_holds_my_card_is_read_from_xml() -> None:
    frame = frame_from_xml(
        f'<binding xmlns="urn:cardsite:cards:1" card="{ALICE}" rev="7" id="{BINDING}" side="owner"'
        ' state="active"><holder username="bob" name="Bob"/><circle id="c1"/></binding>'
    )
    holder = {"username": "bob", "name": "Bob"}
    binding = {
        "id": BINDING,
        "side": "owner",
        "state": "active",
        "holder": holder,
        "circles": ["c1"],
    }
    assert frame["binding"] == binding


def test_xml_with_a_declaration_is_refused() -> None:
    with pytest.raises(ValueError, match="declaration"):
        frame_from_xml('<!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>')


# Words.


async def test_it_says_what_changed(server: Server, phone: Phone) -> None:
    words = said_by(phone)
    for message in (card(1), card(2, "+43 1 222"), card(3, "+43 1 222"), removed(4)):
        await sync(server, phone, message)
    assert words == [
        "Alice Example: new card (rev 1)",
        "Alice Example: tel work +43 1 111 -> +43 1 222",
        "Alice Example: now at rev 3",
        "Alice Example: taken back by the owner",
    ]


def test_what_comes_and_goes_is_said_in_words() -> None:
    old = ["TITLE:Boss", "ADR;TYPE=home:;;Main 1;Vienna;;1010;AT", 'TEL;X="a:b";TYPE=a,b:1']
    new = ["item1.NOTE:one\\ntwo\\, three", 'TEL;X="a:b";TYPE=a,b:2', "no colon"]
    assert list(differences(old, new)) == [
        "title Boss gone",
        "adr home Main 1, Vienna, 1010, AT gone",
        "tel a b 1 -> 2",
        "note one two, three added",
        "no colon  added",
    ]


async def test_control_characters_never_reach_the_terminal(server: Server, phone: Phone) -> None:
    words = said_by(phone)
    for number in ("1", "\x1b[31m2\u202e\n\x9b3"):
        await sync(server, phone, card(len(words) + 1, number, fn="A\x1b]0;x\x07\nB"))
    assert words[0] == "A]0;x B: new card (rev 1)"
    assert all(line.isprintable() for line in words)


# Signing in, and the rest of the API.


async def test_it_registers_as_the_device_that_it_is(server: Server, tmp_path: Path) -> None:
    made = {"platform": "ios", "name": "Bob's phone", "identifier": "imei-1", "push_token": "apple"}
    async with Phone(server.address, tmp_path, **made) as phone:  # type: ignore[arg-type]
        await phone.sign_up("bob@example.org", "secret", "Bob")
    _, path, said = server.calls[0]
    assert path == "signup"
    person = {"email": "bob@example.org", "password": "secret", "name": "Bob"}
    assert said == {**person, "device": made}


async def test_a_device_that_keeps_nothing_says_so(server: Server, phone: Phone) -> None:
    assert [path for _, path, _ in server.calls] == ["session", "sync/reset"]
    await sync(server, phone, card(3))
    server.calls.clear()
    await phone.sign_in("bob@example.org", "secret")
    assert [path for _, path, _ in server.calls] == ["session"]


async def test_the_next_person_finds_none_of_the_cards(server: Server, phone: Phone) -> None:
    await sync(server, phone, card(3))
    server.username = "charlie"
    await phone.sign_in("charlie@example.org", "secret")
    assert files(phone) == []
    assert server.calls[-1][1] == "sync/reset"


async def test_a_token_is_not_taken_to_another_server(phone: Phone) -> None:
    with pytest.raises(PhoneError, match="another server"):
        Phone("http://other.example", phone.folder.path)


async def test_a_folder_is_not_taken_over_by_another_device(phone: Phone) -> None:
    with pytest.raises(PhoneError, match="another device"):
        Phone(phone.server, phone.folder.path, identifier="imei-2")


async def test_refusals_come_in_words(server: Server, phone: Phone) -> None:
    with pytest.raises(Refused, match=r"^The card has changed.; tel: is newer$") as refused:
        await phone.edit(ALICE, 6, {"fn": "Alicia"})
    assert refused.value.status == 412
    assert await phone.edit(ALICE, 7, {"fn": "Alicia"}) == {"echo": {"fn": "Alicia"}}
    with pytest.raises(Refused, match="Wrong email"):
        await phone.sign_in("bob@example.org", "wrong")


async def test_a_server_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    async with Phone("http://127.0.0.1:9", tmp_path) as phone:
        with pytest.raises(PhoneError, match="cannot be reached"):
            await phone.sync()


async def test_it_calls_what_an_exchange_needs(
    server: Server, phone: Phone, tmp_path: Path
) -> None:
    (tmp_path / "cards.vcf").write_bytes(b"BEGIN:VCARD")
    assert await phone.cards() == [{"id": "a"}, {"id": "b"}]
    assert (await phone.import_cards(tmp_path / "cards.vcf", ["*", "c1"]))[0]["card"] == {"id": "a"}
    await phone.create_invitation(ALICE, ["*"])
    await phone.preview("a/b")
    await phone.accept("ABC", ALICE, [])
    await phone.sign_out()
    assert [(method, path) for method, path, _ in server.calls[4:]] == [
        ("POST", "cards/import"),
        ("POST", "invitations"),
        ("GET", "invitations/a/b"),
        ("POST", "invitations/ABC/accept"),
        ("DELETE", "session"),
    ]
    assert "BEGIN:VCARD" in server.calls[4][2]["content"]
    assert server.calls[4][2]["content"].count('name="circles"') == 2
    assert phone.folder.state.token == ""


# The terminal.


@asynccontextmanager
async def run(
    server: Server, folder: Path, *more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    script = [str(PHONE_SCRIPT), "--server", server.address, "--folder", str(folder), *more]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *script,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "CARDSITE_PASSWORD": "secret"},
    )
    try:
        async with asyncio.timeout(30):
            yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def heard(process: asyncio.subprocess.Process, words: str) -> None:
    assert process.stdout
    while line := await process.stdout.readline():
        if words in line.decode():
            return
    raise AssertionError(f"{words} was not said")


BOB = ("--email", "bob@example.org")


async def test_a_person_sees_a_change_in_the_terminal(server: Server, tmp_path: Path) -> None:
    server.hold(card(1))
    async with run(server, tmp_path, *BOB) as process:
        await heard(process, "connected")
        await heard(process, "Alice Example: new card (rev 1)")
        await heard(process, "up to date")
        await server.push(card(2, "+43 1 222"))
        await heard(process, "Alice Example: tel work +43 1 111 -> +43 1 222")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_each_line_wakes_an_ios_device_that_keeps_no_socket(
    server: Server, tmp_path: Path
) -> None:
    async with run(server, tmp_path, *BOB, "--platform", "ios") as process:
        await heard(process, "up to date")
        server.hold(card(1))
        assert process.stdin
        process.stdin.write(b"push\n")
        await heard(process, "Alice Example: new card (rev 1)")
        process.stdin.close()
        assert await process.wait() == 0
    assert (server.sockets, server.acks) == ([], [[(ALICE, 1)]])


async def test_approve_takes_over_all_that_waits(server: Server, phone: Phone) -> None:
    await sync(server, phone, asked(1, 1), card(2, "+43 1 222"))
    for options in ([], ["--approve"]):  # nobody answers at a terminal that is none
        async with run(server, phone.folder.path, "--once", *options) as process:
            assert await process.wait() == 0
        answers = [said for _method, path, said in server.calls if path.startswith("bindings/")]
        assert answers == ([{"approved_rev": 2}] if options else [])


async def test_once_syncs_and_ends(server: Server, tmp_path: Path) -> None:
    server.hold(card(1))
    async with run(server, tmp_path, *BOB, "--once", "--sign-up", "--person", "Bob") as process:
        assert await process.wait() == 0
    assert server.calls[0][1] == "signup"
    assert (tmp_path / "alice-example-111111111111.vcf").exists()


@pytest.mark.parametrize("options", [[], ["--once"]])
async def test_a_dead_token_ends_with_code_2(
    server: Server, phone: Phone, options: list[str]
) -> None:
    server.token = "token-2"
    async with run(server, phone.folder.path, *options) as process:
        assert await process.wait() == 2
        assert process.stderr
        assert b"sign in again" in await process.stderr.read()


async def test_without_an_email_it_says_what_is_missing(server: Server, tmp_path: Path) -> None:
    async with run(server, tmp_path) as process:
        assert await process.wait() == 1
        assert process.stderr
        assert b"give --email" in await process.stderr.read()


async def test_a_killed_phone_ends_right_after_a_restart(server: Server, tmp_path: Path) -> None:
    ids = [f"00000000-0000-4000-8000-000000000{n}" for n in range(100, 400)]
    server.hold(*(card(2, card_id=id_) for id_ in ids))
    async with run(server, tmp_path, *BOB) as process:
        await heard(process, "new card")
        process.kill()
        await process.wait()
    assert server.pending
    async with Phone(server.address, tmp_path) as restarted:
        await restarted.sync()
        assert len(files(restarted)) == 300
    assert not server.pending
    shutil.rmtree(tmp_path)
