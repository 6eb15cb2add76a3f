"""People, the devices that keep copies for them, and the circles they name.

How a device comes and goes is in accounts/devices.py; what it must have is in delivery.
"""

import hashlib
import hmac
import re
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.sessions.models import Session
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import constant_time_compare, get_random_string, salted_hmac
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _
from push_notifications.models import APNSDevice, GCMDevice, WebPushDevice


class UserManager(BaseUserManager["User"]):
    def create_user(
        self, email: str, password: str | None = None, *, name: str, **fields: Any
    ) -> "User":
        user = self.model(email=email, name=name, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str, *, name: str, **fields: Any) -> "User":
        return self.create_user(
            email, password, name=name, is_staff=True, is_superuser=True, **fields
        )

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())

    def free_username(self, wish: str) -> str:
        """A username that nobody has, close to `wish` (a name or an address)."""
        stem = slugify(wish.split("@")[0]).strip("-")[:40] or "person"
        candidate = stem
        while self.filter(username=candidate).exists():
            candidate = f"{stem}-{get_random_string(4, '0123456789')}"
        return candidate


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Signs in with the email address; is named by the username (later: a JID's
    localpart)."""

    email = models.EmailField(_("email address"), unique=True)
    username = models.CharField(
        _("username"),
        max_length=64,
        unique=True,
        validators=[
            RegexValidator(
                re.compile(r"^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\Z"),
                _("Use lower-case letters, digits, dots, hyphens and underscores."),
            )
        ],
    )
    name = models.CharField(_("name"), max_length=200)
    language = models.CharField(
        _("language"), max_length=16, choices=settings.LANGUAGES, default=settings.LANGUAGE_CODE
    )
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    asks_before_applying = models.BooleanField(
        _("asks before a change is applied"), default=False, db_default=False, editable=False
    )
    is_staff = models.BooleanField(_("staff"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    joined_at = models.DateTimeField(_("joined at"), default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="user_email_is_lower_case"
            )
        ]
        # The few that staff look for. For names there is one more, on PostgreSQL (migration 0007).
        indexes = [
            models.Index(fields=["email"], condition=models.Q(is_staff=True), name="user_staff"),
            models.Index(
                fields=["email"], condition=models.Q(is_superuser=True), name="user_superusers"
            ),
            models.Index(
                fields=["email"], condition=models.Q(is_active=False), name="user_shut_out"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()
        if not self.username:
            self.username = type(self).objects.free_username(self.email)
        super().save(*args, **kwargs)
        if not self.is_active:
            Device.objects.filter(user=self).revoke()

    def get_short_name(self) -> str:
        return self.name

    def get_full_name(self) -> str:
        return self.name


class DeviceQuerySet(models.QuerySet["Device"]):
    def active(self) -> Self:
        return self.filter(revoked_at=None)

    def with_tokens(self, tokens: Iterable[str]) -> Self:
        """Those that may act with one of these tokens now."""
        hashes = {Device.hash_token(token) for token in tokens}
        return self.active().filter(token_hash__in=hashes, user__is_active=True)

    def revoke(self) -> int:
        """Sign all of them out. Server processes close their sockets within a second."""
        return self.active().update(revoked_at=timezone.now())


class Device(models.Model):
    """Anything that keeps copies of cards for a person.

    The terminal's own identifier and the sign-in token are stored only as hashes. A browser that
    is to be notified is one as well: its identifier is where it is notified, its session is what
    signs it in, and nobody has its token.
    """

    class Platform(models.TextChoices):
        ANDROID = "android", _("Android")
        IOS = "ios", _("iOS")
        DESKTOP = "desktop", _("Desktop")
        BROWSER = "browser", _("Browser")
        XMPP = "xmpp", _("XMPP")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="devices")
    platform = models.CharField(_("platform"), max_length=16, choices=Platform)
    name = models.CharField(_("name"), max_length=100, blank=True)
    identifier_hash = models.CharField(max_length=64, editable=False)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    apns = models.OneToOneField(
        APNSDevice, on_delete=models.SET_NULL, null=True, blank=True, related_name="device"
    )
    gcm = models.OneToOneField(
        GCMDevice, on_delete=models.SET_NULL, null=True, blank=True, related_name="device"
    )
    webpush = models.OneToOneField(
        WebPushDevice, on_delete=models.SET_NULL, null=True, blank=True, related_name="device"
    )
    session_key = models.CharField(max_length=40, blank=True, editable=False)
    push_registered_at = models.DateTimeField(_("push token given at"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(_("last seen at"), default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)

    objects = DeviceQuerySet.as_manager()

    WAYS = ("apns", "gcm", "webpush")  # to wake it

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        constraints = [
            models.UniqueConstraint(
                fields=["identifier_hash"],
                condition=models.Q(revoked_at=None),
                name="device_one_active_on_a_terminal",
            ),
            models.CheckConstraint(
                condition=models.Q(platform="browser", session_key__gt="")
                | (~models.Q(platform="browser") & models.Q(session_key="")),
                name="device_session_is_a_browsers",
            ),
        ]
        indexes = [
            models.Index(
                fields=["revoked_at"],
                condition=models.Q(revoked_at__isnull=False),
                name="device_revoked",
            ),
            models.Index(fields=["-created_at"], name="device_newest"),
            models.Index(fields=["platform", "-created_at"], name="device_by_platform"),
        ]

    def __str__(self) -> str:
        return self.name or self.get_platform_display()

    @staticmethod
    def hash_identifier(identifier: str) -> str:
        """Keyed, so that a stolen database cannot be searched for a known IMEI."""
        return salted_hmac("device-identifier", identifier, algorithm="sha256").hexdigest()

    @staticmethod
    def hash_token(token: str) -> str:
        """Plain SHA-256: the token is 32 random bytes, nobody can guess its way back."""
        return hashlib.sha256(token.encode()).hexdigest()

    def has_token(self, token: str) -> bool:
        return hmac.compare_digest(self.token_hash, self.hash_token(token))

    def has_session(self) -> bool:
        """Whether the session of a browser is still its person's, with the password of now."""
        alive = Session.objects.filter(pk=self.session_key, expire_date__gt=timezone.now()).first()
        known = alive.get_decoded() if alive else {}
        return known.get(SESSION_KEY) == str(self.user_id) and constant_time_compare(
            known.get(HASH_SESSION_KEY, ""), self.user.get_session_auth_hash()
        )


class AppPasswordQuerySet(models.QuerySet["AppPassword"]):
    def person_with(self, email: str, password: str) -> User | None:
        """Whose this is, if whoever knows it may sign in; notes that it was used."""
        hashed = AppPassword.hash_password(password)
        found = self.filter(password_hash=hashed, user__email=email, user__is_active=True)
        if not found.update(last_used_at=timezone.now()):
            return None
        return found.select_related("user").get().user


class AppPassword(models.Model):
    """What an app signs in with for a person from whom a second step is asked: it has no page to
    take it on. Made by the server, shown once, and good for nothing on the pages."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="app_passwords")
    name = models.CharField(_("name"), max_length=100)
    password_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)

    objects = AppPasswordQuerySet.as_manager()

    ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"
    LENGTH = 20  # 98 bits

    class Meta:
        verbose_name = _("app password")
        verbose_name_plural = _("app passwords")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def new_password(cls) -> str:
        """In groups of five, as a person types it."""
        letters = get_random_string(cls.LENGTH, cls.ALPHABET)
        return "-".join(letters[at : at + 5] for at in range(0, cls.LENGTH, 5))

    @staticmethod
    def hash_password(password: str) -> str:
        """Plain SHA-256: nobody can guess what the server has made. Forgives case, hyphens and
        spaces."""
        plain = re.sub(r"[\s-]", "", password.lower())
        return hashlib.sha256(plain.encode()).hexdigest()


class Circle(models.Model):
    """An owner's named audience."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="circles")
    name = models.CharField(_("name"), max_length=100)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("circle")
        verbose_name_plural = _("circles")
        constraints = [
            models.UniqueConstraint("owner", Lower("name"), name="circle_name_once_an_owner")
        ]

    def __str__(self) -> str:
        return self.name


class IdempotentReply(models.Model):
    """What was answered to a request that came with an `Idempotency-Key`; kept for a day."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key_hash = models.CharField(max_length=64)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("idempotent reply")
        verbose_name_plural = _("idempotent replies")
        constraints = [
            models.UniqueConstraint(fields=["user", "key_hash"], name="reply_once_a_key")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.status}"


class AuditEntry(models.Model):
    """One row that staff looked at or changed, and who. Only ever added: the database itself
    refuses to change an entry, and to delete one before its time. It names nobody whose row it is
    and holds no content: an erased person must be gone."""

    class Verb(models.TextChoices):
        LISTED = "listed", _("listed")
        LOOKED = "looked", _("looked at")
        ADDED = "added", _("added")
        CHANGED = "changed", _("changed")
        DELETED = "deleted", _("deleted")
        REFUSED = "refused", _("was refused")

    KEPT = timedelta(days=730)

    staff = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", verbose_name=_("staff")
    )
    at = models.DateTimeField(_("at"), default=timezone.now)
    verb = models.CharField(_("what was done"), max_length=16, choices=Verb)
    kind = models.CharField(_("kind of row"), max_length=64)
    object_id = models.CharField(_("row"), max_length=64, blank=True)
    detail = models.TextField(_("detail"), blank=True)

    class Meta:
        verbose_name = _("entry of the audit log")
        verbose_name_plural = _("audit log")
        indexes = [
            models.Index(fields=["-at"], name="audit_newest"),
            models.Index(fields=["object_id"], name="audit_of_row"),
        ]

    def __str__(self) -> str:
        return f"{self.staff_id} {self.verb} {self.kind} {self.object_id}"
