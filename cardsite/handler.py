"""From ASGI to Django in one trip to a thread.

Every view and middleware here is synchronous. Django's own handler would start a thread for each
request and go there and back for its signals, its answer and its end.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestAborted, RequestDataTooBig
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.http import FileResponse
from django.urls import set_script_prefix

Receive = Callable[[], Awaitable[Any]]

LARGEST_BODY = 12 * 1024 * 1024  # octets: the largest file that is read anywhere, and its form
LARGEST_REFUSED = 20 * LARGEST_BODY  # what is heard to its end, so that the refusal is heard too


class TooLarge(io.BytesIO):
    """A body that was not kept. Whoever wants to read it hears why."""

    def read(self, size: int | None = -1, /) -> NoReturn:
        raise RequestDataTooBig("This is larger than what is read here.")


class Handler(ASGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def handle(
        self,
        scope: dict[str, Any],
        receive: Receive,
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

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """The body. Of one that is too large nothing is kept; it is heard to its end all the same,
        as a browser shows no answer before it has sent all."""
        body = SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115
        heard, more = 0, True
        while more and heard <= LARGEST_REFUSED:
            message = await receive()
            if message["type"] == "http.disconnect":
                body.close()
                raise RequestAborted
            part, more = message.get("body", b""), message.get("more_body", False)
            heard += len(part)
            if heard <= LARGEST_BODY:
                body.write(part)
        if heard > LARGEST_BODY:
            body.close()
            return TooLarge()
        body.seek(0)
        return body

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
