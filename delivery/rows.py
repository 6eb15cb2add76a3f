"""The set-based writes of delivery: what devices must have, and what they said they have.

One statement for up to thousands of devices, on SQLite and on PostgreSQL. Every write
takes the larger number, so their order does not matter.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import repeat
from operator import itemgetter
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Greatest
from django.utils import timezone

from accounts.deadlocks import again_if_deadlocked
from accounts.models import Device
from bindings.models import Binding
from delivery.messages import Ack
from delivery.models import Mailbox

LARGER = "GREATEST" if connection.vendor == "postgresql" else "MAX"
FOLLOWED = Case(  # as Binding.followed_rev has it
    When(ended_at=None, then=Greatest(F("view__rev"), F("held_rev"))), default=F("held_rev")
)

REACHED = (  # as OfflineMessage.is_private has it
    "AND said.rev <= (SELECT CASE WHEN delivery_offlinemessage.subject = bindings_binding.id "
    "AND accounts_device.user_id = bindings_binding.holder_id "
    "THEN bindings_binding.private_rev ELSE cards_card.rev END "
    "FROM bindings_binding JOIN cards_card ON cards_card.id = bindings_binding.card_id, "
    "accounts_device WHERE bindings_binding.id = delivery_offlinemessage.binding_id "
    "AND accounts_device.id = delivery_offlinemessage.device_id)"
)
AT_ONCE = 5000  # acknowledgements in one statement; databases bound its parameters

# The people on either side of a binding, as a path from it; and what they are told of on each side:
# the subject and the rev. "private" is what holders keep to themselves.
PERSON = {"holder": "holder", "owner": "card__owner", "private": "holder"}
NEWS: dict[str, tuple[str, Any]] = {
    "holder": ("card_id", FOLLOWED),
    "owner": ("id", F("rev")),
    "private": ("id", F("private_rev")),
}


# Not a NOT EXISTS: PostgreSQL may make that a join, and look through all messages of a device, of
# which an owner's may have a hundred thousand, for each of the bindings.
UNKNOWN = (
    f"AND news.rev > COALESCE((SELECT {LARGER}(known.rev, known.acknowledged_rev) "  # noqa: S608
    "FROM delivery_offlinemessage known WHERE known.device_id = accounts_device.id "
    "AND known.subject = news.subject AND known.binding_id = news.binding_id), -1)"
)


def stored_time(when: datetime) -> Any:
    """As this database keeps it."""
    return connection.ops.adapt_datetimefield_value(when)


def stored_id(device: Device) -> Any:
    return device.pk if connection.features.has_native_uuid_field else device.pk.hex


@again_if_deadlocked
def must_have(
    bindings: QuerySet[Binding],
    side: str,
    *,
    mostly_has: bool = False,
    device: Device | None = None,
) -> None:
    """Every active device on this side of the bindings, or this one alone, must have their rev, or
    a later one. Where most have said that they have it, it is cheaper to look for that first than
    to let each row be locked by a conflict; where few have, it is dearer."""
    subject, rev = NEWS[side]
    of_news = {"to_person": F(PERSON[side]), "of_subject": F(subject), "at_rev": rev}
    news = bindings.order_by().annotate(**of_news).values_list(*of_news, "pk")
    that_one = "AND accounts_device.id = %s" if device else ""
    write_with(
        "news (person_id, subject, rev, binding_id)",
        news,
        "INSERT INTO delivery_offlinemessage "  # noqa: S608
        "(device_id, subject, binding_id, rev, acknowledged_rev, created_at) "
        "SELECT accounts_device.id, subject, binding_id, rev, 0, %s "
        "FROM news JOIN accounts_device ON accounts_device.user_id = person_id "
        f"WHERE accounts_device.revoked_at IS NULL {that_one} {UNKNOWN if mostly_has else ''} "
        # As those who acknowledge do, so that both take their locks in one order.
        "ORDER BY accounts_device.id "
        "ON CONFLICT (device_id, subject, binding_id) DO UPDATE SET rev = excluded.rev "
        f"WHERE excluded.rev > {LARGER}(delivery_offlinemessage.rev, "
        "delivery_offlinemessage.acknowledged_rev)",
        [stored_time(timezone.now()), *([stored_id(device)] if device else [])],
    )


@again_if_deadlocked
def prompt(bindings: QuerySet[Binding], side: str, reachable: Q, due_at: datetime) -> None:
    """Every device on this side that a push service reaches is due then, if not sooner."""
    people = bindings.order_by().values(PERSON[side])
    write_with(
        "reached (device_id)",
        Device.objects.active().filter(reachable, user__in=people).values_list("pk"),
        "INSERT INTO delivery_mailbox (device_id, prompt_due_at, failures, news) "
        "SELECT device_id, %s, 0, 1 FROM reached WHERE true ORDER BY device_id "
        "ON CONFLICT (device_id) DO UPDATE SET news = delivery_mailbox.news + 1, "
        "prompt_due_at = COALESCE(delivery_mailbox.prompt_due_at, excluded.prompt_due_at)",
        [stored_time(due_at)],
    )


def write_with(name: str, rows: QuerySet[Any], statement: str, values: list[Any]) -> None:
    """Execute the statement, which reads these rows by this name with its columns."""
    with suppress(EmptyResultSet), connection.cursor() as cursor:  # Django may see that none match
        sql, those = rows.query.sql_with_params()
        cursor.execute(f"WITH {name} AS ({sql}) {statement}", [*those, *values])


def fill(devices: Sequence[Device]) -> None:
    """Put in a message for every card that a device's person holds, once for each device.

    This runs in a transaction of its own after the one that made the device: a binding that is
    committed before it is seen here, one committed later sees the device in its fan-out.
    """
    mailboxes = Mailbox.objects.filter(device__in=devices, filled_at__isnull=False)
    filled = set(mailboxes.values_list("device", flat=True))
    for device in devices:
        if device.pk not in filled:
            fill_one(device)


@again_if_deadlocked
@transaction.atomic
def fill_one(device: Device) -> None:
    held = Binding.objects.active().filter(holder=device.user_id)
    must_have(held, "holder", device=device)
    Mailbox.objects.update_or_create(device=device, defaults={"filled_at": timezone.now()})


def acknowledge(said: Mapping[Ack, Iterable[str]], *, told: bool) -> None:
    """Store what was said by which devices: (subject, rev) -> devices, all ids as text.

    Unless they are known to have been `told` it, a rev that the card has not reached is not
    believed. Rows that are not there are not the device's business and stay away.
    """
    newest: dict[tuple[str, str], int] = {}
    for subject, rev in sorted(said, key=itemgetter(1)):
        newest |= dict.fromkeys(zip(said[subject, rev], repeat(subject), strict=False), rev)
    # Sorted, so that two processes that write the same rows take their locks in one order.
    ordered = sorted(newest)
    for start in range(0, len(ordered), AT_ONCE):
        acknowledge_part({key: newest[key] for key in ordered[start : start + AT_ONCE]}, told)


def array(values: Iterable[str]) -> str:
    """As PostgreSQL writes an array; the values are ids or numbers and need no quotes."""
    return "{" + ",".join(values) + "}"


@again_if_deadlocked
def acknowledge_part(newest: dict[tuple[str, str], int], told: bool) -> None:
    """These in one statement."""
    if connection.vendor == "postgresql":
        said = "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[])"
        devices, subjects = zip(*newest, strict=True)
        values: list[Any] = [array(devices), array(subjects), array(map(str, newest.values()))]
    else:
        said = "VALUES " + ", ".join(["(%s, %s, %s)"] * len(newest))
        values = [
            value
            for (device, subject), rev in newest.items()
            for value in (device.replace("-", ""), subject.replace("-", ""), rev)
        ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH said (device_id, subject, rev) AS ({said}) "  # noqa: S608
            "UPDATE delivery_offlinemessage SET acknowledged_at = %s, "
            "acknowledged_rev = said.rev FROM said "
            "WHERE delivery_offlinemessage.device_id = said.device_id "
            "AND delivery_offlinemessage.subject = said.subject "
            f"AND said.rev > delivery_offlinemessage.acknowledged_rev {'' if told else REACHED}",
            [*values, stored_time(timezone.now())],
        )
