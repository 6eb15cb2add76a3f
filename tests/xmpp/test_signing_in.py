"""Signing in to Prosody with the accounts of the product, and being signed out of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP

from tests.prosody import RunningProsody, running_prosody
from tests.servers import Server, free_port, running_server, wait_until

PATIENCE = 60.0  # seconds
NAME = "cards.example.org"
SECRET = "a-secret-of-the-tests"
PROLOGUE = """
from accounts.models import AppPassword, User
from bindings import exchange
def rename(name, new):
    User.objects.filter(username=name).update(username=new)
"""
CAST = """
from accounts.models import AppPassword, User
for name in ("alice", "bob", "dora", "erik", "finn"):
    user = User.objects.create_user(f"{name}@example.org", "correct-horse-battery", name=name)
    for password in (f"{name}-phone", f"{name}-desk"):
        hashed = AppPassword.hash_password(password)
        AppPassword.objects.create(user=user, name=password, password_hash=hashed)
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As behind a proxy: it answers to its own name alone, and wants HTTPS of everybody else."""
    xmpp: dict[str, Any] = {"XMPP_DOMAIN": "example.org", "XMPP_SECRET": SECRET}
    xmpp |= {"BASE_URL": f"https://{NAME}", "ALLOWED_HOSTS": NAME}
    with running_server(tmp_path_factory.mktemp("product"), CAST, **xmpp) as server:
        yield server


@pytest.fixture
def prosody(product: Server, tmp_path: Path) -> Iterator[RunningProsody]:
    with running_prosody(tmp_path, door=product.url, door_name=NAME, secret=SECRET) as running:
        yield running


def shell(product: Server, program: str) -> None:
    """As another process of the product, as the admin or a page would."""
    product.manage("shell", "-v0", "-c", f"{PROLOGUE}\n{program}")


@asynccontextmanager
async def client(
    prosody: RunningProsody, name: str, password: str
) -> AsyncIterator[tuple[Any, asyncio.Queue[str]]]:
    """Somebody's client, and what becomes of it: in, refused and why, or out."""
    xmpp, said = ClientXMPP(f"{name}@example.org", password), asyncio.Queue[str]()
    xmpp.enable_starttls = xmpp.enable_direct_tls = False
    xmpp.enable_plaintext = True
    xmpp.plugin["feature_mechanisms"].unencrypted_plain = True
    xmpp.add_event_handler("session_start", lambda _event: said.put_nowait("in"))
    xmpp.add_event_handler("failed_auth", lambda why: said.put_nowait(why["condition"]))
    xmpp.add_event_handler("stream_error", lambda why: said.put_nowait(why["condition"]))
    xmpp.connect("127.0.0.1", prosody.has.port)
    try:
        yield xmpp, said
    finally:
        await xmpp.disconnect()


async def heard(said: asyncio.Queue[str]) -> str:
    return await asyncio.wait_for(said.get(), PATIENCE)


async def becomes(prosody: RunningProsody, name: str, password: str) -> str:
    async with client(prosody, name, password) as (_xmpp, said):
        return await heard(said)


async def test_people_sign_in_with_app_passwords(prosody: RunningProsody) -> None:
    assert await becomes(prosody, "alice", "alice-phone") == "in"
    assert await becomes(prosody, "alice", "alice-desk") == "in"
    assert await becomes(prosody, "alice", "bob-phone") == "not-authorized"
    assert await becomes(prosody, "alice", "correct-horse-battery") == "not-authorized"
    assert await becomes(prosody, "nobody", "alice-phone") == "not-authorized"


async def test_a_deleted_app_password_ends_its_session_and_no_other(
    product: Server, prosody: RunningProsody
) -> None:
    phone, desk = (client(prosody, "bob", f"bob-{terminal}") for terminal in ("phone", "desk"))
    async with phone as (_phone, ended), desk as (_desk, other):
        assert await heard(ended) == await heard(other) == "in"
        delete = "AppPassword.objects.get(name='bob-phone').delete()"
        await asyncio.to_thread(shell, product, delete)
        assert await heard(ended) == "not-authorized"
        assert other.empty()
    assert await becomes(prosody, "bob", "bob-phone") == "not-authorized"
    assert await becomes(prosody, "bob", "bob-desk") == "in"


async def test_a_closed_account_ends_all_sessions(product: Server, prosody: RunningProsody) -> None:
    async with client(prosody, "dora", "dora-phone") as (_phone, said):
        assert await heard(said) == "in"
        close = "User.objects.filter(username='dora').update(is_active=False)"
        await asyncio.to_thread(shell, product, close)
        assert await heard(said) == "not-authorized"
    assert await becomes(prosody, "dora", "dora-phone") == "not-authorized"


async def test_who_takes_a_name_gets_nothing_of_who_had_it(
    product: Server, prosody: RunningProsody
) -> None:
    async with client(prosody, "erik", "erik-phone") as (erik, said):
        assert await heard(said) == "in"
        await erik.update_roster("secret-friend@example.org", name="Secret friend")
    rename = "rename('erik', 'erik-b'); rename('alice', 'erik')"
    await asyncio.to_thread(shell, product, rename)
    async with client(prosody, "erik", "alice-phone") as (other, said):
        assert await heard(said) == "in"
        assert not (await other.get_roster())["roster"]["items"]
        await asyncio.to_thread(shell, product, "rename('erik', 'alice')")
        assert await heard(said) == "not-authorized"


async def test_nothing_is_kept_for_who_erases_their_account(
    product: Server, prosody: RunningProsody
) -> None:
    async with client(prosody, "finn", "finn-phone") as (finn, said):
        assert await heard(said) == "in"
        await finn.update_roster("secret-friend@example.org", name="Secret friend")
    assert kept_for(prosody, "finn")
    prosody.stop()
    await asyncio.to_thread(shell, product, "exchange.erase(User.objects.get(username='finn'))")
    prosody.start()
    await asyncio.to_thread(wait_until, lambda: not kept_for(prosody, "finn"))


def kept_for(prosody: RunningProsody, name: str) -> list[Path]:
    return [path for path in prosody.folder.rglob(f"{name}.*") if path.is_file()]


async def test_nobody_is_told_that_a_password_is_wrong_while_the_product_is_away(
    tmp_path: Path,
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with running_prosody(tmp_path, door=away, secret=SECRET) as prosody:
        assert await becomes(prosody, "alice", "alice-phone") == "temporary-auth-failure"
