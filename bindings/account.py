"""Pages about the whole of an account: taking along all that is in it, and erasing it."""

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from bindings import archive, exchange
from bindings.access import given_by, held_by
from bindings.views import throttled
from cards.access import own_cards, user_of


@login_required
def own_data(request: HttpRequest) -> HttpResponse:
    return render(request, "bindings/own_data.html")


@reauthentication_required  # type: ignore[untyped-decorator]
@never_cache
@throttled("archive")
def download(request: HttpRequest) -> Any:
    name = f"cardsite-{timezone.localdate()}.zip"
    whole = archive.of(user_of(request))
    return FileResponse(whole, as_attachment=True, filename=name)


@reauthentication_required  # type: ignore[untyped-decorator]
@never_cache
def erase(request: HttpRequest) -> HttpResponse:
    """Ask first, and say what cannot be called back."""
    person = user_of(request)
    if request.method != "POST":
        context = {
            "cards": own_cards(person).count(),
            "holders": given_by(person).values("holder").distinct().count(),
            "held": held_by(person).count(),
        }
        return render(request, "bindings/erase.html", context)
    exchange.erase(person)
    logout(request)
    messages.success(request, _("Your account is erased. Nothing of it is kept."))
    return redirect("account_login")
