"""`make bench`: what the product costs, beside its peers, measured on this machine; or with
`PARTS="live login"` a part of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from tempfile import TemporaryDirectory

from bench import live, login, machine, pages, programs, storms, xmpp
from tests.servers import ROOT, install_missing, running_postgresql, running_redis

FEW, MANY = (100, 1_000, 10_000), (100, 1_000, 10_000, 100_000)


def offline() -> None:
    """On SQLite alone, and on PostgreSQL, whose rows are safe from a power cut, with Redis."""
    count_rows(FEW)
    with running_postgresql() as rows, running_redis() as redis:
        count_rows(MANY, DATABASE_URL=rows, REDIS_URL=redis)


def count_rows(holders: tuple[int, ...], **settings: str) -> None:
    with TemporaryDirectory() as folder:
        alone = {"DATA_DIR": folder, "DATABASE_URL": f"sqlite:///{folder}/rows", "REDIS_URL": ""}
        environment = {**os.environ, **alone, **settings}
        command = [sys.executable, "-m", "bench.offline", *map(str, holders)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


PARTS: dict[str, Callable[[], None]] = {
    "live": lambda: live.run(sys.stdout),
    "login": lambda: login.run(sys.stdout),
    "offline": offline,
    "pages": lambda: pages.run(sys.stdout),
    "storms": lambda: storms.run(sys.stdout),
    "xmpp": lambda: xmpp.run(sys.stdout),
}


def main(wanted: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # with all that was started
    install_missing(programs.NEEDED)
    print(", ".join(machine.versions(programs.asking())), flush=True)
    for name in wanted or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
