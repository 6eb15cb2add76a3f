"""The production engine: two web processes, a Celery worker, PostgreSQL and Redis, all real."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clients.phone import Phone
from tests.servers import Server, free_port, running_production, running_redis, running_server
from tests.test_end_to_end import PASSWORD, online, shows, until


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    """PostgreSQL, Redis and a broker: those that the tests run beside, or some for this module."""
    if os.environ.get("CELERY_BROKER_URL"):
        yield
        return
    with running_production() as servers, pytest.MonkeyPatch.context() as patch:
        for name, value in servers.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def broker_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def broker(broker_port: int) -> Iterator[ExitStack]:
    """A broker of its own, which the test may stop and start."""
    with ExitStack() as stack:
        stack.enter_context(running_redis(broker_port))
        yield stack


@pytest.fixture(scope="module")
def webs(
    environment: None, broker: ExitStack, broker_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    """Two web processes on one database, and a worker beside the first."""
    shared: dict[str, Any] = {
        "SECRET_KEY": "the-same-for-all-processes-of-one-product-as-it-must-be",
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{broker_port}/0",
    }
    first_folder, second_folder = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    with running_server(first_folder, **shared) as first:
        shared["DATABASE_URL"] = first.environment["DATABASE_URL"]
        second = Server(second_folder, WORKER="0", **shared)
        second.start()
        yield [first, second]
        second.stop()


@pytest.fixture
async def people(webs: list[Server], tmp_path: Path) -> AsyncIterator[tuple[Phone, Phone]]:
    """Alice at one web process, and Bob, who holds her card and listens, at the other."""
    name = tmp_path.name.replace("_", "")
    async with (
        Phone(webs[0].url, tmp_path / "alice") as alice,
        Phone(webs[1].url, tmp_path / "bob") as bob,
    ):
        for phone, who in ((alice, "Alice"), (bob, "Bob")):
            await phone.sign_up(f"{who}-{name}@example.org", PASSWORD, who)
        hers, his = [
            await phone.call("POST", "cards", json={"fn": fn, "properties": []})
            for phone, fn in ((alice, "Alice"), (bob, "Bob"))
        ]
        invitation = await alice.create_invitation(hers["id"], [])
        await bob.accept(invitation["code"], his["id"], [])
        async with online(bob):
            await until(bob, "Alice")
            yield alice, bob


async def rename(alice: Phone, fn: str) -> float:
    """Change the name on her card; seconds that it took."""
    (card,) = await alice.cards()
    start = time.perf_counter()
    await alice.edit(card["id"], card["rev"], {"fn": fn})
    return time.perf_counter() - start


async def test_a_change_at_one_web_process_comes_to_a_socket_of_the_other(
    people: tuple[Phone, Phone],
) -> None:
    alice, bob = people
    await rename(alice, "Alice Elsewhere")
    await until(bob, "Alice Elsewhere")


async def test_while_no_worker_is_there_changes_wait(
    people: tuple[Phone, Phone], webs: list[Server]
) -> None:
    alice, bob = people
    webs[0].stop("worker")
    await rename(alice, "Alice Late")
    await asyncio.sleep(1)
    assert not shows(bob, "Alice Late")
    webs[0].start_worker()
    await until(bob, "Alice Late")


async def test_while_the_broker_is_away_saving_does_not_wait_and_nothing_is_lost(
    people: tuple[Phone, Phone], broker: ExitStack, broker_port: int
) -> None:
    alice, bob = people
    await asyncio.to_thread(broker.close)
    assert await rename(alice, "Alice Lonely") < 5
    assert await rename(alice, "Alice Alone") < 5
    await asyncio.to_thread(broker.enter_context, running_redis(broker_port))
    await until(bob, "Alice Alone")
