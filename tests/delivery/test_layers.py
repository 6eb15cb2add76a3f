"""The layer between processes, on a real Redis that goes and comes back; and what heals a hint that
was lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from redis import RedisError

from accounts.models import User
from bindings.models import Binding
from delivery import fanout, live, mailbox
from delivery.layers import MISSED, LocalLayer, RedisLayer
from tests.conftest import RecordingLayer, catch_up, change, make_device
from tests.delivery.test_socket import OURS, all_stored, browser, opened
from tests.servers import free_port, running_redis

Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with running_redis() as address:
        yield address


@asynccontextmanager
async def listening(address: str, **heard: Events) -> AsyncIterator[RedisLayer]:
    """A layer as another process has it, with a list of events for each of these groups."""
    layer, missed = RedisLayer([address], "test"), asyncio.Event()
    layer.attach([MISSED], lambda event: missed.set())
    for group, events in heard.items():
        layer.attach([group], events.append)
    ear = asyncio.create_task(layer.listen())
    await asyncio.wait_for(missed.wait(), 5)
    try:
        yield layer
    finally:
        ear.cancel()


async def until(true: Callable[[], Any], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  (what is waited for happens in another process)
            await asyncio.sleep(0.01)


async def test_one_publication_reaches_the_sinks_of_its_groups_in_all_processes(redis: str) -> None:
    bob: Events = []
    carol: Events = []
    dave: Events = []
    async with listening(redis, bob=bob, carol=carol), listening(redis, dave=dave) as other:
        await asyncio.to_thread(other.publish, iter(["bob", "dave", "nobody"]), {"text": "1"})
        await other.groups_send(["bob"], {"text": "2"})
        await until(lambda: len(bob) == 2 and dave)
    assert bob == [{"text": "1"}, {"text": "2"}]
    assert (carol, dave) == ([], [{"text": "1"}])


async def test_ordinary_consumers_of_channels_work_on_it(redis: str) -> None:
    layer = RedisLayer([redis], "test")
    channel = await layer.new_channel()
    await layer.group_add("people", channel)
    await layer.group_send("people", {"type": "hello"})
    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "hello"}


async def test_redis_may_go_and_come_back() -> None:
    port = free_port()
    bob: Events = []
    missed: Events = []
    with ExitStack() as stack:
        address = stack.enter_context(running_redis(port))
        async with listening(address, bob=bob, **{MISSED: missed}) as layer:
            await asyncio.to_thread(stack.close)
            start = time.monotonic()
            for _ in range(100):
                await asyncio.to_thread(layer.publish, ["bob"], {"text": "lost"})
            assert time.monotonic() - start < 5
            missed.clear()
            await asyncio.to_thread(stack.enter_context, running_redis(port))
            await until(lambda: missed)
            layer.silent_until = 0
            missed.clear()
            await asyncio.to_thread(layer.publish, ["bob"], {"text": "heard"})
            await until(lambda: bob)
            assert missed  # and so do those whose Redis was never away
    assert bob == [{"text": "heard"}]


async def test_a_redis_that_is_not_there_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    layer = RedisLayer([f"redis://127.0.0.1:{free_port()}"], "test")
    layer.publish(["bob"], {"text": "lost"})
    layer.publish(["bob"], {"text": "lost"})
    assert caplog.text.count("Redis is away") == 1  # the second does not even try


async def test_whoever_did_not_hear_is_told_so_when_nothing_else_is_said(
    redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed: Events = []
    async with listening(redis, **{MISSED: missed}):
        missed.clear()
        layer = RedisLayer([redis], "test")
        with monkeypatch.context() as patch:
            patch.setattr(layer.teller, "publish", failing)
            layer.publish(["bob"], {"text": "lost"})
        await until(lambda: missed)


def failing(*_args: Any) -> None:
    raise RedisError


async def test_what_cannot_be_read_is_passed_over(
    redis: str, caplog: pytest.LogCaptureFixture
) -> None:
    bob: Events = []
    async with listening(redis, bob=bob) as layer:
        for garbage in ("x", "[1]", "[1, 2, 3]", "null", '[["bob"], null]'):
            await asyncio.to_thread(layer.teller.publish, layer.channel, garbage)
        await asyncio.to_thread(layer.publish, ["bob"], {"text": "heard"})
        await until(lambda: {"text": "heard"} in bob)
    assert "could not be read" in caplog.text


# What was lost


@pytest.fixture
def deaf(wire: RecordingLayer) -> LocalLayer:
    """A layer that loses all that is published."""
    return wire


@pytest.fixture
async def kept_up(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(live, "BEHIND_EVERY", 0.1)
    task = asyncio.create_task(live.keep_up())
    yield
    task.cancel()


@pytest.mark.django_db(transaction=True)
async def test_what_an_open_socket_did_not_hear_comes_by_itself(
    deaf: LocalLayer, kept_up: None, held: Binding, bob: User
) -> None:
    await sync_to_async(fanout.run_all)()
    device = await sync_to_async(make_device)(bob)
    async with opened(device.token) as peer:  # type: ignore[attr-defined]
        await peer.frame()
        await peer.acknowledge(await peer.frame())
        await peer.frame()
        await sync_to_async(change)(held.card, tel="+43 1 999")
        await sync_to_async(fanout.run_all)()
        late = await peer.frame()
        assert late["view"]["properties"][0]["value"] == "+43 1 999"
        await peer.acknowledge(late)
        await all_stored(device)
        await asyncio.sleep(0.5)  # more looks, and nothing is owed
        assert await peer.receive_nothing()


@pytest.mark.django_db(transaction=True)
async def test_what_is_missed_is_looked_for_again_when_the_look_fails(
    deaf: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_EVERY", 0.01)
    found = asyncio.Event()
    loop, looks = asyncio.get_running_loop(), iter([ZeroDivisionError, None])

    def debts(devices: list[Any]) -> set[Any]:
        if error := next(looks):
            raise error
        loop.call_soon_threadsafe(found.set)
        return set()

    monkeypatch.setattr(live, "debts", debts)
    task = asyncio.create_task(live.keep_up())
    await asyncio.sleep(0)
    deaf.hand_out([MISSED], {"missed": True})
    await asyncio.wait_for(found.wait(), 5)
    task.cancel()


def test_what_ends_between_two_looks_is_seen(
    deaf: LocalLayer, held: Binding, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either as a row, or as a card that is still to be fanned out."""
    device = make_device(bob)
    fanout.run_all()
    catch_up(device)
    change(held.card, tel="+43 1 999")
    unsettled = mailbox.unsettled

    def late(devices: Any) -> Any:
        fanout.run_all()
        return unsettled(devices)

    monkeypatch.setattr(mailbox, "unsettled", late)
    assert {each for each, _message in live.debts([device.pk])} == {device.pk}


@pytest.mark.django_db(transaction=True)
async def test_pages_come_again_when_something_may_have_been_missed(
    deaf: LocalLayer, bob: User
) -> None:
    cookie = await sync_to_async(browser)(bob)
    async with opened(cookie=f"sessionid={cookie}", **OURS) as page:
        assert await page.receive_nothing()
        deaf.hand_out([MISSED], {"missed": True})
        assert await page.closed_with() == live.RESTARTED
