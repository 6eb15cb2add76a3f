"""What staff see of delivery at a glance: charts of the hours that were tallied, and what can be
looked up in an index. Nothing here counts a big table."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Device, User
from accounts.staff import COUNTED, size_of
from bindings.models import Binding
from cards.models import Card
from delivery.models import CardUpdate, Mailbox, OfflineMessage, Tally

HIGHEST = 100  # of a bar, in units of the picture
WIDE, GAP = 10, 2

Moment = Callable[[datetime], datetime]
Words = str | Promise


class Span(NamedTuple):
    """How far back, and in what steps."""

    back: timedelta
    step: timedelta
    begins: Moment
    format: str


def hour_begins(moment: datetime) -> datetime:
    return timezone.localtime(moment).replace(minute=0, second=0, microsecond=0)


def day_begins(moment: datetime) -> datetime:
    return hour_begins(moment).replace(hour=0)


HOURS = Span(timedelta(hours=23), timedelta(hours=1), hour_begins, "TIME_FORMAT")
SPANS = {"days": Span(timedelta(days=29), timedelta(days=1), day_begins, "MONTH_DAY_FORMAT")}


def span_of(name: str | None) -> Span:
    """The last 24 hours unless another is asked for."""
    return SPANS.get(name or "", HOURS)


class Bar(NamedTuple):
    """One step of a chart: when it was, what it says, and where it is drawn."""

    when: str
    text: str
    x: int
    y: int
    height: int


class Chart(NamedTuple):
    title: Words
    unit: Words
    highest: str
    summary: str
    bars: list[Bar]
    wide: int


class Tile(NamedTuple):
    """A number, and what it is the number of."""

    title: Words
    text: str
    more: str = ""


Hours = list[Tally]
Measure = Callable[[Hours], float]
Spoken = Callable[[float], str]


def plain(number: float) -> str:
    return number_format(int(number), force_grouping=True)


def as_time(seconds: float) -> str:
    """A length of time in its two largest units."""
    start = timezone.now()
    return timesince(start - timedelta(seconds=seconds), start)


def total(name: str) -> Measure:
    return lambda hours: sum(getattr(each, name) for each in hours)


def longest(hours: Hours) -> float:
    return max((each.longest_wait.total_seconds() for each in hours), default=0)


CHARTS: list[tuple[Words, Words, Measure, Spoken, Callable[[Iterable[float]], float]]] = [
    (gettext_lazy("Deliveries"), gettext_lazy("Acknowledged"), total("delivered"), plain, sum),
    (gettext_lazy("Oldest pending message"), gettext_lazy("Waited"), longest, as_time, max),
    (gettext_lazy("Pushes"), gettext_lazy("Pushes"), total("pushed"), plain, sum),
    (gettext_lazy("Failed pushes"), gettext_lazy("Failed"), total("failed"), plain, sum),
]


def charts(name: str | None) -> list[Chart]:
    """What happened in the span of this name."""
    span = span_of(name)
    steps = list(steps_of(span))
    rows = Tally.objects.filter(hour__gte=steps[0]).order_by("hour")
    of_step = {
        begin: list(hours) for begin, hours in groupby(rows, lambda each: span.begins(each.hour))
    }
    hours = [of_step.get(begin, []) for begin in steps]
    when = [date_format(timezone.localtime(begin), span.format) for begin in steps]
    return [
        drawn(title, unit, when, [measure(each) for each in hours], spoken, whole)
        for title, unit, measure, spoken, whole in CHARTS
    ]


def steps_of(span: Span) -> Iterator[datetime]:
    """When each begins, up to the current one. A day is not always 24 hours long."""
    begin, now = span.begins(timezone.now() - span.back), timezone.now()
    while begin <= now:
        yield begin
        begin = span.begins(begin + span.step * 1.25)


def drawn(
    title: Words,
    unit: Words,
    when: list[str],
    values: list[float],
    spoken: Spoken,
    whole: Callable[[Iterable[float]], float],
) -> Chart:
    highest = max(values)
    bars = []
    for place, (moment, value) in enumerate(zip(when, values, strict=True)):
        # What is not nothing is seen, however small it is beside the highest.
        height = max(round(HIGHEST * value / highest), 1) if value else 0
        bars.append(Bar(moment, spoken(value), place * WIDE, HIGHEST - height, height))
    summary = summed_up(title, when[values.index(highest)], spoken(whole(values)), spoken(highest))
    if not highest:
        summary = _("%s: nothing in this time.") % title
    return Chart(title, unit, spoken(highest), summary, bars, WIDE * len(bars) - GAP)


def summed_up(title: Words, when: str, whole: str, highest: str) -> str:
    said = {"title": title, "when": when, "whole": whole, "highest": highest}
    return _("%(title)s: %(whole)s; at most %(highest)s at once, %(when)s.") % said


# As it is now


def tiles() -> list[Tile]:
    newest = Tally.objects.order_by("-hour").first()
    return [
        *(counted(newest) if newest and newest.counted_at else []),
        due(_("Changes to be fanned out"), CardUpdate.objects.due(), "served_at", "wanted_at"),
        due(_("Prompts that are due"), Mailbox.objects.due(), "prompt_due_at", "prompt_due_at"),
    ]


def counted(newest: Tally) -> Iterator[Tile]:
    at = date_format(timezone.localtime(newest.counted_at), "TIME_FORMAT")
    as_of = _("as of %s") % at
    yield Tile(_("Pending messages"), plain(newest.waiting), as_of)
    if newest.oldest_at:
        since = date_format(timezone.localtime(newest.oldest_at), "SHORT_DATETIME_FORMAT")
        wait = as_time(newest.longest_wait.total_seconds())
        yield Tile(_("Oldest pending message"), wait, _("since %s") % since)


def due(title: str, rows: QuerySet[Any], order: str, since: str) -> Tile:
    """How many there are, as far as an index tells, and how long the first has waited."""
    count = rows[:COUNTED].count()
    if not count:
        return Tile(title, plain(0))
    first = rows.order_by(order).values_list(since, flat=True)[0]
    text = _("at least %s") % plain(count) if count == COUNTED else plain(count)
    return Tile(title, text, _("the first for %s") % timesince(first))


def sizes() -> list[Tile]:
    """How large the house is, as far as is known without counting."""
    models = (User, Device, Card, Binding, OfflineMessage)
    return [Tile(model._meta.verbose_name_plural or "", size_of(model)) for model in models]
