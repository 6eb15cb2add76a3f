"""A shorter way for WebSocket texts (RFC 6455, section 5.2) past uvicorn's own protocol.

What the server says is the same for every socket: it is framed once, and the frame is handed to
each transport. What a client says in one whole frame is handed to its socket at once. All else
(handshake, pings, closing, fragments, whatever is against the standard) goes the ordinary way.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.speedups import apply_mask

EXTENSION = "cardsite.frames"  # of the ASGI scope: the connection's protocol

FIN_AND_TEXT = 0x81
FIN_AND_RESERVED, FIN = 0xF0, 0x80
MASKED, LENGTH = 0x80, 0x7F
MASK = 4  # bytes
LINGER = 10.0  # seconds that a connection which is being closed may take for what still waits

Take = Callable[[str], bool]


class Unusual(Exception):
    """What only the ordinary way can deal with."""


class Frames(WebSocketsSansIOProtocol):  # type: ignore[misc]
    """uvicorn's protocol of one connection. Whoever wants the shorter way says `listen`."""

    transport: Any
    take: Take | None = None
    rest = b""

    async def run_asgi(self) -> None:
        cast(Any, self.scope["extensions"])[EXTENSION] = self
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(LINGER, self.transport.abort)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.abort()

    @property
    def has_room(self) -> bool:
        """Whether what is written now leaves soon."""
        return bool(self.writable.is_set())

    def write(self, text: str) -> None:
        """Send a text, if the connection is still open."""
        if not (self.close_sent or self.disconnected):
            self.transport.write(frame_of(text))

    def listen(self, take: Take) -> None:
        """From now on hand each text to `take`; one that it refuses comes through ASGI."""
        if not self.conn.extensions:
            self.take = take

    def data_received(self, data: bytes) -> None:
        if self.take is None:
            super().data_received(data)
            return
        data, self.rest = self.rest + data, b""
        start = 0
        try:
            while start < len(data):
                end = end_of_frame(data, start)
                if end is None:
                    self.rest = data[start:]
                    return
                self.frame_received(data[start:end])
                start = end
        except Unusual:
            self.take = None  # for good: from here on the ordinary way alone knows where it is
            super().data_received(data[start:])

    def frame_received(self, frame: bytes) -> None:
        text = text_of(frame) if frame[0] == FIN_AND_TEXT and not self.close_sent else None
        if text is None or self.take is None or not self.take(text):
            super().data_received(frame)

    def abort(self) -> None:
        """Give up a connection that takes nothing any more, with all that waits for it."""
        self.transport.abort()


@lru_cache(maxsize=16)
def frame_of(text: str) -> bytes:
    """The frame in which a server sends this text."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        head = bytes((FIN_AND_TEXT, size))
    elif size < 1 << 16:
        head = bytes((FIN_AND_TEXT, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((FIN_AND_TEXT, 127)) + size.to_bytes(8, "big")
    return head + payload


def end_of_frame(data: bytes, start: int) -> int | None:
    """Where the client's frame that begins at `start` ends; None if that is still to come.

    Raises Unusual for a fragment, an extension, a frame without a mask or with a long length.
    """
    if len(data) - start < 2:
        return None
    first, second = data[start], data[start + 1]
    size = second & LENGTH
    if first & FIN_AND_RESERVED != FIN or not second & MASKED or size == 127:
        raise Unusual
    head = 2 + MASK
    if size == 126:
        head += 2
        size = int.from_bytes(data[start + 2 : start + 4], "big")
    end = start + head + size
    return end if end <= len(data) else None


def text_of(frame: bytes) -> str | None:
    """The text in a client's whole frame; None if it is not UTF-8."""
    at = len(frame) - size_of(frame)
    try:
        return apply_mask(frame[at:], frame[at - MASK : at]).decode()
    except UnicodeDecodeError:
        return None


def size_of(frame: bytes) -> int:
    size = frame[1] & LENGTH
    return size if size < 126 else int.from_bytes(frame[2:4], "big")
