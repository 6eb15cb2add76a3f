"""Forms of exchange: what one gives, for how long, to whom, and what one keeps to oneself."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Circle, User
from bindings import keeping
from bindings.models import CODE_LENGTH, Binding
from cards.access import own_cards
from cards.forms import CirclesField, circle_choices
from cards.models import PUBLIC, Card

MAX_TAGS = 100
MAX_TAG = 100  # characters
LIFETIMES = {
    "1": _("an hour"),
    "24": _("a day"),
    "168": _("a week"),
    "720": _("30 days"),
    "8760": _("a year"),
}  # by hours


class GrantForm(forms.Form):
    """The circles that the other side is in."""

    circles = CirclesField(
        label=_("Circles"),
        required=False,
        help_text=_(
            "They see what you show to everyone who holds the card, and what you show to the "
            "circles that you tick here."
        ),
    )

    def __init__(self, *args: Any, circles: Sequence[Circle], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = circle_choices(circles)
        if PUBLIC in self.initial.get("circles", []):
            choices.append((PUBLIC, _("Only what the public sees, not what everyone does")))
        cast(CirclesField, self.fields["circles"]).choices = choices
        if not choices:
            del self.fields["circles"]

    def chosen_circles(self) -> list[str]:
        return cast(list[str], self.cleaned_data.get("circles", []))


class CardChoice(forms.ModelChoiceField[Card]):
    def label_from_instance(self, card: Card) -> str:
        return f"{card.fn} ({card.label})" if card.label else card.fn


class OfferForm(GrantForm):
    """The card that one gives, and through which circles it is seen."""

    card = CardChoice(label=_("Your card"), queryset=Card.objects.none(), empty_label=None)
    field_order = ["to", "card", "circles", "message"]

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(CardChoice, self.fields["card"]).queryset = own_cards(person)

    def offer(self, person: User) -> tuple[Card, list[str]]:
        """The card that `person` gives, and the circles."""
        return self.cleaned_data["card"], self.chosen_circles()


class AskForm(OfferForm):
    to = forms.CharField(
        label=_("Username or email address"),
        max_length=254,
        widget=forms.TextInput({"autocapitalize": "none", "spellcheck": "false"}),
    )
    message = forms.CharField(
        label=_("Message"),
        max_length=500,
        required=False,
        widget=forms.Textarea({"rows": 2}),
        help_text=_("So that they know who you are."),
    )


class InviteForm(GrantForm):
    lifetime = forms.ChoiceField(label=_("Valid for"), choices=LIFETIMES.items(), initial="168")
    uses = forms.IntegerField(
        label=_("How many people may use it"), min_value=1, max_value=100_000, initial=1
    )

    def clean_lifetime(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["lifetime"]))


class SheetForm(GrantForm):
    """A sheet of cards to print."""

    paper = forms.ChoiceField(
        label=_("Paper"), choices=[("a4", _("A4")), ("letter", _("US letter"))], initial="a4"
    )


class CodeForm(forms.Form):
    code = forms.CharField(
        label=pgettext_lazy("of an invitation", "Code"),
        max_length=500,
        widget=forms.TextInput({"autocapitalize": "characters", "autocomplete": "off"}),
        help_text=_("Twelve letters and digits, such as 7K2M-9QXW-4TBN. The link works too."),
    )

    def clean_code(self) -> str:
        code = re.sub(r"[\s-]", "", self.cleaned_data["code"].rstrip("/").rpartition("/")[2])
        if len(code) != CODE_LENGTH or not code.isalnum() or not code.isascii():
            raise ValidationError(_("A code has twelve letters and digits."))
        return code


class PrivateForm(forms.ModelForm[Binding]):
    """What a holder keeps beside a card. The owner never sees it."""

    tags = forms.CharField(
        label=_("Tags"), required=False, help_text=_("With commas between, such as work, Vienna")
    )

    asks = forms.TypedChoiceField(
        label=_("When it changes"),
        required=False,
        coerce=lambda chosen: chosen == "yes",
        empty_value=None,
    )

    class Meta:
        model = Binding
        fields = ["nickname", "note", "tags", "asks"]
        widgets = {"note": forms.Textarea({"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["tags"] = ", ".join(self.instance.tags)
        self.initial["asks"] = {None: "", True: "yes", False: "no"}[self.instance.asks]
        is_asked = self.instance.holder.asks_before_applying
        usual = _("As for all cards: ask me first") if is_asked else _("As for all cards: at once")
        choices = [("", usual), ("yes", _("Ask me first")), ("no", _("Change my copies at once"))]
        cast(forms.ChoiceField, self.fields["asks"]).choices = choices

    def clean_tags(self) -> list[str]:
        typed = (tag.strip() for tag in self.cleaned_data["tags"].split(","))
        tags = list(dict.fromkeys(tag for tag in typed if tag))
        if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in tags):
            raise ValidationError(_("At most 100 tags, of at most 100 characters each."))
        return tags

    def save(self, commit: bool = True) -> Binding:
        """Raises Gone."""
        keeping.keep(self.instance, self.cleaned_data)
        return self.instance


class AskingForm(forms.Form):
    """For all cards that one holds."""

    asks = forms.BooleanField(
        label=_("Ask me before a change is applied"),
        required=False,
        help_text=_(
            "Your phones then keep a card in their address books as it was, until you take over "
            "what changed."
        ),
    )


class SeenForm(forms.Form):
    """Up to which revision somebody has seen a card that they hold."""

    binding = forms.UUIDField()
    rev = forms.IntegerField(min_value=1, max_value=2**63 - 1)


class CircleForm(forms.ModelForm[Circle]):
    class Meta:
        model = Circle
        fields = ["name"]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = Circle.objects.filter(owner=self.instance.owner).exclude(pk=self.instance.pk)
        if others.filter(name__iexact=name).exists():
            raise ValidationError(_("You have a circle of this name."))
        return name
