"""The cast and what they bring: Alice owns, Bob holds, Charlie is a stranger."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from allauth.account.models import EmailAddress
from coverage import Coverage
from django.db import connection
from django.test import Client
from django.utils.translation import override
from rest_framework.test import APIClient

from accounts import devices
from accounts.models import Circle, Device, User
from bindings import exchange
from bindings.models import Binding
from cards.models import Card, Property
from delivery import live, mailbox, rows
from delivery.layers import MISSED, LocalLayer, RedisLayer
from tests import servers

PASSWORD = "correct-horse-battery"


def pytest_configure() -> None:
    """Before there are workers: they find it in their environment. The processes that a worker
    starts are not counted: they run what others cover, and would take twice as long."""
    servers.shared_folder()
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what starts servers and browsers: it takes longest, mostly waits, and would be waited
    for by all if it began last."""
    here = Path(__file__).parent
    first = {here / "xmpp", here / "browser", here}
    items.sort(key=lambda item: item.path.parent not in first)


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Photos go to the test's own folder, which is made with the first of them; static files need
    not be collected."""
    folder = tmp_path_factory.getbasetemp()
    settings.MEDIA_ROOT = folder / uuid.uuid4().hex
    settings.STATIC_ROOT = folder
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    """Whatever language the last page of the test before was in."""
    with override("en"):
        yield


@pytest.fixture(autouse=True)
def fresh_throttles(settings: Any) -> None:
    """Throttles count in the cache, which outlives a test and is shared with those beside it."""
    mine = {**settings.CACHES["default"], "KEY_PREFIX": uuid.uuid4().hex}
    settings.CACHES = {"default": mine}


@pytest.fixture
def uncounted() -> Iterator[None]:
    """For tests that run the same lines over and over, which others cover: counting them takes up
    to four times as long."""
    coverage = Coverage.current()
    if coverage:
        coverage.stop()
    yield
    if coverage:
        coverage.start()


@asynccontextmanager
async def heard_live() -> AsyncIterator[None]:
    """What is published is heard here, as by a server from its start."""
    layer, subscribed = live.layer(), asyncio.Event()

    def hear(event: dict[str, Any]) -> None:
        subscribed.set()

    layer.attach([MISSED], hear)
    ear = asyncio.create_task(layer.listen())
    if isinstance(layer, RedisLayer):
        await asyncio.wait_for(subscribed.wait(), 5)
    layer.detach([MISSED], hear)
    try:
        yield
    finally:
        ear.cancel()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """PostgreSQL drops no database that somebody is connected to, as threads of these tests are."""
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid != pg_backend_pid()"
            )


def make_person(username: str, name: str) -> User:
    email = f"{username}@example.org"
    user = User.objects.create_user(email, PASSWORD, name=name, username=username)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user


@pytest.fixture
def alice(db: None) -> User:
    return make_person("alice", "Alice Example")


@pytest.fixture
def bob(db: None) -> User:
    return make_person("bob", "Bob Sample")


@pytest.fixture
def charlie(db: None) -> User:
    return make_person("charlie", "Charlie Stranger")


def prop(name: str, value: Any, *circles: str, **params: list[str]) -> Property:
    return Property(name=name, value=value, params=params, circles=list(circles))


def make_card(owner: User, *properties: Property, fn: str = "") -> Card:
    card = Card(owner=owner, fn=fn or owner.name, properties=list(properties))
    card.save()
    return card


@pytest.fixture
def family(alice: User) -> Circle:
    return Circle.objects.create(owner=alice, name="Family")


@pytest.fixture
def alice_card(alice: User, family: Circle) -> Card:
    """One property for everyone, one for the family, one for nobody."""
    return make_card(
        alice,
        prop("tel", "+43 1 111", "*", type=["work"]),
        prop("tel", "+43 664 222", str(family.pk), type=["home"]),
        prop("note", "hidden from all"),
    )


@pytest.fixture
def bob_card(bob: User) -> Card:
    return make_card(bob, prop("email", "bob@example.org", "*"))


def bind(card: Card, holder: User, *circles: str) -> Binding:
    """The holder holds the card through these circles, and has given one back."""
    asked = exchange.ask(card.owner, holder.username, Card.objects.get(pk=card.pk), circles)
    own = Card.objects.kept().filter(owner=holder).first() or make_card(holder)
    held, _given = exchange.accept_request(asked, own)
    card.refresh_from_db()
    return held


@pytest.fixture
def held(alice_card: Card, bob: User, bob_card: Card) -> Binding:
    """Bob holds Alice's card, in no circle, and she holds his."""
    return bind(alice_card, bob)


def make_device(user: User, platform: str = "android", **kwargs: Any) -> Device:
    count = Device.objects.count()
    terminal = {"identifier": f"terminal-{user.pk}-{count}", "name": f"{user.name}'s {platform}"}
    device, token = devices.sign_in(user, platform=platform, **{**terminal, **kwargs})
    device.token = token  # type: ignore[attr-defined]
    return device


def api_of(user: User, device: Device | None = None) -> APIClient:
    """The API as this person's app sees it."""
    device = device or make_device(user)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {device.token}")  # type: ignore[attr-defined]
    return client


@pytest.fixture
def web() -> Callable[[User], Client]:
    """A browser in which this person is signed in."""

    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
        return client

    return signed_in


class RecordingLayer(LocalLayer):
    """A layer without sockets: it keeps what was published, as (groups, event)."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.published: list[tuple[list[str], dict[str, Any]]] = []

    def publish(self, groups: Any, event: dict[str, Any]) -> None:
        self.published.append((list(groups), event))

    def frames_to(self, user: User) -> list[dict[str, Any]]:
        """The frames that this person's open sockets would have got."""
        group = live.user_group(user.pk)
        return [
            json.loads(event["text"])
            for groups, event in self.published
            if group in groups and "text" in event
        ]


@pytest.fixture
def wire(settings: Any) -> RecordingLayer:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.conftest.RecordingLayer"}}
    return cast(RecordingLayer, live.layer())


def pending(device: Device) -> dict[str, tuple[str, int]]:
    """What the device has yet to acknowledge: subject -> (kind, rev)."""
    [page] = mailbox.read([device.pk], 500)
    return {subject_of(each): (each["kind"], each["rev"]) for each, _text in page.said}


def subject_of(message: dict[str, Any]) -> str:
    """What a message is acknowledged by."""
    binding = message.get("binding") or {}
    by_binding = binding.get("side") == "owner" or message["kind"] == "private"
    return str(binding["id"] if by_binding else message["card"])


def catch_up(device: Device) -> list[dict[str, Any]]:
    """The device syncs and acknowledges everything; what it got."""
    got = []
    rows.fill([device])
    while said := mailbox.read([device.pk], 100)[0].said:
        got += [message for message, _text in said]
        acks = [(subject_of(message), message["rev"]) for message, _text in said]
        mailbox.hear(dict.fromkeys(acks, [str(device.pk)]))
    return got


def change(card: Card, **properties: Any) -> Card:
    """Change the first property of each name given, as any door does."""
    card.refresh_from_db()
    for name, value in properties.items():
        next(each for each in card.properties if each["name"] == name)["value"] = value
    card.save()
    return card
