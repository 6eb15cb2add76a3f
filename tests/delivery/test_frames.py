"""The shorter way for WebSocket texts, inside the very uvicorn and websockets that are pinned."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT
from websockets.protocol import Protocol as WebSocketProtocol
from websockets.speedups import apply_mask

from cardsite.management.commands.serve import MAX_FRAME
from delivery.frames import EXTENSION, Frames, Unusual, end_of_frame, frame_of, payload_of

SIZES = [0, 1, 125, 126, 127, 65_535]


class App:
    """Notes what comes by each of the two ways. Answers a text with itself."""

    def __init__(self) -> None:
        self.short: list[str] = []
        self.ordinary: list[Any] = []
        self.refuses = False
        self.may_listen = asyncio.Event()
        self.may_listen.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        frames = scope["extensions"][EXTENSION]

        def take(payload: bytes) -> bool:
            if self.refuses or payload == b"\xff":
                return False
            self.short.append(payload.decode())
            if frames.write:
                frames.write(frame_of(payload.decode()))
            return True

        await receive()
        await send({"type": "websocket.accept"})
        await self.may_listen.wait()
        frames.listen(take)
        while (event := await receive())["type"] != "websocket.disconnect":
            self.ordinary.append(event.get("text"))
            await send({"type": "websocket.send", "text": event.get("text") or "bytes"})
        self.ordinary.append(event["code"])


@asynccontextmanager
async def serving(app: App, **settings: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(
        app,
        ws=Frames,
        ws_max_size=MAX_FRAME,
        ws_per_message_deflate=settings.pop("deflate", False),
        lifespan="off",
        log_level="warning",
        **settings,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield "ws://{}:{}/".format(*listening.getsockname())
        finally:
            server.should_exit = True
            await task


@pytest.fixture
def app() -> App:
    return App()


def said(text: str, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    """A frame as a client writes it."""
    return Frame(opcode, text.encode(), fin).serialize(mask=mask)


async def write(client: ClientConnection, data: bytes) -> None:
    """Past the client's own protocol."""
    client.transport.write(data)


@pytest.mark.parametrize("size", [*SIZES, 65_536, 100_000])
def test_a_frame_is_what_a_client_reads(size: int) -> None:
    text = "ä" * (size // 2) + "x" * (size % 2)
    client = WebSocketProtocol(CLIENT)
    client.receive_data(frame_of(text))
    [frame] = client.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, frame.fin, bytes(frame.data).decode()) == (Opcode.TEXT, True, text)


@pytest.mark.parametrize("size", SIZES)
def test_a_clients_frame_is_read_when_it_is_whole(size: int) -> None:
    data = said("x" * size)
    for short in {0, 1, 2, 3, 5, len(data) - 1}:
        assert end_of_frame(data[:short], 0) is None
    assert end_of_frame(b"before" + data + b"after", 6) == 6 + len(data)
    assert payload_of(data) == b"x" * size


@pytest.mark.parametrize(
    "data",
    [
        said("x", fin=False),
        said("x", Opcode.CONT, fin=False),
        said("x", mask=False),
        said("x" * 65_536),
        bytes((0xC1, 0x81)) + b"masky",
    ],
    ids=["a fragment", "its continuation", "no mask", "long", "a bit that extensions set"],
)
def test_what_is_unusual_is_left_to_the_library(data: bytes) -> None:
    with pytest.raises(Unusual):
        end_of_frame(data, 0)


async def test_texts_come_and_go_the_shorter_way(app: App) -> None:
    async with serving(app) as url, connect(url) as client:
        for text in ("one", "zwei ä", "三" * 5000):
            await client.send(text)
            assert await client.recv() == text
    assert app.short == ["one", "zwei ä", "三" * 5000]
    assert app.ordinary == [1000]


@pytest.mark.parametrize("step", [1, 2, 7, 100])
async def test_a_frame_may_come_in_pieces_and_with_others(app: App, step: int) -> None:
    data = said("one") + said("ping", Opcode.PING) + said("x" * 300) + said("three")
    async with serving(app) as url, connect(url) as client:
        for start in range(0, len(data), step):
            await write(client, data[start : start + step])
            await asyncio.sleep(0)
        assert [await client.recv() for _ in range(3)] == ["one", "x" * 300, "three"]
    assert app.short == ["one", "x" * 300, "three"]


@pytest.mark.parametrize("first", [132, 133])
async def test_the_beginning_of_a_longer_frame_is_not_taken_for_a_short_one(
    app: App, first: int
) -> None:
    """126 and 127 stand where a short frame has its length."""
    data = said("x" * 300)
    async with serving(app) as url, connect(url) as client:
        await write(client, data[:first])
        await asyncio.sleep(0.05)  # so that it comes alone
        await write(client, data[first:])
        assert await client.recv() == "x" * 300


async def test_fragments_go_the_ordinary_way_and_so_does_what_follows(app: App) -> None:
    async with serving(app) as url, connect(url) as client:
        await client.send("before")
        await client.send(["in ", "two"])
        await client.send("after")
        assert [await client.recv() for _ in range(3)] == ["before", "in two", "after"]
    assert (app.short, app.ordinary) == (["before"], ["in two", "after", 1000])


async def test_a_frame_that_has_begun_before_anybody_listens_goes_the_ordinary_way(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.may_listen.clear()
    has_come, receive = asyncio.Event(), Frames.data_received

    def note(frames: Frames, data: bytes) -> None:
        receive(frames, data)
        if frames.handshake_complete:
            has_come.set()

    monkeypatch.setattr(Frames, "data_received", note)
    # What is left of the frame looks like a frame of its own.
    key, mask = b"\xc1" * 4, b"\x80" * 4
    inner = bytes((0x81, 0x81)) + key + apply_mask(b"x", key)
    text = apply_mask(inner, mask)
    async with serving(app) as url, connect(url) as client:
        await write(client, bytes((0x81, 0x80 | len(text))) + mask)
        await has_come.wait()
        app.may_listen.set()
        await asyncio.sleep(0)
        await write(client, inner)
        assert await client.recv() == text.decode()
    assert (app.short, app.ordinary) == ([], [text.decode(), 1000])


async def test_what_is_refused_comes_the_ordinary_way(app: App) -> None:
    app.refuses = True
    async with serving(app) as url, connect(url) as client:
        for number in range(100):
            await client.send(str(number))
        assert [await client.recv() for _ in range(100)] == [str(number) for number in range(100)]
    assert app.ordinary == [*(str(number) for number in range(100)), 1000]


async def test_bytes_and_pings_go_the_ordinary_way(app: App) -> None:
    async with serving(app) as url, connect(url) as client:
        await client.send(b"\x00")
        assert await client.recv() == "bytes"
        await (await client.ping())
        await client.send("text")
        assert await client.recv() == "text"
    assert (app.short, app.ordinary) == (["text"], [None, 1000])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (Frame(Opcode.TEXT, b"\xff").serialize(mask=True), 1007),
        (said("x", mask=False), 1002),
        (said("x" * (MAX_FRAME + 1))[:14], 1009),
        (bytes((0xC1, 0x81)) + b"masky", 1002),
        (bytes((0x83, 0x81)) + b"masky", 1002),
    ],
    ids=["not UTF-8", "no mask", "too long", "reserved bit", "reserved opcode"],
)
async def test_what_is_against_the_standard_ends_the_connection(
    app: App, data: bytes, code: int
) -> None:
    async with serving(app) as url, connect(url) as client:
        await write(client, said("first") + data)
        assert await client.recv() == "first"
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd
        assert closed.value.rcvd.code == code


async def test_compressed_texts_go_the_ordinary_way(app: App) -> None:
    async with serving(app, deflate=True) as url, connect(url) as client:
        await client.send("x" * 1000)
        assert await client.recv() == "x" * 1000
    assert (app.short, app.ordinary) == ([], ["x" * 1000, 1000])


async def test_a_peer_that_answers_no_ping_is_given_up_with_what_waits_for_it(app: App) -> None:
    async with serving(app, ws_ping_interval=0.1, ws_ping_timeout=0.1) as url:
        host, port = url.removeprefix("ws://").rstrip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(said("x" * 60_000) * 100)
        async with asyncio.timeout(10):
            while not app.ordinary:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert len(app.short) == 100
        writer.transport.abort()


async def test_only_who_is_silent_is_asked_whether_it_is_there(app: App) -> None:
    pings = []

    class Client(ClientConnection):
        def process_event(self, event: Any) -> None:
            if isinstance(event, Frame) and event.opcode is Opcode.PING:
                pings.append(event)
            super().process_event(event)

    async with (
        serving(app, ws_ping_interval=0.4) as url,
        connect(url, create_connection=Client, max_queue=None) as client,
    ):
        for _ in range(20):
            await client.send("here")
            await asyncio.sleep(0.05)
        assert not pings
        async with asyncio.timeout(10):
            while not pings:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
