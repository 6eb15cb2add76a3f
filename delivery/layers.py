"""The channel layer of the live path: Channels' own interface, and one call for many groups.

`publish` hands one ready event to every local sink of a list of groups, from any thread. Who gets
what is decided by the database at fan-out; a group only says which sockets are a person's or a
device's. Ordinary Channels consumers keep working on it through the parent's methods.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from channels.layers import InMemoryChannelLayer

Event = dict[str, Any]
Sink = Callable[[Event], None]


class LocalLayer(InMemoryChannelLayer):  # type: ignore[misc]
    """Everything within this process."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.sinks: dict[str, set[Sink]] = {}
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

    def publish(self, groups: Iterable[str], event: Event) -> None:
        """Hand the event to all sinks of these groups. From any thread; never waits."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.hand_out, list(groups), event)

    async def groups_send(self, groups: Iterable[str], event: Event) -> None:
        """The same from within the event loop, for whoever prefers Channels' way of calling."""
        self.hand_out(groups, event)

    def hand_out(self, groups: Iterable[str], event: Event) -> None:
        for group in groups:
            for sink in tuple(self.sinks.get(group, ())):
                sink(event)
