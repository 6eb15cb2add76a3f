"""One connection of the component with its server (XEP-0114), from its beginning to its end.

It is never used again: slixmpp keeps what could not be sent, and would send it after coming back,
when it may be older than what has been said since.
"""

import asyncio
from collections.abc import Callable
from xml.etree.ElementTree import Element

from slixmpp import ComponentXMPP

from xmpp import stanzas
from xmpp.stanzas import COMPONENT

STANZAS = {f"{{{COMPONENT}}}{name}" for name in ("iq", "message", "presence")}
LATEST = 10.0  # seconds that the server may take to let the component in


class Refused(Exception):
    """The server cannot be reached, or does not let the component in."""


class Link(ComponentXMPP):
    """`hear` gets every stanza, as an element; of what slixmpp has for them nothing is used, as it
    remembers everybody who ever spoke."""

    def __init__(self, domain: str, secret: str, hear: Callable[[Element], None]) -> None:
        super().__init__(domain, secret)  # type: ignore[no-untyped-call]
        self.hear = hear
        self.is_open, self.ended = asyncio.Event(), asyncio.Event()
        self.emptied = asyncio.Event()
        self.emptied.set()
        self.add_event_handler("session_start", lambda _event: self.is_open.set())
        for event in ("disconnected", "connection_failed"):
            self.add_event_handler(event, lambda _why: self.ended.set())

    async def open(self, host: str, port: int) -> None:
        """Raises Refused."""
        self.connect(host, port)
        try:
            async with asyncio.timeout(LATEST):
                waits = [asyncio.create_task(each.wait()) for each in (self.is_open, self.ended)]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in waits:
                        task.cancel()
        except TimeoutError:
            self.ended.set()
        if self.ended.is_set():
            self.close()
            raise Refused(f"{host}:{port}")

    async def until_it_ends(self) -> None:
        await self.ended.wait()

    def close(self) -> None:
        """At once, with all that waits; and who waits for it to be sent waits no longer."""
        self.cancel_connection_attempt()
        self.abort()
        self.ended.set()
        self.emptied.set()

    def _spawn_event(self, xml: Element) -> None:
        if self.is_open.is_set() and xml.tag in STANZAS:
            self.hear(xml)
        else:
            super()._spawn_event(xml)

    def say(self, *made: Element) -> None:
        self.write("".join(map(stanzas.written, made)))

    def write(self, text: str) -> None:
        """Ready stanzas. What can be sent no more is nobody's: what must arrive is in the rows."""
        if text and not self.ended.is_set() and self.transport:
            self.transport.write(text.encode())

    def pause_writing(self) -> None:
        self.emptied.clear()

    def resume_writing(self) -> None:
        self.emptied.set()
