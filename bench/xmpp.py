"""One change of a card to many JIDs that are online, through the bridge, beside what Prosody's own
PEP needs to tell as many contacts the same; and whether the bridge grows by it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from bench import live, machine
from bench.peers import prosody
from bench.systems import System, product
from tests.prosody import RunningProsody
from tests.servers import free_port, run_manage

DEVICES = 2000
SECRET = "as-long-as-a-secret-must-be"
# The devices of the seed become JIDs of an XMPP server.
SEED = """
from accounts.models import Device
from xmpp.models import Address
holders = Device.objects.filter(user__username__startswith="h").select_related("user")
holders.update(platform="xmpp")
Address.objects.bulk_create(
    Address(device=each, jid=f"{each.user.username}@localhost") for each in holders
)
"""
# What our Prosody is told that Debian's is not, and that is not about the cards.
OURS = 'gc = { mode = "generational" }'
MORE = 30  # further changes, after which the bridge may be no larger


def names(devices: int) -> list[str]:
    return [f"h{number}" for number in range(devices)]


@contextmanager
def bridged(devices: int, *, told: bool = False) -> Iterator[System]:
    """Ours: the product as a large installation has it, a bridge and a Prosody of its own. The
    devices acknowledge what comes, or are only `told`."""
    port = free_port()
    xmpp = {
        "XMPP_DOMAIN": "localhost",
        "XMPP_CARDS_DOMAIN": "cards.localhost",
        "XMPP_COMPONENT": f"127.0.0.1:{port}",
        "XMPP_SECRET": SECRET,
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        system = stack.enter_context(product(devices, settings=xmpp))
        server = system.server
        assert server
        run_manage(server.environment, "shell", "-v0", "-c", SEED)
        peer = RunningProsody(
            folder,
            domain="localhost",
            cards_domain="cards.localhost",
            component=("127.0.0.1", port),
            secret=SECRET,
            authentication="internal_plain",
        )
        accounts = folder / "localhost" / "accounts"
        accounts.mkdir(parents=True)
        for name in names(devices):
            (accounts / f"{name}.dat").write_text(f'return {{ ["password"] = "{name}"; }};')
        peer.start()
        stack.callback(peer.kill)
        server.run("bridge", server.whole_environment({"LOG_LEVEL": "INFO"}), "manage.py", "xmpp")
        while "is connected" not in server.log("bridge"):
            time.sleep(0.05)
        assert peer.process
        groups = {
            "bridge": server.processes["bridge"].pid,
            "prosody": peer.process.pid,
            **system.groups,
        }
        address = ("127.0.0.1", peer.has.port)
        task = system.task._replace(
            system="told" if told else "bridged", addresses=[address], tokens=names(devices)
        )
        yield system._replace(task=task, groups=groups, unstored=None if told else system.unstored)


def growth(devices: int) -> tuple[float, float]:
    """KiB of the bridge, before many changes and after them."""
    with bridged(devices) as system, live.ordering(system.task) as order:
        order("connect", live.AT_ONCE)
        for number in range(live.WARM):
            order("round", number)
        before = machine.memory(system.groups["bridge"])
        for number in range(live.WARM, live.WARM + MORE):
            order("round", number)
        return before, machine.memory(system.groups["bridge"])


def run(out: TextIO, repetitions: int = 3) -> None:
    live.compare(
        out,
        DEVICES,
        repetitions,
        {
            "Prosody, PEP": lambda: prosody(DEVICES),
            "the same, our settings": lambda: prosody(DEVICES, more=OURS),
            "the bridge": lambda: bridged(DEVICES),
            "the same, only told": lambda: bridged(DEVICES, told=True),
        },
    )
    before, after = growth(DEVICES)
    print(f"\nThe bridge: {before:,.0f} KiB, after {MORE} more changes {after:,.0f} KiB", file=out)
