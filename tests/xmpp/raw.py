"""A stream of XMPP as one writes it oneself, right or wrong (RFC 6120)."""

import asyncio
import base64
import re
from contextlib import suppress
from typing import Self

PATIENCE = 60.0  # seconds
XMLNS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


async def close(writer: asyncio.StreamWriter) -> None:
    """At once, whatever is still to be said."""
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()


class Raw:
    """A connection. What it hears is text, and is looked through with patterns."""

    def __init__(self, port: int, to: str = "example.org", source: str = "127.0.0.1") -> None:
        self.port, self.to, self.source = port, to, source
        self.heard, self.is_over = "", False

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(self.source, 0)
        )
        return self

    async def __aexit__(self, *_error: object) -> None:
        await close(self.writer)

    async def open(self, namespace: str = "jabber:client", **attributes: str) -> str:
        said = {"to": self.to, "version": "1.0", **attributes}
        words = " ".join(f"{name}='{value}'" for name, value in said.items())
        await self.say(
            f"<?xml version='1.0'?><stream:stream xmlns='{namespace}' {words}"
            " xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'>"
        )
        return await self.hears(r"</(stream:)?features>|<(stream:)?features[^>]*/>|stream:error")

    async def say(self, text: str) -> None:
        """Or part of it, if the other side has had enough."""
        self.writer.write(text.encode())
        try:
            await self.writer.drain()
        except ConnectionError:
            self.is_over = True

    async def hears(self, pattern: str) -> str:
        """Everything up to this, which is forgotten. Raises ConnectionError if it ends before."""
        async with asyncio.timeout(PATIENCE):
            while not (found := re.search(pattern, self.heard)):
                await self.read()
        said, self.heard = self.heard[: found.end()], self.heard[found.end() :]
        return said

    async def read(self) -> None:
        try:
            more = await self.reader.read(65536)
        except ConnectionError:
            more = b""
        self.is_over = not more
        self.heard += more.decode(errors="replace")
        if self.is_over:
            raise ConnectionError(self.heard)

    async def end(self) -> str:
        """All that is said until the other side ends it."""
        async with asyncio.timeout(PATIENCE):
            while not self.is_over:
                try:
                    await self.read()
                except ConnectionError:
                    break
        return self.heard

    async def sign_in(self, name: str, password: str) -> str:
        """What is said to that; a stream of its own if it is taken."""
        await self.open()
        token = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        await self.say(f"<auth xmlns='{XMLNS_SASL}' mechanism='PLAIN'>{token}</auth>")
        said = await self.hears(r"</failure>|<success[^>]*>")
        if "<success" in said:
            await self.open()
            await self.say(
                "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
            )
            await self.hears(r"</iq>")
        return said
