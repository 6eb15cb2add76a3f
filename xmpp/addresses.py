"""Whose a JID is, and how it becomes a device. Here it is known from the username; anywhere else
it is whoever it was linked to, or a guest (bindings/guests.py)."""

from accounts import devices
from accounts.models import Device, User
from cards.models import Card, Door
from xmpp import jids
from xmpp.jids import Jid
from xmpp.models import Address


def person_of(jid: Jid) -> User | None:
    """Who speaks from this JID; None for somebody nobody here knows."""
    if jid.is_local:
        return User.objects.filter(username=jids.unescaped(jid.local), is_active=True).first()
    known = Address.objects.active().complete().filter(jid=jid.bare).first()
    return known.device.user if known else None


def owner_of(contact: Jid) -> User | None:
    """Whose cards are at this contact of ours."""
    return User.objects.filter(username=contact.owner, is_active=True).first()


def signed_in(user: User) -> None:
    """The person has signed in to the XMPP server of this house, so their JID is a device."""
    jid = jids.own(user.username)
    if not Address.objects.active().filter(jid=jid, device__user=user).exists():
        link(user, jid)


def link(user: User, jid: str) -> Address:
    """Make the bare JID a device of this person, and of nobody else."""
    device, _token = devices.sign_in(
        user, platform=Device.Platform.XMPP, identifier=f"xmpp:{jid}", name=jid[:100]
    )
    return reached_at(device, jid)


def reached_at(device: Device, jid: str) -> Address:
    """From now on the device is there, and no longer where it was. What was chosen and published
    from a JID stays its person's."""
    Address.objects.filter(device=device).exclude(jid=jid).delete()
    at = Address.objects.filter(jid=jid)
    at.exclude(device__user=device.user_id).delete()
    at.update(device=device)
    address, _made = Address.objects.get_or_create(device=device, defaults={"jid": jid})
    return address


def unlink(jid: str) -> None:
    """Sign the JID out: nothing more is sent there."""
    for device in Device.objects.active().filter(address__jid=jid):
        devices.forget(device)


def card_given(user: User) -> Card:
    """The card that this person gives from XMPP clients: the one they chose, their first, or one
    with nothing but their name."""
    chosen = Address.objects.active().filter(device__user=user, card__retired_at=None)
    named = chosen.exclude(card=None).select_related("card").order_by("jid").first()
    if named and named.card and named.card.owner_id == user.pk:
        return named.card
    first = Card.objects.kept().filter(owner=user).order_by("created_at").first()
    if first is None:
        first = Card(owner=user, fn=user.name, changed_by=user, changed_via=Door.XMPP)
        first.save()
    return first
