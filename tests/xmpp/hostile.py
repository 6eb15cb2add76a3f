"""A server that speaks to others by its own rules: it proves its name (XEP-0220) and then says
whatever it likes."""

import asyncio
import re
import secrets
from typing import Self

from tests.xmpp.raw import PATIENCE, Raw, close

SERVER = "jabber:server"
VERIFY = re.compile(r"<db:verify\b(?P<said>[^>]*)>")
RESULT = re.compile(r"<db:result\b(?P<said>[^>]*)>")
ATTRIBUTE = re.compile(r"(\w+)=['\"]([^'\"]*)['\"]")


class Hostile:
    """Listens at `port` under its name, and has streams to the other server's port."""

    def __init__(self, domain: str, answer: str = "valid") -> None:
        self.domain, self.answer = domain, answer  # to who asks whether words are of it
        self.heard = ""
        self.news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self.door = await asyncio.start_server(self.take, "127.0.0.1", 0)
        self.port = int(self.door.sockets[0].getsockname()[1])
        self.streams: list[Raw] = []
        self.taken: list[asyncio.StreamWriter] = []
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.door.close()
        for stream in self.streams:
            await stream.__aexit__()
        for writer in self.taken:
            await close(writer)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A stream of the other server: it is believed, and so is what it asks about us."""
        self.taken.append(writer)
        await reader.readuntil(b"<stream:stream")
        writer.write(
            f"<stream:stream xmlns='{SERVER}' xmlns:stream='http://etherx.jabber.org/streams'"
            f" xmlns:db='jabber:server:dialback' from='{self.domain}' id='{secrets.token_hex(8)}'"
            " version='1.0'><stream:features><dialback xmlns='urn:xmpp:features:dialback'/>"
            "</stream:features>".encode()
        )
        said = ""
        while more := await reader.read(65536):
            said += more.decode(errors="replace")
            for kind, pattern in (("verify", VERIFY), ("result", RESULT)):
                for found in pattern.finditer(said):
                    asked = dict(ATTRIBUTE.findall(found["said"]))
                    number = f" id='{asked['id']}'" if "id" in asked else ""
                    answer = self.answer if kind == "verify" else "valid"
                    writer.write(
                        f"<db:{kind} from='{asked['to']}' to='{asked['from']}'{number}"
                        f" type='{answer}'/>".encode()
                    )
                said = pattern.sub("", said)
            async with self.news:
                self.heard += more.decode(errors="replace")
                self.news.notify_all()

    async def hears(self, pattern: str) -> str:
        """All that the other server has sent up to this, which is forgotten."""
        async with asyncio.timeout(PATIENCE), self.news:
            while not (found := re.search(pattern, self.heard)):
                await self.news.wait()
            said, self.heard = self.heard[: found.end()], self.heard[found.end() :]
            return said

    async def stream(self, port: int, to: str = "example.org", *, prove: bool = True) -> Raw:
        """A new stream to the other server; proven, if asked for."""
        stream = await Raw(port, to).__aenter__()
        self.streams.append(stream)
        await stream.open(SERVER, **{"from": self.domain})
        if prove:
            assert "type='valid'" in await self.prove(stream, to)
        return stream

    async def prove(self, stream: Raw, to: str, domain: str = "") -> str:
        await stream.say(f"<db:result from='{domain or self.domain}' to='{to}'>key</db:result>")
        return await stream.hears(r"<db:result[^>]*>|stream:error")
