"""Pages of an owner's cards, and the photos."""

import re
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.core.files.storage import default_storage
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from cards.access import own_card, own_cards, user_of
from cards.face import KINDS, Face
from cards.forms import MAX_ROWS, CardForm, PropertyForm, circles_of, newest_rev
from cards.models import Card, CardRevision, Content, Door, StaleCard
from cards.photos import path_of

PHOTO_NAME = re.compile(r"[0-9a-f]{40}\.jpg")


@login_required
def card_list(request: HttpRequest) -> HttpResponse:
    cards = [(card, Face.of(all_of(card))) for card in own_cards(user_of(request))]
    return render(request, "cards/card_list.html", {"cards": cards})


def all_of(content: Content) -> dict[str, Any]:
    """What its owner sees of a card."""
    photo_url = reverse("photo", args=[content.photo]) if content.photo else None
    return {"fn": content.fn, "properties": content.properties, "photo": photo_url}


@login_required
def new_card(request: HttpRequest) -> HttpResponse:
    person = user_of(request)
    return editor(request, Card(owner=person, fn=person.name), None)


@login_required
def edit_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    card = own_card(request, pk)
    return editor(request, card, base_of(request, card))


def base_of(request: HttpRequest, card: Card) -> CardRevision:
    """The revision whose rows are in the form: those were numbered when it was opened."""
    rev = request.POST.get("base", str(newest_rev(card)))
    base = card.revisions.filter(rev=int(rev) if rev.isdecimal() and len(rev) < 19 else 0).first()
    if base is None:
        raise BadRequest("No such revision.")
    return base


def editor(request: HttpRequest, card: Card, base: CardRevision | None) -> HttpResponse:
    person, now = user_of(request), None
    circles = circles_of(person)
    data = with_another_row(request.POST) if request.method == "POST" else None
    form = CardForm(data, request.FILES or None, card=card, base=base, circles=circles)
    if data is not None and "add" not in data and form.is_valid():
        try:
            form.save(person)
        except StaleCard:
            now = own_card(request, card.pk)
            form.show_again(newest_rev(now))
        else:
            messages.success(request, _("Saved. Whoever holds the card gets the new version."))
            return redirect("cards")
    page = {
        "card": card,
        "form": form,
        "kinds": KINDS,
        "now": now and Face.of(all_of(now)),
    }
    return render(request, "cards/card_form.html", page, status=409 if now else 200)


def with_another_row(data: Any) -> Any:
    """What was typed, with one more empty row if that was asked for."""
    total = data.get("rows-TOTAL_FORMS", "")
    if "add" not in data or not total.isdecimal() or int(total) >= MAX_ROWS:
        return data
    grown = data.copy()
    grown["rows-TOTAL_FORMS"] = str(int(total) + 1)
    grown[f"rows-{int(total)}-name"] = data.get("kind", "")
    return grown


@login_required
@require_GET
def new_row(request: HttpRequest) -> HttpResponse:
    """One more empty row for a form that is open in a browser."""
    kind, total = request.GET.get("kind", ""), request.GET.get("rows-TOTAL_FORMS", "")
    if kind not in KINDS or not total.isdecimal() or int(total) >= MAX_ROWS:
        raise BadRequest("No such row.")
    row = PropertyForm(
        prefix=f"rows-{int(total)}",
        initial={"name": kind},
        original=None,
        circles=circles_of(user_of(request)),
    )
    return render(request, "cards/new_row.html", {"row": row, "total": int(total) + 1})


@login_required
def retire_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    if request.method != "POST":
        return render(request, "cards/card_retire.html", {"card": own_card(request, pk)})
    with transaction.atomic():
        card = own_card(request, pk, lock=True)
        card.changed_by, card.changed_via = user_of(request), Door.WEB
        card.retire()
    messages.success(request, _("The card is retired. Nobody holds it any more."))
    return redirect("cards")


def photo(request: HttpRequest, name: str) -> FileResponse:
    """A photo, to whoever knows its name: no one can guess it, and it never shows another one."""
    if not PHOTO_NAME.fullmatch(name) or not default_storage.exists(path_of(name)):
        raise Http404
    response = FileResponse(default_storage.open(path_of(name)), content_type="image/jpeg")
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    return response
