"""Staff's pages of cards and their revisions. Saving here is one `card.save()` like anywhere."""

import json
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import transaction
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.models import Circle, User
from accounts.staff import (
    HappenedFilter,
    ReadOnlyAdmin,
    Row,
    StaffAdmin,
    link_to,
    link_to_person,
    on_each,
)
from cards.face import Face
from cards.models import PUBLIC, Card, CardRevision, Content, Door, StaleCard
from cards.serializers import CardSerializer
from cards.sight import WHOLE, given, sees_whole

STALE = _("The card has been changed since this page was opened. Nothing has been saved.")


class PropertiesField(forms.JSONField):
    """Each property on a line of its own."""

    widget = AdminTextareaWidget(attrs={"rows": 15, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, InvalidJSONInput) or not isinstance(value, list):
            return super().prepare_value(value)
        lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in value)
        return f"[\n{lines}\n]"


class CardForm(forms.ModelForm[Card]):
    """The card as the API takes it, checked by the same rules, with the owner's own circles."""

    properties = PropertiesField(
        label=_("Properties"),
        required=False,
        initial=list,
        help_text=_(
            'As the API has them: {"name", "value", "params", "circles"}. Circles are the owner\'s,'
            ' by their ids; ["*"] is everyone who holds the card, [] nobody.'
        ),
    )
    seen_rev = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = Card
        fields = ("owner", "label", "fn", "properties")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["seen_rev"].initial = self.instance.rev

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("seen_rev") != self.instance.rev:
            raise forms.ValidationError(stale_words(self.instance))
        owner = given.get("owner") or (self.instance.owner if self.instance.rev else None)
        if owner and "properties" in given:
            self.check_content(given, owner)
        return given

    def check_content(self, given: dict[str, Any], owner: User) -> None:
        circles = Circle.objects.filter(owner=owner).values_list("pk", flat=True)
        content = CardSerializer(
            data={
                "fn": given.get("fn", ""),
                "label": given.get("label", ""),
                "properties": given["properties"] or [],
            },
            context={"own_circles": {str(pk) for pk in circles}},
        )
        if content.is_valid():
            given.update(content.validated_data)
            return
        for name, errors in content.errors.items():
            if name not in self.errors:
                self.add_error(name, spoken(errors))


def stale_words(card: Card) -> str:
    return _("%(stale)s It is at revision %(rev)s now, from %(when)s. Open it again.") % {
        "stale": STALE,
        "rev": card.rev,
        "when": localize(timezone.localtime(card.changed_at)),
    }


def spoken(errors: Any) -> list[str]:
    """The errors of a list of properties, with the place of each, as one list of texts."""
    if isinstance(errors, list):
        return [str(each) for each in errors]
    return [f"{place(key)}: {text}" for key, inner in errors.items() for text in spoken(inner)]


def place(key: int | str) -> str:
    return _("Property %d") % (key + 1) if isinstance(key, int) else key


def faces(content: Content, owner: User, staff: User) -> SafeString:
    """What everyone who holds the card sees, each circle of its owner, and the public; for staff
    who do not see all, what they see themselves."""
    if not sees_whole(staff):
        mine = [(_("What you may see"), "", Face.of(given(staff, content)))]
        return render_to_string("admin/cards/faces.html", {"faces": mine})
    circles = Circle.objects.filter(owner=owner).order_by("name")
    audiences: list[tuple[Any, str, list[str]]] = [
        (_("Everyone who holds the card"), "*", []),
        *((circle.name, str(circle.pk), [str(circle.pk)]) for circle in circles),
        (_("Public page"), PUBLIC, [PUBLIC]),
    ]
    seen = [(name, id_, Face.of(content.visible_to(ids))) for name, id_, ids in audiences]
    return render_to_string("admin/cards/faces.html", {"faces": seen})


class ContentAdmin(StaffAdmin[Row]):
    """Rows with content, of which staff see what was given to them."""

    private: ClassVar[dict[str, str]] = dict.fromkeys(("label", "properties", "photo"), WHOLE)

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Row | None:
        row = super().get_object(request, *args, **kwargs)
        if row is not None:
            vars(row)["read_by"] = request.user
        return row

    @admin.display(description=_("seen by"))
    def seen_by(self, row: Any) -> str:
        return faces(row, self.owner_of(row), row.read_by)

    @admin.display(description=_("owner"))
    def person(self, row: Any) -> str:
        return link_to_person(self.owner_of(row))

    def owner_of(self, row: Any) -> User:
        return cast(User, row.owner)


@admin.register(Card)
class CardAdmin(ContentAdmin[Card]):
    form = CardForm
    people = ("owner",)
    list_display = ("name", "person", "label", "rev", "changed_at", "changed_via", "retired_at")
    list_filter = (("retired_at", HappenedFilter), "changed_via", "changed_at")
    list_select_related = ("owner",)
    ordering = ("-changed_at",)
    autocomplete_fields = ("owner",)
    actions = ("retire",)

    EDITED = ("label", "fn", "properties")
    SHOWN = ("seen_by", "photo")
    HISTORY = (
        "id",
        "rev",
        "created_at",
        "changed_at",
        "changed_by",
        "changed_via",
        "retired_at",
        "revisions",
    )

    def get_fieldsets(self, request: HttpRequest, obj: Card | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("owner", *self.EDITED, "seen_rev")})]
        hidden = ("seen_rev",) if self.has_change_permission(request, obj) else ()
        edited = self.shown_to(request, self.EDITED)
        return [
            (None, {"fields": ("person", *edited, *hidden)}),
            (_("As holders see it"), {"fields": self.shown_to(request, self.SHOWN)}),
            (_("History"), {"fields": self.HISTORY}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Card | None = None) -> Any:
        return ("person", *self.SHOWN, *self.HISTORY) if obj else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return sees_whole(cast(User, request.user)) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Card | None = None) -> bool:
        """The form has all of a card: whoever does not see it all would overwrite the rest."""
        is_open = sees_whole(cast(User, request.user)) and not (obj and obj.retired_at)
        return is_open and super().has_change_permission(request, obj)

    def has_bulk_change_permission(self, request: HttpRequest) -> bool:
        """For the action of bindings/bulkadmin.py."""
        return cast(User, request.user).has_perm("cards.add_bulkchange")

    def save_model(self, request: HttpRequest, obj: Card, form: Any, change: bool) -> None:
        """One save, unless nothing was changed: that is not a revision by staff."""
        if form.changed_data:
            obj.changed_by, obj.changed_via = cast(User, request.user), Door.ADMIN
            obj.save()

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except StaleCard:  # between the form's own check and the save
            self.message_user(request, STALE, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    @on_each(
        _("Retire"),
        question=_("These cards are taken back from everybody who holds them, for good."),
    )
    def retire(self, request: HttpRequest, card: Card) -> None:
        with transaction.atomic():
            card = Card.objects.select_for_update().get(pk=card.pk)
            if card.retired_at is None:
                card.changed_by, card.changed_via = cast(User, request.user), Door.ADMIN
                card.retire()

    @admin.display(description=_("name on the card"), ordering="fn")
    def name(self, card: Card) -> str:
        return card.fn or str(card.pk)

    @admin.display(description=_("revisions"))
    def revisions(self, card: Card) -> str:
        page = reverse("admin:cards_cardrevision_changelist")
        return format_html(
            '<a href="{}?card__id__exact={}">{}</a>', page, card.pk, _("Every revision")
        )


@admin.register(CardRevision)
class CardRevisionAdmin(ContentAdmin[CardRevision], ReadOnlyAdmin[CardRevision]):
    people = ("card__owner",)
    ids = ("card",)
    list_display = ("rev", "of_card", "person", "changed_at", "changed_by", "changed_via")
    list_filter = ("changed_via", "changed_at")
    list_select_related = ("card__owner", "changed_by")
    ordering = ("-id",)
    fields = (
        "of_card",
        "person",
        "rev",
        "label",
        "fn",
        "properties",
        "seen_by",
        "photo",
        "changed_at",
        "changed_by",
        "changed_via",
    )

    @admin.display(description=_("card"))
    def of_card(self, revision: CardRevision) -> str:
        return link_to(revision.card, revision.fn)

    def owner_of(self, row: CardRevision) -> User:
        return row.card.owner
