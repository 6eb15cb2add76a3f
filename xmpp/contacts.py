"""Subscriptions (RFC 6121, section 3): a card as a contact.

To subscribe is to ask for an exchange, or to bring an invitation's code; to approve of somebody
else's subscription is to accept; to unsubscribe is to give the card back. Whoever is refused,
blocked or asks for nobody hears the same: nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple
from xml.etree.ElementTree import Element

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.models import User
from bindings import exchange, guests
from bindings.models import Binding, Request
from cards.models import EVERYONE, Card, Door
from xmpp import addresses, disco, stanzas
from xmpp.addresses import card_given, owner_of, person_of
from xmpp.jids import Jid, contact, house, voice
from xmpp.looks import look
from xmpp.stanzas import message, presence, with_body
from xmpp.throttles import allowed

LONGEST_MESSAGE = 500  # of a request


class Answer(NamedTuple):
    """What is said in answer, and the JID at which there may be a device from now on."""

    stanzas: list[Element]
    linked: str = ""


NOTHING = Answer([])


def heard(sender: Jid, to: Jid, stanza: Element) -> Answer:
    """A presence that is about a subscription."""
    return DOORS[stanza.get("type", "")](sender, to, stanza)


def subscribe(sender: Jid, to: Jid, stanza: Element) -> Answer:
    person = person_of(sender)
    if not to.local:
        if person is None:
            return NOTHING  # somebody elsewhere who has nothing to do with anybody here
        addresses.link(person, sender.bare)
        return Answer(welcomed(sender, house(), [disco.capabilities()]), linked=sender.bare)
    owner, code = owner_of(to), code_in(to, stanza)
    if person is None:
        return newcomer(sender, owner, code, stanza)
    addresses.link(person, sender.bare)
    with override(person.language):
        return Answer(asked(person, sender, to, owner, code, stanza), linked=sender.bare)


def code_in(to: Jid, stanza: Element) -> str:
    """An invitation's code: in the address, or all that is said beside the request."""
    said = stanzas.text_in(stanza, "status")
    return to.code or (said if len(said) <= 20 and " " not in said else "")


def asked(
    person: User, sender: Jid, to: Jid, owner: User | None, code: str, stanza: Element
) -> list[Element]:
    """What becomes of the wish of a person to have the cards of another."""
    if owner == person:
        return welcome(sender, to, person)
    if code and allowed("code", person.pk):
        with suppress(exchange.Gone, ValidationError):
            exchange.accept_invitation(code, person, card_given(person))
    if owner and (holds(person, owner) or accepted(person, owner)):
        return welcome(sender, to, person)
    ask(person, to.owner, stanzas.text_in(stanza, "status"))
    return []


def holds(person: User, owner: User) -> bool:
    return Binding.objects.active().filter(holder=person, card__owner=owner).exists()


def ask(person: User, username: str, said: str) -> None:
    """Once: servers repeat a wish at every sign-in, also to somebody who has silently declined."""
    before = Request.objects.filter(sender=person, to=username, accepted=False)
    if before.filter(expires_at__gt=timezone.now()).exists() or not allowed("request", person.pk):
        return
    exchange.ask(person, username, card_given(person), message=said[:LONGEST_MESSAGE])


def accepted(person: User, other: User) -> bool:
    """Accept what the other has asked of the person, if they have."""
    waiting = Request.objects.waiting().filter(sender=other, recipient=person)
    for request in waiting.order_by("created_at"):
        with suppress(exchange.Gone):
            exchange.accept_request(request, card_given(person))
            return True
    return False


def newcomer(sender: Jid, owner: User | None, code: str, stanza: Element) -> Answer:
    """Somebody on another server, without an account here: a guest from now on, if there is anybody
    to be the guest of."""
    if owner is None or sender.is_local or not sender.local:
        return NOTHING
    others = ".".join(sender.domain.split(".")[-2:])  # who has a domain has all below it
    if not (allowed("page", others) and allowed("request", f"to {owner.pk}")):
        return NOTHING
    if code and not allowed("code", sender.bare):
        return NOTHING
    said: list[Element] = []

    def exchanged(guest: User) -> None:
        impp = {"name": "impp", "value": f"xmpp:{sender.bare}", "params": {}, "circles": [EVERYONE]}
        Card.objects.create(
            owner=guest,
            fn=guest.name,
            properties=[impp],
            changed_by=guest,
            changed_via=Door.XMPP,
        )
        addresses.link(guest, sender.bare)
        said.extend(asked(guest, sender, Jid.read(stanza.get("to")) or sender, owner, code, stanza))

    with transaction.atomic():
        key = guests.welcome(sender.bare, exchanged)
    where = settings.BASE_URL + reverse("guest", args=[key])
    hello = _("Your own card here, which whoever gives you theirs gets: %s") % where
    return Answer(
        [message(house(), sender.bare, with_body(hello), type="chat"), *said], sender.bare
    )


def welcome(sender: Jid, to: Jid, person: User) -> list[Element]:
    """The contact is theirs now, and it is there."""
    seen = look(owner_of(to), person)
    return welcomed(sender, to.bare, [seen.photo_update()] if seen else [])


def welcomed(sender: Jid, ours: str, about: list[Element]) -> list[Element]:
    """Of our own people the server tells when they are there; of others they have to allow it."""
    said = [
        presence(ours, sender.bare, type="subscribed"),
        presence(voice(ours), sender.bare, *about),
    ]
    return said if sender.is_local else [*said, presence(ours, sender.bare, type="subscribe")]


def subscribed(sender: Jid, to: Jid, stanza: Element) -> Answer:
    """Approval: of what the owner of the contact has asked for, if they have. Both are told of the
    bindings as of any."""
    person, other = person_of(sender), owner_of(to) if to.local else None
    if person and other:
        accepted(person, other)
    return NOTHING


def unsubscribed(sender: Jid, to: Jid, stanza: Element) -> Answer:
    """Refusal of the same, in silence."""
    person, other = person_of(sender), owner_of(to) if to.local else None
    if person and other:
        for request in Request.objects.waiting().filter(sender=other, recipient=person):
            with suppress(exchange.Gone):
                exchange.decline_request(request)
    return NOTHING


def unsubscribe(sender: Jid, to: Jid, stanza: Element) -> Answer:
    """Give back the cards of this contact, and take back the wish to have them; from the component
    itself, sign this JID out."""
    person = person_of(sender)
    if not to.local:
        addresses.unlink(sender.bare)
    elif person:
        for binding in Binding.objects.active().filter(
            holder=person, card__owner__username=to.owner
        ):
            exchange.leave(binding)
        for request in Request.objects.filter(sender=person, to=to.owner, accepted=False):
            with suppress(exchange.Gone):
                exchange.withdraw_request(request)
    ours = to.bare
    return Answer(
        [
            presence(ours, sender.bare, type="unsubscribed"),
            presence(voice(ours), sender.bare, type="unavailable"),
        ]
    )


def probe(sender: Jid, to: Jid, stanza: Element) -> Answer:
    """Somebody has come online who has this contact, or believes so (RFC 6121, section 4.3.2)."""
    person = person_of(sender)
    if not to.local:
        here = presence(voice(house()), str(sender), disco.capabilities())
        return Answer([here] if person else [])
    seen = look(owner_of(to), person) if person else None
    if seen is None:
        return Answer([presence(to.bare, sender.bare, type="unsubscribed")])
    here = presence(voice(to.bare), str(sender), seen.photo_update(), disco.of_contacts())
    return Answer([here])


DOORS: dict[str, Callable[[Jid, Jid, Element], Answer]] = {
    "subscribe": subscribe,
    "subscribed": subscribed,
    "unsubscribe": unsubscribe,
    "unsubscribed": unsubscribed,
    "probe": probe,
}


def wishes(person: User, jid: str) -> Iterator[Element]:
    """What others have asked of this person, as their contacts' subscriptions: to approve of one is
    to accept, to refuse it is to decline."""
    for request in Request.objects.waiting().filter(recipient=person).select_related("sender"):
        yield presence(
            contact(request.sender.username),
            jid,
            stanzas.element(stanzas.COMPONENT, "status", text=request.message),
            stanzas.element("http://jabber.org/protocol/nick", "nick", text=request.sender.name),
            type="subscribe",
        )
