"""How a device comes and goes: signing in, taking over a phone or a push token."""

import contextlib
import secrets
from typing import cast

from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from push_notifications.models import APNSDevice, GCMDevice, WebPushDevice

from accounts.models import Device, User
from accounts.webpush import Subscription

SIGN_INS_AT_ONCE = 10  # on one terminal; nobody sits at it with so many
OF_SESSION = "device"  # where a session names the device that it is


def sign_in(
    user: User,
    *,
    platform: str,
    identifier: str,
    name: str = "",
    push_token: str = "",
    session_key: str = "",
) -> tuple[Device, str]:
    """Register the terminal as a device of `user`; return it and its token, shown only here.

    Whoever was signed in on the same terminal is signed out in the same transaction. The same
    person keeps the device, and with it what has been acknowledged, and gets a new token.
    """
    for _ in range(SIGN_INS_AT_ONCE - 1):
        # Of several sign-ins on one terminal at once one has won, and is there to be taken over
        # now; but of those who wait for that again only one will be the next.
        with contextlib.suppress(IntegrityError):
            return _sign_in(user, platform, identifier, name, push_token, session_key)
    return _sign_in(user, platform, identifier, name, push_token, session_key)


@transaction.atomic
def _sign_in(
    user: User, platform: str, identifier: str, name: str, push_token: str, session_key: str
) -> tuple[Device, str]:
    identifier_hash = Device.hash_identifier(identifier)
    token = secrets.token_urlsafe(32)
    on_terminal = Device.objects.active().filter(identifier_hash=identifier_hash)
    device = on_terminal.select_for_update(of=("self",)).select_related(*Device.WAYS).first()
    if device and device.user_id != user.pk:
        revoke(device)
        device = None
    if device and device.platform != platform:
        unregister_push_token(device)
    device = device or Device(user=user, identifier_hash=identifier_hash)
    device.platform = platform
    device.name, device.session_key = name or device.name, session_key
    device.token_hash = Device.hash_token(token)
    device.last_seen_at = timezone.now()
    device.save()
    if push_token:
        register_push_token(device, push_token)
    return device, token


@transaction.atomic
def register_push_token(device: Device, push_token: str) -> None:
    """Give the push token to this device alone, whoever had it (a token has one owner).

    An empty token takes away the one the device has. Desktop devices have none, and a browser
    registers itself (`subscribe`).
    """
    unregister_push_token(device)
    if not push_token or device.platform in (Device.Platform.DESKTOP, Device.Platform.BROWSER):
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
    for registration in (device.apns, device.gcm, device.webpush):
        if registration:
            registration.delete()
    device.apns = device.gcm = device.webpush = None


def revoke(device: Device) -> None:
    """Sign the device out: its token is dead at once, its push token goes, and so does the session
    of a browser."""
    with transaction.atomic():
        forget(device)
        if device.session_key:
            Session.objects.filter(pk=device.session_key).delete()


@transaction.atomic
def forget(device: Device) -> None:
    """The same, but whoever sits at the browser stays signed in."""
    Device.objects.filter(pk=device.pk).revoke()
    unregister_push_token(device)


# Browsers


def browser_of(request: HttpRequest) -> Device | None:
    """The device that the browser of this session is, if it is to be notified."""
    pk, session = request.session.get(OF_SESSION), request.session
    if not pk:
        return None
    own = Device.objects.active().filter(pk=pk, user=cast(User, request.user))
    device = own.select_related(*Device.WAYS).first()
    if device and device.session_key != session.session_key:  # a changed password gives another
        own.update(session_key=session.session_key)
    return device


@transaction.atomic
def subscribe(request: HttpRequest, subscription: Subscription, name: str) -> Device:
    """Make a device of the browser of this session, to be notified there alone. Whoever was
    notified at the same place before is not any more."""
    before, user = browser_of(request), cast(User, request.user)
    device, _token = sign_in(
        user,
        platform=Device.Platform.BROWSER,
        identifier=subscription.endpoint,
        name=name,
        session_key=request.session.session_key or "",
    )
    if before and before.pk != device.pk:
        forget(before)
    keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
    device.webpush, _ = WebPushDevice.objects.update_or_create(
        registration_id=subscription.endpoint, defaults={"user": user, "active": True, **keys}
    )
    Device.objects.filter(webpush=device.webpush).exclude(pk=device.pk).update(webpush=None)
    device.push_registered_at = timezone.now()
    device.save(update_fields=["webpush", "push_registered_at"])
    request.session[OF_SESSION] = str(device.pk)
    return device
