"""What devices have yet to acknowledge: read, and stored as acknowledged, by the WebSocket and the
sync API alike. (The model Mailbox has what prompts need.)

Many devices are read at once, and what they see through the same view is rendered once: when a
server comes back, all that were connected to it ask at the same time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, Window
from django.db.models.functions import RowNumber

from accounts.models import Device
from cards.models import View
from delivery import rows
from delivery.messages import Ack, Message, json_frame, of_row, of_view
from delivery.models import CardUpdate, Epoch, OfflineMessage

MAX_KEPT = 8 * 1024 * 1024  # characters of ready texts


class Said(NamedTuple):
    """A message, and the JSON text that says it."""

    message: Message
    text: str


class Page(NamedTuple):
    """The first pending messages of a device, how many there were, and the row to go on after if
    there are more. Not `settled`: look again soon, as something that the device must have may
    already have been said, and not be among its rows yet."""

    said: list[Said]
    pending: int = 0
    after: int | None = None
    settled: bool = True


class Arrival(NamedTuple):
    """What a device is welcomed with."""

    epoch: str
    page: Page


Look = tuple[UUID, str, int]


class Line(NamedTuple):
    """A pending message, as much of it as tells whether its view says it all."""

    pk: int
    device: UUID
    rev: int
    acknowledged_rev: int
    subject: UUID
    card: UUID
    view: int
    digest: str
    view_rev: int
    held_rev: int
    ended_at: Any
    retired_at: Any
    pending: int

    @property
    def look(self) -> Look:
        return self.card, self.digest, self.view_rev

    @property
    def is_of_view(self) -> bool:
        """Whether the device knows the binding already, and only the view has changed."""
        return (
            self.subject == self.card
            and self.ended_at is None
            and self.retired_at is None
            and self.held_rev <= self.acknowledged_rev
        )


COLUMNS = (
    *("pk", "device", "rev", "acknowledged_rev", "subject"),
    *("binding__card", "binding__view", "binding__view__digest", "binding__view__rev"),
    *("binding__held_rev", "binding__ended_at", "binding__card__retired_at", "pending"),
)


class Kept:
    """Ready texts by card, look and rev; the oldest are forgotten when they are too long together.

    The look (a digest) is part of it so that a rev which comes again with other content, after a
    restore from a backup, is not taken for the old one.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.length, self.lock = limit, 0, Lock()
        self.said: dict[Look, Said] = {}

    def put(self, look: Look, said: Said) -> None:
        with self.lock:
            if self.said.setdefault(look, said) is said:
                self.length += len(said.text)
            while self.length > self.limit:
                oldest = next(iter(self.said))
                self.length -= len(self.said.pop(oldest).text)


kept = Kept(MAX_KEPT)


def arrive(devices: Sequence[Device], limit: int) -> list[Arrival]:
    """Make sure that each device's first messages are in, and read the first page of each."""
    rows.fill(devices)
    epoch = Epoch.current()
    return [Arrival(epoch, page) for page in read([each.pk for each in devices], limit)]


def read(devices: Sequence[UUID], limit: int, after: int = 0) -> list[Page]:
    """The first pending messages of each device after that row, as they are now."""
    waiting = unsettled(devices)  # first: what is done by now is in the rows that are read next
    lines: dict[UUID, list[Line]] = {device: [] for device in devices}
    for line in first_lines(devices, limit + 1, after):
        lines[line.device].append(line)
    said = say([line for each in lines.values() for line in each[:limit]])
    return [page_of(lines[device], limit, said, device not in waiting) for device in devices]


def page_of(lines: list[Line], limit: int, said: dict[int, Said], settled: bool) -> Page:
    if not lines:
        return Page([], settled=settled)
    after = lines[limit - 1].pk if len(lines) > limit else None
    return Page([said[line.pk] for line in lines[:limit]], lines[0].pending, after, settled)


def unsettled(devices: Iterable[UUID]) -> set[UUID]:
    """Those of the devices whose person has to do with a card that is still to be fanned out."""
    due = CardUpdate.objects.due()
    if not due.exists():  # as it mostly is, and answered by an index
        return set()
    these = Device.objects.filter(pk__in=devices, user__bindings__card__card_update__in=due)
    return set(these.values_list("pk", flat=True))


def first_lines(devices: Sequence[UUID], limit: int, after: int) -> Iterable[Line]:
    """As many of each device's pending messages, in the order of their rows."""
    pending = OfflineMessage.objects.pending().filter(device__in=devices, pk__gt=after)
    numbered = pending.annotate(
        nth=Window(RowNumber(), partition_by="device", order_by="pk"),
        pending=Window(Count("pk"), partition_by="device"),
    ).filter(nth__lte=limit)
    return map(Line._make, numbered.order_by("pk").values_list(*COLUMNS))


def say(lines: list[Line]) -> dict[int, Said]:
    """What each line is to say, by its row. A rev and its content are always read together, so
    what has changed again since the line was read is said as it is now."""
    of_views = [line for line in lines if line.is_of_view]
    views = say_views({line.view: line.look for line in of_views})
    said = {line.pk: at_least(views[line.view], line.rev) for line in of_views}
    others = [line.pk for line in lines if line.pk not in said]
    rest = OfflineMessage.objects.filter(pk__in=others).complete() if others else []
    return said | {row.pk: said_of(of_row(row)) for row in rest}


def say_views(looks: dict[int, Look]) -> dict[int, Said]:
    """By view; rendered only if it is not known by heart."""
    known = {view: said for view, look in looks.items() if (said := kept.said.get(look))}
    missing = looks.keys() - known.keys()
    for view in View.objects.filter(pk__in=missing).select_related("card") if missing else []:
        known[view.pk] = said_of(of_view(view.card, view))
        kept.put((view.card_id, view.digest, view.rev), known[view.pk])
    return known


def at_least(said: Said, rev: int) -> Said:
    """The same, but with the rev that the row asks for if that is ahead."""
    return said if said.message["rev"] >= rev else said_of({**said.message, "rev": rev})


def said_of(message: Message) -> Said:
    return Said(message, json_frame(message))


def hear(said: Mapping[Ack, Collection[str]], told: Collection[Ack] = ()) -> None:
    """Store what is acknowledged by which devices (their ids as text), and of which it is known
    that they were told it."""
    for known in (True, False):
        these = {ack: devices for ack, devices in said.items() if (ack in told) is known}
        rows.acknowledge(these, told=known)


def forget(device: Device) -> None:
    """The device keeps nothing any more: all that its person holds is pending again."""
    OfflineMessage.objects.filter(device=device).update(acknowledged_rev=0)
