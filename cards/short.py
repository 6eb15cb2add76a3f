"""The short forms of a card: its name and the lines that most cards have.

For whoever has no card yet, or no account. All that is written here is for everyone who holds it.
"""

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from cards import vcard
from cards.face import KINDS, texts_of
from cards.forms import CardEdit, checked_fn
from cards.models import EVERYONE, Card, Door, Property
from cards.sayings import spoken

# As people type them, which is less than a vCard allows.
TYPED = {"email": forms.EmailField(), "url": forms.URLField(assume_scheme="https")}


class Line(forms.CharField):
    """The text of the first property of a name, as the card has it."""

    def __init__(self, name: str, autocomplete: str) -> None:
        kind = KINDS[name]
        attrs = {"inputmode": kind.inputmode, "autocomplete": autocomplete}
        label, widget = cast(Any, kind.label), forms.TextInput(attrs)
        super().__init__(label=label, required=False, widget=widget)
        self.name = name

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        if text and self.name in TYPED:
            text = TYPED[self.name].clean(text)
        if text:
            self.read(text)
        return text

    def read(self, text: str) -> Any:
        """The value of the property. Raises ValidationError for a text that can be none."""
        value = [text] if KINDS[self.name].parts else text
        try:
            (read,) = vcard.from_json([{"name": self.name, "value": value, "params": {}}])
        except vcard.VCardError as error:
            raise ValidationError(spoken(error.reason)) from error
        return read.value

    def written(self, text: str, before: Property | None) -> Property | None:
        """The property from now on; none if it was left, or made, blank."""
        if before and shown(before) == text:
            return before
        if not text:
            return None
        made = Property(name=self.name, value="", params={}, circles=[EVERYONE])
        return cast(Property, {**(before or made), "value": self.read(text)})


def shown(line: Property) -> str:
    return texts_of(line["value"])[0]


class Short(forms.Form):
    """Name and lines."""

    fn = forms.CharField(
        label=_("Name on the card"),
        max_length=500,
        help_text=_("Whoever holds the card sees it."),
        widget=forms.TextInput({"autocomplete": "name"}),
    )
    title = Line("title", "organization-title")
    org = Line("org", "organization")
    tel = Line("tel", "tel")
    email = Line("email", "email")
    url = Line("url", "url")

    def clean_fn(self) -> str:
        return checked_fn(self.cleaned_data["fn"])

    def lines(self) -> list[Line]:
        return [field for field in self.fields.values() if isinstance(field, Line)]

    def write(self, card: Card) -> None:
        """Put what the form says on the card; what the form does not show of it stays."""
        card.fn = self.cleaned_data.get("fn", card.fn)
        for line in self.lines():
            before = first(card, line.name)
            after = line.written(self.cleaned_data.get(line.name, ""), before)
            if before is None:
                card.properties = [*card.properties, *([after] if after else [])]
            else:
                changed = [after if each is before else each for each in card.properties]
                card.properties = [each for each in changed if each]


def first(card: Any, name: str) -> Property | None:
    return next((each for each in card.properties if each["name"] == name), None)


class FirstCardForm(Short):
    """The first card of a person, who wants to exchange."""

    def offer(self, person: User) -> tuple[Card, list[str]]:
        """The card that `person` gives: the one made here, which needs no circles."""
        return self.save(person), []

    def save(self, person: User) -> Card:
        card = Card(owner=person, changed_by=person, changed_via=Door.WEB)
        self.write(card)
        card.save()
        return card


class ShortCardForm(Short, CardEdit):
    """A card that there is already."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["fn"] = self.written.fn
        for line in self.lines():
            known = first(self.written, line.name)
            self.initial[line.name] = shown(known) if known else ""
