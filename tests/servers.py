"""Real servers for the tests, each on a free port of 127.0.0.1, and what they are made of.

`python -m tests.servers --install` installs what is missing, as root on Debian; anybody else is
told exactly what to install.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
THROTTLES = ("THROTTLE_SIGN_IN", "THROTTLE_SIGN_UP", "THROTTLE_CODE", "THROTTLE_REQUEST")
STARTING_TIME = 60.0  # seconds

# A program that the tests start, and the Debian package that brings it.
NEEDED = {"chromium": "chromium"}

# How Playwright starts it. As root it has no sandbox; in the background it would call home.
CHROMIUM: dict[str, Any] = {
    "executable_path": shutil.which("chromium"),
    "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    "handle_sigint": False,
}


def install_missing() -> None:
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", "-qq", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"The tests need {', '.join(missing)}. On Debian: sudo {' '.join(command)}")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_manage(environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "manage.py", *arguments]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)


@cache
def migrated() -> TemporaryDirectory[str]:
    """A folder with a database that is migrated and empty, made once for all servers of these
    tests: migrating takes longer than all else that a server does at its start."""
    folder = TemporaryDirectory()
    run_manage({"DATA_DIR": folder.name}, "migrate", "-v0")
    return folder


class Server:
    """The product itself, as `make run` starts it, with a folder and a port of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "DATA_DIR": str(folder),
            "STATIC_ROOT": str(ROOT / "var" / "test-static"),  # collected once for all
            "PORT": str(self.port),
            "DEMO": "0",
            **{
                f"THROTTLE_{what}": "10000/minute"
                for what in ("SIGN_IN", "SIGN_UP", "CODE", "REQUEST")
            },
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True, **environment: str) -> None:
        """Start it, again if it was stopped; with `wait`, until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env={**os.environ, **self.environment, **environment},
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_until_up()

    def wait_until_up(self) -> None:
        assert self.process
        deadline = time.monotonic() + STARTING_TIME
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{self.url}/api/v1/me", timeout=10)
                return
            except httpx.TransportError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)  # between two knocks at a door that nobody opens yet
        raise RuntimeError(f"The server did not start:\n{self.log()}")

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def kill(self) -> None:
        """As a power cut would: nothing is finished, nothing is said."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def wait_until_dead(self) -> int:
        assert self.process
        return self.process.wait(timeout=STARTING_TIME)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running_server(
    folder: Path, seed: str = "", *, empty: bool = False, **environment: str
) -> Iterator[Server]:
    """A server on a database that this program has filled; or, `empty`, on none yet."""
    server = Server(folder, **environment)
    if not empty:
        shutil.copy(Path(migrated().name) / "cardsite.sqlite3", folder)
    if seed:
        run_manage(server.environment, "shell", "-v0", "-c", seed)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def main(arguments: list[str]) -> Any:
    if arguments == ["--install"]:
        install_missing()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
