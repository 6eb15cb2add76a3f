"""The second step of signing in: codes, recovery codes and passkeys are django-allauth's; here is
what it asks of its house, and the same step for apps."""

import base64
import hashlib
import io
from collections.abc import Iterable

import segno
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import LoginWebAuthnForm
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.encoding import force_bytes
from django.utils.translation import gettext as _

from accounts.models import User


def lock() -> MultiFernet:
    """By the server's own key, so that a stolen database alone makes no codes."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    hashes = [hashlib.sha256(b"second step" + force_bytes(key)).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(each)) for each in hashes])


class SecondStep(DefaultMFAAdapter):  # type: ignore[misc]
    def encrypt(self, text: str) -> str:
        return lock().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return lock().decrypt(encrypted_text.encode()).decode()

    def build_totp_svg(self, url: str) -> str:
        """Dark on white also where the page is dark: not every camera reads the reverse."""
        picture = io.BytesIO()
        segno.make(url, error="m").save(picture, kind="svg", scale=4, border=4, light="#fff")
        return picture.getvalue().decode()


class PasskeyForm(LoginWebAuthnForm):  # type: ignore[misc]
    def clean_credential(self) -> Authenticator:
        """Whoever comes with a passkey has typed no code that could be incorrect."""
        try:
            return super().clean_credential()
        except ValidationError as error:
            said = _("This passkey signs nobody in here. Perhaps it was removed.")
            raise ValidationError(said) from error


def is_asked_of(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user).exists())


def asked_of(people: Iterable[int]) -> set[int]:
    """Those of whom it is asked."""
    found = Authenticator.objects.filter(user__in=people)
    return set(found.values_list("user_id", flat=True))


def problems_with(code: str, user: User) -> list[str]:
    """Why the code is not theirs now; nothing if it is. Wrong ones are counted together with those
    that are typed on the page, and after a few no more are looked at."""
    form = AuthenticateForm({"code": code}, user=user)
    return [] if form.is_valid() else [str(each) for each in form.errors["code"]]


def drop(user: User) -> None:
    """Of somebody who has lost it, and with it what apps would sign in with instead."""
    Authenticator.objects.filter(user=user).delete()
    user.app_passwords.all().delete()
