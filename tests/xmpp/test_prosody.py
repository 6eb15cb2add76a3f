"""Prosody as we set it up."""

import asyncio
from pathlib import Path

from slixmpp import ClientXMPP

from tests.servers import running_prosody


async def signs_in(jid: str, password: str, port: int) -> bool:
    """Whether this is how one signs in."""
    client = ClientXMPP(jid, password)
    client.enable_starttls = client.enable_direct_tls = False
    client.enable_plaintext = True
    client.plugin["feature_mechanisms"].unencrypted_plain = True
    said: asyncio.Queue[bool] = asyncio.Queue()
    client.add_event_handler("session_start", lambda _event: said.put_nowait(True))
    client.add_event_handler("failed_all_auth", lambda _event: said.put_nowait(False))
    client.connect("127.0.0.1", port)
    try:
        return await asyncio.wait_for(said.get(), 10)
    finally:
        await client.disconnect()


async def test_it_takes_people_in(tmp_path: Path) -> None:
    with running_prosody(tmp_path, people=["alice"]) as prosody:
        assert await signs_in("alice@example.org", "alice", prosody.has.port)
        assert not await signs_in("alice@example.org", "guessed", prosody.has.port)
