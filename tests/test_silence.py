"""A day in which nothing is said: the clock of the server's own processes is moved on by 25 hours,
so that whatever expires in a pool, a timer or a schedule does. Sockets must stay able to receive.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from clients.phone import Phone
from tests.servers import Server, faked_clock, running_server
from tests.test_end_to_end import PASSWORD

DAY = 25 * 60 * 60  # seconds


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    return clock


@pytest.fixture
def server(tmp_path: Path, clock: Path) -> Iterator[Server]:
    environment: dict[str, Any] = {**faked_clock(clock)}
    with running_server(tmp_path, **environment) as server:
        yield server


def connected(server: Server, phone: Phone, subprotocol: str) -> connect:
    return connect(
        f"{server.url.replace('http', 'ws', 1)}/ws/v1/",
        subprotocols=[Subprotocol(subprotocol)],
        additional_headers={"Authorization": f"Bearer {phone.folder.state.token}"},
    )


async def hears(socket: ClientConnection, what: str) -> None:
    """Fails if the socket is closed before."""
    async with asyncio.timeout(30):
        while what not in str(await socket.recv()):
            pass


async def test_after_a_day_of_silence_every_socket_receives(
    server: Server, clock: Path, tmp_path: Path
) -> None:
    async with Phone(server.url, tmp_path / "a") as alice, Phone(server.url, tmp_path / "b") as bob:
        for phone, who in ((alice, "Alice"), (bob, "Bob")):
            await phone.sign_up(f"{who}@example.org", PASSWORD, who)
        hers, his = [
            await phone.call("POST", "cards", json={"fn": fn, "properties": []})
            for phone, fn in ((alice, "Alice"), (bob, "Bob"))
        ]
        invitation = await alice.create_invitation(hers["id"], [])
        await bob.accept(invitation["code"], his["id"], [])
        async with (
            connected(server, alice, "cards.v1.xml") as in_xml,
            connected(server, bob, "cards.v1.json") as in_json,
        ):
            await hears(in_xml, "Bob")
            await hears(in_json, "Alice")
            await asyncio.to_thread(clock.write_text, f"+{DAY}")
            await asyncio.sleep(2)  # in which all that has expired is noticed
            for phone, card, fn in ((alice, hers, "Alice Later"), (bob, his, "Bob Later")):
                (now,) = [each for each in await phone.cards() if each["id"] == card["id"]]
                await phone.edit(card["id"], now["rev"], {"fn": fn})
            await hears(in_xml, "Bob Later")
            await hears(in_json, "Alice Later")
            (device,) = (await bob.call("GET", "devices"))["results"]
            assert datetime.fromisoformat(device["last_seen_at"]) > datetime.now(UTC) + timedelta(
                days=1
            )
