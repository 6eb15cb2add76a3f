"""Whoever speaks is heard in the order in which they speak, and nobody makes others wait: each has
a lane, few of them move at once, and what comes faster than it can be heard is refused."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

logger = logging.getLogger(__name__)


class Lanes(Generic[Item]):
    """`job` gets one item at a time of each lane, at most `abreast` together. A lane holds `depth`
    items, and there are at most `lanes` of them."""

    def __init__(
        self,
        job: Callable[[Item], Awaitable[None]],
        *,
        abreast: int = 4,
        depth: int = 50,
        lanes: int = 5000,
    ) -> None:
        self.job, self.depth, self.lanes = job, depth, lanes
        self.gate = asyncio.Semaphore(abreast)
        self.waiting: dict[str, deque[Item]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def add(self, lane: str, item: Item) -> bool:
        """False: there is no room for it."""
        if lane in self.waiting:
            if len(self.waiting[lane]) >= self.depth:
                return False
            self.waiting[lane].append(item)
            return True
        if len(self.waiting) >= self.lanes:
            return False
        self.waiting[lane] = deque([item])
        task = asyncio.create_task(self.run(lane))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    async def run(self, lane: str) -> None:
        items = self.waiting[lane]
        while items:
            async with self.gate:
                try:
                    await self.job(items[0])
                except Exception:  # what is wrong with one stanza must not stop those after it
                    logger.exception("A stanza could not be heard")
                finally:
                    items.popleft()
        del self.waiting[lane]
