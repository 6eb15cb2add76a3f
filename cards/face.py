"""How a card looks on a page: the usual properties (RFC 6350, section 6) by the names that people
use for them, and a view as lines of label, text and, where it is safe, a link."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import phonenumbers
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from cards import vcard

Words = str | Promise

CHINA = 86  # its country code


def as_it_is(value: str) -> str:
    return value


def number(value: str) -> str:
    """A number as its owner wrote it; one written without a space as it is usually parted, for
    readers in China without their own country."""
    text = value.removeprefix("tel:")
    if not re.fullmatch(r"\+\d+", text):
        return text
    try:
        parsed = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return text
    at_home = parsed.country_code == CHINA and (get_language() or "").startswith("zh")
    form = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(parsed, form.NATIONAL if at_home else form.INTERNATIONAL)


def spoken_date(value: str) -> str:
    """A date of vCard in words, if it has at least month and day; or as it is written."""
    full = re.fullmatch(r"(\d{4}|-)-?(\d\d)-?(\d\d)", value)
    if full is None:
        return value
    year, month, day = full.groups()
    leap = 2000  # any February 29 is a date in it
    try:
        when = date(leap if year == "-" else int(year), int(month), int(day))
    except ValueError:
        return value
    return date_format(when, "MONTH_DAY_FORMAT" if year == "-" else "DATE_FORMAT")


def nowhere(value: str) -> str:
    return ""


def to_call(value: str) -> str:
    """A tel: link, if there is nothing but a number, so that no digits of an extension join it."""
    text = value.removeprefix("tel:")
    return "tel:" + re.sub(r"[^\d+*#]", "", text) if re.fullmatch(r"[\d\s()+./*#-]+", text) else ""


def to_write(value: str) -> str:
    address = re.fullmatch(r"[^\s@<>?&]+@[^\s@<>?&]+", value)
    return f"mailto:{quote(value, safe='@+')}" if address else ""


def to_visit(value: str) -> str:
    """Only the web's own schemes: what else a browser would follow may be a script."""
    return value if re.fullmatch(r"https?://\S+", value, re.IGNORECASE) else ""


@dataclass(frozen=True)
class Kind:
    """A property as people read and edit it. `parts` are the components of a structured one, by
    their places in the value, in the order in which they are read."""

    label: Words
    parts: dict[int, Words] = field(default_factory=dict)
    types: tuple[str, ...] = ()
    shared: bool = False
    many: bool = False
    long: bool = False
    inputmode: str = "text"
    hint: Words = ""
    text: Callable[[str], str] = as_it_is
    href: Callable[[str], str] = nowhere


PLACES = ("work", "home")

KINDS: dict[str, Kind] = {
    "tel": Kind(
        _("Phone"),
        types=("cell", "work", "home", "work,cell", "work,fax", "home,fax"),
        shared=True,
        inputmode="tel",
        text=number,
        href=to_call,
    ),
    "email": Kind(_("Email"), types=PLACES, shared=True, inputmode="email", href=to_write),
    "title": Kind(_("Job title"), shared=True),
    "org": Kind(_("Organization"), parts={0: _("Organization"), 1: _("Department")}, shared=True),
    "role": Kind(_("Role"), shared=True),
    "url": Kind(_("Website"), types=PLACES, shared=True, inputmode="url", href=to_visit),
    "adr": Kind(
        _("Address"),
        parts={
            2: _("Street and number"),
            1: _("Apartment, floor"),
            0: _("PO box"),
            5: _("Postal code"),
            3: _("City"),
            4: _("Region"),
            6: _("Country"),
        },
        types=PLACES,
    ),
    "impp": Kind(_("Messenger"), inputmode="url", hint=_("Such as xmpp:alice@example.org")),
    "n": Kind(
        _("Parts of the name"),
        shared=True,
        hint=_("Address books sort by them."),
        parts={
            3: _("Prefix"),
            1: _("Given name"),
            2: _("Middle names"),
            0: _("Family name"),
            4: _("Suffix"),
        },
    ),
    "nickname": Kind(_("Nickname"), many=True, hint=_("Several: with commas between")),
    "bday": Kind(
        _("Birthday"), hint=_("Such as 1990-04-12, or --04-12 without the year"), text=spoken_date
    ),
    "anniversary": Kind(_("Anniversary"), hint=_("Such as 2015-06-20"), text=spoken_date),
    "lang": Kind(_("Language"), hint=_("Such as en or zh")),
    "categories": Kind(_("Categories"), many=True, hint=_("Several: with commas between")),
    "note": Kind(_("Note"), long=True),
}

# Read as they are, edited as what they are; not offered in the list of kinds.
RARE: dict[str, Kind] = {
    "gender": Kind(_("Gender"), parts={0: _("Sex"), 1: _("Identity")}),
    "related": Kind(_("Related"), href=to_visit),
    "socialprofile": Kind(_("Social profile"), href=to_visit),
    "fburl": Kind(_("Free and busy times"), href=to_visit),
    "caluri": Kind(_("Calendar"), href=to_visit),
    "tz": Kind(_("Time zone")),
    "geo": Kind(_("Position")),
    "uid": Kind(_("Identifier")),
}

TYPES: dict[str, Words] = {
    "work": pgettext_lazy("type of number or address", "work"),
    "home": pgettext_lazy("type of number or address", "home"),
    "cell": _("mobile"),
    "fax": _("fax"),
    "text": _("text messages"),
    "pager": _("pager"),
    "video": _("video"),
    "main": _("main"),
}

UNSAID = {"voice", "internet", "pref"}


def kind_of(name: str) -> Kind:
    """The kind of a property, also of one that nobody has heard of."""
    plain = name.removeprefix("x-").replace("-", " ").capitalize()
    return KINDS.get(name) or RARE.get(name) or Kind(plain)


def listed(names: Iterable[str]) -> str:
    """One after the other, with what parts them in the language of whoever reads it."""
    return pgettext("between the names of a list", ", ").join(names)


def spoken_types(types: Iterable[str]) -> str:
    """The types in words, but for those that go without saying."""
    return listed(str(TYPES.get(each, each)) for each in types if each not in UNSAID)


def parts_in_order(name: str) -> list[int]:
    """The places of a structured value in the order in which they are asked for: of a name, the
    family's comes first where it is said first."""
    family_first = name == "n" and (get_language() or "").startswith("zh")
    return sorted(KINDS[name].parts) if family_first else list(KINDS[name].parts)


def texts_of(value: Any) -> list[str]:
    """The value as one text for each of its components; a single value as one."""
    if not isinstance(value, list):
        return [str(value)]
    return [", ".join(part) if isinstance(part, list) else str(part) for part in value]


def whole_name(n: Iterable[Any]) -> str:
    """The parts of a name (RFC 6350, section 6.2.2) as people of its language put them together."""
    return vcard.together([[part] if isinstance(part, str) and part else list(part) for part in n])


# Where microformats have a word for it (https://microformats.org/wiki/h-card).
H_CARD = {
    "tel": "p-tel",
    "email": "u-email",
    "url": "u-url",
    "title": "p-job-title",
    "org": "p-org",
    "role": "p-role",
    "adr": "p-adr",
    "nickname": "p-nickname",
    "note": "p-note",
}


class Line(NamedTuple):
    label: str
    text: str
    href: str


@dataclass(frozen=True)
class Face:
    """A view, `{fn, properties, photo}`, as a page shows it. `first` has the first line of each
    name, for where there is room for little."""

    fn: str
    photo: str | None
    named: list[tuple[str, Line]]
    first: dict[str, Line]

    @classmethod
    def of(cls, view: dict[str, Any]) -> Self:
        named = [
            (name, line)
            for name, line in named_lines(view["properties"])
            if name != "n" or line.text != view["fn"]  # which says it already
        ]
        return cls(view["fn"], view["photo"], named, dict(reversed(named)))

    @property
    def lines(self) -> list[Line]:
        return [line for _name, line in self.named]

    def rest(self) -> list[tuple[str, Line]]:
        """What is left beside a headline with title and organization: lines, each with its class
        as a microformat."""
        headline = [self.first.get("title"), self.first.get("org")]
        return [(H_CARD.get(name, ""), line) for name, line in self.named if line not in headline]


def named_lines(properties: Sequence[Mapping[str, Any]]) -> list[tuple[str, Line]]:
    """Each property's name and its line; what only labels others is none."""
    labels = own_labels(properties)
    return [
        (each["name"], line_of(each, labels)) for each in properties if each["name"] != "x-ablabel"
    ]


def own_labels(properties: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What address books of Apple call a property of the same group: group to label."""
    return {
        group: str(each["value"]).removeprefix("_$!<").removesuffix(">!$_")
        for each in properties
        if each["name"] == "x-ablabel"
        for group in each["params"].get("group", [])
    }


def line_of(each: Mapping[str, Any], labels: dict[str, str]) -> Line:
    kind, params = kind_of(each["name"]), each["params"]
    label = labels.get("".join(params.get("group", [])[:1])) or str(kind.label)
    if types := spoken_types(params.get("type", [])):
        label = gettext("%(label)s (%(types)s)") % {"label": label, "types": types}
    if isinstance(each["value"], str):
        return Line(label, kind.text(each["value"]), kind.href(each["value"]))
    if each["name"] == "n":
        return Line(label, whole_name(each["value"]), "")
    texts = texts_of(each["value"])
    order = [*kind.parts, *range(len(kind.parts), len(texts))]
    said = [texts[at] for at in order if at < len(texts) and texts[at]]
    return Line(label, ", ".join(said), "")
