"""`manage.py doctor`: what answers, what waits and for how long, and what to do about it."""

import socket
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Coalesce, Now
from django.utils import timezone, translation
from django.utils.timesince import timesince
from redis import Redis, RedisError

from delivery import live
from delivery import prompts as push
from delivery.models import CardUpdate, Mailbox, OfflineMessage, PushAttempt
from xmpp.configuration import address
from xmpp.models import Lease

PATIENCE = timedelta(seconds=10)  # what is due longer than this, nobody is doing
COUNTED = 100_000  # rows; more are not counted
WORKER = "celery -A cardsite worker -Q fan-out,prompts"
BEAT = "celery -A cardsite beat"


class Finding(NamedTuple):
    """What was looked at, and, if it is not as it should be, what to do."""

    said: str
    todo: str = ""


class Command(BaseCommand):
    help = "Say what answers, what waits and for how long, and what to do. Fails if there is any."
    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        with translation.override("en"):
            found = list(look())
        for each in found:
            mark = self.style.ERROR("✗") if each.todo else self.style.SUCCESS("✓")
            self.stdout.write(f"{mark} {each.said}")
            if each.todo:
                self.stdout.write(f"    {each.todo}")
        if wrong := sum(bool(each.todo) for each in found):
            raise CommandError(f"{wrong} of {len(found)} need you.")


def look() -> Iterator[Finding]:
    try:
        yield database()
        applied = migrations()
        yield applied
    except DatabaseError as error:
        yield Finding(f"The database does not answer: {error}", "Start it, or mend DATABASE_URL.")
        return
    if applied.todo:
        return
    if settings.REDIS_URL:
        yield redis()
    if settings.CELERY_BROKER_URL:
        yield celery()
    if settings.XMPP_DOMAIN:
        yield prosody()
        yield bridge()
    yield fan_out()
    yield messages()
    if push.configured():
        yield prompts()
    if settings.PUSH_NOTIFICATIONS_SETTINGS["APNS_AUTH_KEY_PATH"]:
        yield pushes("apns", "Apple", "APNS_")
    if settings.VAPID_PRIVATE_KEY:
        yield pushes("webpush", "The push service of a browser", "VAPID_")
    else:
        yield Finding("Browsers are not notified: `manage.py vapid` makes the key for it.")


def database() -> Finding:
    start = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    milliseconds = (time.perf_counter() - start) * 1000
    return Finding(f"The database ({connection.vendor}) answers in {milliseconds:.0f} ms.")


def migrations() -> Finding:
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        return Finding(f"{missing} migrations are not applied.", "Run `manage.py migrate`.")
    return Finding("All migrations are applied.")


def redis() -> Finding:
    channel = getattr(live.layer(), "channel", "")
    try:
        with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2) as door:
            ((_channel, listening),) = door.pubsub_numsub(channel)
    except RedisError as error:
        return Finding(f"Redis does not answer: {error}", "Start it, or mend REDIS_URL.")
    if not listening:
        return Finding("No web process listens to Redis.", "Start `manage.py serve`.")
    return Finding(f"Redis answers, {listening} web processes listen to it.")


def celery() -> Finding:
    from kombu.exceptions import OperationalError

    from cardsite.celery import app

    try:
        with app.connection_for_write(settings.CELERY_BROKER_URL) as broker:
            queues = app.control.inspect(timeout=2, connection=broker).active_queues() or {}
    except (OperationalError, RedisError, OSError) as error:
        todo = "Start it, or mend CELERY_BROKER_URL."
        return Finding(f"The broker does not answer: {error}", todo)
    served = {queue["name"] for worker in queues.values() for queue in worker}
    if missing := {"fan-out", "prompts"} - served:
        names = ", ".join(sorted(missing))
        return Finding(f"No Celery worker takes tasks of {names}.", f"Start `{WORKER}`.")
    return Finding(f"{len(queues)} Celery workers answer.")


def prosody() -> Finding:
    try:
        socket.create_connection(address(settings.XMPP_COMPONENT), timeout=2).close()
    except OSError as error:
        todo = "Start it, with what `manage.py xmpp_config` prints, or mend XMPP_COMPONENT."
        return Finding(f"Prosody does not answer at {settings.XMPP_COMPONENT}: {error}", todo)
    return Finding(f"Prosody answers at {settings.XMPP_COMPONENT}.")


def bridge() -> Finding:
    if Lease.objects.filter(until__gt=Now()).exists():
        return Finding(f"A bridge speaks for the cards at {settings.XMPP_CARDS_DOMAIN}.")
    return Finding("No bridge speaks for the cards over XMPP.", "Start `manage.py xmpp`.")


def fan_out() -> Finding:
    due = CardUpdate.objects.due().order_by("wanted_at")
    return waiting("card", due.values_list("wanted_at", flat=True).first(), due[:COUNTED].count())


def prompts() -> Finding:
    due = Mailbox.objects.due().order_by("prompt_due_at")
    oldest = due.values_list("prompt_due_at", flat=True).first()
    return waiting("prompt", oldest, due[:COUNTED].count())


def waiting(what: str, oldest: datetime | None, count: int) -> Finding:
    if oldest is None:
        return Finding(f"No {what} waits.")
    said = f"{count:,} {what}s wait, the oldest for {timesince(oldest)}."
    if oldest > timezone.now() - PATIENCE:
        return Finding(said)
    if settings.CELERY_BROKER_URL:
        return Finding(said, f"Start `{BEAT}` (one) and more of `{WORKER}`; see their logs.")
    return Finding(said, "Run `manage.py serve` with WORKER=1, and see its log.")


def messages() -> Finding:
    """Messages wait for devices that are away, which is no fault of anybody."""
    pending = OfflineMessage.objects.pending().filter(device__revoked_at=None)
    since = Coalesce("acknowledged_at", "created_at")
    oldest = pending.order_by(since).values_list(since, flat=True).first()
    if oldest is None:
        return Finding("Every device has acknowledged all it must have.")
    count = pending[:COUNTED].count()
    return Finding(
        f"{count:,} messages wait for their devices, the oldest for {timesince(oldest)}."
    )


def pushes(transport: str, service: str, names: str) -> Finding:
    since = timezone.now() - timedelta(days=1)
    lately = PushAttempt.objects.filter(transport=transport, sent_at__gt=since)
    refused = lately.filter(verdict="refused").order_by("-sent_at").first()
    count = lately[:COUNTED].count()
    if refused:
        said = f"{service} refuses our prompts: {refused.reason or refused.status}."
        return Finding(said, f"Mend the {names} settings; prompts are tried again every hour.")
    return Finding(f"{count:,} prompts were sent by {transport} in a day, none was refused.")
