"""What one device has yet to acknowledge: read by the WebSocket and the sync API alike."""

from typing import NamedTuple
from uuid import UUID

from accounts.models import Device
from delivery import rows
from delivery.messages import Ack, Message, of_row
from delivery.models import Epoch, OfflineMessage


class Page(NamedTuple):
    """Pending messages, and the row to go on after if there are more."""

    messages: list[Message]
    after: int | None


class Arrival(NamedTuple):
    """What a device is welcomed with."""

    pending: int
    epoch: str


def arrive(device: Device) -> Arrival:
    """Make sure that the device's first messages are in, and count what is pending."""
    rows.fill(device)
    pending = OfflineMessage.objects.pending().filter(device=device).count()
    return Arrival(pending, Epoch.current())


def read(device_id: UUID, limit: int, after: int = 0) -> Page:
    """The pending messages of a device as they are now, from one snapshot."""
    pending = list(
        OfflineMessage.objects.pending()
        .complete()
        .filter(device=device_id, pk__gt=after)
        .order_by("pk")[: limit + 1]
    )
    more = len(pending) > limit
    return Page([of_row(row) for row in pending[:limit]], pending[limit - 1].pk if more else None)


def hear(said: list[tuple[UUID, list[Ack]]]) -> list[None]:
    """Store what several devices acknowledge."""
    rows.acknowledge((device, ack) for device, acks in said for ack in acks)
    return [None] * len(said)


def forget(device: Device) -> None:
    """The device keeps nothing any more: all that its person holds is pending again."""
    OfflineMessage.objects.filter(device=device).update(acknowledged_rev=0)
