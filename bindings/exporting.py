"""The cards one holds, as files for other programs: vCard 3.0 (RFC 2426), which every address book
reads, and CSV (RFC 4180), which every spreadsheet does."""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from django.utils.translation import gettext as _

from bindings.models import Binding
from cards import vcard
from cards.face import KINDS, Line, named_lines
from cards.renderers import properties_of

BOM = "\ufeff"  # tells spreadsheets that it is UTF-8
FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"\+?[\d\s()./-]+")


def vcf(held: Iterable[Binding]) -> str:
    """One vCard after the other, as their holder sees them, with their photos."""
    views = ((each.card_id, each.card.visible_to(each.view.circles)) for each in held)
    cards = (properties_of({"id": card_id, **view}) for card_id, view in views)
    return "".join(vcard.write(card, version="3.0") for card in cards)


def table(held: Iterable[Binding]) -> str:
    """A line for each card, with as many columns for each kind of property as any of them needs,
    and what the holder keeps beside it."""
    views = [(each, each.card.visible_to(each.view.circles)) for each in held]
    lines = [by_name(named_lines(view["properties"])) for _binding, view in views]
    counts: Counter[str] = Counter()
    for named in lines:
        counts |= Counter({name: len(those) for name, those in named.items() if name in KINDS})
    columns = [(name, at) for name in KINDS for at in range(counts[name])]
    own = [_("My name for it"), _("My note"), _("Tags"), _("Held since")]
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow([_("Name on the card"), *(heading(*column) for column in columns), *own])
    for (binding, view), named in zip(views, lines, strict=True):
        cells = [cell(named[name], at) for name, at in columns]
        kept = [binding.nickname, binding.note, ", ".join(binding.tags)]
        since = binding.created_at.date().isoformat()
        rows.writerow([harmless(each) for each in [view["fn"], *cells, *kept, since]])
    return BOM + out.getvalue()


def by_name(named: Iterable[tuple[str, Line]]) -> dict[str, list[Line]]:
    lines = defaultdict(list)
    for name, line in named:
        lines[name].append(line)
    return lines


def heading(name: str, at: int) -> str:
    label = str(KINDS[name].label)
    return f"{label} {at + 1}" if at else label


def cell(lines: Sequence[Line], at: int) -> str:
    return lines[at].text if at < len(lines) else ""


def harmless(text: str) -> str:
    """A spreadsheet takes what begins like a formula for one and would run it; behind an apostrophe
    it does not. Telephone numbers may begin like this and do no harm."""
    is_formula = FORMULA.match(text) and not NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text
