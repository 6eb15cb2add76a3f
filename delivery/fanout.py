"""Fan-out: from a card's CardUpdate to a frame for every device that must follow, and a row for
each that has not acknowledged it at once.

`run_one` does a card with few holders, or one chunk of a card with many; those take turns. Any
number of workers may call it: threads of the embedded product, tasks in a larger one. Truth is in
the rows, so anything may be done twice.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import count
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from bindings.models import Binding, BindingQuerySet
from cards.models import View
from delivery import live, messages, prompts, rows
from delivery.models import LEASE, CardUpdate, Chunk

WORTH_A_BREATH = 50  # bindings; for fewer the wait costs more than their rows
CHUNK = 5000  # bindings; one row upsert, and one publication for each view

turns = count()

Views = dict[int, View]


Row = tuple[int, int, int]  # of a binding: its holder, its view, its rev


class Part(NamedTuple):
    """What a worker has taken: a chunk, or all of a card that has no need of chunks; and what it
    takes to do it. Its bindings are found again in this range, and those that were made since."""

    update: CardUpdate
    views: Views
    rows: list[Row]
    chunk: Chunk | None = None

    @property
    def is_last(self) -> bool:
        return self.chunk is None or self.chunk.upto is None

    def bindings(self) -> BindingQuerySet:
        after, upto = (self.chunk.after, self.chunk.upto) if self.chunk else (None, None)
        return concerned(self.update, self.views, after, upto)


def run_one(
    card: UUID | None = None,
    call_others: Callable[[], None] | None = None,
    breath: float = 0.0,
    *,
    left: bool = False,
) -> bool:
    """Do what is due for this card, or for the one that has waited longest; at most a chunk.
    Whether there was anything. `call_others` may call a worker for the rest of the card, as soon
    as it is known that there is more. `breath` is how many seconds the devices that are online may
    have to acknowledge a frame, so that they need no row. `left`: what a worker left when it died
    comes first."""
    part = take(card, left=left)
    if part is None:
        return False
    if call_others and not part.is_last:
        call_others()
    try:
        tell(part, breath)
    except Exception:  # whatever is wrong with this card must not make the others wait
        CardUpdate.objects.filter(pk=part.update.pk).update(served_at=timezone.now())
        raise
    if end(part) and call_others:
        call_others()
    return True


def run_all() -> None:
    """Until nothing is due."""
    while run_one():
        pass


# Taking something to do


def take(card: UUID | None = None, *, left: bool = False) -> Part | None:
    """Without a card, also what died workers left: when there is nothing else, and now and then."""
    if card:
        return whole(card) or cut(card)
    if left or next(turns) % 10 == 0:
        return take_up() or whole() or cut()
    return whole() or cut() or take_up()


def whole(card: UUID | None = None) -> Part | None:
    """All of a card with few holders. Nothing is locked or noted: a worker that dies over it
    leaves it due, and two that are at it at once say the same twice."""
    update = CardUpdate.objects.next(card)
    if update is None or update.pass_rev is not None:
        return None
    views = moved_views(update)
    rows = as_rows(concerned(update, views)[: CHUNK + 1])
    return Part(update, views, rows) if len(rows) <= CHUNK else None


@transaction.atomic
def take_up() -> Part | None:
    """A chunk whose worker has died over it."""
    left = Chunk.objects.abandoned().select_for_update(skip_locked=True, of=("self",))
    chunk = left.select_related("update").order_by("pk").first()
    if chunk is None:
        return None
    chunk.leased_until = timezone.now() + LEASE
    chunk.save(update_fields=["leased_until"])
    return of_chunk(chunk, moved_views(chunk.update))


@transaction.atomic
def cut(card: UUID | None = None) -> Part | None:
    """The next chunk of a card with many holders; the first one begins a pass. Whoever was called
    for a card waits for those who take or end a chunk of it; others pass it over."""
    updates = CardUpdate.objects.select_for_update(of=("self",), skip_locked=card is None)
    update = updates.next(card)
    if update is None:
        return None
    if update.pass_rev is None:
        update.pass_rev = update.card_rev
    views = moved_views(update)
    ahead = concerned(update, views, update.cursor).values_list("pk", flat=True)
    last_and_next = ahead[CHUNK - 1 : CHUNK + 1]
    upto = last_and_next[0] if len(last_and_next) == 2 else None
    now = timezone.now()
    chunk = update.chunks.create(after=update.cursor, upto=upto, leased_until=now + LEASE)
    update.cursor, update.all_taken, update.served_at = upto, upto is None, now
    update.save(update_fields=["pass_rev", "cursor", "all_taken", "served_at"])
    return of_chunk(chunk, views)


def of_chunk(chunk: Chunk, views: Views) -> Part:
    part = Part(chunk.update, views, [], chunk)
    return part._replace(rows=as_rows(part.bindings()))


def moved_views(update: CardUpdate) -> Views:
    """The views that show something new since the last pass that was completed. In one statement,
    so that each view's rev and the content it stands for belong together."""
    moved = View.objects.filter(card=update.card_id, rev__gt=update.done_rev)
    return {view.pk: view for view in moved.select_related("card")}


def concerned(
    update: CardUpdate, views: Iterable[int], after: UUID | None = None, upto: UUID | None = None
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
    return list(bindings.values_list("holder_id", "view_id", "rev"))


def end(part: Part) -> bool:
    """It is done. Whether the card has changed again since the pass began, so that the next is
    due and nobody else may have been called for it."""
    if part.chunk:
        return end_chunk(part.chunk)
    CardUpdate.objects.filter(pk=part.update.pk).done_up_to(part.update.card_rev)
    return False


@transaction.atomic
def end_chunk(chunk: Chunk) -> bool:
    """The pass is over when it was the last: the update's lock lets only one worker be that."""
    update = CardUpdate.objects.select_for_update().get(pk=chunk.update_id)
    chunk.delete()
    if not update.all_taken or update.pass_rev is None or update.chunks.exists():
        return False
    update.done_rev = max(update.done_rev, update.pass_rev)
    update.pass_rev, update.cursor, update.all_taken = None, None, False
    update.save(update_fields=["done_rev", "pass_rev", "cursor", "all_taken"])
    return update.rev > update.done_rev


# Doing it


def tell(part: Part, breath: float = 0.0) -> None:
    """Frames first, then rows: a frame that comes before its row loses nothing, and is sooner. But
    for bindings that may have no row yet, since what is acknowledged would not be found.

    What has been acknowledged by then is not written: a breath is worth it where it is about many,
    but not for each of many chunks."""
    if not part.rows:
        return
    done = part.update.done_rev
    sides: dict[str, QuerySet[Binding]] = {"holder": part.bindings()}
    changed: list[Binding] = []
    if any(rev > done for _holder, _view, rev in part.rows):
        sides["owner"] = ours = part.bindings().filter(rev__gt=done)
        changed += ours.complete()
    to_holder = [binding for binding in changed if binding.held_rev > done]
    publish_cards(part.views, part.rows, besides={each.holder_id for each in to_holder})
    if waits := bool(breath) and part.chunk is None and len(part.rows) >= WORTH_A_BREATH:
        time.sleep(breath)
    write_rows(sides, mostly_has=waits)
    publish_bindings(changed, to_holder)


def publish_cards(views: Views, rows: list[Row], besides: set[int]) -> None:
    """One text for each view, to all in the chunk who see the card through it, besides those who
    are told of their binding."""
    holders = defaultdict(list)
    for holder, view, _rev in rows:
        if holder not in besides:
            holders[view].append(holder)
    for pk in views.keys() & holders.keys():
        live.publish(holders[pk], messages.of_view(views[pk].card, views[pk]))


def write_rows(sides: dict[str, QuerySet[Binding]], *, mostly_has: bool = False) -> None:
    """What every device of the holders of these bindings, or of their owners, must have. Whether
    most of them had the time to say that they have it."""
    for side, those in sides.items():
        rows.must_have(those, side, mostly_has=mostly_has)
        if prompts.configured():
            due_at = timezone.now() + settings.PROMPT_GRACE
            rows.prompt(those, side, prompts.reachable(), due_at)


def publish_bindings(to_owner: Iterable[Binding], to_holder: Iterable[Binding]) -> None:
    """What only one holder and the owner are told: that a binding was made, changed or ended."""
    for binding in to_owner:
        live.publish([binding.card.owner_id], messages.to_owner(binding))
    for binding in to_holder:
        live.publish([binding.holder_id], messages.to_holder(binding))
