"""Whoever speaks is heard in the order in which they speak, and nobody makes others wait: each has
a lane, few of them move at once, and what comes faster than it can be heard is refused."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from django.db import InterfaceError, OperationalError

Job = Callable[[], Awaitable[object]]

AGAIN_AFTER = [0.5 * 2**turn for turn in range(7)]  # seconds, where the database was away

logger = logging.getLogger(__name__)


class Lanes:
    """One job at a time of each lane, at most `abreast` together. A lane holds `depth` of them, as
    who has many contacts speaks to all at once; and there are at most so many `lanes`."""

    def __init__(self, *, abreast: int = 4, depth: int = 1000, lanes: int = 5000) -> None:
        self.depth, self.lanes = depth, lanes
        self.gate = asyncio.Semaphore(abreast)
        self.waiting: dict[str, deque[Job]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def add(self, lane: str, job: Job) -> bool:
        """False: there is no room for it."""
        if lane in self.waiting:
            if len(self.waiting[lane]) >= self.depth:
                return False
            self.waiting[lane].append(job)
            return True
        if len(self.waiting) >= self.lanes:
            return False
        self.waiting[lane] = deque([job])
        task = asyncio.create_task(self.run(lane))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    def is_free(self, lane: str) -> bool:
        return lane not in self.waiting

    async def run(self, lane: str) -> None:
        jobs = self.waiting[lane]
        while jobs:
            await self.do(jobs[0])
            jobs.popleft()
        del self.waiting[lane]

    async def do(self, job: Job) -> None:
        """Nobody says again what was lost because the database was away for a moment."""
        for pause in (*AGAIN_AFTER, None):
            try:
                async with self.gate:
                    await job()
                return
            except (OperationalError, InterfaceError):
                logger.exception("A stanza could not be heard for want of the database")
                if pause is None:
                    return
                await asyncio.sleep(pause)
            except Exception:  # what is wrong with one stanza must not stop those after it
                logger.exception("A stanza could not be heard")
                return
