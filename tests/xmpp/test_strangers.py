"""What people and servers that nobody here knows may do to people here: next to nothing."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.nameserver import asking, naming
from tests.prosody import RunningProsody, running_prosody
from tests.xmpp.hostile import Hostile
from tests.xmpp.raw import Raw

HERE, EVIL, HONEST = "example.org", "evil.example", "honest.example"
MEGABYTE = 1_000_000
FLOOD = 5.0  # seconds
ALLOWED = (8 + FLOOD) * 128_000  # octets in that time
ROSTER = "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='{0}'/></query></iq>"
PING = "<iq type='get' id='{0}' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {}


@pytest.fixture(scope="module")
def prosody(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("prosody")
    with naming(ports) as names:
        people = ["alice", "bob", "carol"]
        with running_prosody(folder, people, more=asking(names)) as running:
            ports[HERE] = running.has.server_port
            yield running


@pytest.fixture
async def evil(ports: dict[str, int]) -> AsyncIterator[Hostile]:
    async with Hostile(EVIL) as server:
        ports[EVIL] = server.port
        yield server


@asynccontextmanager
async def client(prosody: RunningProsody, name: str, *, show: bool = True) -> AsyncIterator[Raw]:
    async with Raw(prosody.has.port) as stream:
        assert "<success" in await stream.sign_in(name, name)
        if show:
            await stream.say("<presence/>")
            await stream.hears("<presence")
        yield stream
        await stream.say("</stream:stream>")
        await stream.end()


def message(sender: str, to: str, text: str = "hello") -> str:
    return f"<message type='chat' from='{sender}' to='{to}'><body>{text}</body></message>"


async def still_answers(prosody: RunningProsody) -> bool:
    async with client(prosody, "bob") as bob:
        await bob.say(PING.format("here"))
        return "result" in await bob.hears("id='here'[^>]*>")


async def test_a_server_that_proves_its_name_is_heard(
    prosody: RunningProsody, evil: Hostile
) -> None:
    stream = await evil.stream(prosody.has.server_port)
    async with client(prosody, "alice") as alice:
        await stream.say(message(f"eve@{EVIL}", f"alice@{HERE}", "good day"))
        assert "good day" in await alice.hears("</body>")


# With somebody who is away


async def test_a_stranger_leaves_no_message(prosody: RunningProsody, evil: Hostile) -> None:
    stream = await evil.stream(prosody.has.server_port)
    async with client(prosody, "alice"):
        pass  # so that she has been here
    await stream.say(message(f"eve@{EVIL}", f"alice@{HERE}", "buy this"))
    told = re.sub(r"from='[^']*'", "", await evil.hears("</message>"))
    await stream.say(message(f"eve@{EVIL}", f"nobody@{HERE}", "buy this"))
    assert "service-unavailable" in told
    assert "service-unavailable" in await evil.hears("</message>"), "as where nobody is"
    async with client(prosody, "alice") as alice:
        await alice.say(PING.format("after"))
        assert "buy this" not in await alice.hears("id='after'[^>]*>")


async def test_somebody_known_does(prosody: RunningProsody, evil: Hostile) -> None:
    stream = await evil.stream(prosody.has.server_port)
    async with client(prosody, "carol") as carol:
        await carol.say(ROSTER.format(f"friend@{EVIL}"))
        await carol.hears("id='r'")
    await stream.say(message(f"friend@{EVIL}", f"carol@{HERE}", "see you"))
    await stream.say(PING.format("p").replace("<iq", f"<iq from='friend@{EVIL}'"))
    await evil.hears("id='p'")
    async with client(prosody, "carol") as carol:
        assert "see you" in await carol.hears("</body>")


async def test_requests_do_not_pile_up(prosody: RunningProsody, evil: Hostile) -> None:
    stream = await evil.stream(prosody.has.server_port)
    for number in range(60):
        await stream.say(f"<presence type='subscribe' from='e{number}@{EVIL}' to='alice@{HERE}'/>")
    await stream.say(PING.format("p").replace("<iq", f"<iq from='eve@{EVIL}'"))
    await evil.hears("id='p'")
    async with client(prosody, "alice") as alice:
        await alice.say(PING.format("after"))
        asked = await alice.hears("id='after'[^>]*>")
    assert asked.count("type='subscribe'") == 50


# Whose words they are


@pytest.mark.parametrize("sender", [f"alice@{HERE}", HERE, f"eve@{HONEST}", f"cards.{HERE}"])
async def test_nobody_speaks_for_others(
    prosody: RunningProsody, evil: Hostile, sender: str
) -> None:
    stream = await evil.stream(prosody.has.server_port)
    async with client(prosody, "bob") as bob:
        await stream.say(message(sender, f"bob@{HERE}", "forged"))
        await stream.end()
        await bob.say(PING.format("after"))
        assert "forged" not in await bob.hears("id='after'[^>]*>")


async def test_nor_do_clients(prosody: RunningProsody) -> None:
    async with client(prosody, "alice") as alice, client(prosody, "bob") as bob:
        await alice.say(message(f"carol@{HERE}", f"bob@{HERE}", "forged"))
        assert f"from='alice@{HERE}/" in await bob.hears("forged")


async def test_a_server_that_proves_nothing_is_not_heard(
    prosody: RunningProsody, evil: Hostile
) -> None:
    stream = await evil.stream(prosody.has.server_port, prove=False)
    async with client(prosody, "bob") as bob:
        await stream.say(message(f"eve@{EVIL}", f"bob@{HERE}", "unproven"))
        await bob.say(PING.format("after"))
        assert "unproven" not in await bob.hears("id='after'[^>]*>")


async def test_nor_one_that_claims_another_name(
    prosody: RunningProsody, evil: Hostile, ports: dict[str, int]
) -> None:
    stream = await evil.stream(prosody.has.server_port, prove=False)
    async with Hostile(HONEST, answer="invalid") as honest:
        ports[HONEST] = honest.port
        assert "type='invalid'" in await evil.prove(stream, HERE, HONEST)


# What nobody can read, and what is too much

BOMB = "<!DOCTYPE b [<!ENTITY a '" + "a" * 1000 + "'><!ENTITY b '" + "&a;" * 1000 + "'>]>"
MALFORMED = [
    "<message><body>",
    "<message></presence>",
    "<message to='a' to='b'/>",
    "<!-- a comment -->",
    "<?php die ?>",
    BOMB,
    "<message>&b;</message>",
    "<message to='alice@example.org'>\x00</message>",
    "<unbound:message/>",
    "<" * 100,
    "<a>" * 10_000,
]


async def of_client(prosody: RunningProsody, evil: Hostile) -> Raw:
    stream = await Raw(prosody.has.port).__aenter__()
    await stream.sign_in("carol", "carol")
    evil.streams.append(stream)
    return stream


async def of_stranger(prosody: RunningProsody, evil: Hostile) -> Raw:
    stream = await Raw(prosody.has.port).__aenter__()
    await stream.open()
    evil.streams.append(stream)
    return stream


async def of_server(prosody: RunningProsody, evil: Hostile) -> Raw:
    return await evil.stream(prosody.has.server_port)


async def of_component(prosody: RunningProsody, evil: Hostile) -> Raw:
    stream = await Raw(prosody.has.component[1], f"cards.{HERE}").__aenter__()
    evil.streams.append(stream)
    await stream.say("<stream:stream xmlns='jabber:component:accept' to='cards.example.org'")
    await stream.say(" xmlns:stream='http://etherx.jabber.org/streams'>")
    return stream


Open = Callable[[RunningProsody, Hostile], Awaitable[Raw]]


@pytest.mark.parametrize("door", [of_client, of_stranger, of_server, of_component])
@pytest.mark.parametrize("said", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_malformed_ends_the_stream_and_nothing_else(
    prosody: RunningProsody, evil: Hostile, door: Open, said: str
) -> None:
    stream = await door(prosody, evil)
    await stream.say(said + "</stream:stream>" + "<" * 10)
    await stream.end()
    assert await still_answers(prosody)


@pytest.mark.parametrize("door", [of_client, of_stranger, of_server])
async def test_ten_megabytes_are_not_taken(
    prosody: RunningProsody, evil: Hostile, door: Open
) -> None:
    stream, before = await door(prosody, evil), memory(prosody)
    sender = f"from='eve@{EVIL}'" if door is of_server else ""
    await stream.say(f"<iq type='set' id='v' to='alice@{HERE}' {sender}><vCard xmlns='vcard-temp'>")
    await stream.say("<PHOTO><BINVAL>")
    for _each in range(10):
        await stream.say("A" * MEGABYTE)
    await stream.end()
    assert await still_answers(prosody)
    assert memory(prosody) - before < 20 * MEGABYTE


def memory(prosody: RunningProsody) -> int:
    """Of the server, in octets."""
    assert prosody.process
    status = Path(f"/proc/{prosody.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


async def test_a_flood_is_slowed_and_people_do_not_notice(
    prosody: RunningProsody, evil: Hostile
) -> None:
    stream = await evil.stream(prosody.has.server_port)
    drop = message(f"eve@{EVIL}", f"nobody@{HERE}", "x" * 1000) * 100

    async def flood() -> None:
        while not stream.is_over:
            await stream.say(drop)

    flooding, end = asyncio.create_task(flood()), time.monotonic() + FLOOD
    async with client(prosody, "bob") as bob:
        while (asked := time.monotonic()) < end:
            await bob.say(PING.format(asked))
            await bob.hears(f"id='{asked}'[^>]*>")
            assert time.monotonic() - asked < 2
    flooding.cancel()
    read = evil.heard.count("</message>") * len(drop) / 100
    assert read < 1.5 * ALLOWED
