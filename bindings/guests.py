"""People without an account: they leave a card, keep it up to date by a private link, and take it
into an account when they have one.

A guest is a person like any other, whom nobody can sign in as; so what they leave is exchanged,
followed, blocked and erased as everybody's.
"""

import secrets
import uuid
from collections.abc import Callable, Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.models import Device, User
from bindings import exchange
from bindings.models import Binding, Block, Guest, blocked_between
from cards.models import Card
from cards.short import ShortCardForm

KEY_BYTES = 32
LONGEST_NAME = 200  # of a person


@transaction.atomic
def welcome(name: str, exchanged: Callable[[User], object]) -> str:
    """Make a guest of this name, who then exchanges cards; return the key of their private link,
    of which only the hash stays. What `exchanged` raises leaves nobody behind."""
    stem, key = uuid.uuid4().hex, secrets.token_urlsafe(KEY_BYTES)
    # Nobody can sign up with these, and no mail ever arrives there.
    user = User(email=f"guest-{stem}@invalid", username=f"guest:{stem[:16]}")
    user.name = name[:LONGEST_NAME]
    user.language = get_language() or user.language
    user.set_unusable_password()
    user.save()
    Guest.objects.create(user=user, key_hash=Device.hash_token(key))
    exchanged(user)
    return key


def with_key(key: str) -> Guest:
    """Raises Gone for a link that leads nowhere, or no more."""
    guest = Guest.objects.with_key(key).select_related("user").first()
    if guest is None:
        raise exchange.Gone
    return guest


def card_of(guest: Guest) -> Card:
    """The one card they left. Raises Gone if it was retired."""
    card = Card.objects.kept().filter(owner=guest.user).order_by("created_at").first()
    if card is None:
        raise exchange.Gone
    return card


@transaction.atomic
def change(guest: Guest, form: ShortCardForm) -> None:
    """Write what the guest has typed. Raises StaleCard as `save()` does."""
    card = form.save(guest.user)
    guest.user.name = card.fn[:LONGEST_NAME]
    guest.user.save(update_fields=["name"])


def remove(guest: Guest) -> None:
    """Take the card back from whoever it was left with, and leave nothing of the guest."""
    exchange.erase(guest.user)


@transaction.atomic
def claim(key: str, person: User) -> None:
    """Take what a guest has left, and what they were given, into the account of `person`: with its
    history, its holders and what these keep beside it.

    Raises Gone, also for the second of two who try, and ValidationError if the card was left with
    this person: nobody holds a card of their own.
    """
    user = with_key(key).user
    exchange.locked_people(user, person)
    guest = Guest.objects.with_key(key).filter(user=user)
    if not guest.update(claimed_at=timezone.now()):
        raise exchange.Gone
    given = Binding.objects.active().filter(card__owner=user)
    held = Binding.objects.active().filter(holder=user)
    if given.filter(holder=person).exists():
        raise ValidationError(_("This card was left with you. You cannot be its owner as well."))
    own = Card.objects.kept().filter(owner=user).values_list("pk", flat=True)
    exchange.locked(*own, *held.values_list("card", flat=True))
    for binding in held.select_related("card__owner").order_by("card"):
        take_over(binding, person)
    for card in Card.objects.filter(pk__in=own).order_by("pk"):
        hand_over(card, person)
    be_blocked_by(User.objects.filter(blocks__blocked=user).exclude(pk=person.pk), person)
    exchange.empty(user)


def take_over(binding: Binding, person: User) -> None:
    """Hold the card from now on, where nothing speaks against it."""
    card = binding.card
    holds_it = Binding.objects.active().filter(card=card, holder=person).exists()
    if holds_it or card.owner == person or blocked_between(card.owner, person):
        exchange.leave(binding)
        return
    card.save()
    binding.holder = person
    binding.rev = binding.held_rev = binding.approved_rev = card.rev
    binding.save(update_fields=["holder", "rev", "held_rev", "approved_rev"])


def hand_over(card: Card, person: User) -> None:
    """Make the card theirs. Whoever holds it is told whose it is now."""
    for binding in Binding.objects.active().filter(card=card).select_related("holder"):
        if blocked_between(binding.holder, person):
            exchange.revoke(binding)
    card.refresh_from_db()
    card.owner = person
    card.save()
    holders = Binding.objects.active().filter(card=card)
    holders.settled().update(approved_rev=card.rev)  # whose it is, is nothing to be asked about
    holders.update(rev=card.rev, held_rev=card.rev)


def be_blocked_by(blockers: Iterable[User], person: User) -> None:
    """Whoever did not want to hear of the guest does not want to hear of them."""
    for blocker in blockers:
        Block.objects.get_or_create(blocker=blocker, blocked=person)
