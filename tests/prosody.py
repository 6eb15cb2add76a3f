"""Prosody for the tests, on free ports of loopback. `python -m tests.prosody` runs the product with
one beside it, to be tried."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.servers import (
    ROOT,
    STARTING_TIME,
    find,
    free_port,
    install_missing,
    run_manage,
    wait_for_port,
)
from xmpp.configuration import Prosody

DOMAIN, CARDS = "localhost", "cards.localhost"
USUAL_PORTS = {"XMPP_PORT": 5222, "XMPP_SERVER_PORT": 5269, "XMPP_COMPONENT": 5347}
NEEDED = {"prosody": "prosody", "openssl": "openssl"}
WELCOME = """
An XMPP server is at 127.0.0.1, port {XMPP_PORT}. With a client such as Gajim or Profanity:

  1. Sign in as alice@localhost, password cards-for-everyone. The certificate is of this
     machine alone: the client asks whether to trust it.
  2. Add the contact bob@cards.localhost, which is Bob's card, and look at its profile. Change the
     card on Bob's page, and look again.
  3. Write "help" to cards.localhost.
"""


class RunningProsody:
    """An XMPP server with free ports of its own, on loopback."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.has = Prosody(
            **{
                "domain": "example.org",
                "cards_domain": "cards.example.org",
                "component": ("127.0.0.1", free_port()),
                "secret": secrets.token_urlsafe(20),
                "door": "",
                "door_name": "127.0.0.1",
                "folder": str(folder),
                "port": free_port(),
                "server_port": free_port(),
                "looks_every": 0.2,
                **options,
            }
        )
        self.process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """Of a product that works with it."""
        return {
            "XMPP_DOMAIN": self.has.domain,
            "XMPP_CARDS_DOMAIN": self.has.cards_domain,
            "XMPP_COMPONENT": "{}:{}".format(*self.has.component),
            "XMPP_SECRET": self.has.secret,
        }

    def start(self) -> None:
        """Start it, again if it was stopped, until it answers."""
        settings = self.folder / "prosody.cfg.lua"
        settings.write_text("run_as_root = true\n" + self.has.text())
        command, log = (find("prosody"), "-F", "--config", settings), self.folder / "prosody.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen([*map(str, command)], stdout=out, stderr=out)
        for port in (self.has.port, self.has.component[1]):
            wait_for_port(port, self.process, log)

    def log(self) -> str:
        return (self.folder / "prosody.log").read_text(errors="replace")

    def kill(self, with_signal: int = signal.SIGKILL) -> None:
        """As a power cut would."""
        if self.process:
            self.process.send_signal(with_signal)
            self.process.wait(timeout=STARTING_TIME)
            self.process = None

    def stop(self) -> None:
        self.kill(signal.SIGTERM)


def certify(folder: Path, *domains: str) -> str:
    """A folder with a certificate for each of these domains, of no authority but itself; those that
    are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for domain in domains:
        key, certificate = folder / f"{domain}.key", folder / f"{domain}.crt"
        if certificate.exists():
            continue
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "365"]
        command += ["-subj", f"/CN={domain}", "-addext", f"subjectAltName=DNS:{domain}"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return str(folder)


@contextmanager
def running_prosody(
    folder: Path, people: Iterable[str] = (), **options: Any
) -> Iterator[RunningProsody]:
    """An XMPP server. People sign in to it as the product at `door` says; or these, without a
    product, their name is the password."""
    folder.mkdir(parents=True, exist_ok=True)
    if people:
        options["authentication"] = "internal_plain"
    prosody = RunningProsody(folder, **options)
    for name in people:
        account = folder / prosody.has.domain.replace(".", "%2e") / "accounts" / f"{name}.dat"
        account.parent.mkdir(parents=True, exist_ok=True)
        account.write_text(f'return {{ ["password"] = "{name}"; }};')
    prosody.start()
    try:
        yield prosody
    finally:
        prosody.stop()


# To be tried


def environment(folder: Path) -> dict[str, str]:
    """Of the product and of Prosody, which must be the same."""
    ports = {name: free_port(usual) for name, usual in USUAL_PORTS.items()}
    return {
        "XMPP_DOMAIN": DOMAIN,
        "XMPP_CARDS_DOMAIN": CARDS,
        "XMPP_SECRET": secrets.token_urlsafe(30),
        "XMPP_ACCOUNT_PASSWORDS": "1",
        "XMPP_CERTIFICATES": certify(folder / "certificates", DOMAIN, CARDS),
        "XMPP_PORT": str(ports["XMPP_PORT"]),
        "XMPP_SERVER_PORT": str(ports["XMPP_SERVER_PORT"]),
        "XMPP_COMPONENT": f"127.0.0.1:{ports['XMPP_COMPONENT']}",
    }


def configure(folder: Path, same: dict[str, str]) -> Path:
    """Prosody, as an operator would."""
    file = folder / "prosody.cfg.lua"
    command = [sys.executable, "manage.py", "xmpp_config", "--folder", str(folder)]
    printed = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **same}, check=True, stdout=subprocess.PIPE
    ).stdout
    file.touch(mode=0o600)
    file.write_bytes(b"run_as_root = true\n" + printed)
    return file


def main() -> None:
    """Until it is stopped, by whatever means: nothing stays behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    install_missing(NEEDED)
    folder = Path(os.environ.get("DATA_DIR", ROOT / "var")).resolve() / "xmpp"
    folder.mkdir(parents=True, exist_ok=True)
    same = environment(folder)
    run_manage(same, "migrate", "-v0")
    beside = [
        [find("prosody"), "-F", "--config", str(configure(folder, same))],
        [sys.executable, "manage.py", "xmpp"],
    ]
    with ExitStack() as stack, suppress(KeyboardInterrupt, subprocess.CalledProcessError):
        log = stack.enter_context((folder / "log").open("wb"))
        for command in beside:
            process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **same}, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        print(WELCOME.format(**same), flush=True)
        run_manage(same, "serve")


if __name__ == "__main__":
    main()
