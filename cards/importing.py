"""Cards made of the vCards in a file."""

import base64
import binascii
from collections.abc import Container, Iterable
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from cards import photos, vcard
from cards.models import Card, Door
from cards.sayings import spoken

OURS = {"fn", "version", "prodid", "rev"}  # what a card says of itself and the server knows better


class Imported(NamedTuple):
    """A card made of a vCard, and what had to be changed in it."""

    card: Card
    warnings: list[str]


def looked_at(owner: User, file: bytes, circles: list[str]) -> list[Imported]:
    """What would be made of the file; nothing is stored. Raises VCardError."""
    return [imported(owner, parsed, circles, dry=True) for parsed in vcard.read(file)]


def stored(
    owner: User, file: bytes, circles: list[str], wanted: Container[int] | None = None
) -> list[Imported]:
    """Make cards of the file; where places in it are wanted, of those alone. Raises VCardError."""
    # Pictures are worked on before the transaction: nobody waits for them to write.
    made = [
        imported(owner, parsed, circles, dry=False)
        for at, parsed in enumerate(vcard.read(file))
        if wanted is None or at in wanted
    ]
    with transaction.atomic():
        for each in made:
            each.card.save()
    return made


def imported(owner: User, parsed: vcard.ParsedCard, circles: list[str], *, dry: bool) -> Imported:
    """Its photo is stored unless `dry`; the card is not."""
    card = Card(owner=owner, fn=parsed.fn[:500], changed_by=owner, changed_via=Door.IMPORT)
    warnings = [spoken(each) for each in parsed.warnings]
    for name in [str(each.value) for each in parsed.properties[1:] if each.name == "fn"]:
        warnings.append(_("Another name was left out: %s") % name)
    kept = [each for each in parsed.properties if each.name not in OURS]
    photo = next((each for each in kept if each.name == "photo" and is_inline(each)), None)
    for each in kept:
        if each is photo:
            warnings += take_photo(card, each, circles, dry=dry)
        elif is_inline(each):
            warnings.append(_("%s was left out: only one photo is kept.") % each.name)
        else:
            warnings += take(card, each, circles)
    return Imported(card, warnings)


def take(card: Card, given: vcard.Property, circles: list[str]) -> Iterable[str]:
    """Add the property, if the owner could also write it by hand."""
    (plain,) = vcard.to_json([given])
    try:
        vcard.from_json([plain])
    except vcard.VCardError as error:
        return [
            _("%(name)s was left out: %(why)s") % {"name": given.name, "why": spoken(error.reason)}
        ]
    card.properties.append({**plain, "circles": circles})
    return []


def is_inline(each: vcard.Property) -> bool:
    return isinstance(each.value, str) and each.value.startswith("data:")


def take_photo(
    card: Card, inline: vcard.Property, circles: list[str], *, dry: bool
) -> Iterable[str]:
    try:
        picture = photos.reencoded(base64.b64decode(str(inline.value).partition(",")[2]))
    except (ValidationError, binascii.Error) as error:
        reason = " ".join(error.messages) if isinstance(error, ValidationError) else error
        return [_("The photo was left out: %s") % reason]
    if not dry:
        card.photo, card.photo_circles = photos.store(card, picture), circles
    return []
