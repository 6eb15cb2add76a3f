"""Changing one property on many cards: what it does to a card, who is concerned, and the worker's
part, which saves one card after the other (docs/decisions/0043-one-save-for-each-card.md)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import User
from cards import history, vcard
from cards.bulkrows import BulkChange, BulkItem
from cards.face import KINDS, texts_of
from cards.forms import split
from cards.history import Difference
from cards.models import Card, Door, Property

MOST = 10_000  # cards of one change
LOOKED_AT = 100_000  # cards, for those that it would change
READ = 1000  # cards at once
EXAMPLES = 5

Outcome = BulkItem.Outcome

logger = logging.getLogger(__name__)


# What it does to a card


def applied(change: BulkChange, properties: Sequence[Property]) -> list[Property]:
    """The properties as the change leaves them, each seen by the same circles as before. Raises
    VCardError where something would come out that is no property."""
    return [left for each in properties if (left := applied_to_one(change, each)) is not None]


def applied_to_one(change: BulkChange, each: Property) -> Property | None:
    if not concerns(change, each):
        return each
    if change.removes:
        return None
    value = new_value(change, each["value"])
    if value == each["value"]:
        return each
    [checked] = vcard.to_json(vcard.from_json([{**each, "value": value}]))
    return {**each, "value": checked["value"], "params": checked["params"]}


def concerns(change: BulkChange, each: Property) -> bool:
    has = {*each["params"].get("type", [])}
    if each["name"] != change.name or not has.issuperset(types_of(change)):
        return False
    texts = texts_by_place(change.name, each["value"])
    return all(texts.get(int(at), "") == text for at, text in change.old.items())


def types_of(change: BulkChange) -> list[str]:
    return [each for each in change.type.split(",") if each]


def texts_by_place(name: str, value: Any) -> dict[int, str]:
    """As the form of a card has them: a list of any length is one text."""
    texts = texts_of(value)
    return {0: ", ".join(texts)} if KINDS[name].many else dict(enumerate(texts))


def new_value(change: BulkChange, before: Any) -> Any:
    kind, new = KINDS[change.name], {int(at): text for at, text in change.new.items()}
    if kind.many:
        return split(new[0])
    if not kind.parts:
        return new[0]
    parts = [*before, *[""] * (max(kind.parts) + 1 - len(before))]
    return [
        new.get(at, "" if change.empties and at in kind.parts else part)
        for at, part in enumerate(parts)
    ]


# Proposing it


def propose(change: BulkChange, chosen: QuerySet[Card]) -> bool:
    """Note which of the chosen cards it would change, up to MOST of them; whether there is any.
    Nothing is changed before somebody confirms."""
    with reading():
        cards = list(islice(concerned(change, chosen), MOST))
    if not cards:
        return False
    change.total = len(cards)
    with transaction.atomic():
        change.save()
        items = (BulkItem(change=change, card_id=card) for card in cards)
        BulkItem.objects.bulk_create(items, batch_size=READ)
    return True


def reading() -> AbstractContextManager[Any]:
    """Outside of a transaction, PostgreSQL reads all the rows before it gives the first. SQLite
    does not, and in one nobody else could write."""
    return transaction.atomic() if connection.vendor == "postgresql" else nullcontext()


def concerned(change: BulkChange, chosen: QuerySet[Card]) -> Iterator[UUID]:
    rows = having(change, chosen).order_by().values_list("pk", "properties")
    for before, (pk, properties) in enumerate(rows.iterator(READ)):
        if before == LOOKED_AT:
            change.is_cut = True
            return
        try:
            if applied(change, properties) != properties:
                yield pk
        except vcard.VCardError:  # to be listed with what is wrong
            yield pk


def having(change: BulkChange, cards: QuerySet[Card]) -> QuerySet[Card]:
    """Those that PostgreSQL can tell to have the property, its type, and a text of the old value
    that can only be one whole part of it: fewer to be looked at here."""
    if not connection.features.supports_json_field_contains:
        return cards
    kind, sought = KINDS[change.name], dict[str, Any](name=change.name)
    if types := types_of(change):
        sought["params"] = {"type": types}
    whole = [text for text in change.old.values() if text and "," not in text]
    if whole:
        sought["value"] = whole if kind.parts or kind.many else whole[0]
    return cards.filter(properties__contains=[sought])


class Example(NamedTuple):
    """A card, and what would change on it."""

    card: Card
    differences: list[Difference]


def examples(change: BulkChange) -> list[Example]:
    items = change.items.select_related("card").order_by("pk")[:EXAMPLES]
    return [Example(item.card, differences(change, item.card)) for item in items]


def differences(change: BulkChange, card: Card) -> list[Difference]:
    """None where the change would fail."""
    try:
        after = applied(change, card.properties)
    except vcard.VCardError:
        return []
    return history.differences(seen(change, card.properties), seen(change, after))


def seen(change: BulkChange, properties: Sequence[Property]) -> Mapping[str, Any]:
    """A view of nothing but the property."""
    those = [each for each in properties if each["name"] == change.name]
    return {"fn": "", "photo": None, "properties": those}


# Doing it


def confirm(change: BulkChange, by: User) -> bool:
    """Begin, or go on after it was stopped; whether there was anything to begin. From here on, it
    is they who change the cards."""
    these = BulkChange.objects.filter(pk=change.pk, ended_at=None)
    return bool(
        these.filter(confirmed_at=None).update(confirmed_at=timezone.now(), confirmed_by=by)
        or these.filter(stopped_at__isnull=False).update(stopped_at=None, confirmed_by=by)
    )


def stop(change: BulkChange) -> bool:
    """Leave the rest of the cards as they are; whether there was a rest."""
    due = BulkChange.objects.due().filter(pk=change.pk)
    return bool(due.update(stopped_at=timezone.now()))


def run_one() -> bool:
    """Change the next card; whether there was any. Any number of workers may call it: a card is
    locked, changed and noted as such in one transaction, so none is changed twice, whenever the
    power goes; and what its owner has just saved is what is changed."""
    due = BulkChange.objects.due().select_related("confirmed_by").order_by("confirmed_at")
    return any(map(change_next, due))


def change_next(change: BulkChange) -> bool:
    item = None
    try:
        with transaction.atomic():
            free = change.items.filter(settled_at=None).select_for_update(skip_locked=True)
            item = free.order_by("pk").first()
            if item:
                settle(item, change_card(change, item.card_id))
    except OperationalError:  # the database is away, or two have waited for each other
        raise
    except Exception as error:  # whatever it is, it must not keep the other cards waiting
        if item is None:
            raise
        logger.warning("Bulk change %s of card %s failed.", change.pk, item.card_id, exc_info=True)
        settle(item, Outcome.FAILED, getattr(error, "reason", type(error).__name__))
    return item is not None


def change_card(change: BulkChange, card_id: UUID) -> Outcome:
    card = Card.objects.select_for_update().get(pk=card_id)
    properties = applied(change, card.properties)
    if properties == card.properties:
        return Outcome.UNCHANGED
    staff = cast(User, change.confirmed_by)
    card.properties = properties
    card.changed_by, card.changed_via = staff, Door.ADMIN
    card.save()
    entry = ("cards.card", str(card_id))
    audit.record(staff, audit.Verb.CHANGED, [entry], f"Bulk change {change}")
    return Outcome.CHANGED


@transaction.atomic
def settle(item: BulkItem, outcome: Outcome, why: str = "") -> None:
    """Write down what has become of a card, once."""
    now = timezone.now()
    still_open = BulkItem.objects.filter(pk=item.pk, settled_at=None)
    if not still_open.update(outcome=outcome, why=why[:200], settled_at=now):
        return
    change = BulkChange.objects.filter(pk=item.change_id)
    change.update(**{outcome.value: F(outcome.value) + 1})
    change.filter(total=F("changed") + F("unchanged") + F("failed")).update(ended_at=now)
