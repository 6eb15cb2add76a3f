"""What is new for a person: whose cards changed, came or went, and who holds theirs since when."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from accounts.models import User
from bindings import keeping
from bindings.access import given_by, held_by
from bindings.models import Binding
from cards import history
from cards.access import own_cards
from cards.history import Difference
from cards.models import Card, CardRevision

LATELY = timedelta(days=30)
SHOWN = 10

# The time at which a binding's card last changed for its holder.
CHANGED_AT = Subquery(
    CardRevision.objects.filter(card=OuterRef("card_id"), rev=OuterRef("view__rev")).values(
        "changed_at"
    )
)

Dated = tuple[datetime, Binding]


class News(NamedTuple):
    """Something that happened to a binding; `kind` is `changed`, `came`, `gone` or `holder`."""

    at: datetime
    kind: str
    binding: Binding
    differences: list[Difference]


class Waiting(NamedTuple):
    """A change that the person is asked about, and what is different by it."""

    binding: Binding
    unapproved: list[Difference]


class Asked(NamedTuple):
    """The newest changes that the person is asked about, and how many more wait."""

    now: list[Waiting]
    more: int


NOTHING = Asked([], 0)


def asked_about(person: User) -> Asked:
    """Without those to which they said "not now"; these wait as well."""
    waiting = held_by(person).waiting()
    dated = waiting.behind("put_off_rev").annotate(changed_at=CHANGED_AT)
    newest_first = dated.order_by("-changed_at", "pk")
    now = [Waiting(each, keeping.unapproved(each)) for each in newest_first[:SHOWN]]
    return Asked(now, waiting.count() - len(now))


def news(person: User, asked: Asked = NOTHING) -> list[News]:
    """The newest that happened to the cards this person holds, but for the changes that they are
    asked about, and to who holds theirs."""
    since = timezone.now() - LATELY
    held, given = held_by(person), given_by(person)
    told = [each.binding.pk for each in asked.now]
    lost = Binding.objects.complete().filter(holder=person, ended_by=Binding.Ended.OWNER)
    happened = {
        "changed": changed(held.exclude(pk__in=told), since),
        "came": newest(held, "created_at", since),
        "gone": newest(lost, "ended_at", since),
        "holder": newest(given, "created_at", since),
    }
    every = [News(at, kind, each, []) for kind, those in happened.items() for at, each in those]
    latest = sorted(every, key=lambda each: each.at, reverse=True)[:SHOWN]
    return [*with_differences(latest)]


def newest(bindings: QuerySet[Binding], by: str, since: datetime) -> list[Dated]:
    in_order = bindings.filter(**{f"{by}__gt": since}).order_by(f"-{by}", "pk")
    return [(getattr(each, by), each) for each in in_order[:SHOWN]]


def changed(held: QuerySet[Binding], since: datetime) -> list[Dated]:
    """Those whose card last changed for them after they got it."""
    dated = held.annotate(changed_at=CHANGED_AT)
    return newest(dated.filter(changed_at__gt=F("created_at")), "changed_at", since)


def with_differences(latest: list[News]) -> Iterator[News]:
    for each in latest:
        binding = each.binding
        if each.kind == "changed":
            changes = history.seen_through(binding.card, binding.view.circles, binding.held_rev)
            yield each._replace(differences=changes[0].differences if changes else [])
        else:
            yield each


def on_their_way(person: User) -> list[Card]:
    """The person's cards that changed lately, newest first."""
    lately = own_cards(person).filter(changed_at__gt=timezone.now() - LATELY)
    return list(islice(lately.order_by("-changed_at"), 3))
