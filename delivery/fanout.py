"""Fan-out: from a card's CardUpdate to a frame and a row for every device that must follow.

`run_one` does one slice of the work and is called again and again: by the worker thread of the
embedded product, by tasks in a larger one. Truth is in the rows, so a slice may be repeated.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from bindings.models import Binding
from cards.models import Card, View
from delivery import live, messages, prompts, rows
from delivery.models import LEASE, CardUpdate

CHUNK = 1000  # bindings; one transaction, one row upsert and one publication for each view
SLICE = 0.5  # seconds that one card may have before the next one has its turn

Row = tuple[UUID, int, int]  # a binding, its holder, its view


def run_one() -> bool:
    """Work on the card that has waited longest, for one slice; whether there was any."""
    update = CardUpdate.objects.claim()
    if update is None:
        return False
    end = time.monotonic() + SLICE
    while fan_out_chunk(update):
        if time.monotonic() >= end:
            update.keep(served_at=timezone.now(), lease=None, leased_until=None)
            break
    return True


def run_all() -> None:
    """Until nothing is due."""
    while run_one():
        pass


@transaction.atomic
def fan_out_chunk(update: CardUpdate) -> bool:
    """The next chunk of the pass: frames, then rows, then where the pass stands. False when the
    pass is over, or the lease was lost to another worker."""
    if update.pass_rev is None:
        update.pass_rev = Card.objects.values_list("rev", flat=True).get(pk=update.card_id)
    # One statement, so that each view's rev and the content it stands for belong together.
    views = {
        view.pk: view
        for view in View.objects.filter(
            card=update.card_id, rev__gt=update.done_rev
        ).select_related("card")
    }
    chunk = list(concerned(update, views).values_list("pk", "holder_id", "view_id")[:CHUNK])
    if chunk:
        tell(update, views, chunk)
    if len(chunk) == CHUNK:
        return update.keep(
            pass_rev=update.pass_rev, cursor=chunk[-1][0], leased_until=timezone.now() + LEASE
        )
    update.keep(done_rev=update.pass_rev, pass_rev=None, cursor=None, lease=None, leased_until=None)
    return False


def concerned(update: CardUpdate, views: Iterable[int]) -> QuerySet[Binding]:
    """The bindings that this pass has not reached yet and that something new is to be said to:
    those that changed themselves, and those whose view did."""
    ahead = Binding.objects.filter(card=update.card_id).order_by("pk")
    if update.cursor:
        ahead = ahead.filter(pk__gt=update.cursor)
    itself = Q(rev__gt=update.done_rev)
    return ahead.filter(itself | Q(view__in=views, ended_at=None) if views else itself)


def tell(update: CardUpdate, views: dict[int, View], chunk: list[Row]) -> None:
    """Frames first, then rows: a frame that comes before its row loses nothing, and is sooner."""
    bindings = Binding.objects.filter(pk__in=[pk for pk, _holder, _view in chunk])
    changed = bindings.complete().filter(rev__gt=update.done_rev)
    told = publish_bindings(changed, update.done_rev)
    publish_cards(views, [row for row in chunk if row[0] not in told])
    write_rows(bindings, changed)


def publish_cards(views: dict[int, View], chunk: list[Row]) -> None:
    """One text for each view, to all in the chunk who see the card through it."""
    holders = defaultdict(list)
    for _pk, holder, view in chunk:
        holders[view].append(holder)
    for pk in views.keys() & holders.keys():
        live.publish(holders[pk], messages.of_view(views[pk].card, views[pk]))


def publish_bindings(changed: QuerySet[Binding], done_rev: int) -> set[UUID]:
    """What only one holder and the owner are told: that a binding was made, changed or ended.
    Returns the bindings whose holders have been told all there is."""
    told = set()
    for binding in changed:
        live.publish([binding.card.owner_id], messages.to_owner(binding))
        if binding.held_rev > done_rev:
            live.publish([binding.holder_id], messages.to_holder(binding))
            told.add(binding.pk)
    return told


def write_rows(bindings: QuerySet[Binding], changed: QuerySet[Binding]) -> None:
    """What every device of these holders, and of the owners of changed bindings, must have."""
    for side, those in (("holder", bindings), ("owner", changed)):
        rows.must_have(those, side)
        if prompts.configured():
            rows.prompt(those, side, timezone.now() + settings.PROMPT_GRACE)
