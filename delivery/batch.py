"""Doing for many sockets of this process at once what each would otherwise do alone."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db import close_old_connections

In = TypeVar("In")
Out = TypeVar("Out")


async def in_thread(call: Callable[..., Out], *args: Any) -> Out:
    """Run database code in a thread of the pool, with a connection of its own. What Channels has
    for this takes longer to find out what is called than to call it."""
    return await asyncio.to_thread(with_a_connection, call, *args)


def with_a_connection(call: Callable[..., Out], *args: Any) -> Out:
    close_old_connections()
    try:
        return call(*args)
    finally:
        close_old_connections()


class Batch(Generic[In, Out]):
    """Collects items while the job is busy with those that came before, and for a breath.

    `job` takes a list of items and returns their results in order. It runs in a thread, one call
    at a time. `largest` is how many items one call gets, `breath` the seconds for which it waits
    for more of them.
    """

    def __init__(
        self, job: Callable[[list[In]], list[Out]], largest: int, breath: float = 0
    ) -> None:
        self.job, self.largest, self.breath = job, largest, breath
        self.waiting: list[tuple[In, Callable[[Out | Exception], None]]] = []
        self.running: asyncio.Task[None] | None = None

    async def __call__(self, item: In) -> Out:
        result: asyncio.Future[Out] = asyncio.get_running_loop().create_future()

        def settle(out: Out | Exception) -> None:
            if result.done():  # whoever asked has gone
                return
            if isinstance(out, Exception):
                result.set_exception(out)
            else:
                result.set_result(out)

        self.add(item, settle)
        return await result

    def add(self, item: In, done: Callable[[Out | Exception], None]) -> None:
        """Without waiting: `done` is called in the event loop with the result, or with what went
        wrong."""
        self.waiting.append((item, done))
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self.run())

    async def run(self) -> None:
        while self.waiting:
            await asyncio.sleep(self.breath)
            taken = self.waiting[: self.largest]
            del self.waiting[: self.largest]
            results: Sequence[Out | Exception]
            try:
                results = await in_thread(self.job, [item for item, _done in taken])
            except Exception as error:  # each of the waiting must hear of it
                results = [error] * len(taken)
            for (_item, done), result in zip(taken, results, strict=True):
                done(result)
