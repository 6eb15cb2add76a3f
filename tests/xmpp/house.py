"""The whole house, in processes of its own: the product, its bridge, and a Prosody that takes in
its people."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from clients.jabber import JabberPhone
from tests.prosody import RunningProsody, running_prosody
from tests.servers import Server, free_port, running_server
from tests.xmpp.conftest import until

SECRET = "a-secret-of-the-tests"
PATIENCE = 60.0  # seconds
CAST = """
from accounts.models import AppPassword, User
for name in ("alice", "bob", "charlie"):
    user = User.objects.create_user(f"{name}@example.org", name=name.title(), username=name)
    hashed = AppPassword.hash_password(f"{name}-phone")
    AppPassword.objects.create(user=user, name="phone", password_hash=hashed)
"""


class House:
    def __init__(self, product: Server, prosody: RunningProsody) -> None:
        self.product, self.prosody = product, prosody

    def start_bridge(self, name: str = "xmpp") -> None:
        env = self.product.whole_environment({})
        self.product.run(name, env, "manage.py", "xmpp")

    def kill_bridge(self, name: str = "xmpp") -> None:
        self.product.kill(name)

    def stop_bridge(self, name: str = "xmpp") -> None:
        self.product.stop(name)
        self.product.processes.pop(name, None)

    def connections(self, name: str = "xmpp") -> int:
        """How often this bridge has connected."""
        return self.product.log(name).count("The bridge is connected.")

    async def until_connected(self, name: str = "xmpp", times: int = 1) -> None:
        await until(lambda: self.connections(name) >= times, PATIENCE)

    @asynccontextmanager
    async def phone(self, name: str, folder: Path, **options: Any) -> AsyncIterator[JabberPhone]:
        """This person's, signed in."""
        phone = JabberPhone(
            f"{name}@example.org",
            f"{name}-phone",
            folder,
            host="127.0.0.1",
            port=self.prosody.has.port,
            **options,
        )
        listening = asyncio.create_task(phone.listen())
        try:
            await asyncio.wait_for(phone.wait_until(lambda: phone.connected), PATIENCE)
            yield phone
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


@contextmanager
def running_house(folder: Path, **environment: Any) -> Iterator[House]:
    """Until the block ends."""
    port = free_port()
    xmpp: dict[str, Any] = {"XMPP_DOMAIN": "example.org", "XMPP_SECRET": SECRET}
    xmpp["XMPP_COMPONENT"] = f"127.0.0.1:{port}"
    product, prosody = folder / "product", folder / "prosody"
    product.mkdir()
    with running_server(product, CAST, **xmpp, **environment) as server:
        options: dict[str, Any] = {"door": server.url, "secret": SECRET}
        with running_prosody(prosody, component=("127.0.0.1", port), **options) as running:
            house = House(server, running)
            house.start_bridge()
            yield house


def freeze(process: int) -> None:
    os.kill(process, signal.SIGSTOP)


def thaw(process: int) -> None:
    os.kill(process, signal.SIGCONT)
