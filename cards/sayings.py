"""What the vCard codec says, in the language of whoever reads it. The codec knows no Django, so its
English texts are found again here."""

import re
from functools import cache

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

# As they stand in cards/vcard; a test compares. What stands for a part that varies is %s.
SAYINGS = (
    _("There is no vCard in this."),
    _("More than %s octets at once are not read."),
    _("More than %s cards at once are not read."),
    _("More than %s properties at once are not read."),
    _("A card with more than %s properties is not read."),
    _("A card has at most %s properties."),
    _("A value of more than %s octets is not read."),
    _("A value of more than %s parts is not read."),
    _("A property with that many parameters is not read."),
    _("This has more parts than any cards need."),
    _("Cards in cards are read %s deep, no deeper."),
    _("A property is an object with name, value and params."),
    _("A name has small letters, digits and hyphens, such as x-room."),
    _("The value of %s has to be %s."),
    _("Parameters are lists of strings under small-letter names."),
    _("A photo is not sent inside a property: it has an address of its own."),
    _("The value of %s is empty."),
    _("This is too long."),
    _("Control characters are not text."),
    _("Text outside of a card was left out: %s."),
    _("The card had no END: it was read as far as it goes."),
    _("A line that is no property was left out: %s."),
    _("A line without a name was added to %s: %s."),
    _("The card says no version that is known: it was read as %s."),
    _("The card had no structured name: it was made from the formatted one."),
    _("A %s that cannot be read was left out."),
)


@cache
def patterns() -> list[tuple[Promise, re.Pattern[str]]]:
    """What the texts look like in English. Not before the first is asked for: Django translates
    nothing while it starts."""
    with override("en"):
        english = [re.escape(str(said)).replace("%s", "(.*?)") for said in SAYINGS]
    return [
        (said, re.compile(text, re.DOTALL)) for said, text in zip(SAYINGS, english, strict=True)
    ]


def spoken(text: str) -> str:
    """A text of the codec as people read it; one that is not known as it is."""
    for said, pattern in patterns():
        if found := pattern.fullmatch(text):
            return str(said) % found.groups()
    return text
