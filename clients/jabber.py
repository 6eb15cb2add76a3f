"""The same device over nothing but XMPP (`phone.py --xmpp JID`): it signs in, says who it is, takes
the frames of docs/wire.md in IQs and acknowledges each with the result, once it is on disk.
"""

import argparse
import asyncio
import contextlib
import getpass
import os
import sys
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream.handler import CoroutineCallback
from slixmpp.xmlstream.matcher import MatchXPath

from clients.phone import (
    CardFolder,
    Holder,
    Json,
    Message,
    PhoneError,
    SignedOut,
    frame_from_xml,
    messages,
    plain,
    print_lines,
    wait_before,
)

CARDS = "urn:cardsite:cards:1"
KINDS = ("card", "binding", "private", "removed", "idle")
LATEST = 30.0  # seconds that the server may take to answer
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Connection(ClientXMPP):
    """One connection, from its beginning to its end; what could not be sent goes with it. `hear` is
    awaited for each stanza that is the phone's business."""

    def __init__(
        self, jid: str, password: str, host: str, hear: Callable[[Any], Awaitable[None]]
    ) -> None:
        super().__init__(jid, password)
        if host in LOOPBACK:  # where nobody listens in
            self.enable_plaintext = True
            self.enable_starttls = self.enable_direct_tls = False
            mechanisms: Any = self.plugin["feature_mechanisms"]
            mechanisms.unencrypted_plain = True
        self.register_plugin("xep_0199")
        roster: Any = self.roster
        roster.auto_authorize, roster.auto_subscribe = None, False
        self.is_open: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self.add_event_handler("session_start", lambda _event: self.settle(True))
        self.add_event_handler("failed_auth", self.fail)
        for event in ("disconnected", "connection_failed"):
            self.add_event_handler(event, lambda _event: self.ended.set())
        for path in ("presence", *(f"iq/{{{CARDS}}}{kind}" for kind in KINDS), "message"):
            matched = MatchXPath(f"{{jabber:client}}{path}")
            self.register_handler(CoroutineCallback(path, matched, hear))

    def fail(self, failure: Any) -> None:
        """A server that cannot tell just now has not refused the password."""
        if failure["condition"] == "temporary-auth-failure":
            self.ended.set()
        else:
            self.settle(False)

    def settle(self, opened: bool) -> None:
        if not self.is_open.done():
            self.is_open.set_result(opened)


class JabberPhone(Holder):
    """A device that speaks XMPP. `requests` are the contacts that ask for a card of mine."""

    def __init__(
        self,
        jid: str,
        password: str,
        folder: Path | str,
        *,
        host: str = "",
        port: int = 5222,
        platform: str = "android",
        name: str = "phone.py",
        identifier: str = "",
        on_change: Callable[[Message, list[str]], None] = lambda message, words: None,
        on_status: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.jid, self.password = JID(jid), password
        self.cards, self.address = f"cards.{self.jid.domain}", (host, port)
        kept = CardFolder(Path(folder), f"xmpp:{self.jid.bare}", identifier)
        super().__init__(kept, on_change, on_status)
        self.device = {"platform": platform, "name": name, "identifier": kept.state.identifier}
        self.requests: set[str] = set()
        self.replies: asyncio.Queue[str] = asyncio.Queue()
        self.connection: Connection | None = None

    # What one can do

    def ask(self, username: str, said: str = "") -> None:
        """Ask somebody for their card; what is said may be an invitation's code."""
        self._presence(username, "subscribe", said)

    def accept(self, username: str) -> None:
        """Give them mine for theirs."""
        self.requests.discard(username)
        self._presence(username, "subscribed")

    def decline(self, username: str) -> None:
        self.requests.discard(username)
        self._presence(username, "unsubscribed")

    def leave(self, username: str) -> None:
        """Give back what I hold of them."""
        self._presence(username, "unsubscribe")

    async def publish(self, xcard: str) -> None:
        """Change my card: a `vcard` element (RFC 6351). Raises PhoneError."""
        await self.call(f"{self.jid.local}@{self.cards}", ET.fromstring(xcard))  # noqa: S314

    async def say(self, words: str) -> str:
        """Say something to the component; return what it answers."""
        self._online().send_message(JID(self.cards), words, mtype="chat")
        return await asyncio.wait_for(self.replies.get(), LATEST)

    async def sign_out(self) -> None:
        await self.call(self.cards, ET.Element(f"{{{CARDS}}}goodbye"))

    async def call(self, to: str, payload: ET.Element) -> Any:
        """The answer to an IQ. Raises PhoneError."""
        iq: Any = self._online().make_iq_set(sub=payload, ito=to)
        try:
            return await iq.send(timeout=LATEST)
        except (IqError, IqTimeout) as error:
            raise PhoneError(f"{to}: {getattr(error, 'condition', 'no answer')}") from error

    def _presence(self, username: str, type_: Any, said: str = "") -> None:
        to = JID(f"{username}@{self.cards}")
        self._online().send_presence(pto=to, ptype=type_, pstatus=said or None)

    def _online(self) -> Connection:
        if self.connection is None:
            raise PhoneError("This device is not connected.")
        return self.connection

    # The connection

    async def listen(self) -> None:
        """Stay connected and apply what comes, until cancelled. Raises SignedOut if the password is
        no good."""
        attempt = 0
        while True:
            await self._follow_until_closed()
            attempt = 0 if self.connected else attempt + 1
            self.connected = self.up_to_date = False
            wait = wait_before(attempt, 0)
            await self._tell(f"not connected, next try in {wait:.1f} s")
            await asyncio.sleep(wait)

    async def _follow_until_closed(self) -> None:
        host, port = self.address
        connection = Connection(str(self.jid), self.password, host, self._hear)
        connection.connect(*((host, port) if host else ()))
        ended = asyncio.create_task(connection.ended.wait())
        try:
            await asyncio.wait(
                (connection.is_open, ended), timeout=LATEST, return_when=asyncio.FIRST_COMPLETED
            )
            if not connection.is_open.done():
                return
            if not connection.is_open.result():
                raise SignedOut("The server does not take this password.")
            self.connection = connection
            await self._hello()
            await ended
        except PhoneError as error:
            if isinstance(error, SignedOut):
                raise
            await self._tell(str(error))
        finally:
            ended.cancel()
            self.connection = None
            connection.cancel_connection_attempt()
            connection.abort()

    async def _hello(self) -> None:
        """Say who this is, and that it is there; what is pending comes by itself."""
        said = ET.Element(f"{{{CARDS}}}hello", self.device)
        if not self.folder.state.entries:  # In an earlier life it may have acknowledged things.
            said.set("reset", "true")
        answer = await self.call(self.cards, said)
        welcome = answer.xml.find(f"{{{CARDS}}}welcome")
        self.folder.meet_epoch(welcome.get("epoch"))
        self._online().send_presence()
        self.connected = True
        await self._tell("connected")

    async def _hear(self, stanza: Any) -> None:
        sender = stanza["from"]
        if sender.domain != self.cards:  # Nobody else has anything to say about cards.
            return
        if stanza.name == "presence":
            await self._hear_presence(sender.local, stanza["type"], stanza["status"])
        elif stanza.name == "message":
            await self._hear_message(stanza)
        elif not sender.local:
            await self._hear_frame(stanza)

    async def _hear_presence(self, username: str, type_: str, said: str) -> None:
        if type_ == "subscribe":
            self.requests.add(username)
            await self._tell(f"{plain(username)} asks for your card {plain(said)}".rstrip())

    async def _hear_message(self, stanza: Any) -> None:
        if stanza["from"].local:
            return  # It is for clients that know nothing of frames.
        if stanza.xml.find(f"{{{CARDS}}}idle") is not None:
            self.up_to_date = True
            await self._tell("up to date")
        elif stanza["body"]:
            self.replies.put_nowait(stanza["body"])

    async def _hear_frame(self, stanza: Any) -> None:
        frame: Json = frame_from_xml(ET.tostring(stanza.xml[0], encoding="unicode"))
        await self._take(messages([frame], "type"))
        stanza.reply().send()  # It is on disk.


# The terminal.


async def run(chosen: argparse.Namespace, password: str) -> None:
    host, _colon, port = chosen.host.partition(":")
    phone = JabberPhone(
        chosen.xmpp,
        password,
        chosen.folder,
        host=host,
        port=int(port or 5222),
        platform=chosen.platform,
        name=chosen.name,
        identifier=chosen.identifier,
        on_change=print_lines,
        on_status=lambda words: print(words, flush=True),
    )
    listening = asyncio.create_task(phone.listen())
    if not chosen.say and not chosen.once:
        return await listening
    try:
        await asyncio.wait_for(phone.wait_until(lambda: phone.up_to_date), LATEST)
        if chosen.say:
            print(await phone.say(chosen.say))
    except TimeoutError as error:
        raise PhoneError("The cards do not answer.") from error
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


def main(chosen: argparse.Namespace) -> int:
    password = chosen.password or os.environ.get("CARDSITE_PASSWORD") or getpass.getpass()
    try:
        asyncio.run(run(chosen, password))
    except PhoneError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0
