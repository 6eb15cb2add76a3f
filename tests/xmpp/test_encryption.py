"""Nobody signs in over a network in the clear."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP

from tests.prosody import RunningProsody, certify, running_prosody
from tests.xmpp.raw import XMLNS_SASL, Raw

PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def prosody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProsody]:
    """Off loopback, with a certificate."""
    folder = tmp_path_factory.mktemp("prosody")
    certificates = certify(folder / "certs", "example.org")
    away: dict[str, Any] = {"host": "0.0.0.0", "certificates": certificates}
    with running_prosody(folder, ["alice"], **away) as running:
        yield running


async def test_one_signs_in_with_tls(prosody: RunningProsody) -> None:
    client, is_in = ClientXMPP("alice@example.org", "alice"), asyncio.Event()
    client.ca_certs = Path(prosody.has.certificates) / "example.org.crt"
    client.add_event_handler("session_start", lambda _event: is_in.set())
    client.connect("127.0.0.1", prosody.has.port)
    try:
        await asyncio.wait_for(is_in.wait(), PATIENCE)
    finally:
        await client.disconnect()


async def test_but_not_without(prosody: RunningProsody) -> None:
    async with Raw(prosody.has.port) as stranger:
        offered = await stranger.open()
        assert "<starttls" in offered and "<required/>" in offered
        assert "<mechanism>" not in offered
        await stranger.say(f"<auth xmlns='{XMLNS_SASL}' mechanism='PLAIN'>AGFsaWNlAGFsaWNl</auth>")
        assert "encryption-required" in await stranger.hears("</failure>")


async def test_nor_where_a_configuration_of_ones_own_allows_it(tmp_path: Path) -> None:
    more = {"c2s_require_encryption": False, "allow_unencrypted_plain_auth": True}
    with running_prosody(tmp_path, host="0.0.0.0", more=more) as prosody:
        async with Raw(prosody.has.port, source="127.0.0.2") as stranger:
            assert "encryption-required" in await stranger.sign_in("alice", "alice")
        async with Raw(prosody.has.port) as near:
            assert "temporary-auth-failure" in await near.sign_in("alice", "alice")
