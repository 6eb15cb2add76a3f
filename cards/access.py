"""Which cards a person may open as their owner: their own and nobody else's."""

from typing import cast
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from accounts.models import User
from cards.models import Card, CardQuerySet


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
