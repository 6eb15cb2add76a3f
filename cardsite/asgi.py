"""The ASGI application: pages and API, the WebSocket, and the workers that live with the server."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cardsite.settings")
django.setup()  # before the models are imported

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from cardsite.garbage import spare_the_collector  # noqa: E402
from cardsite.handler import Handler  # noqa: E402
from delivery import engine, live  # noqa: E402
from delivery.batch import in_thread  # noqa: E402
from delivery.routing import nowhere, websocket  # noqa: E402


async def lifespan(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Keep open sockets true to the rows and, unless WORKER is off, start the worker threads."""
    await receive()  # lifespan.startup
    parts = (live.layer().listen(), live.keep_up(), live.watch(live.signed_out_groups))
    tasks = [asyncio.create_task(part) for part in parts]
    workers = await in_thread(engine.start) if settings.WORKER else []
    spare_the_collector()
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    for task in tasks:
        task.cancel()
    await asyncio.to_thread(engine.stop, workers)
    await send({"type": "lifespan.shutdown.complete"})


SOCKETS = [path("ws/v1/", cast(Any, websocket)), re_path("", cast(Any, nowhere))]

application = ProtocolTypeRouter(
    {
        "http": Handler(),
        "websocket": URLRouter(SOCKETS),
        "lifespan": lifespan,
    }
)
