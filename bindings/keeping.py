"""What a holder keeps beside a card, and which of its changes they have taken over.

The owner never hears of any of it, so nothing here saves the card or moves its rev: the holder's
own devices are told by `private_changed` (docs/decisions/0040-ask-before-applying.md).
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Greatest
from django.dispatch import Signal
from django.utils.translation import gettext as _

from accounts.deadlocks import again_if_deadlocked
from accounts.models import User
from bindings.exchange import Gone, locked_people
from bindings.models import Binding
from cards import history
from cards.history import Difference
from cards.models import View

private_changed = Signal()  # with `bindings`, a QuerySet; within the transaction


@again_if_deadlocked
@transaction.atomic
def keep(binding: Binding, changes: dict[str, Any]) -> None:
    """Write what the holder has changed of nickname, note, tags and `asks`, and which rev they
    have taken over. Raises Gone if it has ended, ValidationError if the card is not at that rev."""
    row = locked(binding)
    before, was_asked = kept_by(row), row.asks_first
    for name in changes.keys() - {"approved_rev"}:
        setattr(row, name, changes[name])
    if row.asks_first and not was_asked:
        row.approved_rev = row.followed_rev  # until now, all was applied at once
    approved_rev = changes.get("approved_rev", 0)
    if approved_rev > row.followed_rev:
        raise ValidationError({"approved_rev": _("The card is not at this revision yet.")})
    row.approved_rev = max(row.approved_rev, approved_rev)
    if kept_by(row) == before:
        return
    row.private_rev += 1
    # These columns alone: what the owner decides of the binding may be changing meanwhile.
    row.save(update_fields=[*kept_by(row), "private_rev"])
    private_changed.send(sender=Binding, bindings=Binding.objects.filter(pk=row.pk))


def locked(binding: Binding) -> Binding:
    """Locked first and read afterwards: in one statement PostgreSQL would look for the view that
    the binding had before it waited, and find nothing."""
    rows = Binding.objects.filter(pk=binding.pk, ended_at=None)
    if not rows.select_for_update(no_key=True):
        raise Gone
    return rows.complete().get()


def kept_by(binding: Binding) -> dict[str, Any]:
    names = ("nickname", "note", "tags", "asks", "approved_rev")
    return {name: getattr(binding, name) for name in names}


def put_off(binding: Binding, rev: int) -> None:
    """Not now: it waits on, and is not asked about again before the next change."""
    rev = min(rev, binding.followed_rev)
    Binding.objects.filter(pk=binding.pk).update(put_off_rev=Greatest(F("put_off_rev"), rev))


@again_if_deadlocked
@transaction.atomic
def ask_about_all(person: User, asks: bool) -> None:
    """From now on, ask this person before changes of cards are applied, or do not; but for the
    cards for which they chose."""
    (row,) = locked_people(person)
    if row.asks_before_applying == asks:
        return
    User.objects.filter(pk=person.pk).update(asks_before_applying=asks)
    held = Binding.objects.filter(holder=person, ended_at=None, asks=None)
    list(held.select_for_update(no_key=True).order_by("pk").values_list("pk"))  # in one order
    if asks:  # until now, all was applied at once
        at = Subquery(View.objects.filter(pk=OuterRef("view")).values("rev"))
        held.update(approved_rev=Greatest(at, F("held_rev")))
    held.update(private_rev=F("private_rev") + 1)
    private_changed.send(sender=Binding, bindings=held)


def unapproved(binding: Binding) -> list[Difference]:
    """How the card differs from what the holder took over last, as far as they are told
    (docs/decisions/0015-a-holders-timeline.md). Empty if it does not, or if the owner has decided
    anew what they see."""
    if binding.held_rev > binding.approved_rev:
        return []
    return history.since(binding.card, binding.view.circles, binding.approved_rev)
