"""The set-based writes of delivery: what devices must have, and what they said they have.

One statement for each, whatever the number of devices, on SQLite and on PostgreSQL. Every write
takes the larger number, so their order does not matter.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, models, transaction
from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from accounts.deadlocks import again_if_deadlocked
from accounts.models import Device
from bindings.models import Binding
from delivery.messages import Ack
from delivery.models import Mailbox, OfflineMessage

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


def insert_selected(
    model: type[models.Model], rows: QuerySet[Any], selected: dict[str, Any], conflict: str
) -> None:
    """`INSERT INTO model SELECT ... ON CONFLICT ...`, in the order of the devices.

    `selected` is column -> expression over `rows`, which must have a WHERE clause (SQLite would
    read the ON as a join's).
    """
    named = {f"as_{column}": expression for column, expression in selected.items()}
    query = rows.annotate(**named).order_by("as_device_id").values_list(*named).query
    try:
        sql, params = query.sql_with_params()
    except EmptyResultSet:  # Django sees that no row can match
        return
    columns = ", ".join(connection.ops.quote_name(column) for column in selected)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) {sql} {conflict}", params)  # noqa: S608


def write_messages(bindings: QuerySet[Binding], device: Any, subject: str, rev: Any) -> None:
    """See to it that each of the devices has a message with this rev at least, or has it."""
    insert_selected(
        OfflineMessage,
        bindings,
        {
            "device_id": device,
            "subject": F(subject),
            "binding_id": F("id"),
            "rev": rev,
            "acknowledged_rev": Value(0),
            "created_at": Value(timezone.now(), models.DateTimeField()),
        },
        "ON CONFLICT (device_id, subject, binding_id) DO UPDATE SET rev = excluded.rev "
        f"WHERE excluded.rev > {LARGER}(delivery_offlinemessage.rev, "
        "delivery_offlinemessage.acknowledged_rev)",
    )


@again_if_deadlocked
def must_have(bindings: QuerySet[Binding], side: str, *, mostly_has: bool = False) -> None:
    """Every active device on this side of the bindings must have their rev. Where most have said
    that they have it, it is cheaper to look for that first than to let each row be locked by a
    conflict; where few have, it is dearer."""
    devices = f"{PERSON[side]}__devices"
    subject, rev = NEWS[side]
    active = {f"{devices}__id__isnull": False, f"{devices}__revoked_at": None}
    theirs = bindings.filter(**active).annotate(to_device=F(f"{devices}__id"))
    if mostly_has:
        theirs = theirs.alias(known=known(subject)).filter(known__lt=rev)
    write_messages(theirs, device=F("to_device"), subject=subject, rev=rev)


def known(subject: str) -> Coalesce:
    """The rev that the row of `to_device` has; -1 without one. Not a NOT EXISTS: PostgreSQL may
    make that a join, and look through all messages of a device, which an owner's may have a
    hundred thousand of, for each of the bindings."""
    there = OfflineMessage.objects.filter(
        device=OuterRef("to_device"), subject=OuterRef(subject), binding=OuterRef("pk")
    )
    return Coalesce(Subquery(there.values(newest=Greatest("rev", "acknowledged_rev"))), -1)


@again_if_deadlocked
def prompt(bindings: QuerySet[Binding], side: str, reachable: Q, due_at: Any) -> None:
    """Every device on this side that a push service reaches is due then, if not sooner."""
    people = bindings.order_by().values(PERSON[side])
    devices = Device.objects.active().filter(reachable, user__in=people)
    insert_selected(
        Mailbox,
        devices,
        {
            "device_id": F("id"),
            "prompt_due_at": Value(due_at, models.DateTimeField()),
            "failures": Value(0),
            "news": Value(1),
        },
        "ON CONFLICT (device_id) DO UPDATE SET news = delivery_mailbox.news + 1, prompt_due_at = "
        "COALESCE(delivery_mailbox.prompt_due_at, excluded.prompt_due_at)",
    )


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
    write_messages(
        Binding.objects.active().filter(holder=device.user_id),
        device=Value(device.pk, models.UUIDField()),
        subject="card_id",
        rev=FOLLOWED,
    )
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
            [*values, timezone.now()],
        )
