"""Pages of invitations: offering a card as a QR code, a link, a code or on paper, looking at what
became of that, and what whoever is invited sees."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from bindings import exchange
from bindings.access import all_invitations_of, circles_of, invitations_of
from bindings.api import ways_in
from bindings.forms import CodeForm, InviteForm, SheetForm
from bindings.views import PAGE, exchanged, file, giving_form, throttled
from cards import vcard
from cards.access import own_card, user_of
from cards.face import Face, listed
from cards.renderers import properties_of

ON_A_SHEET = 10
LIFE_OF_A_SHEET = timedelta(days=365)
USES_OF_A_SHEET = 1000


@login_required
@never_cache
def share(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Offer a card. The code is on the page that answers, and nowhere else: only its hash stays."""
    person, card = user_of(request), own_card(request, pk)
    data = request.POST if request.method == "POST" else None
    form = InviteForm(data, circles=list(circles_of(person)))
    made: dict[str, Any] | None = None
    if form.is_valid():
        invitation, code = exchange.invite(
            card,
            circles=form.chosen_circles(),
            lifetime=form.cleaned_data["lifetime"],
            uses=form.cleaned_data["uses"],
        )
        made = {**ways_in(request, code), "invitation": invitation}
    invitations = invitations_of(person).filter(card=card)
    context = {"card": card, "form": form, "made": made, "invitations": invitations}
    return render(request, "bindings/share.html", context)


@login_required
@require_POST
def revoke_invitation(request: HttpRequest, pk: UUID) -> HttpResponse:
    invitation = get_object_or_404(invitations_of(user_of(request)), pk=pk)
    invitation.revoked_at = timezone.now()
    invitation.save(update_fields=["revoked_at"])
    messages.success(request, _("The invitation is taken back. Who used it keeps the card."))
    return redirect("invitation-page", invitation.pk)


@login_required
def invitation_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(all_invitations_of(user_of(request)), PAGE).get_page(request.GET.get("page"))
    return render(request, "bindings/invitation_list.html", {"page": page})


@login_required
def invitation_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What became of one: who used it, and when."""
    person = user_of(request)
    made = get_object_or_404(all_invitations_of(person), pk=pk)
    context = {
        "invitation": made,
        "exchanges": made.exchanges.select_related("given__holder").order_by("-created_at"),
        "circles": listed(each.name for each in circles_of(person) if str(each.pk) in made.circles),
    }
    return render(request, "bindings/invitation_page.html", context)


@login_required
def invitation_vcf(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What whoever is invited sees of the card, to be sent as a file: RFC 2426, or with
    `?version=4.0` RFC 6350."""
    made = get_object_or_404(all_invitations_of(user_of(request)), pk=pk)
    view = made.card.visible_to(made.circles)
    version = "4.0" if request.GET.get("version") == "4.0" else "3.0"
    text = vcard.write(properties_of({"id": made.card_id, **view}), version=version)
    return file(text, f"{' '.join(view['fn'].split())}.vcf", "text/vcard")


@login_required
@never_cache
def sheet(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Cards of paper, with an invitation of their own. The browser prints them, or makes a PDF of
    them: it has the fonts (docs/decisions/0020-the-browser-prints.md)."""
    card = own_card(request, pk)
    circles = list(circles_of(user_of(request)))
    form = SheetForm(request.POST if request.method == "POST" else None, circles=circles)
    if not form.is_valid():
        return render(request, "bindings/sheet_form.html", {"card": card, "form": form})
    shown_to = form.chosen_circles()
    _made, code = exchange.invite(
        card, circles=shown_to, lifetime=LIFE_OF_A_SHEET, uses=USES_OF_A_SHEET
    )
    context = {
        "card": card,
        "cards": range(ON_A_SHEET),
        "face": Face.of(card.visible_to(shown_to)),
        "made": ways_in(request, code),
        "paper": form.cleaned_data["paper"],
    }
    return render(request, "bindings/sheet.html", context)


@login_required
def scan(request: HttpRequest) -> HttpResponse:
    return render(request, "bindings/scan.html")


@login_required
def code(request: HttpRequest) -> HttpResponse:
    form = CodeForm(request.POST or None)
    if form.is_valid():
        return redirect("invitation", form.cleaned_data["code"])
    return render(request, "bindings/code.html", {"form": form})


@never_cache
@throttled("code")
def invitation(request: HttpRequest, code: str) -> HttpResponse:
    """What a code offers, to whoever brings it; accepting takes an account."""
    person = user_of(request) if request.user.is_authenticated else None
    if request.method == "POST" and person is None:
        return redirect_to_login(request.path)
    try:
        offered = exchange.find_invitation(code, person)
        form = giving_form(request, person) if person and person != offered.card.owner else None
        if person and form and form.is_valid():
            return exchanged(
                request,
                form,
                lambda card, circles: exchange.accept_invitation(code, person, card, circles),
            )
    except exchange.Gone:
        return render(request, "bindings/invitation_gone.html", status=404)
    context = {
        "code": code,
        "owner": offered.card.owner,
        "face": Face.of(offered.card.visible_to(offered.circles)),
        "form": form,
    }
    return render(request, "bindings/invitation.html", context)
