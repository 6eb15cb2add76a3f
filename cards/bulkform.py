"""Forms in which staff say what is to become of a property on many cards."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from cards import bulk, vcard
from cards.bulkrows import BulkChange
from cards.face import KINDS, parts_in_order, spoken_types
from cards.forms import same_lines
from cards.sayings import spoken
from cards.sight import sees


def names_for(staff: User) -> list[str]:
    """The properties that these staff may change: those that they see."""
    return [name for name in KINDS if sees(staff, name)]


class NameForm(forms.Form):
    """Which property."""

    name = forms.ChoiceField(label=_("Property"))

    def __init__(self, *args: Any, names: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, KINDS[name].label) for name in names]
        self.fields["name"] = forms.ChoiceField(label=_("Property"), choices=choices)


class BulkForm(forms.Form):
    """What it is now, and what it becomes: a pair of texts for each part of its value."""

    removes = forms.BooleanField(label=_("Remove it instead"), required=False)

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name, self.kind = name, KINDS[name]
        if self.kind.types:
            types = [(each, spoken_types(each.split(","))) for each in self.kind.types]
            self.fields["type"] = forms.ChoiceField(
                label=_("Type"), choices=[("", _("Any")), *types], required=False
            )
        if self.kind.parts:
            self.fields["empties"] = forms.BooleanField(
                label=_("Empty the parts whose new text is left empty"), required=False
            )
        self.labels: dict[int, Any] = {0: self.kind.label}
        if self.kind.parts:
            self.labels = {at: self.kind.parts[at] for at in parts_in_order(name)}
        for at, label in self.labels.items():
            self.fields[f"old{at}"] = self.text_field(label)
            self.fields[f"new{at}"] = self.text_field(label)

    def text_field(self, label: Any) -> forms.CharField:
        widget = forms.Textarea({"rows": 3}) if self.kind.long else forms.TextInput()
        return forms.CharField(label=label, required=False, widget=widget, max_length=2000)

    def pairs(self) -> list[tuple[Any, BoundField, BoundField]]:
        """The label of each part, and the fields for what it is and becomes."""
        return [(label, self[f"old{at}"], self[f"new{at}"]) for at, label in self.labels.items()]

    def typed(self, which: str) -> dict[str, str]:
        """By their places, as BulkChange has them, without what was left empty."""
        texts = {str(at): self.cleaned_data.get(f"{which}{at}", "") for at in self.labels}
        return {at: same_lines(text) for at, text in texts.items() if text}

    def clean(self) -> dict[str, Any]:
        form = super().clean() or self.cleaned_data
        if form["removes"]:
            if self.typed("new"):
                raise ValidationError(_("It is either removed or becomes something else."))
        elif not self.typed("new"):
            raise ValidationError(_("Say what it becomes, or that it is to be removed."))
        else:
            self.check_value()
        return form

    def check_value(self) -> None:
        """Whether what was typed can be a value, as far as that is known without a card."""
        value = bulk.new_value(self.change(None), [] if self.kind.parts else "")
        try:
            vcard.from_json([{"name": self.name, "value": value, "params": {}}])
        except vcard.VCardError as error:
            self.add_error(f"new{next(iter(self.typed('new')))}", spoken(error.reason))

    def change(self, by: User | None) -> BulkChange:
        """Not saved."""
        return BulkChange(
            by=by,
            name=self.name,
            type=self.cleaned_data.get("type", ""),
            old=self.typed("old"),
            new=self.typed("new"),
            removes=self.cleaned_data["removes"],
            empties=self.cleaned_data.get("empties", False),
        )
