"""Pages for those who are asked before a change is applied: the choice for all cards, and the two
answers. The choice for one card is with its notes (bindings/forms.py)."""

from typing import NamedTuple
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from accounts.deadlocks import again_if_deadlocked
from bindings import keeping
from bindings.access import held_by
from bindings.forms import AskingForm, SeenForm
from bindings.models import Binding
from bindings.views import PAGE, gone_is_not_found
from cards.access import user_of

MOST = 500  # cards with a choice of their own that are listed
TAKEN_OVER = gettext_lazy("Taken over. Your devices change their copies.")


@login_required
def asking(request: HttpRequest) -> HttpResponse:
    person = user_of(request)
    said = request.POST if request.method == "POST" else None
    form = AskingForm(said, initial={"asks": person.asks_before_applying})
    if form.is_valid():
        keeping.ask_about_all(person, form.cleaned_data["asks"])
        messages.success(request, _("Your settings are saved."))
        return redirect("asking")
    own_choice = held_by(person).exclude(asks=None).order_by("view__sort", "pk")[:MOST]
    return render(request, "bindings/asking.html", {"form": form, "own_choice": own_choice})


@login_required
@require_POST
def take_over(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the page showed, and nothing that has come since."""
    binding = get_object_or_404(held_by(user_of(request)), pk=pk)
    take(binding, seen(pk, request.POST.get("rev")).rev)
    messages.success(request, TAKEN_OVER)
    return back(request, binding)


@login_required
@require_POST
@again_if_deadlocked
@transaction.atomic
def take_all_over(request: HttpRequest) -> HttpResponse:
    """All that the page listed, each as it was then. What has been taken back since is left out."""
    pairs = [each.partition(" ") for each in request.POST.getlist("seen")[:PAGE]]
    revs = dict(seen(pk, rev) for pk, _space, rev in pairs)
    held = held_by(user_of(request)).in_bulk(revs)
    if not held:
        raise Http404
    for pk in sorted(held):
        take(held[pk], revs[pk])
    messages.success(request, TAKEN_OVER)
    return redirect("held")


@login_required
@require_POST
def put_off(request: HttpRequest, pk: UUID) -> HttpResponse:
    binding = get_object_or_404(held_by(user_of(request)), pk=pk)
    keeping.put_off(binding, seen(pk, request.POST.get("rev")).rev)
    messages.success(request, _("It waits. Your devices keep the card as it was."))
    return back(request, binding)


class Seen(NamedTuple):
    """Up to which rev somebody has seen a card that they hold."""

    binding: UUID
    rev: int


def seen(pk: object, rev: object) -> Seen:
    form = SeenForm({"binding": pk, "rev": rev})
    if not form.is_valid():
        raise BadRequest
    return Seen(**form.cleaned_data)


def take(binding: Binding, rev: int) -> None:
    with gone_is_not_found():
        try:
            keeping.keep(binding, {"approved_rev": rev})
        except ValidationError as error:
            raise BadRequest from error


def back(request: HttpRequest, binding: Binding) -> HttpResponse:
    """To the page on which it was answered."""
    return redirect("home") if "home" in request.POST else redirect("held-card", binding.pk)
