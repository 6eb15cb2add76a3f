"""Prompting devices that keep no socket open: when one is due, and what follows from its outcome.

A prompt carries no personal content. It asks the person to open the app, which then syncs.
"""

import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, DateTimeField, Q, Value, When
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import devices
from accounts.models import Device
from accounts.webpush import Subscription
from delivery.models import Mailbox, OfflineMessage, PushAttempt
from delivery.transports import Outcome, Prompt, TransportError, Verdict, next_delay
from delivery.transports.apns import Apns, apns_from_settings
from delivery.transports.webpush import WebPush, web_push_from_settings

LEASE = timedelta(seconds=60)
REFUSED_DELAY = 3600.0  # seconds
GIVE_UP_AFTER = timedelta(days=1)
COLLAPSE_ID = "cards"  # a newer prompt takes the place of one that has not been looked at

logger = logging.getLogger(__name__)


Send = Callable[[Prompt], Outcome]


@functools.cache
def transport() -> Apns | None:
    return apns_from_settings()


@functools.cache
def web_push() -> WebPush | None:
    return web_push_from_settings()


def reachable() -> Q:
    """Which devices a configured push service reaches."""
    ways = Q(pk=None)
    if settings.PUSH_NOTIFICATIONS_SETTINGS["APNS_AUTH_KEY_PATH"]:
        ways |= Q(apns__active=True)
    if settings.VAPID_PRIVATE_KEY:
        ways |= Q(webpush__active=True)
    return ways


def configured() -> bool:
    return bool(
        settings.PUSH_NOTIFICATIONS_SETTINGS["APNS_AUTH_KEY_PATH"] or settings.VAPID_PRIVATE_KEY
    )


def way_to(device: Device) -> tuple[str, Send] | None:
    """The transport that reaches the device, by name, and how to send by it; None without any."""
    if device.apns and device.apns.active and (apns := transport()):
        return "apns", functools.partial(apns.send, device.apns.registration_id)
    if device.webpush and device.webpush.active and (web := web_push()):
        known = device.webpush
        to = Subscription(known.registration_id, known.p256dh, known.auth)
        return "webpush", functools.partial(web.send, to)
    return None


def run_one() -> bool:
    """Prompt the device whose prompt is due longest; whether there was any."""
    mailbox = claim() if configured() else None
    if mailbox is None:
        return False
    mailbox.prompt_due_at = next_step(mailbox)
    mailbox.save(update_fields=["prompted_at", "failing_since", "failures"])
    # What came while Apple was asked found it due already; it is to be looked at once more.
    again = timezone.now() + settings.PROMPT_GRACE
    Mailbox.objects.filter(pk=mailbox.pk).update(
        prompt_due_at=Case(
            When(news=mailbox.news, then=Value(mailbox.prompt_due_at, DateTimeField())),
            default=Value(mailbox.prompt_due_at or again, DateTimeField()),
        )
    )
    return True


@transaction.atomic
def claim() -> Mailbox | None:
    """The one that is due longest, put off for as long as an attempt may take: a worker that dies
    over it leaves it to be tried again."""
    mailbox = (
        Mailbox.objects.due()
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("device__user", "device__apns", "device__webpush")
        .order_by("prompt_due_at")
        .first()
    )
    if mailbox:
        Mailbox.objects.filter(pk=mailbox.pk).update(prompt_due_at=timezone.now() + LEASE)
    return mailbox


def next_step(mailbox: Mailbox) -> datetime | None:
    """Prompt the device if it needs that, and return when to look at it again."""
    device = mailbox.device
    way = way_to(device)
    if device.revoked_at or way is None:
        return None
    if device.platform == Device.Platform.BROWSER and not device.has_session():
        devices.forget(device)
        return None
    if not OfflineMessage.objects.pending().filter(device=device).exists():
        return None
    if quiet_until := unheeded(mailbox):
        return quiet_until
    began = timezone.now()  # a phone may have followed before Apple has answered
    outcome = attempt(mailbox, *way, worded(device.user.language, device.platform))
    if outcome.verdict == "delivered":
        mailbox.prompted_at = began
    return AFTER[outcome.verdict](mailbox, outcome)


def unheeded(mailbox: Mailbox) -> datetime | None:
    """Until when to stay quiet, because the last prompt has not been followed yet."""
    if mailbox.prompted_at is None:
        return None
    quiet_until = mailbox.prompted_at + settings.PROMPT_QUIET
    heeded = OfflineMessage.objects.filter(
        device=mailbox.device_id, acknowledged_at__gt=mailbox.prompted_at
    )
    return None if quiet_until <= timezone.now() or heeded.exists() else quiet_until


def worded(language: str, platform: str = Device.Platform.IOS) -> Prompt:
    with translation.override(language):
        in_browser = platform == Device.Platform.BROWSER
        return Prompt(
            title=_("Cardsite"),
            body=_("Cards that you hold have changed. This opens them.")
            if in_browser
            else _("Cards that you hold have changed. Open the app to update them."),
            collapse_id=COLLAPSE_ID,
            expires_at=timezone.now() + timedelta(days=7),
        )


def attempt(mailbox: Mailbox, transport: str, send: Send, prompt: Prompt) -> Outcome:
    """Make one attempt, as a row that is there before it is made and has its outcome afterwards."""
    row = PushAttempt.objects.create(device=mailbox.device, transport=transport)
    try:
        outcome = send(prompt)
    except TransportError as error:
        verdict: Verdict = "refused" if error.permanent else "retry"
        outcome = Outcome(verdict=verdict, reason=error.reason, retry_after=error.retry_after)
    row.verdict, row.status = outcome.verdict, outcome.status
    row.reason, row.push_id = outcome.reason[:200], outcome.apns_id
    row.save(update_fields=["verdict", "status", "reason", "push_id"])
    return outcome


# What follows from each verdict: what is kept on the mailbox, and when to look again


def delivered(mailbox: Mailbox, outcome: Outcome) -> None:
    mailbox.failing_since, mailbox.failures = None, 0


def retry(mailbox: Mailbox, outcome: Outcome) -> datetime | None:
    now = timezone.now()
    mailbox.failing_since = mailbox.failing_since or now
    mailbox.failures += 1
    if now - mailbox.failing_since > GIVE_UP_AFTER:
        logger.warning("Giving up prompting device %s for now.", mailbox.device_id)
        mailbox.failing_since, mailbox.failures = None, 0
        return None
    return now + timedelta(seconds=next_delay(mailbox.failures, outcome.retry_after))


def dead(mailbox: Mailbox, outcome: Outcome) -> datetime | None:
    """Switch the token off, unless the app has registered it again since Apple saw it die. Of a
    browser it is all that there was."""
    device = mailbox.device
    if device.platform == Device.Platform.BROWSER:
        devices.forget(device)
        return None
    device.refresh_from_db(fields=["apns", "push_registered_at"])
    since, registered_at = outcome.dead_since, device.push_registered_at
    if since and registered_at and registered_at > since:
        return retry(mailbox, outcome)
    if device.apns:
        device.apns.active = False
        device.apns.save(update_fields=["active"])
    return None


def refused(mailbox: Mailbox, outcome: Outcome) -> datetime | None:
    """Our key or our settings are wrong: staff must mend them, and it is tried again meanwhile."""
    logger.error("The push service refuses our prompts: %s", outcome.reason)
    return retry(mailbox, replace(outcome, retry_after=REFUSED_DELAY))


AFTER: dict[str, Callable[[Mailbox, Outcome], datetime | None]] = {
    "delivered": delivered,
    "retry": retry,
    "dead": dead,
    "refused": refused,
}
