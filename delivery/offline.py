"""What a browser keeps for reading without a connection: the cards its person holds, as they see
them, and their own, in their language. Nothing that the pages would not show."""

import hashlib
from typing import Any

from accounts.authentication import note_seen
from accounts.models import Device, User
from bindings.access import held_by, invitations_of
from bindings.models import Binding
from cards.access import own_cards
from cards.face import Face
from cards.search import folded
from delivery import rows
from delivery.messages import Ack
from delivery.models import OfflineMessage

FORM = 1  # of the copy; another one makes every browser read it again
TERSE: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")}


def fingerprint(person: User) -> str:
    """Another one whenever the copy would be another, and much cheaper than that: it looks at revs
    and at what has none, and renders nothing."""
    held = held_by(person).order_by("pk").select_related(None)
    own = own_cards(person)
    state = (
        FORM,
        person.pk,
        person.language,
        *held.values_list(
            "pk", "view", "view__rev", "held_rev", "nickname", "note", "tags", "card__owner__name"
        ),
        *own.values_list("pk", "rev", "label"),
        *invitations_of(person).values_list("pk"),
    )
    return hashlib.sha256(repr(state).encode()).hexdigest()[:32]


def owed(browser: Device) -> dict[Ack, list[str]]:
    """What this browser is to have acknowledged once it has what is there now, or anything newer.
    To be read before the fingerprint: what comes between the two is not in it."""
    note_seen([browser])
    rows.fill([browser])
    pending = OfflineMessage.objects.pending().filter(device=browser)
    return {
        (str(subject), rev): [str(browser.pk)]
        for subject, rev in pending.values_list("subject", "rev")
    }


def only_news(person: User, browser: Device) -> Binding | None:
    """The card that is all that this browser is to be told of; None if that is none, or several."""
    pending = OfflineMessage.objects.pending().filter(device=browser)
    bindings = pending.values_list("binding", flat=True).distinct()[:2]
    return held_by(person).filter(pk=bindings[0]).first() if len(bindings) == 1 else None


def copy_of(person: User) -> dict[str, Any]:
    """Labels are in the language that is active."""
    open_for: dict[Any, list[str]] = {}
    for pk, card in invitations_of(person).values_list("pk", "card"):
        open_for.setdefault(card, []).append(str(pk))
    return {
        "held": [held_in(each) for each in held_by(person).order_by("view__sort", "pk")],
        "own": [
            {
                "id": str(card.pk),
                "label": card.label,
                "invitations": open_for.get(card.pk, []),
                **shown(Face.of(card.for_owner())),
            }
            for card in own_cards(person)
        ],
    }


def held_in(binding: Binding) -> dict[str, Any]:
    beside = [binding.nickname, binding.note]
    return {
        "id": str(binding.pk),
        "owner": binding.card.owner.name,
        "nickname": binding.nickname,
        "note": binding.note,
        "tags": binding.tags,
        "search": "\n".join([binding.view.search, *filter(None, map(folded, beside))]),
        **shown(Face.of(binding.card.visible_to(binding.view.circles))),
    }


def shown(face: Face) -> dict[str, Any]:
    """A face, and what of it stands in a list, as templates/cards/_brief.html has it."""
    first = face.first
    return {
        "fn": face.fn,
        "photo": face.photo,
        "lines": face.lines,
        "job": " · ".join(first[name].text for name in ("title", "org") if name in first),
        "reach": [first[name][1:] for name in ("tel", "email") if name in first],
    }
