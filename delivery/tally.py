"""What delivery does, added up into a small row for each hour, so that charts read those alone: to
count when somebody looks would take seconds (docs/decisions/0041-hours-are-tallied.md)."""

import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Case, Count, F, Min, Q, When
from django.db.models.functions import Coalesce, TruncHour
from django.utils import timezone

from delivery.models import OfflineMessage, PushAttempt, Tally

EVERY = timedelta(minutes=10)
SETTLED = timedelta(minutes=1)  # by then an attempt has its outcome
BACK = timedelta(days=30)  # that the first count looks back
PENDING = Q(rev__gt=F("acknowledged_rev"))

Hours = defaultdict[datetime, Counter[str]]

_next_run = 0.0


def run_one() -> bool:
    """Count if it is time to. Never says that there is more."""
    global _next_run
    if time.monotonic() >= _next_run:
        _next_run = time.monotonic() + EVERY.total_seconds()
        count()
    return False


def count() -> None:
    """Add what has happened since it was counted last; not if that was just now. Read first and
    written afterwards, so that nobody waits for it: of two who count at once, one gives up."""
    last = newest()
    upto = timezone.now() - SETTLED
    since = counted_up_to(last) or upto - BACK
    if last and upto - since < EVERY / 2:
        return
    hours: Hours = defaultdict(Counter)
    waiting, oldest_at = look_at_messages(hours, since, upto)
    look_at_pushes(hours, since, upto)
    with transaction.atomic():
        newest(lock=True)  # and looked at afterwards: whoever was sooner may have begun an hour
        if counted_up_to(newest()) != counted_up_to(last):
            return
        now = write(hours, hour_of(upto))
        now.waiting, now.oldest_at, now.counted_at = waiting, oldest_at, upto
        now.save()


def newest(*, lock: bool = False) -> Tally | None:
    rows = Tally.objects.select_for_update() if lock else Tally.objects.all()
    return rows.order_by("-hour").first()


def counted_up_to(tally: Tally | None) -> datetime | None:
    return tally.counted_at if tally else None


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def look_at_messages(hours: Hours, since: datetime, upto: datetime) -> tuple[int, datetime | None]:
    """How many are pending, and since when the oldest is. What was acknowledged in between goes
    into its hour. One walk through the table for all of it: nothing finds the pending ones
    (docs/decisions/0008-messages-change-in-place.md)."""
    lately = Q(acknowledged_at__gt=since, acknowledged_at__lte=upto)
    within = Case(When(lately, then=TruncHour("acknowledged_at", tzinfo=UTC)))
    since_when = Coalesce("acknowledged_at", "created_at")
    found = OfflineMessage.objects.values(within=within).annotate(
        all=Count("pk"),
        waiting=Count("pk", filter=PENDING),
        oldest_at=Min(since_when, filter=PENDING),
    )
    waiting, oldest = 0, list[datetime]()
    for each in found.order_by():
        waiting += each["waiting"]
        oldest += filter(None, [each["oldest_at"]])
        if each["within"]:  # which PostgreSQL says without a zone
            hours[each["within"].replace(tzinfo=UTC)]["delivered"] += each["all"]
    return waiting, min(oldest, default=None)


def look_at_pushes(hours: Hours, since: datetime, upto: datetime) -> None:
    """Whatever was not delivered has failed, an attempt that its worker died over included."""
    made = PushAttempt.objects.filter(sent_at__gt=since, sent_at__lte=upto)
    found = made.values(within=TruncHour("sent_at", tzinfo=UTC)).annotate(
        pushed=Count("pk"), delivered=Count("pk", filter=Q(verdict="delivered"))
    )
    for each in found.order_by():
        hours[each["within"]]["pushed"] += each["pushed"]
        hours[each["within"]]["failed"] += each["pushed"] - each["delivered"]


def write(hours: Hours, current: datetime) -> Tally:
    """Add these to their rows; the row of the current hour, which is still to be saved."""
    known = {tally.hour: tally for tally in Tally.objects.filter(hour__in=[current, *hours])}
    for hour, numbers in hours.items():
        tally = known.setdefault(hour, Tally(hour=hour))
        for name, number in numbers.items():
            setattr(tally, name, getattr(tally, name) + number)
        tally.save()
    return known.get(current) or Tally(hour=current)
