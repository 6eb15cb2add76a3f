"""Staff's pages of bindings, of what led to them and of what prevents them.

What a holder keeps private about a card (nickname, note, tags, whether they are asked before it
changes) is not loaded for staff at all; the names of circles, and what people write to each other,
are for those who may see them.
Erasing a person is here and not with the people, because it ends bindings: accounts knows of none.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Circle, User
from accounts.staff import (
    HappenedFilter,
    ReadOnlyAdmin,
    StaffAdmin,
    link_to,
    link_to_person,
    on_each,
)
from bindings import bulkadmin, exchange  # noqa: F401  (the pages of bulk changes)
from bindings.models import Binding, Block, Exchange, Guest, Invitation, Request
from cards.face import listed
from cards.models import PUBLIC

PRIVATE = ("nickname", "note", "tags", "asks", "approved_rev", "put_off_rev", "private_rev")
UNSEEN = ("properties", "photo_circles")  # the heavy columns of a card


@on_each(
    _("Erase"),
    question=_(
        "These people lose their accounts for good: their cards are taken back from everybody, the "
        "cards they hold are given back, their devices are signed out, and nothing of them is kept."
    ),
)
def erase(people: StaffAdmin[User], request: HttpRequest, person: User) -> None:
    if person == request.user or not people.has_change_permission(request, person):
        raise PermissionDenied
    exchange.erase(person)


user_admin = admin.site.get_model_admin(User)
user_admin.actions = [*(user_admin.actions or ()), erase]


def circle_names(circles: Iterable[str]) -> dict[str, str]:
    """Id to name, of those that are still there."""
    named = {*circles}
    known = Circle.objects.filter(pk__in=named - {PUBLIC}).values_list("pk", "name")
    public = {PUBLIC: str(_("Public page"))} if PUBLIC in named else {}
    return public | {str(pk): name for pk, name in known}


class BindingList(ChangeList):
    """Looks the circles of the whole page up at once: they are in a JSON list, without a key."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        page = list(self.result_list)
        names = circle_names(id_ for binding in page for id_ in binding.view.circles)
        for binding in page:
            binding.circle_names = names
        self.result_list = page


class BindingStateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("active", _("active")), *Binding.Ended.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case None:
                return queryset
            case "active":
                return queryset.filter(ended_at=None)
            case by:
                return queryset.filter(ended_by=by, ended_at__isnull=False)


@admin.register(Binding)
class BindingAdmin(ReadOnlyAdmin[Binding]):
    people = ("holder", "card__owner")
    private = {"circles": "accounts.view_circle"}
    ids = ("id", "card")
    list_display = ("card_held", "owner", "held_by", "circles", "rev", "state", "created_at")
    list_display_links = ("state",)
    list_filter = (BindingStateFilter, "created_at")
    list_select_related = ("card__owner", "holder", "view")
    ordering = ("-created_at",)
    fields = (
        "id",
        "card_held",
        "owner",
        "held_by",
        "circles",
        "rev",
        "held_rev",
        "followed_rev",
        "state",
        "created_at",
        "ended_at",
    )
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Binding]:
        return super().get_queryset(request).defer(*PRIVATE, *(f"card__{name}" for name in UNSEEN))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BindingList

    @on_each(
        _("Revoke"),
        question=_("The cards are taken back from these holders, on every device."),
    )
    def revoke(self, request: HttpRequest, binding: Binding) -> None:
        exchange.revoke(binding)

    @admin.display(description=_("card"))
    def card_held(self, binding: Binding) -> str:
        return link_to(binding.card, binding.card.fn)

    @admin.display(description=_("owner"))
    def owner(self, binding: Binding) -> str:
        return link_to_person(binding.card.owner)

    @admin.display(description=_("holder"))
    def held_by(self, binding: Binding) -> str:
        return link_to_person(binding.holder)

    @admin.display(description=_("circles"))
    def circles(self, binding: Binding) -> str:
        ids = binding.view.circles
        names = getattr(binding, "circle_names", None) or circle_names(ids)
        return listed(names.get(id_, id_) for id_ in ids)

    @admin.display(description=_("revision to follow"))
    def followed_rev(self, binding: Binding) -> int:
        return binding.followed_rev

    @admin.display(description=_("state"))
    def state(self, binding: Binding) -> Any:
        if binding.ended_at:
            return binding.get_ended_by_display()
        return _("active") if binding.is_active else _("card retired")


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin[Invitation]):
    people = ("card__owner",)
    private = {"circles_given": "accounts.view_circle"}
    ids = ("id", "card")
    list_display = ("id", "offered", "owner", "used", "uses", "open", "created_at", "expires_at")
    list_filter = (("revoked_at", HappenedFilter), "created_at", "expires_at")
    list_select_related = ("card__owner",)
    ordering = ("-created_at",)
    fields = (
        "id",
        "offered",
        "owner",
        "circles_given",
        "used",
        "uses",
        "open",
        "created_at",
        "expires_at",
        "revoked_at",
    )
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invitation]:
        return super().get_queryset(request).defer(*(f"card__{name}" for name in UNSEEN))

    @on_each(
        _("Revoke"),
        question=_("Nobody can accept these invitations any more. Who has, keeps the card."),
    )
    def revoke(self, request: HttpRequest, invitation: Invitation) -> None:
        Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(
            revoked_at=timezone.now()
        )

    @admin.display(description=_("card"))
    def offered(self, invitation: Invitation) -> str:
        return link_to(invitation.card, invitation.card.fn)

    @admin.display(description=_("owner"))
    def owner(self, invitation: Invitation) -> str:
        return link_to_person(invitation.card.owner)

    @admin.display(description=_("circles"))
    def circles_given(self, invitation: Invitation) -> str:
        return listed(circle_names(invitation.circles).values())

    @admin.display(description=_("open"), boolean=True)
    def open(self, invitation: Invitation) -> bool:
        return invitation.is_open


@admin.register(Request)
class RequestAdmin(ReadOnlyAdmin[Request]):
    people = ("sender", "recipient")
    private = {"message": "bindings.see_message"}
    ids = ("id", "card")
    list_display = ("id", "asks", "asked", "accepted", "created_at", "decided_at", "expires_at")
    list_filter = ("accepted", ("decided_at", HappenedFilter), "created_at")
    list_select_related = ("sender", "recipient")
    ordering = ("-created_at",)
    fields = (
        "id",
        "asks",
        "to",
        "asked",
        "offered",
        "message",
        "accepted",
        "created_at",
        "decided_at",
        "expires_at",
    )

    @admin.display(description=_("from"))
    def asks(self, asked: Request) -> str:
        return link_to_person(asked.sender)

    @admin.display(description=_("to"))
    def asked(self, asked: Request) -> Any:
        return link_to_person(asked.recipient) if asked.recipient else _("nobody to be found")

    @admin.display(description=_("card"))
    def offered(self, asked: Request) -> str:
        return link_to(asked.card, asked.card.fn)


@admin.register(Exchange)
class ExchangeAdmin(ReadOnlyAdmin[Exchange]):
    people = ("given__card__owner", "given__holder")
    ids = ("id", "given", "returned")
    list_display = ("id", "offered_by", "accepted_by", "via", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("given__card__owner", "given__holder")
    ordering = ("-created_at",)
    fields = ("id", "offered_by", "accepted_by", "via", "given", "returned", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Exchange]:
        unseen = (*PRIVATE, *(f"card__{name}" for name in UNSEEN))
        return super().get_queryset(request).defer(*(f"given__{name}" for name in unseen))

    @admin.display(description=_("offered by"))
    def offered_by(self, exchanged: Exchange) -> str:
        return link_to_person(exchanged.given.card.owner)

    @admin.display(description=_("accepted by"))
    def accepted_by(self, exchanged: Exchange) -> str:
        return link_to_person(exchanged.given.holder)

    @admin.display(description=_("by way of"))
    def via(self, exchanged: Exchange) -> Any:
        """A dash for a public page, and for what has been thrown away since."""
        if exchanged.invitation_id:
            return _("an invitation")
        return _("a request") if exchanged.request_id else "–"


@admin.register(Guest)
class GuestAdmin(ReadOnlyAdmin[Guest]):
    people = ("user",)
    ids = ()
    list_display = ("shown_id", "who", "created_at", "claimed_at")
    list_filter = (("claimed_at", HappenedFilter), "created_at")
    list_select_related = ("user",)
    ordering = ("-created_at",)
    fields = ("who", "created_at", "claimed_at")

    @admin.display(description="ID")
    def shown_id(self, guest: Guest) -> str:
        return str(guest.pk)

    @admin.display(description=_("person"))
    def who(self, guest: Guest) -> str:
        return link_to_person(guest.user)


@admin.register(Block)
class BlockAdmin(ReadOnlyAdmin[Block]):
    people = ("blocker", "blocked")
    list_display = ("id", "who", "whom", "created_at")
    list_select_related = ("blocker", "blocked")
    ordering = ("-created_at",)
    fields = ("id", "who", "whom", "created_at")

    @admin.display(description=_("who blocks"))
    def who(self, block: Block) -> str:
        return link_to_person(block.blocker)

    @admin.display(description=_("who is blocked"))
    def whom(self, block: Block) -> str:
        return link_to_person(block.blocked)
