"""Pages of a public card that lead to an exchange: keeping it, and leaving one's own without an
account."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from bindings import exchange
from bindings.views import exchanged, giving_form, gone_is_not_found, throttled
from cards.access import public_page, user_of
from cards.face import Face
from cards.models import PUBLIC


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
