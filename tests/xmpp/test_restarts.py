"""Prosody, the bridge, the web process, and the database are killed at each step of a story:
nothing is lost, nothing leaks, nothing goes back, and who was taken back from is silent."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from clients.jabber import JabberPhone
from clients.phone import Message, PhoneError
from tests.servers import PostgreSQL
from tests.xmpp.conftest import until
from tests.xmpp.house import House, running_house
from tests.xmpp.test_phone import files

PATIENCE = 60.0  # seconds
PROLOGUE = """
from bindings import exchange
from bindings.models import Binding
from cards.models import Card
from delivery.models import OfflineMessage
"""
HERS = "Card.objects.get(owner__username='alice')"


@pytest.fixture
def database(monkeypatch: Any) -> Iterator[PostgreSQL]:
    with TemporaryDirectory() as folder:
        running = PostgreSQL(Path(folder), "fsync=off")
        running.start()
        monkeypatch.setenv("DATABASE_URL", running.address)
        yield running
        running.stop()


class Story:
    """Alice's phone and Bob's, and what may be killed."""

    def __init__(self, house: House, database: PostgreSQL) -> None:
        self.house, self.database = house, database

    def kill(self, victim: str) -> None:
        kills: dict[str, Callable[[], None]] = {
            "prosody": self.house.prosody.kill,
            "bridge": self.house.kill_bridge,
            "web": lambda: self.house.product.kill("web"),
            "database": self.database.kill,
        }
        kills[victim]()

    def start(self, victim: str) -> None:
        starts: dict[str, Callable[[], None]] = {
            "prosody": self.house.prosody.start,
            "bridge": self.house.start_bridge,
            "web": self.house.product.start,
            "database": self.database.start,
        }
        starts[victim]()

    async def restart(self, victim: str) -> None:
        await asyncio.to_thread(self.kill, victim)
        await asyncio.to_thread(self.start, victim)

    async def shell(self, program: str) -> str:
        """What a program of the product prints."""
        manage = self.house.product.manage
        return await asyncio.to_thread(manage, "shell", "-v0", "-c", f"{PROLOGUE}{program}")

    async def rename(self, name: str) -> None:
        await self.shell(f"c = {HERS}; c.fn = {name!r}; c.save()")

    async def pending(self) -> str:
        """For the phones. Their addresses are devices as well, of clients that nobody has here."""
        waiting = "OfflineMessage.objects.pending().filter(device__platform='android')"
        return (await self.shell(f"print({waiting}.count())")).split()[-1]

    async def until_nothing_is_pending(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.pending() != "0":
                pass  # which has taken its time already


async def again(does: Callable[[], Awaitable[Any]]) -> Any:
    """What it gives, as soon as everybody is there for it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await does()
            except (PhoneError, TimeoutError):
                await asyncio.sleep(0.1)


def seen_names(phone: JabberPhone) -> list[str]:
    return [line for line in files(phone).splitlines() if line.startswith("FN:")]


async def shows(phone: JabberPhone, name: str) -> None:
    await until(lambda: f"FN:{name}" in seen_names(phone), PATIENCE)


async def bound(alice: JabberPhone, bob: JabberPhone) -> bool:
    link = await alice.say("link")
    await bob.say("code " + link.splitlines()[-1].partition(": ")[2])
    return True


@pytest.mark.parametrize("victim", ["prosody", "bridge", "web", "database"])
async def test_whoever_dies_at_whatever_step_the_story_goes_on(
    victim: str, tmp_path: Path, database: PostgreSQL
) -> None:
    with running_house(tmp_path) as house:
        story, applied = Story(house, database), defaultdict[str, list[int]](list)

        def note(message: Message, _words: list[str]) -> None:
            applied[message.id].append(message.rev)

        await house.until_connected()
        hers, his = tmp_path / "alice", tmp_path / "bob"
        async with house.phone("alice", hers) as alice:
            async with house.phone("bob", his, on_change=note) as bob:
                # before they know each other
                await story.restart(victim)
                await again(lambda: bound(alice, bob))
                # when they have just met
                await story.restart(victim)
                await shows(bob, "Alice")
                # on the way of a change
                await story.rename("Alice First")
                await story.restart(victim)
                await shows(bob, "Alice First")
            # while he is away
            await story.rename("Alice Second")
            await story.restart(victim)
            async with house.phone("bob", his, on_change=note) as bob:
                await shows(bob, "Alice Second")
                # when it is taken back
                await story.shell(f"exchange.revoke(Binding.objects.active().get(card={HERS}))")
                await story.restart(victim)
                await until(lambda: not seen_names(bob), PATIENCE)
                await story.rename("Alice Third")
                await story.restart(victim)
                await story.until_nothing_is_pending()
                assert not seen_names(bob), "revoked means silent"
        assert all(revs == sorted(revs) for revs in applied.values()), "nothing goes back"
