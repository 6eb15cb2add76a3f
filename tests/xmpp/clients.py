"""slixmpp's plain client, as somebody would use it who knows nothing of this product."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from xml.etree.ElementTree import Element

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ET

from tests.prosody import RunningProsody
from tests.xmpp.conftest import PATIENCE, until

CLIENT = "{jabber:client}"
BODY = CLIENT + "body"
CARDS = "cards.example.org"
PLUGINS = (
    *("xep_0030", "xep_0050", "xep_0054", "xep_0060", "xep_0084", "xep_0092", "xep_0115"),
    *("xep_0153", "xep_0184", "xep_0199"),
)


class Client(ClientXMPP):
    """Keeps what it hears, as elements."""

    def __init__(
        self,
        jid: str,
        password: str,
        *,
        receipts: bool = True,
        approves: bool = True,
        counts: bool = False,
    ) -> None:
        super().__init__(jid, password)
        self.enable_starttls = self.enable_direct_tls = False
        self.enable_plaintext = True
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        for name in PLUGINS:
            if name != "xep_0184" or receipts:
                self.register_plugin(name)
        if counts:
            self.register_plugin("xep_0198")
        roster = cast(Any, self.roster)
        roster.auto_authorize, roster.auto_subscribe = approves or None, False
        self.heard: list[Element] = []
        self.add_filter("in", self.note)

    def note(self, stanza: Any) -> Any:
        self.heard.append(stanza.xml)
        return stanza

    def stanzas(self, kind: str, sender: str = "", type: str | None = None) -> list[Element]:
        return [
            each
            for each in self.heard
            if each.tag == CLIENT + kind
            and each.get("from", "").split("/")[0].startswith(sender)
            and type in (None, each.get("type", ""))
        ]

    async def hears(
        self, kind: str, sender: str = "", type: str | None = None, having: str = ""
    ) -> Element:
        """The first such stanza, as soon as there is one; `having` this text in it."""

        def found() -> list[Element]:
            heard = self.stanzas(kind, sender, type)
            return [each for each in heard if having in ET.tostring(each, encoding="unicode")]

        return (await until(found))[0]

    def part(self, name: str) -> Any:
        """slixmpp's plugin for this XEP."""
        return cast(Any, self.plugin)[name]

    def tells(self, to: str, words: str, type: str = "chat") -> None:
        cast(Any, self).send_message(to, words, mtype=type)

    async def linked(self) -> None:
        """Let this JID be a device: it has the component for a contact."""
        self.send_presence(pto=CARDS, ptype="subscribe")
        await self.hears("presence", CARDS, "subscribed")

    async def is_heard(self) -> None:
        """Until all that was said before has been heard, as stanzas stay in order."""
        await self.asks(CARDS, "<ping xmlns='urn:xmpp:ping'/>")

    async def vcard(self, of: str) -> Element:
        answer: Element = (await self.asks(of, "<vCard xmlns='vcard-temp'/>")).xml
        return answer[0]

    async def refusal(
        self, of: str, payload: str = "<vCard xmlns='vcard-temp'/>", type: str = "get"
    ) -> str:
        """With what condition this question is refused."""
        try:
            await self.asks(of, payload, type)
        except IqError as error:
            return str(error.condition)
        raise AssertionError("It was answered.")

    async def asks(self, to: str, payload: str, type: Any = "get") -> Any:
        """The answer to an IQ with this in it; raises IqError."""
        iq = self.make_iq(ito=to, itype=type)
        iq.xml.append(ET.fromstring(payload))
        return await cast(Any, iq).send(timeout=PATIENCE)


@asynccontextmanager
async def signed_in(
    prosody: RunningProsody, name: str, *, resource: str = "", show: bool = True, **options: Any
) -> AsyncIterator[Client]:
    jid = f"{name}@{prosody.has.domain}" + (f"/{resource}" if resource else "")
    client = Client(jid, name, **options)
    ready = asyncio.Event()
    client.add_event_handler("session_start", lambda _event: ready.set())
    client.connect("127.0.0.1", prosody.has.port)
    async with asyncio.timeout(PATIENCE):
        await ready.wait()
    await client.get_roster()
    if show:
        client.send_presence()
    try:
        yield client
    finally:
        await client.disconnect()
