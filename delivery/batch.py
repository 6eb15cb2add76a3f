"""Doing for many sockets of this process at once what each would otherwise do alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from django.db import Error, close_old_connections, connection

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


class Desk:
    """A thread that does one thing after another and keeps its connection to the database, whose
    process there then has at hand what is asked for again and again. What it does may be done
    twice: where the connection was cut meanwhile, it is done again over a new one."""

    def __init__(self, name: str) -> None:
        self.thread = ThreadPoolExecutor(1, name)

    async def __call__(self, call: Callable[..., Out], *args: Any) -> Out:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, self.do, call, *args)

    def do(self, call: Callable[..., Out], *args: Any) -> Out:
        try:
            return call(*args)
        except Error:
            if connection.is_usable():
                raise
            connection.close()
            return call(*args)


class Batch(Generic[In]):
    """Collects items while the job is busy with those that came before, and for a breath.

    `job` takes a list of items, one call at a time. `largest` is how many of them one call gets,
    `breath` the seconds for which it waits for more.
    """

    def __init__(
        self, job: Callable[[list[In]], Awaitable[None]], largest: int, breath: float = 0
    ) -> None:
        self.job, self.largest, self.breath = job, largest, breath
        self.waiting: list[In] = []
        self.running: asyncio.Task[None] | None = None

    def add(self, item: In) -> None:
        self.waiting.append(item)
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self.run())

    async def run(self) -> None:
        while self.waiting:
            await asyncio.sleep(self.breath)
            taken = self.waiting[: self.largest]
            del self.waiting[: self.largest]
            await self.job(taken)


class Asking(Generic[In, Out]):
    """A batch whose items are questions: whoever asks waits for the answer. `answer` takes a list
    of questions in a thread and returns the answers in their order."""

    def __init__(self, answer: Callable[[list[In]], Sequence[Out]], largest: int) -> None:
        self.answer = answer
        self.batch = Batch(self.settle, largest)

    async def __call__(self, question: In) -> Out:
        answered: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self.batch.add((question, answered))
        return await answered

    async def settle(self, asked: list[tuple[In, asyncio.Future[Out]]]) -> None:
        try:
            answers = await in_thread(self.answer, [question for question, _answered in asked])
        except Exception as error:  # each of those who asked must hear of it
            for _question, answered in asked:
                if not answered.done():  # else whoever asked has gone
                    answered.set_exception(error)
            return
        for (_question, answered), answer in zip(asked, answers, strict=True):
            if not answered.done():
                answered.set_result(answer)
