"""How two states of a card differ, line by line, for people to read."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from cards.face import Line, listed, named_lines
from cards.models import EVERYONE, PUBLIC, Card, Content

LOOKED_AT = 200  # revisions of a card, for what a holder is shown of them
SHOWN = 20

Named = tuple[str, Line]  # a property's name, and how it reads
Circles = Mapping[str, str]  # ids to names


class Difference(NamedTuple):
    """What is not as it was; `before` is empty where there was nothing, `after` where there is
    nothing any more."""

    label: str
    before: str
    after: str


def of_contents(before: Content, after: Content, circles: Circles) -> list[Difference]:
    """What an owner changed, who may see it included."""
    changed = differences(before.for_owner(), after.for_owner())
    if before.label != after.label:
        changed.append(Difference(_("Label"), before.label, after.label))
    return [*changed, *audience_differences(before, after, circles)]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """What changed between two views, each `{fn, properties, photo}`."""
    changed = []
    if before["fn"] != after["fn"]:
        changed.append(Difference(_("Name on the card"), before["fn"], after["fn"]))
    if before["photo"] != after["photo"]:
        was = _("another picture") if before["photo"] else ""
        changed.append(Difference(_("Photo"), was, _("a new picture") if after["photo"] else ""))
    old, new = (named_lines(view["properties"]) for view in (before, after))
    return [*changed, *paired(without(old, new), without(new, old))]


def without(those: Iterable[Named], others: Iterable[Named]) -> list[Named]:
    """Those that are not among the others; what is there twice counts twice."""
    left, rest = Counter(others), []
    for each in those:
        if left[each]:
            left[each] -= 1
        else:
            rest.append(each)
    return rest


def paired(gone: list[Named], come: list[Named]) -> list[Difference]:
    """A line that is gone and one of the same name that came are one line that changed."""
    successors = defaultdict(list)
    for name, line in come:
        successors[name].append(line)
    changed = []
    for name, line in gone:
        new = successors[name].pop(0) if successors[name] else None
        changed.append(changed_line(line, new) if new else Difference(line.label, line.text, ""))
    new_ones = [line for left in successors.values() for line in left]
    return changed + [Difference(line.label, "", line.text) for line in new_ones]


def changed_line(old: Line, new: Line) -> Difference:
    """Where only the label changed, as from work to home, the old one is told."""
    if old.text == new.text:
        return Difference(new.label, f"{old.text} ({old.label})", new.text)
    return Difference(new.label, old.text, new.text)


def audience_differences(before: Content, after: Content, circles: Circles) -> list[Difference]:
    """What stayed and is shown to others than before."""
    was, now = audiences(before), audiences(after)
    return [
        Difference(_("Who sees: %s") % line.label, spoken(old, circles), spoken(new, circles))
        for (name, line), seen in now.items()
        for old, new in zip(was.get((name, line), []), seen, strict=False)
        if set(old) != set(new)
    ]


def audiences(content: Content) -> dict[Named, list[list[str]]]:
    """Each line, and the circles that see it; those of each, where it is there more than once."""
    seen = defaultdict(list)
    shown = [each for each in content.properties if each["name"] != "x-ablabel"]
    lines = named_lines(content.properties)
    for line, each in zip(lines, shown, strict=True):
        seen[line].append(each["circles"])
    if content.photo:
        seen["photo", Line(_("Photo"), content.photo, "")].append(content.photo_circles)
    return seen


def spoken(seen_by: Collection[str], circles: Circles) -> str:
    """Who that is, in words."""
    special = {EVERYONE: _("everyone who holds the card"), PUBLIC: _("the public")}
    names = [special[each] for each in special if each in seen_by]
    if EVERYONE not in seen_by:
        circle_ids = [each for each in seen_by if each not in special]
        names += [circles.get(each, _("a circle that is gone")) for each in circle_ids]
    return listed(names) or _("only you")


# For a holder


class Change(NamedTuple):
    """What one revision changed for a holder."""

    at: datetime
    differences: list[Difference]


def seen_through(card: Card, circles: Collection[str], since: int) -> list[Change]:
    """What of the card changed for those in these circles since that rev, newest first. It shows
    what they still see and nothing else: an old number, or one that was hidden from them, is only
    said to have changed."""
    start = card.revisions.filter(rev__lte=since).values_list("rev", flat=True).first() or 0
    revisions = list(card.revisions.filter(rev__gte=start)[:LOOKED_AT])
    views = [revision.visible_to(circles) for revision in revisions]
    now = shown_now(card, circles)
    changes = [
        Change(revision.changed_at, [still_seen(each, now) for each in differences(before, after)])
        for revision, after, before in zip(revisions, views, views[1:], strict=False)
    ]
    return [change for change in changes if change.differences][:SHOWN]


def since(card: Card, circles: Collection[str], rev: int) -> list[Difference]:
    """How what those in these circles see of the card differs from what it was at that rev, with
    as little of what is no longer shown."""
    then = card.revisions.filter(rev__lte=rev).first()
    if then is None:
        return []
    changed = differences(then.visible_to(circles), card.visible_to(circles))
    now = shown_now(card, circles)
    return [still_seen(each, now) for each in changed]


def shown_now(card: Card, circles: Collection[str]) -> set[str]:
    """Every label and every value that they see now."""
    lines = [line for _name, line in named_lines(card.visible_to(circles)["properties"])]
    always = {card.fn, _("a new picture"), _("Name on the card"), _("Photo")}
    return always | {line.text for line in lines} | {line.label for line in lines}


def still_seen(each: Difference, now: Collection[str]) -> Difference:
    label = each.label if each.label in now else _("Something that is no longer shown")
    return Difference(label, "", each.after if each.after in now else "")
