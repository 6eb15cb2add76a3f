"""From ASGI to Django in one trip to a thread.

Every view and middleware here is synchronous. Django's own handler would start a thread for each
request and go there and back for its signals, its answer and its end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import IO, Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.http import FileResponse
from django.urls import set_script_prefix


class Handler(ASGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def handle(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        response = await asyncio.to_thread(self.respond, scope, body)
        await self.send_response(response, send)
        if response.streaming:
            await asyncio.to_thread(response.close)

    def respond(self, scope: dict[str, Any], body: IO[bytes]) -> Any:
        """The answer. What it needed is given back, unless it is a stream that is still to be
        read."""
        with body:
            set_script_prefix(get_script_prefix(scope))
            request_started.send(sender=self.__class__, scope=scope)
            request, refusal = self.create_request(scope, body)
            response: Any = refusal if request is None else self.get_response(request)
            response._handler_class = self.__class__  # the sender of request_finished
            if isinstance(response, FileResponse):
                response.block_size = self.chunk_size
            if not response.streaming:
                response.close()
            return response
