"""Staff's view of delivery: what each device must have and has, what is due, what was pushed, and
charts of it all.

Rows are looked at and never edited; the one action sends a message again.
"""

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.staff import (
    HappenedFilter,
    OfAListFilter,
    ReadOnlyAdmin,
    few_enough,
    link_to,
    link_to_person,
)
from delivery import dashboard, messages
from delivery.models import (
    CardUpdate,
    Mailbox,
    OfflineMessage,
    OfflineMessageQuerySet,
    PushAttempt,
    Tally,
)
from delivery.resend import send_again
from delivery.transports import Verdict

KINDS = {"card": _("card"), "binding": _("binding"), "removed": _("removed")}
VERDICTS: dict[Verdict, Any] = {
    "delivered": _("delivered"),
    "retry": _("to be tried again"),
    "dead": _("token of no use any more"),
    "refused": _("refused"),
}
STATUSES = (200, 201, 400, 401, 403, 404, 405, 410, 413, 429, 500, 503)  # of push services


class DueFirst(admin.SimpleListFilter):
    """Shows what is still to be done unless asked for the rest."""

    parameter_name = "state"
    due: ClassVar[Any]
    done: ClassVar[Any]
    title = _("state")
    behind: ClassVar[dict[str, Any]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("done", self.done), ("all", _("all"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": self.due}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "all":
                return queryset
            case "done":
                return queryset.exclude(**self.behind)
            case _:
                return queryset.filter(**self.behind)


class PendingFilter(DueFirst):
    due, done = _("pending"), _("acknowledged")
    behind = {"rev__gt": F("acknowledged_rev")}


class DueFilter(DueFirst):
    due, done = _("due"), _("done")
    behind = {"rev__gt": F("done_rev")}


class VerdictFilter(OfAListFilter):
    title = _("verdict")
    parameter_name = "verdict"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*VERDICTS.items()]


class StatusFilter(OfAListFilter):
    title = _("status")
    parameter_name = "status"
    values = STATUSES


class OfDeviceAdmin(ReadOnlyAdmin[Any]):
    """Rows that belong to a device."""

    people = ("device__user",)
    list_select_related: ClassVar[Any] = ("device__user",)

    @admin.display(description=_("person"))
    def person(self, row: Any) -> str:
        return link_to_person(row.device.user)

    @admin.display(description=_("device"))
    def of_device(self, row: Any) -> str:
        return link_to(row.device, str(row.device))

    @admin.display(description=_("platform"))
    def platform(self, row: Any) -> Any:
        return row.device.get_platform_display()


@admin.register(OfflineMessage)
class OfflineMessageAdmin(OfDeviceAdmin):
    ids = ("id", "device", "subject", "binding")
    list_display = (
        "id",
        "person",
        "of_device",
        "platform",
        "kind",
        "age",
        "rev",
        "acknowledged_rev",
    )
    list_filter = (PendingFilter, "device__platform")
    list_select_related = (
        "device__user",
        "binding__card__owner",
        "binding__holder",
        "binding__view",
    )
    ordering = ("id",)
    fields = (
        "id",
        "person",
        "of_device",
        "platform",
        "kind",
        "subject",
        "of_binding",
        "rev",
        "acknowledged_rev",
        "created_at",
        "acknowledged_at",
    )
    actions = ("again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[OfflineMessage]:
        """What holders keep private, and how often that changes, is nobody's business."""
        return cast(OfflineMessageQuerySet, super().get_queryset(request)).of_cards()

    @admin.action(description=_("Send again"), permissions=["act"])
    def again(self, request: HttpRequest, chosen: QuerySet[OfflineMessage]) -> None:
        if few := few_enough(self, request, chosen):
            count = send_again(few)
            for message in few:
                self.log_change(request, message, "Send again")
            sent = ngettext("%d message is pending again.", "%d messages are pending again.", count)
            self.message_user(request, sent % count)

    @admin.display(description=_("kind"))
    def kind(self, message: OfflineMessage) -> Any:
        return KINDS[messages.of_row(message)["kind"]]

    @admin.display(description=_("binding"))
    def of_binding(self, message: OfflineMessage) -> str:
        return link_to(message.binding, str(message.binding_id))

    @admin.display(description=_("age"), empty_value="")
    def age(self, message: OfflineMessage) -> str | None:
        """How long the device has been waiting at most: it had all it must have when it last
        acknowledged, or nothing yet."""
        since = message.acknowledged_at or message.created_at
        return timesince(since) if message.is_pending else None


@admin.register(CardUpdate)
class CardUpdateAdmin(ReadOnlyAdmin[CardUpdate]):
    people = ("card__owner",)
    ids = ("card",)
    list_display = ("of_card", "person", "rev", "done_rev", "wanted_at", "served_at", "at_work")
    list_display_links = ("rev",)
    list_filter = (DueFilter,)
    list_select_related = ("card__owner",)
    ordering = ("served_at",)
    fields = (
        "of_card",
        "person",
        "rev",
        "done_rev",
        "pass_rev",
        "cursor",
        "all_taken",
        "wanted_at",
        "served_at",
    )

    @admin.display(description=_("card"))
    def of_card(self, update: CardUpdate) -> str:
        return link_to(update.card, update.card.fn)

    @admin.display(description=_("owner"))
    def person(self, update: CardUpdate) -> str:
        return link_to_person(update.card.owner)

    @admin.display(description=_("being worked on"), boolean=True)
    def at_work(self, update: CardUpdate) -> bool:
        return update.pass_rev is not None


@admin.register(Mailbox)
class MailboxAdmin(OfDeviceAdmin):
    ids = ("device",)
    list_display = (
        "of_device",
        "person",
        "platform",
        "filled_at",
        "prompt_due_at",
        "prompted_at",
        "failures",
    )
    list_display_links = ("filled_at",)
    list_filter = (
        ("prompt_due_at", HappenedFilter),
        ("failing_since", HappenedFilter),
        "device__platform",
    )
    ordering = ("pk",)
    fields = (*list_display, "failing_since")


@admin.register(PushAttempt)
class PushAttemptAdmin(OfDeviceAdmin):
    ids = ("id", "device")
    list_display = (
        "sent_at",
        "person",
        "of_device",
        "transport",
        "outcome",
        "status",
        "reason",
        "next_attempt_at",
    )
    list_filter = (VerdictFilter, StatusFilter, "sent_at")
    ordering = ("-sent_at",)
    fields = (*list_display, "push_id")

    @admin.display(description=_("verdict"), ordering="verdict", empty_value="")
    def outcome(self, attempt: PushAttempt) -> Any:
        return VERDICTS.get(cast(Verdict, attempt.verdict))


class SpanFilter(admin.SimpleListFilter):
    """The last 24 hours unless asked for more."""

    title = _("time")
    parameter_name = "span"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("days", _("Last 30 days"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("Last 24 hours")}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(hour__gte=timezone.now() - dashboard.span_of(self.value()).back)


@admin.register(Tally)
class TallyAdmin(ReadOnlyAdmin[Tally]):
    """The list of hours is shown as charts, each with a table of it."""

    is_of_nobody = True
    list_display = ("hour", "delivered", "waiting", "oldest_at", "pushed", "failed")
    list_filter = (SpanFilter,)
    ordering = ("-hour",)
    fields = (*list_display, "counted_at")
    change_list_template = "admin/delivery/dashboard.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        asked = request.GET.get("span")
        shown = {
            "title": _("Deliveries and pushes"),
            "is_default": asked not in dashboard.SPANS,
            "charts": dashboard.charts(asked),
            "tiles": dashboard.tiles(),
            "sizes": dashboard.sizes(),
        }
        return super().changelist_view(request, {**shown, **(extra_context or {})})
