"""A shorter way for WebSocket texts (RFC 6455, section 5.2) past uvicorn's own protocol.

What the server says is the same for every socket: it is framed once, and the frame is handed to
each transport. What a client says in one whole frame is handed to its socket at once. All else
(handshake, pings, closing, fragments, whatever is against the standard) goes the ordinary way.
"""

import random
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
SHORT_HEAD = 2 + MASK  # of a frame with less than 126 bytes
LONG = 32 * 1024  # characters; a longer text is framed each time
LINGER = 10.0  # seconds that a connection which is being closed may take for what still waits

Take = Callable[[bytes], bool]
Write = Callable[[bytes], None]


class Unusual(Exception):
    """What only the ordinary way can deal with."""


class Frames(WebSocketsSansIOProtocol):  # type: ignore[misc]
    """uvicorn's protocol of one connection. Whoever wants the shorter way says `listen`.

    What is looked at for every frame is in slots: among thousands of sockets each look into another
    dictionary is one into memory that no cache holds.
    """

    __slots__ = ("heard_at", "heard_before", "now", "rest", "take", "write")

    transport: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.take: Take | None = None
        self.heard_before = False  # that there was somebody to take it: a frame may have begun
        self.rest = b""
        self.now = self.loop.time
        self.heard_at = self.now()
        self.write: Write | None = None  # takes whole frames, while what is written leaves soon

    async def run_asgi(self) -> None:
        cast(Any, self.scope["extensions"])[EXTENSION] = self
        self.write = self.transport.write
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(LINGER, self.transport.abort)

    def schedule_ping(self) -> None:
        """Ask whoever is silent for a while; each after a time of its own, as those who came or
        answered together must not all be asked together."""
        silence = self.ping_interval * random.uniform(0.5, 1)  # noqa: S311
        timer = self.loop.call_at(self.heard_at + silence, self.send_keepalive_ping)
        setattr(self, "ping_timer", timer)  # noqa: B010  (mypy sees no parent without slots)

    def send_keepalive_ping(self) -> None:
        if self.now() < self.heard_at + self.ping_interval / 2:
            self.schedule_ping()
        else:
            super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.write = None

    def resume_writing(self) -> None:
        super().resume_writing()
        self.write = None if self.is_over else self.transport.write

    @property
    def is_over(self) -> bool:
        """Whether nothing may be said any more."""
        return bool(self.close_sent or self.disconnected)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.is_over:
            self.write = self.take = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.write = self.take = None

    def listen(self, take: Take) -> None:
        """From now on hand the payload of each text to `take`; what it refuses comes through
        ASGI."""
        if not (self.conn.extensions or self.heard_before):
            self.take = take

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.now()
        if self.take is None:
            self.heard_before = self.handshake_initiated
            super().data_received(data)
            return
        if (
            SHORT_HEAD <= len(data) < SHORT_HEAD + 126
            and data[0] == FIN_AND_TEXT
            and data[1] == MASKED + len(data) - SHORT_HEAD
            and not self.rest
            and self.take(apply_mask(data[SHORT_HEAD:], data[2:SHORT_HEAD]))
        ):
            return  # one whole short text and nothing else, as it mostly is
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
        if not (frame[0] == FIN_AND_TEXT and self.hand_over(payload_of(frame))):
            super().data_received(frame)

    def hand_over(self, payload: bytes) -> bool:
        return self.take is not None and not self.close_sent and self.take(payload)

    def abort(self) -> None:
        """Give up a connection that takes nothing any more, with all that waits for it."""
        self.transport.abort()


def frame_of(text: str) -> bytes:
    """The frame in which a server sends this text; kept for a while, as others may get the same."""
    return kept_frame_of(text) if len(text) < LONG else new_frame_of(text)


def new_frame_of(text: str) -> bytes:
    payload = text.encode()
    size = len(payload)
    if size < 126:
        head = bytes((FIN_AND_TEXT, size))
    elif size < 1 << 16:
        head = bytes((FIN_AND_TEXT, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((FIN_AND_TEXT, 127)) + size.to_bytes(8, "big")
    return head + payload


kept_frame_of = lru_cache(maxsize=256)(new_frame_of)


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


def payload_of(frame: bytes) -> bytes:
    """What is in a client's whole frame."""
    at = len(frame) - size_of(frame)
    return apply_mask(frame[at:], frame[at - MASK : at])


def size_of(frame: bytes) -> int:
    size = frame[1] & LENGTH
    return size if size < 126 else int.from_bytes(frame[2:4], "big")
