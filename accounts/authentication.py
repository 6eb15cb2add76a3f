"""Signing in with a device's own token, for REST (RFC 6750) and for the WebSocket."""

from collections.abc import Iterable
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import Device, User

SEEN_EVERY = timedelta(minutes=5)


def device_of(token: str) -> Device | None:
    """The device that may act with this token now, with its user; none if it may not."""
    device = Device.objects.with_tokens([token]).select_related("user").first()
    note_seen([device] if device else [])
    return device


def devices_of(tokens: list[str]) -> list[Device | None]:
    """The device of each token, none where it has no more or never had one; without their users."""
    devices = Device.objects.with_tokens(tokens).only("user_id", "token_hash", "last_seen_at")
    by_hash = {device.token_hash: device for device in devices}
    note_seen(by_hash.values())
    return [by_hash.get(Device.hash_token(token)) for token in tokens]


def note_seen(devices: Iterable[Device]) -> None:
    """Keep the time of their last contact, but not for every single one."""
    lately = timezone.now() - SEEN_EVERY
    if stale := [device.pk for device in devices if device.last_seen_at < lately]:
        Device.objects.filter(pk__in=stale).update(last_seen_at=timezone.now())


class DeviceAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; `request.auth` is the Device."""

    def authenticate(self, request: Request) -> tuple[User, Device] | None:
        scheme, _space, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        device = device_of(token.strip().decode("latin-1"))
        if device is None:
            raise AuthenticationFailed(_("This device is signed out. Sign in again."))
        return device.user, device

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class DeviceScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the API schema names it."""

    target_class = DeviceAuthentication
    name = "device"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
