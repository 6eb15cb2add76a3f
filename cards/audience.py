"""Who sees what of a card: its lines and its circles as one table of ticks, and what of it the
public sees."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from django import forms
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from cards import public
from cards.face import Line, named_lines
from cards.forms import CardEdit, CirclesField, audience
from cards.models import PUBLIC, Card


class Row(NamedTuple):
    """A line of the card, and a box to tick for each audience."""

    line: Line | None  # none for the photo
    boxes: forms.BoundField


class AudienceForm(CardEdit):
    """What stands on the card stays; who sees it changes. The field `row3` has the circles of the
    fourth property."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = self.choices()
        for at, each in enumerate(self.written.properties):
            if each["name"] != "x-ablabel":  # it only names another line
                self.add(f"row{at}", each["circles"])
        if self.card.photo:
            self.add("photo", self.written.photo_circles)

    def choices(self) -> list[tuple[str, Any]]:
        return audience(self.circles)

    def add(self, name: str, circles: list[str]) -> None:
        field = CirclesField(required=False, initial=circles)
        field.choices = self.columns
        self.fields[name] = field

    def rows(self) -> Iterator[Row]:
        lines = [line for _name, line in named_lines(self.written.properties)]
        names = [name for name in self.fields if name.startswith("row")]
        for name, line in zip(names, lines, strict=True):
            yield Row(line, self[name])
        if "photo" in self.fields:
            yield Row(None, self["photo"])

    def write(self, card: Card) -> None:
        card.properties = [
            cast(Any, {**each, "circles": self.ticked(f"row{at}", each["circles"])})
            for at, each in enumerate(self.written.properties)
        ]
        card.photo_circles = self.ticked("photo", card.photo_circles)

    def ticked(self, name: str, before: list[str]) -> list[str]:
        """Who sees the line from now on."""
        return cast(list[str], self.cleaned_data.get(name, before))


class PublicForm(AudienceForm):
    """What is on the public page, where that is, and who may list it. Who else sees a line of the
    card stays."""

    slug = forms.CharField(
        label=pgettext_lazy("of a page", "Address"),
        max_length=60,
        required=False,
        help_text=_("Such as your name. Left empty, it is one that nobody can guess."),
        widget=forms.TextInput({"autocapitalize": "none", "spellcheck": "false"}),
    )
    takes_cards = forms.BooleanField(
        label=_("Visitors may leave their card, without an account"), required=False, initial=True
    )
    is_indexed = forms.BooleanField(label=_("Search engines may list it"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.page = public.page_of(self.card)
        if self.page:
            known = ("slug", "takes_cards", "is_indexed")
            self.initial.update({name: getattr(self.page, name) for name in known})

    def choices(self) -> list[tuple[str, Any]]:
        return [(PUBLIC, _("Public page"))]

    def ticked(self, name: str, before: list[str]) -> list[str]:
        return sorted({*before} - {PUBLIC} | {*super().ticked(name, before)} & {PUBLIC})

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        return public.checked_slug(slug) if slug else ""

    @transaction.atomic
    def publish(self, person: User) -> None:
        """Write the ticks and turn the page on. Raises StaleCard, and ValidationError for an
        address that is not free."""
        card = self.save(person)
        choices = {name: self.cleaned_data[name] for name in ("slug", "takes_cards", "is_indexed")}
        public.publish(card, **choices)
