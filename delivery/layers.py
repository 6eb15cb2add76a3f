"""The channel layers of the live path: Channels' own interface, and one call for many groups.

`publish` hands one ready event to every sink of a list of groups, in all processes, from any
thread. Who gets what is decided by the database at fan-out; a group only says which sockets are a
person's or a device's. Ordinary Channels consumers keep working through the parents' methods.
"""

import asyncio
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis import Redis, RedisError
from redis import asyncio as aioredis
from redis.exceptions import ConnectionError as RedisConnectionError

Event = dict[str, Any]
Sink = Callable[[Event], None]

MISSED = "missed"  # the group of all who must know that something may not have been heard here

SOON = 1.0  # seconds that Redis may take to answer whoever must not wait
PING_EVERY = 5.0  # seconds of silence after which Redis is asked whether it is there

logger = logging.getLogger(__name__)


class Sinks:
    """Who listens in this process, and to which groups."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.sinks: dict[str, set[Sink]] = {}
        self.witness: Sink = lambda event: None  # hears once of whatever is handed out
        self.loop: asyncio.AbstractEventLoop | None = None

    def attach(self, groups: Iterable[str], sink: Sink) -> None:
        """Let the sink get what is published to these groups. Call it in the event loop."""
        self.loop = asyncio.get_running_loop()
        for group in groups:
            self.sinks.setdefault(group, set()).add(sink)

    def detach(self, groups: Iterable[str], sink: Sink) -> None:
        for group in groups:
            members = self.sinks.get(group, set())
            members.discard(sink)
            if not members:
                self.sinks.pop(group, None)

    def hand_out(self, groups: Iterable[str], event: Event) -> None:
        """Hand the event to the sinks of this process. Call it in the event loop."""
        sinks = [sink for each in map(self.sinks.get, groups) if each for sink in each]
        for sink in (self.witness, *sinks):
            try:
                sink(event)
            except Exception:  # what is wrong with one socket must not deafen the others
                logger.exception("A socket could not take what it was told")

    def publish(self, groups: Iterable[str], event: Event) -> None:
        """Hand the event to all sinks of these groups. From any thread; a hint, it may be lost."""
        raise NotImplementedError

    async def groups_send(self, groups: Iterable[str], event: Event) -> None:
        """The same from within an event loop."""
        await asyncio.to_thread(self.publish, groups, event)

    async def listen(self) -> None:
        """Hear what other processes publish, for as long as the server runs."""


class LocalLayer(Sinks, InMemoryChannelLayer):  # type: ignore[misc]
    """Everything within this process."""

    def publish(self, groups: Iterable[str], event: Event) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.hand_out, list(groups), event)

    async def groups_send(self, groups: Iterable[str], event: Event) -> None:
        self.hand_out(groups, event)


class RedisLayer(Sinks, RedisPubSubChannelLayer):  # type: ignore[misc]
    """Many processes: one Redis channel for all, and one PUBLISH for any number of groups. Each
    process looks up by itself which of its sockets are meant."""

    def __init__(self, hosts: list[str], prefix: str, **config: Any) -> None:
        super().__init__(hosts=hosts, prefix=prefix, **config)
        self.host = hosts[0]
        self.channel = f"{prefix}.live"
        self.teller = Redis.from_url(self.host, socket_timeout=SOON, socket_connect_timeout=SOON)
        self.silent_until = 0.0
        self.has_failed = False

    def publish(self, groups: Iterable[str], event: Event) -> None:
        if time.monotonic() < self.silent_until:
            return
        try:
            if self.has_failed:
                self.teller.publish(self.channel, json.dumps([[MISSED], {"missed": True}]))
                self.has_failed = False
            self.teller.publish(self.channel, json.dumps([list(groups), event]))
        except RedisError as error:
            # Nobody must wait for a Redis that is away, nor each of those who come next.
            if not self.has_failed:
                logger.warning("Redis is away, what is new is heard late: %s", error)
            self.silent_until, self.has_failed = time.monotonic() + SOON, True
            # Nor must those who did not hear wait until there is something else to say.
            again = threading.Timer(1.5 * SOON, self.publish, ([], event))
            again.daemon = True
            again.start()

    async def listen(self) -> None:
        """Redis may go and come back; the group MISSED is told each time."""
        while True:
            try:
                await self.hear()
            except (RedisError, OSError) as error:
                logger.warning("Lost Redis, coming back to it: %s", error)
            await asyncio.sleep(random.uniform(0.1, SOON))  # noqa: S311  (spreads processes)

    def hear_one(self, publication: bytes) -> None:
        """Of another release it may be something that is not understood here; the next is."""
        try:
            groups, event = json.loads(publication)
            self.hand_out(groups, event)
        except (ValueError, TypeError):
            logger.exception("A publication could not be read")

    async def hear(self) -> None:
        """Subscribe, and hand out what is published until the connection fails. Raises RedisError
        or OSError."""
        redis = aioredis.Redis.from_url(self.host, socket_connect_timeout=SOON, socket_timeout=None)
        async with redis, redis.pubsub() as ear:
            await ear.subscribe(self.channel)
            asked = False
            while True:
                said = await ear.get_message(timeout=PING_EVERY)
                if said is None:
                    if asked:
                        raise RedisConnectionError("it says nothing any more")
                    await ear.ping()
                elif said["type"] == "message":
                    self.hear_one(said["data"])
                elif said["type"] == "subscribe":
                    self.hand_out([MISSED], {"missed": True})
                asked = said is None
