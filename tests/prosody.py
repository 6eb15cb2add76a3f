"""`python -m tests.prosody`: the product with an XMPP server beside it, to be tried."""

import os
import secrets
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.servers import ROOT, certify, find, free_port, install_missing, run_manage

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
    """Until it is stopped."""
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
