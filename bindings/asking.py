"""Pages for those who are asked before a change is applied: the choice for all cards, and the two
answers. The choice for one card is with its notes (bindings/forms.py)."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from bindings import keeping
from bindings.access import held_by
from bindings.forms import AskingForm, RevForm
from bindings.models import Binding
from bindings.views import gone_is_not_found
from cards.access import user_of


@login_required
def asking(request: HttpRequest) -> HttpResponse:
    person = user_of(request)
    said = request.POST if request.method == "POST" else None
    form = AskingForm(said, initial={"asks": person.asks_before_applying})
    if form.is_valid():
        keeping.ask_about_all(person, form.cleaned_data["asks"])
        messages.success(request, _("Your settings are saved."))
        return redirect("asking")
    own_choice = held_by(person).exclude(asks=None).order_by("view__sort", "pk")
    return render(request, "bindings/asking.html", {"form": form, "own_choice": own_choice})


@login_required
@require_POST
def take_over(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the page showed, and nothing that has come since."""
    binding, rev = answered(request, pk)
    with gone_is_not_found():
        try:
            keeping.keep(binding, {"approved_rev": rev})
        except ValidationError as error:
            raise BadRequest from error
    messages.success(request, _("Taken over. Your devices change their copies."))
    return back(request, binding)


@login_required
@require_POST
def put_off(request: HttpRequest, pk: UUID) -> HttpResponse:
    binding, rev = answered(request, pk)
    keeping.put_off(binding, rev)
    messages.success(request, _("It waits. Your devices keep the card as it was."))
    return back(request, binding)


def answered(request: HttpRequest, pk: UUID) -> tuple[Binding, int]:
    """What the answer is about: the card, and up to which rev its holder has seen it."""
    binding = get_object_or_404(held_by(user_of(request)), pk=pk)
    form = RevForm(request.POST)
    if not form.is_valid():
        raise BadRequest
    return binding, form.cleaned_data["rev"]


def back(request: HttpRequest, binding: Binding) -> HttpResponse:
    """To the page on which it was answered."""
    return redirect("home") if "home" in request.POST else redirect("held-card", binding.pk)
