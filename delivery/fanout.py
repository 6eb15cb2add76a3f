"""Fan-out: from a card's CardUpdate to a frame and a row for every device that must follow.

`run_one` does one chunk of the work, and the cards that wait take turns. Any number of workers may
call it: threads of the embedded product, tasks in a larger one. Truth is in the rows, so a chunk
may be done twice.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from bindings.models import Binding, BindingQuerySet
from cards.models import Card, View
from delivery import live, messages, prompts, rows
from delivery.models import LEASE, CardUpdate, Chunk

CHUNK = 1000  # bindings; one row upsert, and one publication for each view

Views = dict[int, View]


class Row(NamedTuple):
    """A binding of the chunk, and through what its holder sees the card."""

    binding: UUID
    holder: int
    view: int


class Part(NamedTuple):
    """A chunk and what it takes to do it: its bindings as they were when it was taken, and where
    they are to be found."""

    chunk: Chunk
    update: CardUpdate
    views: Views
    rows: list[Row]

    def bindings(self) -> BindingQuerySet:
        return concerned(self.update, self.views, self.chunk.after, self.chunk.upto)


def run_one(call_others: Callable[[], None] | None = None) -> bool:
    """Do one chunk; whether there was any. Before it is begun, `call_others` may call another
    worker for the next."""
    part = take()
    if part is None:
        return False
    if call_others:
        call_others()
    if part.rows:
        tell(part)
    end(part.chunk)
    return True


def run_all() -> None:
    """Until nothing is due."""
    while run_one():
        pass


# Taking a chunk


@transaction.atomic
def take() -> Part | None:
    return take_up() or cut()


def take_up() -> Part | None:
    """A chunk whose worker has died over it."""
    left = Chunk.objects.abandoned().select_for_update(skip_locked=True, of=("self",))
    chunk = left.select_related("update").order_by("pk").first()
    if chunk is None:
        return None
    chunk.leased_until = timezone.now() + LEASE
    chunk.save(update_fields=["leased_until"])
    views = moved_views(chunk.update)
    bindings = concerned(chunk.update, views, chunk.after, chunk.upto)
    return Part(chunk, chunk.update, views, as_rows(bindings))


def cut() -> Part | None:
    """The next chunk of the card whose turn it is; the first one begins a pass."""
    update = CardUpdate.objects.next()
    if update is None:
        return None
    if update.pass_rev is None:
        update.pass_rev = Card.objects.values_list("rev", flat=True).get(pk=update.card_id)
    views = moved_views(update)
    rows = as_rows(concerned(update, views, update.cursor)[:CHUNK])
    upto = rows[-1].binding if len(rows) == CHUNK else None
    now = timezone.now()
    chunk = update.chunks.create(after=update.cursor, upto=upto, leased_until=now + LEASE)
    update.cursor, update.all_taken, update.served_at = upto, upto is None, now
    update.save(update_fields=["pass_rev", "cursor", "all_taken", "served_at"])
    return Part(chunk, update, views, rows)


def moved_views(update: CardUpdate) -> Views:
    """The views that show something new since the last pass that was completed. In one statement,
    so that each view's rev and the content it stands for belong together."""
    moved = View.objects.filter(card=update.card_id, rev__gt=update.done_rev)
    return {view.pk: view for view in moved.select_related("card")}


def concerned(
    update: CardUpdate, views: Iterable[int], after: UUID | None, upto: UUID | None = None
) -> BindingQuerySet:
    """The bindings in this range that something new is to be said to: those that changed
    themselves, and those whose view did."""
    ahead = Binding.objects.filter(card=update.card_id).order_by("pk")
    if after:
        ahead = ahead.filter(pk__gt=after)
    if upto:
        ahead = ahead.filter(pk__lte=upto)
    itself = Q(rev__gt=update.done_rev)
    return ahead.filter(itself | Q(view__in=views, ended_at=None) if views else itself)


def as_rows(bindings: QuerySet[Binding]) -> list[Row]:
    return [Row(*row) for row in bindings.values_list("pk", "holder_id", "view_id")]


@transaction.atomic
def end(chunk: Chunk) -> None:
    """The chunk is done. The pass is over when it was the last: the update's lock lets only one
    worker be the last."""
    update = CardUpdate.objects.select_for_update().get(pk=chunk.update_id)
    chunk.delete()
    if update.all_taken and update.pass_rev and not update.chunks.exists():
        update.done_rev = update.pass_rev
        update.pass_rev, update.cursor, update.all_taken = None, None, False
        update.save(update_fields=["done_rev", "pass_rev", "cursor", "all_taken"])


# Doing it


def tell(part: Part) -> None:
    """Frames first, then rows: a frame that comes before its row loses nothing, and is sooner. But
    for bindings that may have no row yet, since what is acknowledged would not be found."""
    ours = part.bindings().filter(rev__gt=part.update.done_rev)
    changed = list(ours.complete())
    told = {each.pk for each in changed if each.held_rev > part.update.done_rev}
    publish_cards(part.views, [row for row in part.rows if row.binding not in told])
    write_rows({"holder": part.bindings(), **({"owner": ours} if changed else {})})
    publish_bindings(changed, told)


def publish_cards(views: Views, rows: list[Row]) -> None:
    """One text for each view, to all in the chunk who see the card through it."""
    holders = defaultdict(list)
    for row in rows:
        holders[row.view].append(row.holder)
    for pk in views.keys() & holders.keys():
        live.publish(holders[pk], messages.of_view(views[pk].card, views[pk]))


@transaction.atomic
def write_rows(told: dict[str, QuerySet[Binding]]) -> None:
    """What every device of the holders of these bindings, or of their owners, must have."""
    for side, those in told.items():
        rows.must_have(those, side)
        if prompts.configured():
            rows.prompt(those, side, timezone.now() + settings.PROMPT_GRACE)


def publish_bindings(changed: Iterable[Binding], told: set[UUID]) -> None:
    """What only one holder and the owner are told: that a binding was made, changed or ended."""
    for binding in changed:
        live.publish([binding.card.owner_id], messages.to_owner(binding))
        if binding.pk in told:
            live.publish([binding.holder_id], messages.to_holder(binding))
