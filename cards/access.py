"""Which cards a person may open as their owner: their own and nobody else's."""

from typing import cast
from uuid import UUID

from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from accounts.models import User
from cards.models import Card, CardQuerySet, CardRevision, PublicPage


def user_of(request: HttpRequest) -> User:
    """The person signed in, behind `login_required`."""
    return cast(User, request.user)


def own_cards(person: User) -> CardQuerySet:
    return Card.objects.kept().filter(owner=person).order_by("created_at")


def own_card(request: HttpRequest, pk: UUID, *, lock: bool = False) -> Card:
    """Raises Http404 for any card that is not the person's own, or that was retired. With `lock`,
    nobody else writes it until the transaction ends."""
    cards = own_cards(user_of(request))
    return get_object_or_404(cards.select_for_update() if lock else cards, pk=pk)


def base_of(request: HttpRequest, card: Card) -> CardRevision:
    """The revision whose rows are in the form: those were numbered when it was opened. Raises
    BadRequest for one that the card does not have."""
    rev = number(request.POST.get("base", str(card.content_rev)))
    base = card.revisions.filter(rev=rev).first()
    if base is None:
        raise BadRequest("No such revision.")
    return base


def number(text: str | None) -> int:
    """A rev that came with a form; 0, which is none's, for anything else."""
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0


def public_page(slug: str) -> PublicPage:
    """The page at this address, with its card and the card's owner, for anybody. Raises Http404
    for one that is off or was never there: it is not told which."""
    shown = PublicPage.objects.shown().select_related("card__owner")
    return get_object_or_404(shown, slug=slug.lower())
