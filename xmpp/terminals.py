"""Apps of ours that speak XMPP alone: one says who it is, by the identifier of its terminal, and is
a device of its own from then on (docs/wire.md)."""

from xml.etree.ElementTree import Element

from django.db import transaction

from accounts import devices
from accounts.models import Device, User
from delivery import mailbox, messages
from xmpp import addresses, stanzas
from xmpp.contacts import Answer
from xmpp.jids import Jid
from xmpp.models import Address
from xmpp.throttles import allowed

PLATFORMS = (Device.Platform.ANDROID, Device.Platform.IOS, Device.Platform.DESKTOP)


def hello(heard: Element, said: Element, person: User | None, sender: Jid) -> Answer:
    """`<hello identifier="" platform="" name=""/>`; with `reset`, the app has nothing any more."""
    identifier, platform = said.get("identifier", ""), said.get("platform", "")
    if person is None or not sender.resource:
        return Answer([stanzas.refusal(heard, "forbidden")])
    if platform not in PLATFORMS or not 8 <= len(identifier) <= 256:
        return Answer([stanzas.refusal(heard, "bad-request")])
    if not allowed("sign-in", person.pk):
        return Answer([stanzas.refusal(heard, "resource-constraint")])
    device = registered(person, identifier, platform, said.get("name", "")[:100], str(sender))
    if said.get("reset") == "true":
        mailbox.forget(device)
    (arrival,) = mailbox.arrive([device], 1)
    welcome = {"kind": "welcome", "pending": arrival.page.pending, "epoch": arrival.epoch}
    told = stanzas.answer(heard, messages.xml_element(welcome))
    return Answer([told], linked=str(sender))


@transaction.atomic
def registered(person: User, identifier: str, platform: str, name: str, jid: str) -> Device:
    device, _token = devices.sign_in(person, platform=platform, identifier=identifier, name=name)
    addresses.reached_at(device, jid)
    return device


def goodbye(sender: Jid, person: User | None) -> None:
    """Sign it out."""
    for address in Address.objects.active().filter(jid=str(sender), device__user=person):
        devices.forget(address.device)
