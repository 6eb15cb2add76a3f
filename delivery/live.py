"""Saying something to open sockets. Only ever a hint: what must arrive is in the rows.

Closing them is not: `watch` looks at the rows for whoever has been signed out.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple, cast
from uuid import UUID

from channels.layers import get_channel_layer
from django.contrib.sessions.models import Session
from django.db.models import Min
from django.utils import timezone

from accounts.models import Device, User
from bindings.models import BindingQuerySet
from delivery import mailbox
from delivery.batch import in_thread
from delivery.layers import MISSED, Sinks
from delivery.messages import Message, ack_of, json_frame, private
from delivery.models import OfflineMessage

LOOK_EVERY = 1.0  # seconds
BEHIND_EVERY = 600.0  # seconds
LATELY = timedelta(minutes=2)
SAID_AT_ONCE = 20  # changes of what a holder keeps private

RESTARTED = 1012  # RFC 6455, section 7.4.1: come back, and see what you missed
SIGNED_OUT = 4401
TOO_SLOW = 4408
REPLACED = 4409


class Opened(NamedTuple):
    """With what a page was opened: its session, and its person with the password of that time."""

    session: str
    person: int
    password: str


# What opened every page, and the id of every device, that has a socket in this process.
open_sessions: dict[str, Opened] = {}
open_devices: dict[str, UUID] = {}

Debt = tuple[UUID, int | None]

logger = logging.getLogger(__name__)


def layer() -> Sinks:
    return cast(Sinks, get_channel_layer())


def publish(people: Iterable[int], message: Message) -> None:
    """One text, encoded once, to every open socket of these people."""
    event = {"text": json_frame(message), "owes": ack_of(message)}
    layer().publish(map(user_group, people), event)


def publish_private(bindings: BindingQuerySet) -> None:
    """Tell the holder of these what they have changed of what they keep to themselves. Of many, the
    devices read it themselves."""
    changed = list(bindings.complete()[: SAID_AT_ONCE + 1])
    for binding in changed[:SAID_AT_ONCE]:
        publish([binding.holder_id], private(binding))
    if len(changed) > SAID_AT_ONCE:
        layer().publish([user_group(changed[0].holder_id)], {"drain": True})


def sign_out_session(session_key: str) -> None:
    """Close the sockets that a browser opened with this session."""
    layer().publish([session_group(session_key)], {"close": SIGNED_OUT})


async def watch(look: Callable[[], list[str]]) -> None:
    """Close the local sockets of all who were signed out, for as long as the server runs."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            layer().hand_out(await in_thread(look), {"close": SIGNED_OUT})
        except Exception:  # a database that is away for a while must not end the watch
            logger.exception("Looking for who was signed out failed")


async def keep_up() -> None:
    """Let the devices here read what they have not acknowledged: at once when something may have
    been missed, and in any case what they have owed for two looks."""
    missed = asyncio.Event()
    layer().attach([MISSED], lambda event: missed.set())
    owed: set[Debt] = set()
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(missed.wait(), BEHIND_EVERY)
        at_once = missed.is_set()
        missed.clear()
        try:
            before, owed = owed, await in_thread(debts, list(open_devices.values()))
        except Exception:  # as above
            logger.exception("Looking for what was not acknowledged failed")
            if at_once:
                missed.set()
            await asyncio.sleep(LOOK_EVERY)
            continue
        late = owed if at_once else owed & before
        layer().hand_out({device_group(device) for device, _message in late}, {"drain": True})


def debts(devices: list[UUID]) -> set[Debt]:
    """Of each of these devices that has something to acknowledge, or soon will: the device and the
    first of its messages."""
    unsettled = mailbox.unsettled(devices)  # first: what is done by now is in the rows
    pending = OfflineMessage.objects.pending().filter(device__in=devices)
    first = set(pending.values_list("device").annotate(first=Min("pk")))
    return first | {(device, None) for device in unsettled}


def signed_out_groups() -> list[str]:
    """The groups of all devices revoked lately, and of the pages here whose session is gone, or
    whose person was shut out or has another password. The window is wide, so that one look may
    fail."""
    lately = timezone.now() - LATELY
    devices = Device.objects.filter(revoked_at__gt=lately).values_list("pk", flat=True)
    gone = ended(set(open_sessions.values()))
    return [*map(device_group, devices), *(session_group(each.session) for each in gone)]


def ended(here: set[Opened]) -> set[Opened]:
    if not here:
        return set()
    keys = {each.session for each in here}
    alive = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    sessions = set(alive.values_list("session_key", flat=True))
    people = User.objects.filter(pk__in={each.person for each in here}, is_active=True)
    known = set(people.values_list("pk", "password"))
    return {
        each
        for each in here
        if each.session not in sessions or (each.person, each.password) not in known
    }


def user_group(user_id: int) -> str:
    return f"user.{user_id}"


def device_group(device_id: UUID) -> str:
    return f"device.{device_id.hex}"


def session_group(session_key: str) -> str:
    return f"session.{hashlib.sha256(session_key.encode()).hexdigest()[:32]}"
