"""How a device comes and goes: signing in, taking over a phone or a push token."""

import contextlib
import secrets

from django.db import IntegrityError, transaction
from django.utils import timezone
from push_notifications.models import APNSDevice, GCMDevice

from accounts.models import Device, User

SIGN_INS_AT_ONCE = 10  # on one terminal; nobody sits at it with so many


def sign_in(
    user: User, *, platform: str, identifier: str, name: str = "", push_token: str = ""
) -> tuple[Device, str]:
    """Register the terminal as a device of `user`; return it and its token, shown only here.

    Whoever was signed in on the same terminal is signed out in the same transaction. The same
    person keeps the device, and with it what has been acknowledged, and gets a new token.
    """
    for _ in range(SIGN_INS_AT_ONCE - 1):
        # Of several sign-ins on one terminal at once one has won, and is there to be taken over
        # now; but of those who wait for that again only one will be the next.
        with contextlib.suppress(IntegrityError):
            return _sign_in(user, platform, identifier, name, push_token)
    return _sign_in(user, platform, identifier, name, push_token)


@transaction.atomic
def _sign_in(
    user: User, platform: str, identifier: str, name: str, push_token: str
) -> tuple[Device, str]:
    identifier_hash = Device.hash_identifier(identifier)
    token = secrets.token_urlsafe(32)
    on_terminal = Device.objects.active().filter(identifier_hash=identifier_hash)
    device = on_terminal.select_for_update(of=("self",)).select_related("apns", "gcm").first()
    if device and device.user_id != user.pk:
        revoke(device)
        device = None
    if device and device.platform != platform:
        unregister_push_token(device)
    device = device or Device(user=user, identifier_hash=identifier_hash)
    device.platform = platform
    device.name = name or device.name
    device.token_hash = Device.hash_token(token)
    device.last_seen_at = timezone.now()
    device.save()
    if push_token:
        register_push_token(device, push_token)
    return device, token


@transaction.atomic
def register_push_token(device: Device, push_token: str) -> None:
    """Give the push token to this device alone, whoever had it (a token has one owner).

    An empty token takes away the one the device has. Desktop devices have none.
    """
    unregister_push_token(device)
    if not push_token or device.platform == Device.Platform.DESKTOP:
        return
    fields = {"user": device.user, "name": device.name, "active": True}
    if device.platform == Device.Platform.IOS:
        apns, _ = APNSDevice.objects.update_or_create(registration_id=push_token, defaults=fields)
        Device.objects.filter(apns=apns).update(apns=None)
        device.apns = apns
    else:
        gcm, _ = GCMDevice.objects.update_or_create(registration_id=push_token, defaults=fields)
        Device.objects.filter(gcm=gcm).update(gcm=None)
        device.gcm = gcm
    device.push_registered_at = timezone.now()
    device.save(update_fields=["apns", "gcm", "push_registered_at"])


def unregister_push_token(device: Device) -> None:
    for registration in (device.apns, device.gcm):
        if registration:
            registration.delete()
    device.apns = device.gcm = None


def revoke(device: Device) -> None:
    """Sign the device out: its token is dead at once, its push token goes."""
    with transaction.atomic():
        Device.objects.filter(pk=device.pk).revoke()
        unregister_push_token(device)
