"""Pages of exchange: the cards one holds, who holds one's own, offering, accepting, blocking.

Each opens what is the person's own (bindings/access.py), reads a form, and calls one verb.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from rest_framework.throttling import ScopedRateThrottle

from accounts.models import Circle, User
from bindings import exchange, exporting, keeping
from bindings.access import (
    blocks_of,
    circles_of,
    found,
    given_by,
    held_by,
    in_circle,
    known_to,
    requests_from,
    requests_to,
    tagged,
    tags_of,
)
from bindings.forms import (
    AskForm,
    CircleForm,
    GrantForm,
    OfferForm,
    PrivateForm,
)
from bindings.models import Binding, BindingQuerySet
from cards import history
from cards.access import base_of, own_card, own_cards, user_of
from cards.face import Face
from cards.forms import CardEdit, CardForm
from cards.models import PUBLIC, Card
from cards.short import FirstCardForm

PAGE = 50  # cards or holders on one page
BY_NAME = ("view__sort", "pk")
ORDERS = {"name": BY_NAME, "new": ("-created_at", "pk")}
EXPORTS = {"vcf": (exporting.vcf, "text/vcard"), "csv": (exporting.table, "text/csv")}

Page = Callable[..., HttpResponse]


def throttled(scope: str, *methods: str) -> Callable[[Page], Page]:
    """Count with the API's throttle of this scope: whoever tries many codes has one limit,
    whichever door they try them at. Only these methods, if any are named."""

    def counting(page: Page) -> Page:
        @wraps(page)
        def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if methods and request.method not in methods:
                return page(request, *args, **kwargs)
            throttle = ScopedRateThrottle()
            door = cast(Any, SimpleNamespace(throttle_scope=scope))
            if throttle.allow_request(cast(Any, request), door):
                return page(request, *args, **kwargs)
            answer = render(request, "429.html", status=429)
            answer["Retry-After"] = int(throttle.wait() or 60) + 1
            return answer

        return counted

    return counting


@contextmanager
def gone_is_not_found() -> Iterator[None]:
    """What has ended since the page was opened is as good as never there."""
    try:
        yield
    except exchange.Gone as error:
        raise Http404 from error


# The cards one holds


def shown(binding: Binding) -> tuple[Binding, Face]:
    return binding, Face.of(binding.card.visible_to(binding.view.circles))


def asked(request: HttpRequest, name: str) -> str:
    """What the address says; a NUL, which PostgreSQL refuses, is in no text."""
    return request.GET.get(name, "").replace("\0", "").strip()


def narrowed(request: HttpRequest) -> BindingQuerySet:
    """The cards that the address asks for, in its order; all without one."""
    person = user_of(request)
    held = found(held_by(person), asked(request, "q"))
    if tag := asked(request, "tag"):
        held = tagged(held, tag)
    if asked(request, "waiting"):
        held = held.waiting()
    if circle := asked(request, "circle"):
        held = in_circle(held, person, circle)
    return held.order_by(*ORDERS.get(asked(request, "sort"), BY_NAME))


@login_required
def held_list(request: HttpRequest) -> HttpResponse:
    person = user_of(request)
    # To sort thousands of whole rows takes ten times as long as to sort their keys.
    keys = Paginator(narrowed(request).values_list("pk", flat=True), PAGE)
    page = keys.get_page(request.GET.get("page"))
    held = held_by(person).in_bulk(list(page))
    choice = {name: asked(request, name) for name in ("q", "tag", "circle", "waiting", "sort")}
    context = {
        "page": page,
        "held": [shown(held[pk]) for pk in page if pk in held],
        "choice": choice,
        "narrowed": any(choice[name] for name in ("q", "tag", "circle", "waiting")),
        "tags": tags_of(person),
        "circles": circles_of(person),
        "waiting": requests_to(person).count(),
        "has_card": own_cards(person).exists(),
    }
    return render(request, "bindings/held_list.html", context)


@login_required
def held_row(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One card of the list, for a page that shows it and has heard that it changed."""
    binding, face = shown(get_object_or_404(held_by(user_of(request)), pk=pk))
    return render(request, "bindings/held_row.html", {"binding": binding, "face": face})


@login_required
def held_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    binding, face = shown(get_object_or_404(held_by(user_of(request)), pk=pk))
    form = PrivateForm(request.POST or None, instance=binding)
    if form.is_valid():
        with gone_is_not_found():
            form.save()
        messages.success(request, _("Your notes are saved. Only you see them."))
        return redirect("held-card", pk)
    context = {
        "binding": binding,
        "face": face,
        "form": form,
        "changes": history.seen_through(binding.card, binding.view.circles, binding.held_rev),
        "unapproved": keeping.unapproved(binding) if binding.waits else None,
    }
    return render(request, "bindings/held_card.html", context)


@login_required
def held_vcf(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The card as a file, in the version that every address book reads (RFC 2426)."""
    binding = get_object_or_404(held_by(user_of(request)), pk=pk)
    name = " ".join(binding.card.fn.split())
    return file(exporting.vcf([binding]), f"{name}.vcf", "text/vcard")


@login_required
def held_export(request: HttpRequest, form: str) -> HttpResponse:
    """All that one holds, or those that the address narrows it to, as a file."""
    write, media_type = EXPORTS[form]
    return file(write(narrowed(request)), f"{_('Cards I hold')}.{form}", media_type)


def file(text: str, name: str, media_type: str) -> HttpResponse:
    disposition = content_disposition_header(True, name) or "attachment"
    return HttpResponse(
        text,
        content_type=f"{media_type}; charset=utf-8",
        headers={"Content-Disposition": disposition},
    )


@login_required
def leave(request: HttpRequest, pk: UUID) -> HttpResponse:
    binding = get_object_or_404(held_by(user_of(request)), pk=pk)
    if request.method != "POST":
        return render(request, "bindings/leave.html", {"binding": binding})
    exchange.leave(binding)
    messages.success(request, _("You have given the card back."))
    return redirect("held")


# Who holds one's own


@login_required
@require_POST
def preview(
    request: HttpRequest, pk: UUID | None = None, editing: type[CardEdit] = CardForm
) -> HttpResponse:
    """A card as it would look to some of those who hold it, and how many would see a change."""
    person = user_of(request)
    card = own_card(request, pk) if pk else Card(owner=person)
    circles = list(circles_of(person))
    base = base_of(request, card) if pk else None
    draft = editing(request.POST, card=card, base=base, circles=circles).draft()
    context = {
        "face": Face.of(draft.visible_to(audience_of(person, request.POST.get("as", "")))),
        "reached": exchange.reached_by(draft) if pk else None,
    }
    return render(request, "bindings/preview.html", context)


def audience_of(person: User, viewer: str) -> list[str]:
    """The circles of one who holds a card of the person, named by the binding; or the one circle
    that is named."""
    with suppress(ValueError, Binding.DoesNotExist):
        return list(given_by(person).get(pk=UUID(viewer)).view.circles)
    return [viewer]


@login_required
def viewer_list(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The newest of those through whose eyes the owner may look at the card."""
    given = given_by(user_of(request)).filter(card=own_card(request, pk))
    newest = given.order_by("-created_at", "pk")[:PAGE]
    return render(request, "bindings/viewers.html", {"holders": newest})


@login_required
def holder_list(request: HttpRequest, pk: UUID) -> HttpResponse:
    card = own_card(request, pk)
    given = given_by(user_of(request)).filter(card=card).order_by(Lower("holder__name"), "pk")
    page = Paginator(given, PAGE).get_page(request.GET.get("page"))
    names = {str(circle.pk): circle.name for circle in circles_of(user_of(request))}
    names[PUBLIC] = _("Public page")
    holders = [
        (binding, [names[each] for each in binding.view.circles if each in names])
        for binding in page
    ]
    context = {"card": card, "page": page, "holders": holders}
    return render(request, "bindings/holder_list.html", context)


@login_required
def holder(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One holder, and the circles they are in."""
    binding = get_object_or_404(given_by(user_of(request)), pk=pk)
    circles = list(circles_of(user_of(request)))
    initial = {"circles": binding.view.circles}
    data = request.POST if request.method == "POST" else None
    form = GrantForm(data, circles=circles, initial=initial)
    if form.is_valid():
        with gone_is_not_found():
            exchange.regrant(binding, form.chosen_circles())
        messages.success(request, _("Saved. Their copy of the card follows."))
        return redirect("holders", binding.card_id)
    _binding, face = shown(binding)
    context = {"binding": binding, "face": face, "form": form}
    return render(request, "bindings/holder.html", context)


@login_required
def revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    binding = get_object_or_404(given_by(user_of(request)), pk=pk)
    if request.method != "POST":
        return render(request, "bindings/revoke.html", {"binding": binding})
    exchange.revoke(binding)
    messages.success(request, _("%s no longer holds the card.") % binding.holder.name)
    return redirect("holders", binding.card_id)


# Circles


@login_required
def circle_list(request: HttpRequest) -> HttpResponse:
    person = user_of(request)
    form = CircleForm(request.POST or None, instance=Circle(owner=person))
    if form.is_valid():
        form.save()
        messages.success(request, _("The circle is there. Nobody is in it yet."))
        return redirect("circles")
    context = {"circles": circles_of(person), "form": form}
    return render(request, "bindings/circle_list.html", context)


@login_required
def circle(request: HttpRequest, pk: UUID) -> HttpResponse:
    named = get_object_or_404(circles_of(user_of(request)), pk=pk)
    form = CircleForm(request.POST or None, instance=named)
    if form.is_valid():
        form.save()
        messages.success(request, _("The circle has its new name."))
        return redirect("circles")
    return render(request, "bindings/circle.html", {"circle": named, "form": form})


@login_required
def delete_circle(request: HttpRequest, pk: UUID) -> HttpResponse:
    named = get_object_or_404(circles_of(user_of(request)), pk=pk)
    if request.method != "POST":
        return render(request, "bindings/circle_delete.html", {"circle": named})
    exchange.drop_circle(named)
    messages.success(request, _("The circle %s is gone.") % named.name)
    return redirect("circles")


# Blocks


@login_required
def block_list(request: HttpRequest) -> HttpResponse:
    return render(request, "bindings/block_list.html", {"blocks": blocks_of(user_of(request))})


@login_required
def block(request: HttpRequest, username: str) -> HttpResponse:
    person = user_of(request)
    blocked = get_object_or_404(known_to(person).exclude(pk=person.pk), username=username)
    if request.method != "POST":
        return render(request, "bindings/block.html", {"blocked": blocked})
    exchange.block(person, blocked)
    messages.success(request, _("%s is blocked.") % blocked.name)
    return redirect("blocks")


@login_required
@require_POST
def unblock(request: HttpRequest, pk: UUID) -> HttpResponse:
    blocked = get_object_or_404(blocks_of(user_of(request)), pk=pk)
    blocked.delete()
    messages.success(request, _("%s is no longer blocked.") % blocked.blocked.name)
    return redirect("blocks")


# Exchanging


def giving_form(request: HttpRequest, person: User) -> OfferForm | FirstCardForm:
    """Which card to give in return; whoever has none makes the first one here."""
    data = request.POST if request.method == "POST" else None
    if own_cards(person).exists():
        return OfferForm(data, person=person, circles=list(circles_of(person)))
    return FirstCardForm(data, initial={"fn": person.name})


def exchanged(
    request: HttpRequest,
    form: OfferForm | FirstCardForm,
    accept: Callable[..., exchange.Exchanged],
) -> HttpResponse:
    """Give what the form says and take what is offered: both, or neither and no new card."""
    with transaction.atomic():
        held, _given = accept(*form.offer(user_of(request)))
    owner = held.card.owner.name
    messages.success(request, _("You and %s hold each other's cards now.") % owner)
    return redirect("held-card", held.pk)


# Requests


@login_required
def request_list(request: HttpRequest) -> HttpResponse:
    person = user_of(request)
    if request.method == "POST":
        return ask(request)
    return requests_page(request, AskForm(person=person, circles=list(circles_of(person))))


def requests_page(request: HttpRequest, form: AskForm) -> HttpResponse:
    person = user_of(request)
    context = {
        "form": form,
        "has_card": own_cards(person).exists(),
        "incoming": requests_to(person),
        "outgoing": requests_from(person)[:PAGE],
        "now": timezone.now(),
    }
    return render(request, "bindings/request_list.html", context)


@throttled("request")
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for somebody's card. The answer is the same whether or not there is anybody."""
    person = user_of(request)
    form = AskForm(request.POST, person=person, circles=list(circles_of(person)))
    if not form.is_valid():
        return requests_page(request, form)
    asked = form.cleaned_data
    exchange.ask(person, asked["to"], asked["card"], form.chosen_circles(), asked["message"])
    messages.success(
        request, _("Sent. If somebody here has that name or address, they see your request.")
    )
    return redirect("requests")


@login_required
def request_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A request to this person: what is offered, and what to give in return."""
    person = user_of(request)
    asked = get_object_or_404(requests_to(person), pk=pk)
    form = giving_form(request, person)
    if form.is_valid():
        with gone_is_not_found():
            return exchanged(
                request,
                form,
                lambda card, circles: exchange.accept_request(asked, card, circles),
            )
    face = Face.of(asked.card.visible_to(asked.circles))
    context = {"asked": asked, "face": face, "form": form}
    return render(request, "bindings/request.html", context)


@login_required
@require_POST
def withdraw(request: HttpRequest, pk: UUID) -> HttpResponse:
    asked = get_object_or_404(requests_from(user_of(request)), pk=pk)
    with gone_is_not_found():
        exchange.withdraw_request(asked)
    messages.success(request, _("Taken back, as if you had never asked."))
    return redirect("requests")


@login_required
@require_POST
def decline(request: HttpRequest, pk: UUID) -> HttpResponse:
    asked = get_object_or_404(requests_to(user_of(request)), pk=pk)
    with gone_is_not_found():
        exchange.decline_request(asked)
    messages.success(request, _("Declined. They are not told."))
    return redirect("requests")
