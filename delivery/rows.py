"""The set-based writes of delivery: what devices must have, and what they said they have.

One statement for each, whatever the number of devices, on SQLite and on PostgreSQL. Every write
takes the larger number, so their order does not matter.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection, models, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from accounts.models import Device
from bindings.models import Binding
from delivery.messages import Ack
from delivery.models import Mailbox, OfflineMessage

LARGER = "GREATEST" if connection.vendor == "postgresql" else "MAX"
FOLLOWED = Case(  # as Binding.followed_rev has it
    When(ended_at=None, then=Greatest(F("view__rev"), F("held_rev"))), default=F("held_rev")
)

AT_ONCE = 5000  # acknowledgements in one statement; databases bound its parameters

# The people on either side of a binding, as a path from it.
PERSON = {"holder": "holder", "owner": "card__owner"}


def insert_selected(
    model: type[models.Model], rows: QuerySet[Any], selected: dict[str, Any], conflict: str
) -> int:
    """`INSERT INTO model SELECT ... ON CONFLICT ...`: how many rows were written.

    `selected` is column -> expression over `rows`, which must have a WHERE clause (SQLite would
    read the ON as a join's).
    """
    named = {f"as_{column}": expression for column, expression in selected.items()}
    query = rows.order_by().annotate(**named).values_list(*named).query
    try:
        sql, params = query.sql_with_params()
    except EmptyResultSet:  # Django sees that no row can match
        return 0
    columns = ", ".join(connection.ops.quote_name(column) for column in selected)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) {sql} {conflict}", params)  # noqa: S608
        return int(cursor.rowcount)


def insert_messages(bindings: QuerySet[Binding], device: Any, subject: str, rev: Any) -> int:
    return insert_selected(
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
        "ON CONFLICT (device_id, subject, binding_id) DO UPDATE SET "
        f"rev = {LARGER}(delivery_offlinemessage.rev, excluded.rev)",
    )


def must_have(bindings: QuerySet[Binding], side: str) -> int:
    """Every active device on this side ("holder" or "owner") of the bindings must have their rev;
    how many rows that was."""
    devices = f"{PERSON[side]}__devices"
    active = {f"{devices}__id__isnull": False, f"{devices}__revoked_at": None}
    return insert_messages(
        bindings.filter(**active),
        device=F(f"{devices}__id"),
        subject="card_id" if side == "holder" else "id",
        rev=FOLLOWED if side == "holder" else F("rev"),
    )


def prompt(bindings: QuerySet[Binding], side: str, due_at: Any) -> int:
    """Every device on this side that Apple can reach is to be prompted then, if not sooner."""
    devices = Device.objects.active().filter(
        apns__active=True, user__in=bindings.order_by().values(PERSON[side])
    )
    return insert_selected(
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


def fill(device: Device) -> None:
    """Put in a message for every card that the device's person holds, once for each device.

    This runs in a transaction of its own after the one that made the device: a binding that is
    committed before it is seen here, one committed later sees the device in its fan-out.
    """
    if Mailbox.objects.filter(device=device, filled_at__isnull=False).exists():
        return
    with transaction.atomic():
        insert_messages(
            Binding.objects.active().filter(holder=device.user_id),
            device=Value(device.pk, models.UUIDField()),
            subject="card_id",
            rev=FOLLOWED,
        )
        Mailbox.objects.update_or_create(device=device, defaults={"filled_at": timezone.now()})


def acknowledge(acks: Iterable[tuple[UUID, Ack]]) -> None:
    """Store what devices said they have: (device, (subject, rev)) each.

    A rev that the card has not reached is not believed. Rows that are not there are not the
    device's business and stay away.
    """
    newest: dict[tuple[UUID, UUID], int] = {}
    for device, (subject, rev) in acks:
        newest[device, subject] = max(rev, newest.get((device, subject), 0))
    ordered = sorted(newest.items())
    for start in range(0, len(ordered), AT_ONCE):
        acknowledge_part(ordered[start : start + AT_ONCE])


def acknowledge_part(newest: Iterable[tuple[tuple[UUID, UUID], int]]) -> None:
    """These in one statement."""
    postgresql = connection.vendor == "postgresql"
    row = "(%s::uuid, %s::uuid, %s::bigint)" if postgresql else "(%s, %s, %s)"
    # Sorted, so that two processes that write the same rows take their locks in one order.
    values = [part for (device, subject), rev in newest for part in (device.hex, subject.hex, rev)]
    said = ", ".join([row] * (len(values) // 3))
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH said (device_id, subject, rev) AS "  # noqa: S608
            f"(VALUES {said}) "
            "UPDATE delivery_offlinemessage SET acknowledged_at = %s, "
            "acknowledged_rev = said.rev FROM said "
            "WHERE delivery_offlinemessage.device_id = said.device_id "
            "AND delivery_offlinemessage.subject = said.subject "
            "AND said.rev > delivery_offlinemessage.acknowledged_rev "
            "AND said.rev <= (SELECT cards_card.rev FROM bindings_binding JOIN cards_card "
            "ON cards_card.id = bindings_binding.card_id "
            "WHERE bindings_binding.id = delivery_offlinemessage.binding_id)",
            [*values, timezone.now()],
        )
