"""What is thrown away, and when. docs/retention.md says the same to people."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import AuditEntry, Device, IdempotentReply
from bindings.models import Guest, Invitation, Request
from cards.bulkrows import BulkChange
from cards.models import PublicPage
from cards.public import KEPT_FROM_OTHERS
from delivery.models import OfflineMessage, PushAttempt, Tally

EVERY = 3600.0  # seconds
AT_ONCE = 1000  # rows in one statement, so that nobody waits long for the lock

Rule = Callable[[datetime], QuerySet[Any]]

RULES: list[tuple[timedelta, Rule]] = [
    (timedelta(0), lambda then: OfflineMessage.objects.filter(device__revoked_at__lt=then)),
    (timedelta(days=1), lambda then: IdempotentReply.objects.filter(created_at__lt=then)),
    (
        timedelta(days=1),
        lambda then: BulkChange.objects.filter(made_at__lt=then, confirmed_at=None),
    ),
    (timedelta(days=30), lambda then: UserSession.objects.filter(last_seen_at__lt=then)),
    (timedelta(days=30), lambda then: PushAttempt.objects.filter(sent_at__lt=then)),
    (timedelta(days=90), lambda then: Invitation.objects.filter(expires_at__lt=then)),
    (timedelta(days=90), lambda then: Request.objects.filter(expires_at__lt=then)),
    (timedelta(days=90), lambda then: Guest.objects.filter(claimed_at__lt=then)),
    (timedelta(days=90), lambda then: BulkChange.objects.filter(confirmed_at__lt=then)),
    (timedelta(days=365), lambda then: Tally.objects.filter(hour__lt=then)),
    (KEPT_FROM_OTHERS, lambda then: PublicPage.objects.filter(freed_at__lt=then)),
    (AuditEntry.KEPT, lambda then: AuditEntry.objects.filter(at__lt=then)),
    (timedelta(days=365), lambda then: Device.objects.filter(revoked_at__lt=then)),
]

_next_run = 0.0


def run_one() -> bool:
    """Clean up if it is time to. Never says that there is more: the rest waits for the next hour
    at the latest."""
    global _next_run
    if time.monotonic() >= _next_run:
        _next_run = time.monotonic() + EVERY
        clean()
    return False


def clean() -> None:
    for age, rule in RULES:
        while delete_some(rule(timezone.now() - age)):
            pass


def delete_some(rows: QuerySet[Any]) -> int:
    chosen = list(rows.values_list("pk", flat=True)[:AT_ONCE])
    rows.model._default_manager.filter(pk__in=chosen).delete()
    return len(chosen)
