"""How a device comes and goes: one person on a phone, one owner of a push token."""

import pytest
from django.db import IntegrityError
from push_notifications.models import APNSDevice, GCMDevice

from accounts import devices
from accounts.models import Device, User
from bindings.models import Binding
from delivery import fanout
from delivery.models import OfflineMessage
from tests.conftest import api_of, catch_up, make_device, pending
from tests.rest import API, refused

IMEI = "imei-356938035643809"
APNS_TOKEN = "ab" * 32


def test_the_next_person_takes_the_phone_over(alice: User, bob: User) -> None:
    hers = make_device(alice, "ios", identifier=IMEI, push_token=APNS_TOKEN)
    his = make_device(bob, "ios", identifier=IMEI)
    assert api_of(bob, his).get(f"{API}/me").status_code == 200
    refused(api_of(alice, hers).get(f"{API}/me"), 401)
    assert not APNSDevice.objects.exists()
    assert Device.objects.active().get() == his


def test_a_phone_taken_over_brings_nothing_of_the_one_before(
    held: Binding, alice: User, bob: User
) -> None:
    """Bob signs in on Alice's phone: what she had acknowledged says nothing about him."""
    fanout.run_all()
    catch_up(make_device(alice, identifier=IMEI))
    his = make_device(bob, identifier=IMEI)
    (news,) = catch_up(his)
    assert news["card"] == str(held.card_id)


def test_a_push_token_goes_with_whoever_registers_it(alice: User, bob: User) -> None:
    hers = make_device(alice, "ios", push_token=APNS_TOKEN)
    his = make_device(bob, "ios", push_token=APNS_TOKEN)
    hers.refresh_from_db()
    assert (hers.apns, APNSDevice.objects.get().user) == (None, bob)
    assert APNSDevice.objects.get() == his.apns


def test_a_push_token_is_taken_over_by_a_change_of_the_device(alice: User, bob: User) -> None:
    hers, his = make_device(alice, push_token="fcm-1"), make_device(bob)
    change = {"push_token": "fcm-1"}
    assert api_of(bob, his).patch(f"{API}/devices/{his.pk}", change).status_code == 200
    hers.refresh_from_db()
    his.refresh_from_db()
    assert (hers.gcm, GCMDevice.objects.get()) == (None, his.gcm)


@pytest.mark.parametrize("kind", [APNSDevice, GCMDevice])
def test_the_database_keeps_one_owner_of_a_push_token(alice: User, bob: User, kind: type) -> None:
    kind.objects.create(registration_id="token", user=alice)  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError):
        kind.objects.create(registration_id="token", user=bob)  # type: ignore[attr-defined]


def test_the_database_keeps_one_device_of_a_push_token(alice: User, bob: User) -> None:
    hers, his = make_device(alice, "ios", push_token=APNS_TOKEN), make_device(bob, "ios")
    with pytest.raises(IntegrityError):
        Device.objects.filter(pk=his.pk).update(apns=hers.apns)


def test_the_database_keeps_one_active_device_of_a_terminal(alice: User, bob: User) -> None:
    hers, his = make_device(alice), make_device(bob)
    with pytest.raises(IntegrityError):
        Device.objects.filter(pk=his.pk).update(identifier_hash=hers.identifier_hash)


def test_the_same_person_keeps_the_device_and_what_it_acknowledged(
    held: Binding, bob: User
) -> None:
    fanout.run_all()
    before = make_device(bob, identifier=IMEI)
    catch_up(before)
    again = make_device(bob, identifier=IMEI, name="Renamed")
    assert (again.pk, again.name, pending(again)) == (before.pk, "Renamed", {})
    assert OfflineMessage.objects.filter(device=again, acknowledged_rev__gt=0).exists()
    refused(api_of(bob, before).get(f"{API}/me"), 401)  # the token is another one


def test_signing_in_again_without_a_push_token_keeps_the_one_there_is(alice: User) -> None:
    make_device(alice, "ios", identifier=IMEI, push_token=APNS_TOKEN)
    again = make_device(alice, "ios", identifier=IMEI)
    again.refresh_from_db()
    assert again.apns is not None


def test_a_phone_that_is_another_platform_now_loses_its_old_push_token(alice: User) -> None:
    make_device(alice, "ios", identifier=IMEI, push_token=APNS_TOKEN)
    again = make_device(alice, "android", identifier=IMEI)
    again.refresh_from_db()
    assert (again.platform, again.apns) == ("android", None)
    assert not APNSDevice.objects.exists()


def test_an_empty_push_token_unregisters(alice: User) -> None:
    phone = make_device(alice, "ios", push_token=APNS_TOKEN)
    api_of(alice, phone).patch(f"{API}/devices/{phone.pk}", {"push_token": ""})
    phone.refresh_from_db()
    assert phone.apns is None
    assert not APNSDevice.objects.exists()


def test_a_change_of_the_name_keeps_the_push_token(alice: User) -> None:
    phone = make_device(alice, "ios", push_token=APNS_TOKEN)
    api_of(alice, phone).patch(f"{API}/devices/{phone.pk}", {"name": "Mine"})
    phone.refresh_from_db()
    assert phone.apns is not None


def test_a_desktop_has_no_push_token(alice: User) -> None:
    desktop = make_device(alice, "desktop", push_token="whatever")
    assert (desktop.apns, desktop.gcm, desktop.push_registered_at) == (None, None, None)


def test_revoking_takes_the_token_and_the_push_token(alice: User) -> None:
    phone = make_device(alice, "ios", push_token=APNS_TOKEN)
    devices.revoke(phone)
    refused(api_of(alice, phone).get(f"{API}/sync"), 401)
    assert not APNSDevice.objects.exists()


def test_after_a_revocation_the_same_terminal_is_a_new_device(alice: User) -> None:
    before = make_device(alice, identifier=IMEI)
    devices.revoke(before)
    assert make_device(alice, identifier=IMEI).pk != before.pk


def test_closing_an_account_signs_its_devices_out(alice: User) -> None:
    phone = make_device(alice)
    alice.is_active = False
    alice.save()
    phone.refresh_from_db()
    assert phone.revoked_at is not None
