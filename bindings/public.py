"""Pages for whoever meets a card without an account: keeping it, leaving one's own, and the private
page of what was left (bindings/guests.py)."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from accounts.models import User
from bindings import exchange, exporting, guests
from bindings.access import held_by
from bindings.models import Guest
from bindings.views import exchanged, file, giving_form, gone_is_not_found, shown, throttled
from cards.access import base_of, public_page, user_of
from cards.face import Face
from cards.models import PUBLIC, Card, StaleCard
from cards.short import FirstCardForm, ShortCardForm


@never_cache
@throttled("page", "POST")
def keep(request: HttpRequest, slug: str) -> HttpResponse:
    """Take the card, and give one's own; that takes an account."""
    page, form = public_page(slug), None
    owner = page.shown_card.owner
    if request.user.is_authenticated:
        if owner == request.user:
            return redirect("card-public", page.card_id)
        form = giving_form(request, user_of(request))
        if form.is_valid():
            with gone_is_not_found():
                return exchanged(
                    request,
                    form,
                    lambda card, circles: exchange.accept_page(
                        page, user_of(request), card, circles
                    ),
                )
    context = {
        "page": page,
        "owner": owner,
        "face": Face.of(page.shown_card.visible_to([PUBLIC])),
        "form": form,
    }
    return render(request, "bindings/keep.html", context)


# Leaving a card


@never_cache
@throttled("page", "POST")
def leave_at_page(request: HttpRequest, slug: str) -> HttpResponse:
    """With the owner of a public page."""
    page = public_page(slug)
    if not page.takes_cards:
        raise Http404

    def accept(guest: User, card: Card) -> object:
        return exchange.accept_page(page, guest, card, [])

    back = reverse("public-keep", args=[page.slug])
    return leave(request, page.shown_card.visible_to([PUBLIC]), page.url, back, accept)


@never_cache
@throttled("page", "POST")
def leave_at_invitation(request: HttpRequest, code: str) -> HttpResponse:
    """With whoever has sent the invitation."""
    try:
        offered = exchange.find_invitation(code)
    except exchange.Gone:
        return render(request, "bindings/invitation_gone.html", status=404)

    def accept(guest: User, card: Card) -> object:
        return exchange.accept_invitation(code, guest, card)

    back = reverse("invitation", args=[code])
    return leave(request, offered.card.visible_to(offered.circles), back, back, accept)


def leave(
    request: HttpRequest,
    view: dict[str, Any],
    back: str,
    with_account: str,
    accept: Callable[[User, Card], object],
) -> HttpResponse:
    """A short card, for the owner of the one in `view`. Whoever is signed in has better ways."""
    if request.user.is_authenticated:
        return redirect(with_account)
    form = FirstCardForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with gone_is_not_found():
            key = guests.welcome(
                form.cleaned_data["fn"], lambda guest: accept(guest, form.save(guest))
            )
        messages.success(request, _("Your card is there. This page is the way back to it."))
        return redirect("guest", key)
    context = {"face": Face.of(view), "form": form, "back": back, "with_account": with_account}
    return render(request, "bindings/leave_card.html", context)


# What was left


GuestPage = Callable[[HttpRequest, Guest, str], HttpResponse]


def by_key(page: GuestPage) -> Callable[[HttpRequest, str], HttpResponse]:
    """Open what the private link leads to. It is in nobody's cache and on nobody's list."""

    @never_cache
    @throttled("code")
    @wraps(page)
    def opened(request: HttpRequest, key: str) -> HttpResponse:
        try:
            response = page(request, guests.with_key(key), key)
        except exchange.Gone:
            response = render(request, "bindings/guest_gone.html", status=404)
        response["X-Robots-Tag"] = "noindex"
        return response

    return opened


@by_key
def guest(request: HttpRequest, left: Guest, key: str) -> HttpResponse:
    """The card that was left, to be changed, and those that were given for it."""
    card, now = guests.card_of(left), None
    data = request.POST if request.method == "POST" else None
    form = ShortCardForm(data, card=card, base=base_of(request, card), circles=[])
    if form.is_valid():
        try:
            guests.change(left, form)
        except StaleCard:
            now = guests.card_of(left)
            form.show_again(now.content_rev)
        else:
            messages.success(request, _("Saved. Whoever holds the card gets the new version."))
            return redirect("guest", key)
    context = {
        "address": request.build_absolute_uri(reverse("guest", args=[key])),
        "key": key,
        "form": form,
        "now": now and Face.of(now.for_owner()),
        "held": [shown(binding) for binding in held_by(left.user)],
    }
    return render(request, "bindings/guest.html", context, status=409 if now else 200)


@by_key
def guest_vcf(request: HttpRequest, left: Guest, key: str) -> HttpResponse:
    """The cards that were given for it, as a file."""
    held = held_by(left.user)
    names = ", ".join(binding.card.fn for binding in held)
    return file(exporting.vcf(held), f"{' '.join(names.split())}.vcf", "text/vcard")


@by_key
def remove_guest(request: HttpRequest, left: Guest, key: str) -> HttpResponse:
    if request.method != "POST":
        context = {"key": key, "card": guests.card_of(left)}
        return render(request, "bindings/guest_remove.html", context)
    guests.remove(left)
    return render(request, "bindings/guest_removed.html")


@login_required
def claim(request: HttpRequest, key: str) -> HttpResponse:
    return claim_page(request, key)


@by_key
def claim_page(request: HttpRequest, left: Guest, key: str) -> HttpResponse:
    """Take the card into one's account."""
    card, error = guests.card_of(left), ""
    if request.method == "POST":
        try:
            guests.claim(key, user_of(request))
        except ValidationError as refusal:
            error = refusal.messages[0]
        else:
            messages.success(request, _("The card is yours now, in your account."))
            return redirect("card", card.pk)
    context = {"key": key, "card": card, "face": Face.of(card.for_owner()), "error": error}
    return render(request, "bindings/guest_claim.html", context, status=400 if error else 200)
