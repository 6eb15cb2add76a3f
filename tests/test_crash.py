"""The power goes: the server is killed between a commit and its fan-out, and in the middle of one.

I1, I3 and I4 with real processes: after the restart every device ends with the newest view, none
twice applied, none older.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.servers import Server, running_server

HOLDERS = 3000
SEED = (
    f"HOLDERS = {HOLDERS}"
    + """
from accounts.models import Device, User
from bindings.models import Binding
from cards.models import Card
from delivery import fanout

owner = User.objects.create_user("owner@example.org", "correct-horse-battery", name="Owner")
card = Card(owner=owner, fn="Owner", properties=[
    {"name": "tel", "value": "before", "params": {}, "circles": ["*"]}])
card.save()
people = User.objects.bulk_create(
    User(email=f"h{n}@example.org", username=f"h{n}", name=f"H {n}") for n in range(HOLDERS))
Device.objects.bulk_create(
    Device(user=user, platform="android", identifier_hash=f"h{n}",
           token_hash=Device.hash_token(f"token-{n}"))
    for n, user in enumerate(people))
view = card.view_for([])
Binding.objects.bulk_create(
    Binding(card=card, holder=user, view=view, rev=1, held_rev=1) for user in people)
fanout.run_all()
"""
)


# Loaded by the interpreter at its start: once delivery.fanout is there, its chunks are small and
# slow, and none follows while there is a file PAUSE, so that the kill surely hits between two.
SITECUSTOMIZE = """
import os, sys, threading, time

def slow_down():
    while getattr(sys.modules.get("delivery.fanout"), "run_all", None) is None:
        time.sleep(0.01)
    fanout = sys.modules["delivery.fanout"]
    fanout.CHUNK, tell = 100, fanout.tell
    def slowly(*args):
        tell(*args)
        time.sleep(0.1)
        while os.path.exists(os.environ["PAUSE"]):
            time.sleep(0.01)
    fanout.tell = slowly

threading.Thread(target=slow_down, daemon=True).start()
"""


class Rows:
    """A look into the server's database, whether the server lives or not."""

    def __init__(self, server: Server) -> None:
        self.address = server.environment["DATABASE_URL"]

    def one(self, question: str) -> Any:
        with closing(self.connection()) as database:
            return database.execute(question).fetchone()[0]

    def connection(self) -> Any:
        if self.address.startswith("sqlite"):
            return sqlite3.connect(self.address.removeprefix("sqlite:///"), timeout=20)
        return psycopg.connect(self.address)

    def until(self, question: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.one(question):
            assert time.monotonic() < deadline, question
            time.sleep(0.02)  # between two looks at another process's rows


NEWEST = "SELECT count(*) FROM delivery_offlinemessage WHERE rev = (SELECT rev FROM cards_card)"
DONE = "SELECT count(*) FROM delivery_cardupdate WHERE rev = done_rev AND rev >= {rev}"


def api(server: Server, token: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{server.url}/api/v1/", headers=headers, timeout=30)


@contextmanager
def owner(server: Server) -> Iterator[tuple[httpx.Client, dict[str, Any]]]:
    """The owner's laptop, which writes the card that it has just read; and the card."""
    credentials = {"email": "owner@example.org", "password": "correct-horse-battery"}
    terminal = {"platform": "desktop", "identifier": "the-owners-laptop"}
    with api(server) as door:
        token = door.post("session", json={**credentials, "device": terminal}).json()["token"]
    with api(server, token) as door:
        card = door.get("cards").json()["results"][0]
        door.headers["If-Match"] = f'"{card["rev"]}"'
        yield door, card


def edit(server: Server, value: str) -> int:
    """Change the card over REST; its new rev."""
    with owner(server) as (door, card):
        card["properties"][0]["value"] = value
        answer = door.patch(f"cards/{card['id']}", json={"properties": card["properties"]})
    return rev_of(answer)


def undo(server: Server) -> int:
    """Put the card back to what it was at first; its new rev."""
    with owner(server) as (door, card):
        answer = door.post(f"cards/{card['id']}/restore", json={"rev": 1})
    return rev_of(answer)


def rev_of(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    return int(answer.json()["rev"])


def synced(server: Server, holder: int) -> list[dict[str, Any]]:
    """What this holder's device gets, and acknowledges."""
    with api(server, f"token-{holder}") as door:
        messages: list[dict[str, Any]] = door.get("sync").json()["messages"]
        acks = [[message["card"], message["rev"]] for message in messages]
        assert not acks or door.post("sync/ack", json={"acks": acks}).json() == {"pending": 0}
    return messages


def test_a_card_committed_before_the_kill_is_fanned_out_after_the_restart(tmp_path: Path) -> None:
    with running_server(tmp_path, SEED, WORKER="0") as server:  # the kill surely comes first
        rev = edit(server, "after")
        server.kill()
        assert Rows(server).one(NEWEST) == 0
        server.start(WORKER="1")
        Rows(server).until(DONE.format(rev=rev))
        assert Rows(server).one(NEWEST) == HOLDERS
        (news,) = synced(server, 7)
        assert news["view"]["properties"][0]["value"] == "after"


def test_a_kill_in_the_middle_of_an_undo_leaves_nobody_behind(tmp_path: Path) -> None:
    """The change has come to some when it is undone, and the undoing to some at the kill."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    pause = tmp_path / "pause"
    with running_server(tmp_path, SEED, PYTHONPATH=str(tmp_path), PAUSE=str(pause)) as server:
        first = synced(server, 7)
        edit(server, "after")
        Rows(server).until(f"SELECT ({NEWEST}) > 500")  # noqa: S608
        pause.touch()
        assert Rows(server).one(NEWEST) < HOLDERS
        rev = undo(server)
        pause.unlink()
        Rows(server).until(f"SELECT ({NEWEST}) > 500")  # noqa: S608
        pause.touch()
        server.kill()
        reached = Rows(server).one(NEWEST)
        assert 0 < reached < HOLDERS
        server.start(PYTHONPATH="")
        Rows(server).until(DONE.format(rev=rev))
        assert Rows(server).one(NEWEST) == HOLDERS
        assert Rows(server).one("SELECT count(*) FROM delivery_offlinemessage") == HOLDERS
        second = synced(server, 7)
        assert [each["rev"] for each in (*first, *second)] == [1, rev]
        assert second[-1]["view"] == first[-1]["view"]
        assert synced(server, 7) == []


CARDS = 150
BULK = (
    f"CARDS = {CARDS}"
    + """
from accounts.models import User
from cards import bulk
from cards.bulkrows import BulkChange
from cards.models import Card

staff = User.objects.create_superuser("staff@example.org", "x", name="Staff")
for n in range(CARDS):
    user = User.objects.create(email=f"w{n}@example.org", username=f"w{n}", name=f"W {n}")
    org = {"name": "org", "value": ["Before", f"Room {n}"], "params": {}, "circles": ["*"]}
    Card(owner=user, fn=f"W {n}", properties=[org]).save()
change = BulkChange(by=staff, name="org", old={"0": "Before"}, new={"0": "After"})
bulk.propose(change, Card.objects.all())
bulk.confirm(change, staff)
"""
)
# As above: each card of the bulk change takes a while.
SLOW_CARDS = """
import sys, threading, time

def slow_down():
    while getattr(sys.modules.get("cards.bulk"), "settle", None) is None:
        time.sleep(0.01)
    bulk = sys.modules["cards.bulk"]
    settle = bulk.settle
    def slowly(*args):
        settle(*args)
        time.sleep(0.03)
    bulk.settle = slowly

threading.Thread(target=slow_down, daemon=True).start()
"""
CHANGED = "SELECT count(*) FROM cards_cardrevision WHERE changed_via = 'admin'"
SETTLED = "SELECT count(*) FROM cards_bulkitem WHERE outcome = 'changed'"
ENDED = "SELECT count(*) FROM cards_bulkchange WHERE changed = total AND ended_at IS NOT NULL"


def test_a_kill_in_the_middle_of_a_bulk_change_changes_no_card_twice(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_CARDS)
    with running_server(tmp_path, BULK, PYTHONPATH=str(tmp_path)) as server:
        rows = Rows(server)
        rows.until(f"SELECT ({CHANGED}) > 20")  # noqa: S608
        server.kill()
        assert 0 < rows.one(CHANGED) == rows.one(SETTLED) < CARDS
        server.start(PYTHONPATH="")
        rows.until(ENDED)
        assert rows.one(CHANGED) == rows.one(SETTLED) == CARDS
        assert rows.one("SELECT count(*) FROM cards_card WHERE rev = 2") == CARDS
