"""A Prosody for the tests of this room, and a bridge in the test's own process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

import pytest

from delivery import fanout
from delivery.batch import in_thread
from tests.prosody import RunningProsody, running_prosody
from xmpp import bridge as bridge_module
from xmpp.bridge import Bridge

PATIENCE = 60.0  # seconds; nothing takes them but a machine that others use too
PEOPLE = ("alice", "bob", "charlie")
Found = TypeVar("Found")


@pytest.fixture
def prosody(tmp_path: Path, settings: Any) -> Iterator[RunningProsody]:
    """One for each test, as it keeps what people have for contacts."""
    with running_prosody(tmp_path / "prosody", PEOPLE) as running:
        use(running, settings)
        yield running


def use(prosody: RunningProsody, settings: Any) -> None:
    for name, value in prosody.environment().items():
        setattr(settings, name, value)


def parsed(text: str) -> Any:
    return ET.fromstring(text)


@asynccontextmanager
async def a_bridge(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bridge]:
    """Connected. The worker is called by hand (`fan_out`)."""
    for name in ("LOOK_EVERY", "WISHES_EVERY", "GRACE"):
        monkeypatch.setattr(bridge_module, name, 0.1)
    bridge = Bridge()
    running = asyncio.create_task(bridge.run())
    try:
        await until(lambda: bridge.is_connected)
        yield bridge
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def bridge(
    prosody: RunningProsody, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> AsyncIterator[Bridge]:
    async with a_bridge(monkeypatch) as connected:
        yield connected


async def fan_out() -> None:
    await in_thread(fanout.run_all)


async def stored(holds: Callable[[], Any]) -> None:
    """Until the rows say so."""
    async with asyncio.timeout(PATIENCE):
        while not await in_thread(holds):  # noqa: ASYNC110  (another process or thread writes)
            await asyncio.sleep(0.01)


async def until(holds: Callable[[], Found], seconds: float = PATIENCE) -> Found:
    """What the condition says when it holds."""
    async with asyncio.timeout(seconds):
        while not (found := holds()):  # noqa: ASYNC110  (as above)
            await asyncio.sleep(0.01)
    return found
