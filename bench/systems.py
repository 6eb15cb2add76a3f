"""What is measured: a system that runs, and the product as one, in several shapes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
from redis import Redis

from bench.crowd import MARKER, Task
from bench.seed import properties
from tests.servers import (
    ROOT,
    Server,
    free_port,
    run_manage,
    running,
    running_postgresql,
    running_redis,
)

NOTHING = Task("", [], [], ("", 0), [], b"")


class System(NamedTuple):
    """Something that runs: what the crowd does with it, whose CPU counts (name -> process), and
    how many acknowledgements are still to be stored, of all cards and of the one that the trigger
    changes, if it stores any.
    What somebody else does, who has nothing to do with the crowd's card; what PostgreSQL answers
    to a question for a number, and how many clients Redis has."""

    task: Task
    groups: dict[str, int]
    unstored: Callable[[], int] | None = None
    left: Callable[[], int] = lambda: 0
    bystander: Task = NOTHING
    ask: Callable[[str], int] = lambda question: 0
    connected: Callable[[], int] = lambda: 0
    server: Server | None = None


@contextmanager
def product(
    devices: int,
    processes: int = 1,
    *,
    alone: bool = False,
    cards: int = 1,
    pending: int = 0,
    absent: int = 0,
    more: int = 0,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[System]:
    """Ours, on PostgreSQL, Redis and Celery. `alone`: only its live path is at work, triggered by
    a publication; otherwise by a request that changes the first card. It has as many holders as
    there are devices in the crowd, and those who are `absent`; it is so many characters longer
    than others with `more`."""
    with ExitStack() as stack:
        enter = stack.enter_context
        folder = Path(enter(TemporaryDirectory()))
        postgres, redis = enter(running_postgresql_process()), enter(running_redis_process())
        environment = {
            "DATABASE_URL": postgres.address,
            "REDIS_URL": redis.address,
            "CELERY_BROKER_URL": redis.address[:-1] + "1",
            "PROCESSES": str(processes),
            "SECRET_KEY": "the-same-for-all-processes-of-one-product-as-it-must-be",
            "DATA_DIR": str(folder),
            "LOG_LEVEL": "WARNING",
            **settings,
        }
        run_manage(environment, "migrate", "-v0")
        made = seeded(environment, devices + absent, cards, pending)
        server = Server(folder, **environment)
        stack.callback(server.stop)
        server.start()
        database = enter(psycopg.connect(postgres.address, autocommit=True))
        groups = {"web": server.processes["web"].pid, "redis": redis.pid}
        trigger_port = server.port
        if alone:
            trigger_port, trigger = free_port(), MARKER
            publish = ("bench.publisher", trigger_port, made["card"])
            range_of_people = (made["people"][0], made["people"][-1])
            command = (sys.executable, "-m", *publish, *range_of_people)
            enter(running(*command, port=trigger_port, cwd=ROOT, env={**os.environ, **environment}))
        else:
            trigger = patch(made["card"], "token-owner", more)
            groups |= {"worker": server.processes["worker"].pid, "postgres": postgres.pid}
        yield System(
            task := Task(
                "websocket",
                [("127.0.0.1", server.port)],
                tokens(devices),
                ("127.0.0.1", trigger_port),
                [],
                trigger,
                pending,
            ),
            groups,
            None if alone else lambda: ask(database, UNSTORED),
            lambda: ask(database, LEFT.format(card=made["card"])),
            task._replace(
                tokens=["token-other"], trigger=patch(made["other"], "token-other-owner")
            ),
            lambda question: ask(database, question),
            lambda: connected(redis.address),
            server,
        )


class Process(NamedTuple):
    pid: int
    address: str


@contextmanager
def running_postgresql_process() -> Iterator[Process]:
    with running_postgresql() as address:
        with psycopg.connect(address) as asking:
            folder = asking.execute("SHOW data_directory").fetchone()
        assert folder
        yield Process(int((Path(folder[0]) / "postmaster.pid").read_text().split()[0]), address)


@contextmanager
def running_redis_process() -> Iterator[Process]:
    with running_redis() as address, Redis.from_url(address) as asking:
        yield Process(int(asking.info()["process_id"]), address)


def seeded(environment: dict[str, str], devices: int, cards: int, pending: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.seed", *map(str, (devices, cards, pending))]
    env = {**os.environ, **environment, "CELERY_BROKER_URL": "", "REDIS_URL": ""}
    done = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)
    return dict(json.loads(done.stdout))


# How many devices of holders have not acknowledged a card as it is now: not how many rows are
# pending, as those of devices that may still answer are not written at once.
UNSTORED = (
    "SELECT count(*) FROM delivery_offlinemessage JOIN bindings_binding "
    "ON bindings_binding.id = binding_id JOIN cards_view ON cards_view.id = view_id "
    "WHERE subject = bindings_binding.card_id AND acknowledged_rev < cards_view.rev"
)
# Of one card that all see through the same view: sooner answered, so that asking does not hold up
# what is asked for.
LEFT = (
    "SELECT count(*) FROM delivery_offlinemessage WHERE subject = '{card}' "
    "AND acknowledged_rev < (SELECT max(rev) FROM cards_view WHERE card_id = '{card}')"
)


def ask(database: "psycopg.Connection[tuple[int]]", question: str) -> int:
    row = database.execute(question.encode()).fetchone()
    assert row
    return row[0]


def connected(address: str) -> int:
    """How many clients a Redis has, but for the one that asks."""
    with Redis.from_url(address) as asking:
        return int(asking.info()["connected_clients"]) - 1


def tokens(devices: int) -> list[str]:
    return [f"token-{number}" for number in range(devices)]


def patch(card: str, token: str, more: int = 0) -> bytes:
    """The request that changes the card's title to the marker."""
    body = json.dumps({"properties": properties(MARKER.decode(), more)}).encode()
    return (
        f"PATCH /api/v1/cards/{card} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nIf-Match: *\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
