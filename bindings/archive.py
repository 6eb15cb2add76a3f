"""All that the server keeps of a person, as one ZIP: for reading, and for other programs.

What others keep beside the person's cards is theirs and not in it; what signs people in is in
nobody's copy.
"""

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from typing import IO, Any

from allauth.account.models import EmailAddress
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from accounts.models import Device, User
from bindings import exporting
from bindings.access import blocks_of, circles_of
from bindings.models import Binding, Invitation, Request
from cards import vcard
from cards.access import own_cards
from cards.models import Card, Content
from cards.renderers import properties_of

IN_MEMORY = 4 * 1024 * 1024  # octets; a larger one waits in a file
AT_ONCE = 200  # rows that are read together

Write = Callable[[User], Iterable[str]]


def of(person: User) -> IO[bytes]:
    """The archive, open at its beginning."""
    whole = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  (its reader closes it)
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, write in FILES.items():
            with archive.open(name, "w") as file:
                for text in write(person):
                    file.write(text.encode())
    whole.seek(0)
    return whole


def account(person: User) -> Iterable[str]:
    fields = (
        *("email", "username", "name", "language", "time_zone", "asks_before_applying"),
        *("joined_at", "last_login"),
    )
    yield as_json(
        {
            **{name: getattr(person, name) for name in fields},
            "addresses": rows(EmailAddress.objects.filter(user=person), "email", "verified"),
            "circles": rows(circles_of(person), "id", "name", "created_at"),
            "devices": rows(
                Device.objects.filter(user=person),
                *("platform", "name", "created_at", "last_seen_at", "revoked_at"),
            ),
            "app_passwords": rows(person.app_passwords.all(), "name", "created_at", "last_used_at"),
            "blocked": rows(blocks_of(person), "blocked__username", "created_at"),
            "invitations": rows(
                Invitation.objects.filter(card__owner=person),
                *("card", "circles", "uses", "used", "created_at", "expires_at", "revoked_at"),
            ),
            "requests_sent": rows(
                Request.objects.filter(sender=person),
                *("to", "card", "circles", "message", "created_at", "expires_at"),
            ),
            "requests_received": rows(
                Request.objects.filter(recipient=person),
                *("sender__username", "message", "created_at", "decided_at", "accepted"),
            ),
        }
    )


def rows(of_them: QuerySet[Any], *names: str) -> list[dict[str, Any]]:
    return list(of_them.values(*names))


def own_vcf(person: User) -> Iterable[str]:
    for card in own_cards(person).iterator(AT_ONCE):
        properties = properties_of({"id": card.pk, **card.for_owner()})
        yield vcard.write(properties, version="4.0")


def own_json(person: User) -> Iterable[str]:
    """Each with who sees what, its public page, its history, and who holds it."""
    yield from as_list(map(own, own_cards(person).iterator(AT_ONCE)))


def own(card: Card) -> dict[str, Any]:
    holders = Binding.objects.filter(card=card)
    return {
        "id": card.pk,
        "created_at": card.created_at,
        **content(card),
        "public_pages": rows(card.pages.all(), "slug", "is_on", "created_at"),
        "history": [{"rev": each.rev, **content(each)} for each in card.revisions.iterator()],
        "holders": rows(
            holders, "holder__username", "holder__name", "view__circles", "created_at", "ended_at"
        ),
    }


def content(of_it: Content) -> dict[str, Any]:
    return {name: getattr(of_it, name) for name in (*Content.CONTENT, "changed_at")}


def held(person: User) -> QuerySet[Binding]:
    return Binding.objects.active().complete().filter(holder=person).order_by("created_at")


def held_vcf(person: User) -> Iterable[str]:
    for binding in held(person).iterator(AT_ONCE):
        yield exporting.vcf([binding])


def held_json(person: User) -> Iterable[str]:
    yield from as_list(map(holding, held(person).iterator(AT_ONCE)))


def holding(binding: Binding) -> dict[str, Any]:
    """As the holder sees the card, with what they keep beside it."""
    beside = ("id", "nickname", "note", "tags", "asks", "created_at")
    return {
        **{name: getattr(binding, name) for name in beside},
        "waits_to_be_taken_over": binding.waits,
        "owner": {"username": binding.card.owner.username, "name": binding.card.owner.name},
        "card": {"id": binding.card_id, **binding.card.visible_to(binding.view.circles)},
    }


def as_list(each: Iterable[Any]) -> Iterable[str]:
    """A JSON list, one entry after the other."""
    between = "[\n"
    for one in each:
        yield between + as_json(one)
        between = ",\n"
    yield "]\n" if between != "[\n" else "[]\n"


def as_json(what: Any) -> str:
    return json.dumps(what, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1)


FILES: dict[str, Write] = {
    "account.json": account,
    "my-cards.vcf": own_vcf,
    "my-cards.json": own_json,
    "cards-i-hold.vcf": held_vcf,
    "cards-i-hold.json": held_json,
}
