"""Who sees what of a card: its lines and its circles as one table of ticks."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from django import forms

from cards.face import Line, named_lines
from cards.forms import CardEdit, CirclesField, audience
from cards.models import Card


class Row(NamedTuple):
    """A line of the card, and a box to tick for each audience."""

    line: Line | None  # none for the photo
    boxes: forms.BoundField


class AudienceForm(CardEdit):
    """What stands on the card stays; who sees it changes. The field `row3` has the circles of the
    fourth property."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = audience(self.circles)
        for at, each in enumerate(self.written.properties):
            if each["name"] != "x-ablabel":  # it only names another line
                self.add(f"row{at}", each["circles"])
        if self.card.photo:
            self.add("photo", self.written.photo_circles)

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
            cast(Any, {**each, "circles": self.cleaned_data.get(f"row{at}", each["circles"])})
            for at, each in enumerate(self.written.properties)
        ]
        card.photo_circles = self.cleaned_data.get("photo", card.photo_circles)
