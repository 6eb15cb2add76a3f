"""The power goes: the server is killed between a commit and its fan-out, and in the middle of one.

I1, I3 and I4 with real processes: after the restart every device ends with the newest view, none
twice applied, none older.
"""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import ROOT, Server, running_server

HOLDERS = 3000
SEED = """
from accounts.models import Device, User
from bindings.models import Binding
from cards.models import Card

owner = User.objects.create_user("owner@example.org", "correct-horse-battery", name="Owner")
card = Card(owner=owner, fn="Owner", properties=[
    {"name": "tel", "value": "before", "params": {}, "circles": ["*"]}])
card.save()
people = User.objects.bulk_create(
    User(email=f"h{n}@example.org", username=f"h{n}", name=f"H {n}") for n in range(%d))
Device.objects.bulk_create(
    Device(user=user, platform="android", identifier_hash=f"h{n}",
           token_hash=Device.hash_token(f"token-{n}"))
    for n, user in enumerate(people))
view = card.view_for([])
Binding.objects.bulk_create(
    Binding(card=card, holder=user, view=view, rev=1, held_rev=1) for user in people)
"""


# Loaded by the interpreter at its start: once delivery.fanout is there, its chunks are small and
# slow, so that the kill surely hits between two of them.
SITECUSTOMIZE = """
import sys, threading, time

def slow_down():
    while getattr(sys.modules.get("delivery.fanout"), "run_all", None) is None:
        time.sleep(0.01)
    fanout = sys.modules["delivery.fanout"]
    fanout.CHUNK, fanout.SLICE, tell = 100, 0.1, fanout.tell
    def slowly(*args):
        tell(*args)
        time.sleep(0.1)
    fanout.tell = slowly

threading.Thread(target=slow_down, daemon=True).start()
"""


class Rows:
    """A look into the server's database file, whether the server lives or not."""

    def __init__(self, server: Server) -> None:
        self.path = server.folder / "cardsite.sqlite3"

    def one(self, question: str) -> Any:
        with closing(sqlite3.connect(self.path, timeout=20)) as database:
            return database.execute(question).fetchone()[0]

    def until(self, question: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.one(question):
            assert time.monotonic() < deadline, question
            time.sleep(0.02)  # between two looks at another process's rows


NEWEST = "SELECT count(*) FROM delivery_offlinemessage WHERE rev = (SELECT rev FROM cards_card)"
DONE = "SELECT count(*) FROM delivery_cardupdate WHERE rev = done_rev AND rev >= {rev}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with one card and 3,000 holders, up and quiet."""
    with running_server(tmp_path) as server:
        subprocess.run(
            [sys.executable, "manage.py", "shell", "-v0", "-c", SEED % HOLDERS],
            cwd=ROOT,
            env={**os.environ, **server.environment},
            check=True,
        )
        Rows(server).until(DONE.format(rev=1))
        yield server


def api(server: Server, token: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{server.url}/api/v1/", headers=headers, timeout=30)


def edit(server: Server, value: str) -> int:
    """Change the card over REST; its new rev."""
    credentials = {"email": "owner@example.org", "password": "correct-horse-battery"}
    terminal = {"platform": "desktop", "identifier": "the-owners-laptop"}
    with api(server) as door:
        token = door.post("session", json={**credentials, "device": terminal}).json()["token"]
    with api(server, token) as door:
        card = door.get("cards").json()["results"][0]
        card["properties"][0]["value"] = value
        answer = door.patch(
            f"cards/{card['id']}",
            json={"properties": card["properties"]},
            headers={"If-Match": f'"{card["rev"]}"'},
        )
    assert answer.status_code == 200, answer.text
    return int(answer.json()["rev"])


def synced(server: Server, holder: int) -> list[dict[str, Any]]:
    """What this holder's device gets, and acknowledges."""
    with api(server, f"token-{holder}") as door:
        messages: list[dict[str, Any]] = door.get("sync").json()["messages"]
        acks = [[message["card"], message["rev"]] for message in messages]
        assert not acks or door.post("sync/ack", json={"acks": acks}).json() == {"pending": 0}
    return messages


def test_a_card_committed_before_the_kill_is_fanned_out_after_the_restart(server: Server) -> None:
    server.stop()
    server.start(WORKER="0")  # so that the kill surely comes before the fan-out
    rev = edit(server, "after")
    server.kill()
    assert Rows(server).one(NEWEST) == 0
    server.start()
    Rows(server).until(DONE.format(rev=rev))
    assert Rows(server).one(NEWEST) == HOLDERS
    (news,) = synced(server, 7)
    assert news["view"]["properties"][0]["value"] == "after"


def test_a_kill_in_the_middle_of_a_fan_out_leaves_nobody_behind(
    server: Server, tmp_path: Path
) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "sitecustomize.py").write_text(SITECUSTOMIZE)
    server.stop()
    server.start(PYTHONPATH=str(slow))
    first = synced(server, 7)
    rev = edit(server, "after")
    Rows(server).until(f"SELECT ({NEWEST}) > 500")  # noqa: S608
    server.kill()
    reached = Rows(server).one(NEWEST)
    assert 0 < reached < HOLDERS
    server.start()
    Rows(server).until(DONE.format(rev=rev))
    assert Rows(server).one(NEWEST) == HOLDERS
    assert Rows(server).one("SELECT count(*) FROM delivery_offlinemessage") == HOLDERS
    second = synced(server, 7)
    assert [each["rev"] for each in (*first, *second)] == [1, rev]
    assert synced(server, 7) == []
