"""Doing for many sockets of this process at once what each would otherwise do alone."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from channels.db import database_sync_to_async

In = TypeVar("In")
Out = TypeVar("Out")

LARGEST = 200  # items in one call


async def in_thread(call: Callable[..., Out], *args: Any) -> Out:
    """Run database code in a thread of the pool, with a connection of its own."""
    return cast(Out, await database_sync_to_async(call, thread_sensitive=False)(*args))


class Batch(Generic[In, Out]):
    """Collects items while the job is busy with those that came before.

    `job` takes a list of items and returns their results in order. It runs in a thread, one call
    at a time: alone, an item waits for nothing; in a crowd, many share one call.
    """

    def __init__(self, job: Callable[[list[In]], list[Out]]) -> None:
        self.job = job
        self.waiting: list[tuple[In, asyncio.Future[Out]]] = []
        self.running: asyncio.Task[None] | None = None

    async def __call__(self, item: In) -> Out:
        result: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self.waiting.append((item, result))
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self.run())
        return await result

    async def run(self) -> None:
        while self.waiting:
            taken, self.waiting = self.waiting[:LARGEST], self.waiting[LARGEST:]
            try:
                results = await in_thread(self.job, [item for item, _result in taken])
            except Exception as error:  # each of the waiting must hear of it
                for _item, result in taken:
                    if not result.done():
                        result.set_exception(error)
                continue
            for (_item, result), value in zip(taken, results, strict=True):
                if not result.done():
                    result.set_result(value)
