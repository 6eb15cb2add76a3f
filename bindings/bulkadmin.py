"""Staff's pages of bulk changes: what to change, what would come of it, and how far it is.

They are here and not with the cards, because they say how many people hold them: cards knows of
none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.models import User
from accounts.staff import COUNTED, ReadOnlyAdmin, in_english, link_to, link_to_person
from bindings.models import Binding
from cards import bulk
from cards.bulkform import BulkForm, NameForm, names_for
from cards.bulkrows import BulkChange, BulkItem
from cards.face import KINDS, kind_of, spoken_types
from cards.models import Card
from cards.sayings import spoken
from cards.sight import sees

PERMISSION = "cards.add_bulkchange"
SHOWN = 100  # cards that failed
HELD = 100_000  # bindings that are read to count who holds a card
SOON = 2  # seconds until the page looks again


class Act(NamedTuple):
    """What staff may do about a change, and what is said when it is done."""

    does: Callable[[BulkChange, User], bool]
    title: Any
    done: Any


ACTS = {
    "confirm": Act(bulk.confirm, _("Change these cards"), _("The cards are being changed.")),
    "stop": Act(
        lambda change, _staff: bulk.stop(change),
        _("Stop"),
        _("Stopped. What has been changed stays changed."),
    ),
    "go-on": Act(bulk.confirm, _("Go on"), _("The cards are being changed.")),
}
NOT_ALL = _("These are too many cards to look at each of them: choose fewer.")
OFFERED = {"proposed": "confirm", "working": "stop", "stopped": "go-on"}


def staff_of(request: HttpRequest) -> User:
    return cast(User, request.user)


# Saying what to change


@admin.action(description=_("Change a property"), permissions=["bulk_change"])
def change_property(
    cards: admin.ModelAdmin[Card], request: HttpRequest, chosen: QuerySet[Card]
) -> HttpResponse:
    """First which property, then what it is to become; the cards are chosen all the while."""
    names = names_for(staff_of(request))
    name_form = NameForm(request.POST if "name" in request.POST else None, names=names)
    if not name_form.is_valid():
        return asking(cards, request, chosen, name_form)
    name = name_form.cleaned_data["name"]
    form = BulkForm(request.POST if "told" in request.POST else None, name=name)
    if not form.is_valid():
        return asking(cards, request, chosen, form)
    change = form.change(staff_of(request))
    if not bulk.propose(change, chosen):
        none = _("On none of these cards would it change anything.")
        form.add_error(None, NOT_ALL if change.is_cut else none)
        return asking(cards, request, chosen, form)
    bulks = admin.site.get_model_admin(BulkChange)
    bulks.log_addition(request, change, in_english("Proposed"))
    return HttpResponseRedirect(reverse("admin:cards_bulkchange_change", args=[change.pk]))


def asking(
    cards: admin.ModelAdmin[Card],
    request: HttpRequest,
    chosen: QuerySet[Card],
    form: NameForm | BulkForm,
) -> HttpResponse:
    count = chosen.order_by()[:COUNTED].count()
    page = {
        **cards.admin_site.each_context(request),
        "title": _("Change a property"),
        "opts": cards.opts,
        "form": form,
        "count": count,
        "is_cut": count == COUNTED,
        "ids": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
        "action": request.POST["action"],
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/cards/bulk_form.html", page)


card_admin = admin.site.get_model_admin(Card)
card_admin.actions = [*(card_admin.actions or ()), change_property]


# Looking at it, and at how far it is


def owners(change: BulkChange) -> int:
    return change.items.values("card__owner").distinct()[:COUNTED].count()


def holders(change: BulkChange) -> tuple[int, bool]:
    """People who hold one of the cards, and whether there may be more: no more than HELD bindings
    are read."""
    held = Binding.objects.active().filter(card__in=change.items.values("card"))
    counts = {"read": Count("pk"), "people": Count("holder", distinct=True)}
    counted = held.order_by()[:HELD].aggregate(**counts)
    return counted["people"], counted["read"] == HELD


@admin.register(BulkChange)
class BulkChangeAdmin(ReadOnlyAdmin[BulkChange]):
    people = ("by",)
    list_display = ("made_at", "what", "person", "state_of", "progress")
    list_select_related = ("by",)
    ordering = ("-pk",)
    fields = ("what", "person", "made_at", "confirmer", "confirmed_at", "stopped_at", "ended_at")
    change_form_template = "admin/cards/bulk.html"

    def has_view_permission(self, request: HttpRequest, obj: BulkChange | None = None) -> bool:
        """Whoever may make one may also see what comes of it."""
        return staff_of(request).has_perm(PERMISSION) or super().has_view_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        """How far it is has an address of its own: the page asks for it again and again, and that
        is no look at a card that would have to be written down each time."""
        progress = self.admin_site.admin_view(self.progress_view)
        named = path("<int:pk>/progress/", progress, name="cards_bulkchange_progress")
        return [named, *super().get_urls()]

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        change = get_object_or_404(BulkChange, pk=pk)
        page = {"bulk": change, "soon": SOON}
        return TemplateResponse(request, "admin/cards/bulk_progress.html", page)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        change = self.get_object(request, object_id)
        if change is None or not self.has_view_permission(request, change):
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST":
            return self.act(request, change)
        return super().change_view(request, object_id, form_url, self.shown(request, change))

    def act(self, request: HttpRequest, change: BulkChange) -> HttpResponse:
        act = ACTS.get(request.POST.get("act", ""))
        if act is None:
            raise Http404
        if not self.may_act(request, change):
            raise PermissionDenied
        with transaction.atomic():
            is_done = act.does(change, staff_of(request))
            if is_done:
                self.log_change(request, change, in_english(act.title))
        if is_done:
            self.message_user(request, act.done)
        else:
            self.message_user(request, _("There was nothing to do any more."), messages.WARNING)
        return HttpResponseRedirect(request.path)

    def may_act(self, request: HttpRequest, change: BulkChange) -> bool:
        staff = staff_of(request)
        return staff.has_perm(PERMISSION) and sees(staff, change.name)

    def shown(self, request: HttpRequest, change: BulkChange) -> dict[str, Any]:
        """What the page has beside the fields; of the cards, what these staff may see."""
        may_see = sees(staff_of(request), change.name)
        failed = change.items.filter(outcome=BulkItem.Outcome.FAILED).select_related("card")
        failures = list(failed.order_by("pk")[:SHOWN]) if may_see else []
        examples = bulk.examples(change) if may_see and change.state == "proposed" else []
        offered = OFFERED.get(change.state) if self.may_act(request, change) else None
        page: dict[str, Any] = {
            "bulk": change,
            "soon": SOON,
            "may_see": may_see,
            "values": values(change) if may_see else [],
            "why": [(link_to(each.card, each.card.fn), spoken(each.why)) for each in failures],
            "examples": examples,
            "act": offered,
            "act_title": ACTS[offered].title if offered else "",
        }
        if examples:
            count, is_cut = holders(change)
            page |= {"is_full": change.total == bulk.MOST, "not_all": NOT_ALL}
            page |= {"owners": owners(change), "holders": count, "holders_are_cut": is_cut}
        listed = [*(each.card for each in failures), *(each.card for each in examples)]
        cards = [("cards.card", str(card.pk)) for card in listed]
        audit.record(staff_of(request), audit.Verb.LISTED, cards)
        return page

    @admin.display(description=_("property"))
    def what(self, change: BulkChange) -> str:
        label = str(kind_of(change.name).label)
        types = spoken_types(filter(None, change.type.split(",")))
        return f"{label} ({types})" if types else label

    @admin.display(description=_("staff"))
    def person(self, change: BulkChange) -> str:
        return link_to_person(change.by)

    @admin.display(description=_("confirmed by"))
    def confirmer(self, change: BulkChange) -> str:
        return link_to_person(change.confirmed_by) if change.confirmed_by else ""

    @admin.display(description=_("state"))
    def state_of(self, change: BulkChange) -> Any:
        return STATES[change.state]

    @admin.display(description=_("progress"))
    def progress(self, change: BulkChange) -> str:
        return f"{change.settled} / {change.total}"


STATES = {
    "proposed": _("proposed"),
    "working": _("being done"),
    "stopped": _("stopped"),
    "ended": _("done"),
}


def values(change: BulkChange) -> list[tuple[Any, str, str]]:
    """For each part that was named: its label, what it is now, and what it becomes."""
    kind = KINDS[change.name]
    places = sorted({*change.old, *change.new}, key=int)
    return [
        (kind.parts.get(int(at), kind.label), change.old.get(at, ""), change.new.get(at, ""))
        for at in places
    ]
