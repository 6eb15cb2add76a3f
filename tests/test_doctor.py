"""What the doctor says of a healthy product, and of each thing that may be wrong with it."""

import io
import socket
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from accounts import webpush
from accounts.models import User
from bindings.models import Binding
from cardsite.management.commands import doctor
from delivery import fanout
from delivery.models import CardUpdate, Mailbox, PushAttempt
from tests.conftest import RecordingLayer, change, make_device
from tests.servers import free_port
from xmpp.models import Lease

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def embedded(settings: Any, wire: RecordingLayer) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = settings.XMPP_DOMAIN = ""


def said() -> str:
    out = io.StringIO()
    try:
        call_command("doctor", stdout=out, no_color=True)
    except CommandError as error:
        out.write(str(error))
    return out.getvalue()


def test_of_a_healthy_product_there_is_nothing_to_do() -> None:
    words = said()
    assert "✗" not in words and "need you" not in words
    assert f"The database ({connection.vendor}) answers" in words
    assert "No card waits." in words
    assert "Every device has acknowledged" in words


def test_messages_wait_for_devices_that_are_away(held: Binding, bob: User) -> None:
    make_device(bob)
    fanout.run_all()
    assert "2 messages wait for" in said()
    assert "✗" not in said()


@pytest.mark.parametrize(("broker", "todo"), [("", "manage.py serve"), ("redis://x", "beat")])
def test_cards_that_wait_long_want_a_worker(
    held: Binding, settings: Any, monkeypatch: pytest.MonkeyPatch, broker: str, todo: str
) -> None:
    monkeypatch.setattr(doctor, "celery", lambda: doctor.Finding("-"))
    settings.CELERY_BROKER_URL = broker
    change(held.card, tel="+43 1 999")
    assert "2 cards wait" in said() and "✗" not in said()
    CardUpdate.objects.update(wanted_at=timezone.now() - timedelta(hours=3))
    assert "✗ 2 cards wait, the oldest for 3\xa0hours." in said()
    assert todo in said()
    assert "1 of" in said()


def test_prompts_that_wait_and_are_refused(bob: User, settings: Any) -> None:
    settings.PUSH_NOTIFICATIONS_SETTINGS = {
        **settings.PUSH_NOTIFICATIONS_SETTINGS,
        "APNS_AUTH_KEY_PATH": "key",
    }
    device = make_device(bob, "ios")
    assert "No prompt waits." in said() and "0 prompts were sent" in said()
    Mailbox.objects.create(device=device, prompt_due_at=timezone.now() - timedelta(minutes=5))
    PushAttempt.objects.create(
        device=device, transport="apns", verdict="refused", status=403, reason="BadTopic"
    )
    assert "✗ 1 prompts wait, the oldest for 5\xa0minutes." in said()
    assert "✗ Apple refuses our prompts: BadTopic." in said()
    assert "Browsers are not notified" in said()
    settings.VAPID_PRIVATE_KEY = webpush.new_private_key()
    assert "0 prompts were sent by webpush" in said()


def test_a_redis_and_a_broker_that_are_not_there(settings: Any) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert "✗ Redis does not answer" in said()
    assert "✗ The broker does not answer" in said()


def test_a_prosody_and_a_bridge_that_are_not_there(settings: Any) -> None:
    assert "Prosody" not in said() and "bridge" not in said()
    Lease.objects.create(holder="one that died", until=timezone.now() - timedelta(seconds=1))
    settings.XMPP_DOMAIN, settings.XMPP_COMPONENT = "example.org", f"127.0.0.1:{free_port()}"
    assert "✗ Prosody does not answer" in said()
    assert "✗ No bridge speaks" in said()
    assert "2 of" in said()
    with socket.create_server(("127.0.0.1", 0)) as prosody:
        settings.XMPP_COMPONENT = "{}:{}".format(*prosody.getsockname())
        Lease.take("another")
        assert "✓ Prosody answers" in said() and "✓ A bridge speaks" in said()


def test_a_database_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> doctor.Finding:
        raise DatabaseError("it is away")

    monkeypatch.setattr(doctor, "database", away)
    assert "✗ The database does not answer: it is away" in said()


def test_migrations_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_args: [1, 2])
    assert "✗ 2 migrations are not applied." in said()
