"""Sending again what a device should have, when staff are asked why it has not."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from bindings.models import Binding
from delivery import live, prompts, rows
from delivery.messages import of_row
from delivery.models import OfflineMessage


def send_again(chosen: Iterable[OfflineMessage]) -> int:
    """Make these messages pending again, whatever was acknowledged; say them to open sockets now
    and prompt devices that keep none. Return how many: what is for a revoked device stays silent.

    A device that does have the revision ignores the message and acknowledges it again.
    """
    ids = [message.pk for message in chosen]
    with transaction.atomic():
        again = OfflineMessage.objects.filter(pk__in=ids, device__revoked_at=None)
        count = again.update(acknowledged_rev=0)
        if prompts.configured():
            prompt_for(ids)
    for message in again.complete():
        live.publish([message.device.user_id], of_row(message))
    return count


def prompt_for(ids: list[int]) -> None:
    """Now, unless a prompt is due already: then the push service has asked us to wait."""
    messages = OfflineMessage.objects.filter(pk__in=ids).of_cards()
    bindings = Binding.objects.filter(messages__in=messages)
    theirs = prompts.reachable() & Q(pk__in=messages.values("device"))
    for side in ("holder", "owner"):
        rows.prompt(bindings, side, theirs, timezone.now())
