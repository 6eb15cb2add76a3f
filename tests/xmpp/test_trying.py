"""`make run-xmpp`, as whoever tries it sees it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ROOT, free_port, migrated_database, wait_until
from tests.xmpp.raw import Raw


@pytest.fixture
def tried(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    database = migrated_database(tmp_path)
    own = {"DATA_DIR": str(tmp_path), "DATABASE_URL": database, "PORT": str(free_port())}
    env = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")} | own
    said = tmp_path / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.prosody"], cwd=ROOT, env=env, stdout=out, stderr=out
        )
    yield process, said
    process.kill()
    process.wait()


async def test_one_signs_in_as_it_says_and_all_of_it_ends(
    tried: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, said = tried
    wait_until(lambda: process.poll() is not None or "Cardsite is at" in said.read_text())
    words = said.read_text()
    assert "alice@localhost" in words and "bob@cards.localhost" in words, words
    port = int(words.split("port ")[1].split(".")[0])
    async with Raw(port, to="localhost") as client:
        wait_until(lambda: "Uvicorn running on" in said.read_text())
        assert "<success" in await client.sign_in("alice", "cards-for-everyone")
        await client.say("<presence/><message to='cards.localhost'><body>help</body></message>")
        assert "invit" in (await client.hears("</body>")).lower()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)), "nobody is there any more"
