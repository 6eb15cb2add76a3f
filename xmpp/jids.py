"""JIDs (RFC 7622) as text: ours and those of others. Pure, apart from the two domains.

A card's contact is its owner's username at the domain of the cards; what a localpart must not hold
is escaped (XEP-0106). An invitation's code may stand behind a question mark: `alice?CODE@cards...`.
"""

from typing import NamedTuple

from django.conf import settings

from xmpp.models import LONGEST_JID

ESCAPED = {" ": "\\20", '"': "\\22", "&": "\\26", "'": "\\27", "/": "\\2f", ":": "\\3a"}
ESCAPED |= {"<": "\\3c", ">": "\\3e", "@": "\\40"}


class Jid(NamedTuple):
    local: str
    domain: str
    resource: str = ""

    @classmethod
    def read(cls, text: str | None) -> "Jid | None":
        """None for what is none, or is too long to be kept."""
        if not text or len(text) > LONGEST_JID:
            return None
        bare, _slash, resource = text.partition("/")
        local, _at, domain = bare.rpartition("@")
        return cls(local.lower(), domain.lower(), resource) if domain else None

    @property
    def bare(self) -> str:
        return f"{self.local}@{self.domain}" if self.local else self.domain

    def __str__(self) -> str:
        return f"{self.bare}/{self.resource}" if self.resource else self.bare

    @property
    def is_local(self) -> bool:
        """Whether this is an account of ours, by its username."""
        return bool(self.local) and self.domain == settings.XMPP_DOMAIN

    @property
    def owner(self) -> str:
        """Of a contact of ours: the username of who owns the card."""
        return unescaped(self.local.partition("?")[0])

    @property
    def code(self) -> str:
        """Of a contact of ours: the code of an invitation, or nothing."""
        return self.local.partition("?")[2]


def house() -> str:
    """The component itself, whom one can talk to."""
    return str(settings.XMPP_CARDS_DOMAIN)


def contact(username: str) -> str:
    """The address of the cards of this person."""
    return f"{escaped(username)}@{settings.XMPP_CARDS_DOMAIN}"


def voice(contact: str) -> str:
    """From where a contact speaks and is there: clients send receipts to full JIDs alone."""
    return f"{contact}/card"


def own(username: str) -> str:
    """The address at which this person signs in here."""
    return f"{escaped(username)}@{settings.XMPP_DOMAIN}"


def escaped(local: str) -> str:
    return "".join(ESCAPED.get(sign, sign) for sign in local)


def unescaped(local: str) -> str:
    for sign, code in ESCAPED.items():
        local = local.replace(code, sign)
    return local
