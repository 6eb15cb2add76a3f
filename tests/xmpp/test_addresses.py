"""Whose a JID is, and what is kept of it."""

from typing import Any

import pytest

from accounts import devices
from accounts.models import Device, User
from bindings import exchange
from cards.models import Card
from tests.conftest import make_card
from xmpp import addresses
from xmpp.bridge import all_addresses
from xmpp.jids import Jid
from xmpp.models import Address

pytestmark = pytest.mark.django_db

BOB = "bob@example.org"


@pytest.fixture(autouse=True)
def domains(settings: Any) -> None:
    settings.XMPP_DOMAIN, settings.XMPP_CARDS_DOMAIN = "example.org", "cards.example.org"


def test_signing_in_makes_a_device_once(bob: User) -> None:
    addresses.signed_in(bob)
    addresses.signed_in(bob)
    (device,) = Device.objects.active().filter(user=bob)
    assert (device.platform, device.name, device.address.jid) == ("xmpp", BOB, BOB)


def test_a_jid_that_was_signed_out_is_a_device_again_with_what_it_had_published(
    bob: User, bob_card: Card
) -> None:
    addresses.signed_in(bob)
    Address.objects.update(published=[{"name": "fn"}], card=bob_card)
    addresses.unlink(BOB)
    assert not all_addresses()
    addresses.signed_in(bob)
    (address,) = all_addresses()
    assert (address.published, address.card) == ([{"name": "fn"}], bob_card)


def test_a_username_that_goes_to_another_takes_the_jid_along(bob: User, charlie: User) -> None:
    addresses.signed_in(bob)
    User.objects.filter(pk=bob.pk).update(username="robert")
    assert not all_addresses()  # nobody has this name now
    User.objects.filter(pk=charlie.pk).update(username="bob")
    charlie.refresh_from_db()
    addresses.signed_in(charlie)
    (address,) = all_addresses()
    assert address.device.user == charlie
    assert Device.objects.active().filter(user=bob).count() == 0


def test_whoever_is_erased_leaves_no_address(bob: User, bob_card: Card) -> None:
    addresses.signed_in(bob)
    exchange.erase(bob)
    assert not Address.objects.exists()


def test_an_app_has_an_address_of_its_own_and_one_at_a_time(bob: User) -> None:
    phone, _token = devices.sign_in(bob, platform="android", identifier="123456789")
    addresses.reached_at(phone, f"{BOB}/one")
    addresses.reached_at(phone, f"{BOB}/two")
    assert [each.jid for each in all_addresses()] == [f"{BOB}/two"]


def test_the_chosen_card_is_given_while_it_is_there(bob: User, bob_card: Card) -> None:
    second = make_card(bob, fn="Bob at work")
    addresses.signed_in(bob)
    assert addresses.card_given(bob) == bob_card
    Address.objects.update(card=second)
    assert addresses.card_given(bob) == second
    second.retire()
    assert addresses.card_given(bob) == bob_card


def test_somebody_without_a_card_gives_their_name(charlie: User) -> None:
    card = addresses.card_given(charlie)
    assert (card.fn, card.properties, card.changed_via) == ("Charlie Stranger", [], "xmpp")
    assert addresses.card_given(charlie) == card


def test_a_jid_elsewhere_is_whoever_it_was_linked_to(bob: User) -> None:
    hans = Jid("hans", "other.example", "phone")
    assert addresses.person_of(hans) is None
    addresses.link(bob, hans.bare)
    assert addresses.person_of(hans) == bob
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert addresses.person_of(hans) is None
    assert addresses.person_of(Jid("bob", "example.org")) is None
