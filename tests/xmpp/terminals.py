"""Debian's own XMPP clients for the terminal, typed into as a person would."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.prosody import RunningProsody
from tests.servers import find
from tests.xmpp.conftest import until

PATIENCE = 60.0  # seconds


class Terminal:
    """A program in a terminal, what it has written there, and in the files that it logs to."""

    def __init__(self, home: Path, command: list[str], logs: Path) -> None:
        self.home, self.logs, self.screen = home, logs, b""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 300, 0, 0))
        self.keyboard = master
        environment = {**os.environ, "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        environment |= {"XDG_CONFIG_HOME": str(home / "c"), "XDG_DATA_HOME": str(home / "d")}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=home
        )
        os.close(slave)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        with suppress(OSError):  # when it has ended
            while data := os.read(self.keyboard, 65536):
                self.screen = (self.screen + data)[-1_000_000:]

    def types(self, line: str) -> None:
        os.write(self.keyboard, f"{line}\r".encode())

    def written(self) -> str:
        files = [path for path in sorted(self.logs.rglob("*")) if path.is_file()]
        text = "".join(path.read_text(errors="replace") for path in files)
        return text + self.screen.decode(errors="replace")

    async def shows(self, text: str, times: int = 1) -> None:
        try:
            await until(lambda: self.written().count(text) >= times, PATIENCE)
        except TimeoutError:
            raise AssertionError(f"No {text!r} in:\n{self.written()[-5000:]}") from None

    def end(self, farewell: str) -> None:
        if self.process.poll() is None:
            self.types(farewell)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@contextmanager
def profanity(home: Path, prosody: RunningProsody, name: str) -> Iterator[Terminal]:
    """https://profanity-im.github.io"""
    logs = home / "logs"
    logs.mkdir(exist_ok=True, parents=True)
    command = [find("profanity"), "-l", "DEBUG", "-f", str(logs / "log")]
    terminal = Terminal(home, command, logs)
    terminal.types(
        f"/connect {name}@{prosody.has.domain} server 127.0.0.1 port {prosody.has.port} tls disable"
    )
    terminal.types(name)
    try:
        yield terminal
    finally:
        terminal.end("/quit")


@contextmanager
def mcabber(home: Path, prosody: RunningProsody, name: str) -> Iterator[Terminal]:
    """https://mcabber.com"""
    logs = home / "logs"
    logs.mkdir(exist_ok=True, parents=True)
    settings = home / "mcabberrc"
    settings.write_text(
        f"set jid = {name}@{prosody.has.domain}\nset password = {name}\nset resource = mcabber\n"
        f"set server = 127.0.0.1\nset port = {prosody.has.port}\nset tls = 0\n"
        f"set logging = 1\nset logging_dir = {logs}\nset tracelog_level = 3\n"
        f"set tracelog_file = {logs / 'trace'}\nset log_win_height = 20\n"
    )
    settings.chmod(0o600)
    terminal = Terminal(home, [find("mcabber"), "-f", str(settings)], logs)
    try:
        yield terminal
    finally:
        terminal.end("/quit")
