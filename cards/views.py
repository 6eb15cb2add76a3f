"""Pages of an owner's cards, the photos, and what the public sees of a card."""

import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast
from uuid import UUID

import segno
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, ValidationError
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import (
    conditional_page,
    require_GET,
    require_POST,
    require_safe,
)

from cards import history, importing, photos, public, vcard
from cards.access import base_of, number, own_card, own_cards, public_page, user_of
from cards.audience import AudienceForm, PublicForm
from cards.face import KINDS, Face
from cards.forms import (
    MAX_ROWS,
    CardEdit,
    CardForm,
    ImportForm,
    PropertyForm,
    circles_of,
    proposed,
)
from cards.models import PUBLIC, Card, CardRevision, Door, PublicPage, StaleCard
from cards.photos import path_of
from cards.renderers import properties_of
from cards.sayings import spoken

REVISIONS = 20  # on one page
SHOWN = 200  # cards of a file
LONGEST_LABEL = 100  # characters
PHOTO_NAME = re.compile(r"[0-9a-f]{40}\.jpg")


class Editing(NamedTuple):
    """A way of changing a card."""

    form: type[CardEdit]
    template: str


CARD = Editing(CardForm, "cards/card_form.html")
AUDIENCE = Editing(AudienceForm, "cards/card_audience.html")


@login_required
def card_list(request: HttpRequest) -> HttpResponse:
    cards = [(card, Face.of(card.for_owner())) for card in own_cards(user_of(request))]
    return render(request, "cards/card_list.html", {"cards": cards})


@login_required
def new_card(request: HttpRequest) -> HttpResponse:
    person = user_of(request)
    return editor(request, Card(owner=person, fn=person.name), None, CARD)


@login_required
def edit_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    card = own_card(request, pk)
    return editor(request, card, base_of(request, card), CARD)


@login_required
def card_audience(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Who sees what of it."""
    card = own_card(request, pk)
    return editor(request, card, base_of(request, card), AUDIENCE)


def editor(
    request: HttpRequest, card: Card, base: CardRevision | None, editing: Editing
) -> HttpResponse:
    person, now = user_of(request), None
    circles = circles_of(person)
    data = with_another_row(request.POST) if request.method == "POST" else None
    form = editing.form(data, request.FILES or None, card=card, base=base, circles=circles)
    if data is not None and "add" not in data and form.is_valid():
        try:
            form.save(person)
        except StaleCard:
            now = own_card(request, card.pk)
            form.show_again(now.content_rev)
        else:
            return saved(request, card, is_new=base is None)
    page = {
        "card": card,
        "form": form,
        "kinds": KINDS,
        "now": now and Face.of(now.for_owner()),
    }
    return render(request, editing.template, page, status=409 if now else 200)


def saved(request: HttpRequest, card: Card, *, is_new: bool) -> HttpResponse:
    """To what comes next: a new card is to be shared, a change to be followed on its way."""
    if is_new:
        messages.success(request, _("Your card is ready. Let somebody scan it."))
        return redirect("share", card.pk)
    messages.success(request, _("Saved. Whoever holds the card gets the new version."))
    return redirect("reach", card.pk)


def with_another_row(data: Any) -> Any:
    """What was typed, with one more empty row if that was asked for."""
    total = data.get("rows-TOTAL_FORMS", "")
    known = data.get("kind") in KINDS
    if "add" not in data or not known or not total.isdecimal() or int(total) >= MAX_ROWS:
        return data
    grown = data.copy()
    grown["rows-TOTAL_FORMS"] = str(int(total) + 1)
    for field, value in proposed(data["kind"]).items():
        row = f"rows-{int(total)}-{field}"
        grown.setlist(row, value if isinstance(value, list) else [value])
    return grown


@login_required
def import_cards(request: HttpRequest) -> HttpResponse:
    """Cards from a file: first what is in it, then those that are wanted."""
    person, found = user_of(request), None
    form = ImportForm(request.POST or None, request.FILES or None, circles=circles_of(person))
    if form.is_valid():
        asked = form.cleaned_data
        try:
            if "look" not in request.POST and asked["wanted"]:
                made = importing.stored(person, asked["file"], asked["circles"], asked["wanted"])
                return cards_imported(request, made)
            found = importing.looked_at(person, asked["file"], asked["circles"])
        except vcard.VCardError as error:
            form.add_error("file", spoken(error.reason))
    looked_at = [(Face.of(each.card.for_owner()), each.warnings) for each in found or []]
    context = {"form": form, "found": looked_at[:SHOWN], "total": len(looked_at)}
    return render(request, "cards/import.html", context)


def cards_imported(request: HttpRequest, made: list[importing.Imported]) -> HttpResponse:
    count = len(made)
    said = ngettext("One card is imported.", "%(count)d cards are imported.", count)
    messages.success(request, said % {"count": count})
    if count == 1:
        return redirect("card-audience", made[0].card.pk)
    return redirect("cards")


@login_required
@require_GET
def new_row(request: HttpRequest) -> HttpResponse:
    """One more empty row for a form that is open in a browser."""
    kind, total = request.GET.get("kind", ""), request.GET.get("rows-TOTAL_FORMS", "")
    if kind not in KINDS or not total.isdecimal() or int(total) >= MAX_ROWS:
        raise BadRequest("No such row.")
    row = PropertyForm(
        prefix=f"rows-{int(total)}",
        initial=proposed(kind),
        original=None,
        circles=circles_of(user_of(request)),
    )
    return render(request, "cards/new_row.html", {"row": row, "total": int(total) + 1})


@login_required
def card_history(request: HttpRequest, pk: UUID) -> HttpResponse:
    card = own_card(request, pk)
    revisions = card.revisions.select_related("changed_by")
    page = Paginator(revisions, REVISIONS).get_page(request.GET.get("page"))
    shown = list(revisions[max(page.start_index() - 1, 0) : page.end_index() + 1])
    names = {str(circle.pk): circle.name for circle in circles_of(user_of(request))}
    changes = [
        (after, before and history.of_contents(before, after, names))
        for after, before in zip(page, [*shown[1:], None], strict=False)
    ]
    context = {"card": card, "page": page, "changes": changes, "newest": card.content_rev}
    return render(request, "cards/card_history.html", context)


@login_required
@require_POST
def restore_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Go back to a revision, unless there is a newer one than the page has shown."""
    person = user_of(request)
    with transaction.atomic():
        card = own_card(request, pk, lock=True)
        revision = get_object_or_404(card.revisions, rev=number(request.POST.get("rev")))
        if number(request.POST.get("seen")) != card.content_rev:
            messages.warning(request, _("The card has changed meanwhile: this is what it is now."))
            return redirect("card-history", card.pk)
        card.changed_by, card.changed_via = person, Door.WEB
        card.restore(revision)
    messages.success(request, _("It is as it was. Whoever holds the card gets it."))
    return redirect("reach", card.pk)


@login_required
@require_POST
def duplicate_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Another card with the same on it, that nobody holds."""
    person, card = user_of(request), own_card(request, pk)
    copy = Card(owner=person, changed_by=person, changed_via=Door.WEB)
    for name in Card.CONTENT:
        setattr(copy, name, getattr(card, name))
    copy.label = (_("Copy of %s") % (card.label or card.fn))[:LONGEST_LABEL]
    with transaction.atomic():
        if card.photo:
            copy.photo = photos.copied(card.photo, copy)
        copy.save()
    messages.success(request, _("This is the copy. Nobody holds it yet."))
    return redirect("card", copy.pk)


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


# The public page


@login_required
def card_public(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the public sees of the card, where, and whether it does."""
    card, now = own_card(request, pk), None
    data = request.POST if request.method == "POST" else None
    form = PublicForm(data, card=card, base=base_of(request, card), circles=[])
    shown = form.draft() if data else card
    if data and "look" not in data and form.is_valid():
        try:
            form.publish(user_of(request))
        except StaleCard:
            now = own_card(request, card.pk)
            form.show_again(now.content_rev)
        except ValidationError as error:
            form.add_error("slug", error)
        else:
            messages.success(request, _("The public page is on, and shows what you see here."))
            return redirect("card-public", card.pk)
    context = {
        "card": card,
        "form": form,
        "now": now and Face.of(now.for_owner()),
        "page": form.page,
        "address": form.page and request.build_absolute_uri(form.page.url),
        "face": Face.of(shown.visible_to([PUBLIC])),
    }
    return render(request, "cards/card_public.html", context, status=409 if now else 200)


@login_required
@require_POST
def unpublish(request: HttpRequest, pk: UUID) -> HttpResponse:
    card = own_card(request, pk)
    public.unpublish(card)
    messages.success(request, _("The public page is off. Its address stays yours."))
    return redirect("card-public", card.pk)


Shown = Callable[..., HttpResponse]


def for_anybody(page: Shown) -> Shown:
    """Of a page that is on, the same for all who read one language. It is asked for again each
    time, so that it is gone at once when it is turned off; robots are told what its owner wants."""

    @require_safe
    def shown(request: HttpRequest, slug: str) -> HttpResponse:
        found = public_page(slug)
        response = page(request, found)
        response["Cache-Control"] = "no-cache"
        if not found.is_indexed:
            response["X-Robots-Tag"] = "noindex"
        return response

    return cast(Shown, conditional_page(shown))


@for_anybody
def public_card(request: HttpRequest, page: PublicPage) -> HttpResponse:
    view = page.shown_card.visible_to([PUBLIC])
    photo = reverse("public-photo", args=[page.slug]) if view["photo"] else None
    context = {
        "page": page,
        "face": Face.of({**view, "photo": photo}),
        "address": request.build_absolute_uri(page.url),
        "picture": photo and request.build_absolute_uri(photo),
    }
    return render(request, "cards/public.html", context)


@for_anybody
def public_vcf(request: HttpRequest, page: PublicPage) -> HttpResponse:
    """In the version that every address book reads (RFC 2426), or with `?version=4.0` in the
    newest (RFC 6350)."""
    view = page.shown_card.visible_to([PUBLIC])
    version = "4.0" if request.GET.get("version") == "4.0" else "3.0"
    text = vcard.write(properties_of({"id": page.card_id, **view}), version=version)
    name = f"{' '.join(view['fn'].split())}.vcf"
    disposition = content_disposition_header(True, name) or "attachment"
    return HttpResponse(
        text,
        content_type="text/vcard; charset=utf-8",
        headers={"Content-Disposition": disposition},
    )


@for_anybody
def public_qr(request: HttpRequest, page: PublicPage) -> HttpResponse:
    picture = io.BytesIO()
    code = segno.make(request.build_absolute_uri(page.url), error="m")
    code.save(picture, kind="svg", scale=6, border=4)
    return HttpResponse(picture.getvalue(), content_type="image/svg+xml")


@for_anybody
def public_photo(request: HttpRequest, page: PublicPage) -> HttpResponse:
    """Not at the photo's own address, which would be known when the page is off again."""
    view = page.shown_card.visible_to([PUBLIC])
    if not view["photo"]:
        raise Http404
    return HttpResponse(photos.small(page.shown_card.photo), content_type="image/jpeg")


def photo(request: HttpRequest, name: str) -> FileResponse:
    """A photo, to whoever knows its name: no one can guess it, and it never shows another one."""
    if not PHOTO_NAME.fullmatch(name) or not default_storage.exists(path_of(name)):
        raise Http404
    response = FileResponse(default_storage.open(path_of(name)), content_type="image/jpeg")
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    return response
