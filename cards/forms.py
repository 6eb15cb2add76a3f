"""Forms of an owner's card: what is on it, and which circles see each property.

A row of the form is one property. What the form does not know about it (other parameters, other
components, whole unknown properties) is kept as it was.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.models import Circle, User
from cards import photos, vcard
from cards.face import KINDS, kind_of, parts_in_order, spoken_types, texts_of, whole_name
from cards.models import EVERYONE, PUBLIC, Card, CardRevision, Door, Property, StaleCard
from cards.sayings import spoken

MAX_ROWS = 1000
FIRST_ROWS = ("n", "tel", "email", "title", "org")  # empty rows that a new card begins with


def proposed(name: str) -> dict[str, Any]:
    """What a new row of this kind begins with. Who would see it is ticked before their eyes."""
    return {"name": name, "circles": [EVERYONE] if KINDS[name].shared else []}


def first_rows(person: User) -> list[dict[str, Any]]:
    """What a new card begins with."""
    family, given = vcard.apart(person.name)
    known = {"n": {"part0": family, "part1": given}, "email": {"part0": person.email}}
    return [{**proposed(name), **known.get(name, {})} for name in FIRST_ROWS]


class CirclesField(forms.MultipleChoiceField):
    """Circles as a card keeps them: none, `*`, `public`, ids. The choices are set by the form."""

    widget = forms.CheckboxSelectMultiple

    def clean(self, value: Any) -> list[str]:
        return sorted(super().clean(value))


def audience(circles: Iterable[Circle]) -> list[tuple[str, Any]]:
    """Whom a property can be shown to."""
    everyone, public = _("Everyone who holds the card"), _("Public page")
    return [(EVERYONE, everyone), *circle_choices(circles), (PUBLIC, public)]


def circle_choices(circles: Iterable[Circle]) -> list[tuple[str, Any]]:
    return [(str(circle.pk), circle.name) for circle in circles]


def circles_of(person: User) -> list[Circle]:
    return list(Circle.objects.filter(owner=person).order_by("name"))


def same_lines(text: str) -> str:
    """Browsers send line ends as CR LF, cards have LF."""
    return text.replace("\r\n", "\n")


def checked_fn(fn: str) -> str:
    """Raises ValidationError for what can be no name."""
    try:
        vcard.from_json([{"name": "fn", "value": fn, "params": {}}])
    except vcard.VCardError as error:
        raise ValidationError(spoken(error.reason)) from error
    return fn


class PropertyForm(forms.Form):
    """One property. `original` is what the card has in this row; a new row has none."""

    name = forms.CharField(required=False, widget=forms.HiddenInput)
    order = forms.IntegerField(required=False, widget=forms.HiddenInput)
    type = forms.ChoiceField(label=_("Type"), required=False)
    circles = CirclesField(label=_("Who sees it"), required=False)
    remove = forms.BooleanField(label=_("Remove"), required=False)

    def __init__(
        self, *args: Any, original: Property | None, circles: Iterable[Circle], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.original = original
        self.property_name = original["name"] if original else str(self["name"].value() or "")
        self.kind = kind_of(self.property_name)
        cast(CirclesField, self.fields["circles"]).choices = audience(circles)
        if original:
            del self.fields["name"]
            self.fields["circles"].initial = original["circles"]
        self.texts = self.original_texts()
        for at, label in self.parts().items():
            self.fields[f"part{at}"] = self.part_field(label, self.texts.get(at, ""))
        self.set_types()

    def original_texts(self) -> dict[int, str]:
        """The original value as the texts that are edited, by their places in it."""
        value = self.original["value"] if self.original else ""
        if self.kind.many and isinstance(value, list):
            value = ", ".join(value)
        return dict(enumerate(texts_of(value)))

    def parts(self) -> dict[int, Any]:
        """The fields to edit the value in, by the places in it; none if it is only kept."""
        unknown = self.property_name not in KINDS
        if self.original and unknown and not isinstance(self.original["value"], str):
            return {}
        if not self.kind.parts:
            return {0: self.kind.label}
        surplus = [at for at in self.texts if at not in self.kind.parts]
        order = parts_in_order(self.property_name)
        return {**{at: self.kind.parts[at] for at in order}, **dict.fromkeys(surplus, _("More"))}

    def part_field(self, label: Any, text: str) -> forms.CharField:
        long = self.kind.long or "\n" in text
        attrs = {"rows": 3} if long else {"inputmode": self.kind.inputmode}
        widget = forms.Textarea(attrs) if long else forms.TextInput(attrs)
        return forms.CharField(label=label, required=False, initial=text, widget=widget)

    def set_types(self) -> None:
        known = self.original["params"].get("type", []) if self.original else []
        self.original_types = ",".join(known)
        if not self.kind.types and not known:
            del self.fields["type"]
            return
        offered = dict.fromkeys(("", *self.kind.types, self.original_types))
        choices = [(each, spoken_types(each.split(",")) if each else "–") for each in offered]
        cast(forms.ChoiceField, self.fields["type"]).choices = choices
        self.fields["type"].initial = self.original_types

    def part_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("part")]

    def kept_text(self) -> str:
        """What to show of a value that cannot be edited here."""
        return "; ".join(text for text in self.texts.values() if text)

    def clean(self) -> dict[str, Any]:
        form = self.cleaned_data
        self.result: Property | None = None
        if not self.original and self.property_name not in KINDS:
            raise ValidationError(_("This kind of property is not known."))
        if self.errors or form["remove"] or self.is_empty():
            return form
        written = self.written()
        if self.original and written == {**self.original, "circles": written["circles"]}:
            self.result = written
            return form
        try:
            (checked,) = vcard.to_json(vcard.from_json([written]))
        except vcard.VCardError as error:
            self.add_error(self.first_part(), spoken(error.reason))
        else:
            self.result = cast(Property, {**checked, "circles": written["circles"]})
        return form

    def first_part(self) -> str | None:
        return next((name for name in self.fields if name.startswith("part")), None)

    def is_empty(self) -> bool:
        """Whether everything was left, or made, blank: then the property goes."""
        typed = [self.cleaned_data[name] for name in self.fields if name.startswith("part")]
        return bool(typed) and not any(typed)

    def written(self) -> Property:
        params = dict(self.original["params"]) if self.original else {}
        types = self.cleaned_data.get("type", "")
        if types != self.original_types:
            params.pop("type", None)
            params.update({"type": types.split(",")} if types else {})
        return Property(
            name=self.property_name,
            value=self.value(),
            params=params,
            circles=self.cleaned_data["circles"],
        )

    def value(self) -> Any:
        """What was typed, in the shape of the value; what was not touched stays what it is."""
        typed = {at: same_lines(self.cleaned_data[f"part{at}"]) for at in self.parts()}
        if self.original and all(typed[at] == self.texts.get(at, "") for at in typed):
            return self.original["value"]
        if self.kind.many:
            return split(typed[0])
        if not self.kind.parts:
            return typed[0]
        before = self.original["value"] if self.original else []
        return [
            self.component(text, before[at] if at < len(before) else "", self.texts.get(at, ""))
            for at, text in sorted(typed.items())
        ]

    @staticmethod
    def component(text: str, before: Any, text_before: str) -> Any:
        if text == text_before:
            return before
        return split(text) if isinstance(before, list) else text


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class Rows(forms.BaseFormSet[PropertyForm]):
    """The properties of a card in their order, then the new ones."""

    def __init__(self, data: Any, *, originals: Sequence[Property], **kwargs: Any) -> None:
        self.originals = originals
        super().__init__(data, prefix="rows", **kwargs)

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        known = index is not None and index < len(self.originals)
        original = self.originals[cast(int, index)] if known else None
        return {**super().get_form_kwargs(index), "original": original}

    def place(self, row: PropertyForm) -> int:
        """Where it was moved to, or it has always been."""
        order = row.cleaned_data.get("order")
        return self.forms.index(row) if order is None else cast(int, order)

    def properties(self) -> list[Property]:
        """What the card has from now on. Originals without a row in the form stay."""
        written = [row.result for row in sorted(self.forms, key=self.place) if row.result]
        return [*written, *self.originals[len(self.forms) :]]


RowSet = cast(
    type[Rows],
    forms.formset_factory(PropertyForm, formset=Rows, extra=0, max_num=MAX_ROWS, validate_max=True),
)


class CardEdit(forms.Form):
    """A form that changes a card. `base` is the rev that it was made of; `seen` the newest rev that
    the person has been shown: it guards what somebody else has written meanwhile."""

    base = forms.IntegerField(widget=forms.HiddenInput)
    seen = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(
        self,
        data: Any = None,
        files: Any = None,
        *,
        card: Card,
        base: CardRevision | None,
        circles: Sequence[Circle],
    ) -> None:
        rev = base.rev if base else 0
        super().__init__(data, files, initial={"base": rev, "seen": rev})
        self.card, self.written = card, base or card
        self.circles = circles

    def write(self, card: Card) -> None:
        """Put what the form says on the card."""
        raise NotImplementedError

    def draft(self) -> Card:
        """The card as it would be saved, as far as what is typed can be read. Not to be saved."""
        draft = copy(self.card)
        self.full_clean()
        self.write(draft)
        return draft

    def show_again(self, seen: int) -> None:
        """Keep what was typed; saved once more, it is written over the rev `seen`."""
        data = cast(QueryDict, self.data).copy()
        data["seen"] = str(seen)
        self.data = data

    @transaction.atomic
    def save(self, person: User) -> Card:
        """Write the card. Raises StaleCard if it is no longer what the person has been shown."""
        card = self.card
        if card.rev:
            card = Card.objects.select_for_update().get(pk=card.pk)
            if card.content_rev != self.cleaned_data["seen"]:
                raise StaleCard(card.pk)
        self.write(card)
        card.changed_by, card.changed_via = person, Door.WEB
        card.save()
        return card


class CardForm(CardEdit):
    """A card with its rows."""

    fn = forms.CharField(
        label=_("Name on the card"),
        max_length=500,
        required=False,
        help_text=_("Whoever holds the card sees it. Left empty, it is put together of its parts."),
        widget=forms.TextInput({"autocomplete": "name"}),
    )
    label = forms.CharField(
        label=_("Label"),
        max_length=100,
        required=False,
        help_text=_("Such as Work or Private. Only you see it."),
    )
    photo = forms.FileField(
        label=_("Photo"),
        required=False,
        help_text=_("JPEG, PNG or WebP, up to 5 MB. Place and camera are taken out of it."),
        widget=forms.FileInput({"accept": "image/jpeg,image/png,image/webp"}),
    )
    crop = forms.CharField(required=False, widget=forms.HiddenInput)
    remove_photo = forms.BooleanField(label=_("Remove the photo"), required=False)
    photo_circles = CirclesField(label=_("Who sees the photo"), required=False)

    def __init__(self, data: Any = None, files: Any = None, **kwargs: Any) -> None:
        super().__init__(data, files, **kwargs)
        for name in ("fn", "label", "photo_circles"):
            self.initial[name] = getattr(self.written, name)
        cast(CirclesField, self.fields["photo_circles"]).choices = audience(self.circles)
        if not self.card.photo:
            del self.fields["remove_photo"]
        new = first_rows(self.card.owner) if self.written is self.card else []
        self.rows = RowSet(
            data,
            originals=self.written.properties,
            initial=[*({} for _each in self.written.properties), *new],
            form_kwargs={"circles": self.circles},
        )

    def clean_fn(self) -> str:
        fn: str = self.cleaned_data["fn"] or self.name_of_parts()
        if not fn:
            raise ValidationError(_("A card needs a name."))
        return checked_fn(fn)

    def name_of_parts(self) -> str:
        results = [row.result for row in self.rows.forms if row.is_valid()]
        named = [each["value"] for each in results if each and each["name"] == "n"]
        return whole_name(named[0]) if named else ""

    def clean_photo(self) -> str:
        """The name that the picture was kept under; empty without one."""
        upload: UploadedFile[Any] | None = self.cleaned_data["photo"]
        if not upload:
            return ""
        try:
            crop = photos.Crop.read(text) if (text := self.data.get("crop", "")) else None
        except (TypeError, ValueError) as error:
            raise ValidationError(_("This is no part of the photo.")) from error
        return photos.keep(self.card, upload.read(photos.MAX_BYTES + 1), crop)

    def is_valid(self) -> bool:
        return self.rows.is_valid() and super().is_valid()

    def draft(self) -> Card:
        for row in self.rows.forms:
            row.full_clean()
        return super().draft()

    def write(self, card: Card) -> None:
        form = self.cleaned_data
        card.fn, card.label = form.get("fn", card.fn), form.get("label", card.label)
        card.properties = self.rows.properties()
        if form.get("photo") or form.get("remove_photo"):
            card.photo = form.get("photo", "")
        card.photo_circles = form.get("photo_circles", []) if card.photo else []


class ImportForm(forms.Form):
    """A file with vCards, and which of them become cards: their places in it."""

    file = forms.FileField(
        label=_("A .vcf file"),
        help_text=_("As address books export it; up to 10 MB."),
        widget=forms.FileInput({"accept": ".vcf,text/vcard"}),
    )
    circles = CirclesField(
        label=_("Who sees what is on it"),
        required=False,
        help_text=_("Nobody, if nothing is ticked. You can change it for each line afterwards."),
    )
    wanted = forms.TypedMultipleChoiceField(coerce=int, required=False)

    def __init__(self, *args: Any, circles: Iterable[Circle], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(CirclesField, self.fields["circles"]).choices = audience(circles)
        places = [(str(at), at) for at in range(vcard.Limits.cards)]
        cast(forms.TypedMultipleChoiceField, self.fields["wanted"]).choices = places

    def clean_file(self) -> bytes:
        upload: UploadedFile[Any] = self.cleaned_data["file"]
        return cast(bytes, upload.read(vcard.Limits.size + 1))
