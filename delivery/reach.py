"""How far a card has come: which devices of its holders have said that they have its newest
state."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from accounts.models import Device
from bindings.models import Binding
from delivery.models import OfflineMessage
from delivery.rows import FOLLOWED


class Reach(NamedTuple):
    """Of the devices of one kind: how many have it, and how many there are."""

    kind: str
    have: int
    all: int


class Copy(NamedTuple):
    """One device of a holder."""

    kind: str
    has_it: bool


def devices_of(bindings: QuerySet[Binding]) -> QuerySet[Any]:
    """A row for each device that these bindings' cards must be on, with `device`, `platform` and
    `has_it`."""
    heard = OfflineMessage.objects.filter(
        device=OuterRef("device"),
        subject=OuterRef("card_id"),
        binding=OuterRef("pk"),
        acknowledged_rev__gte=OuterRef("wanted"),
    )
    theirs = bindings.filter(holder__devices__isnull=False, holder__devices__revoked_at=None)
    return theirs.annotate(
        device=F("holder__devices"),
        platform=F("holder__devices__platform"),
        wanted=FOLLOWED,
        has_it=Exists(heard),
    )


def by_kind(bindings: QuerySet[Binding]) -> list[Reach]:
    kinds = devices_of(bindings).order_by("platform").values("platform")
    counted = kinds.annotate(have=Count("device", filter=Q(has_it=True)), all=Count("device"))
    return [
        Reach(str(Device.Platform(each["platform"]).label), each["have"], each["all"])
        for each in counted
    ]


def of_each(bindings: Iterable[Binding]) -> list[tuple[Binding, list[Copy]]]:
    """These bindings, each with the devices of its holder."""
    bindings, copies = list(bindings), defaultdict(list)
    rows = devices_of(Binding.objects.filter(pk__in=[each.pk for each in bindings]))
    for pk, platform, has_it in rows.values_list("pk", "platform", "has_it"):
        copies[pk].append(Copy(str(Device.Platform(platform).label), has_it))
    return [(binding, sorted(copies[binding.pk])) for binding in bindings]
