"""Where devices are reached by XMPP, and which bridge may speak. No content."""

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import Device
from cards.models import Card

LONGEST_JID = 512  # a JID may have 3,071 octets (RFC 7622); no database has an index of that


class AddressQuerySet(models.QuerySet["Address"]):
    def active(self) -> "AddressQuerySet":
        return self.filter(device__revoked_at=None, device__user__is_active=True)

    def complete(self) -> "AddressQuerySet":
        return self.select_related("device__user")


class Address(models.Model):
    """The JID of a device: a bare one is the device itself, whatever client is signed in with it; a
    full one is where an app of ours is at the moment.

    `card` is what is given and changed from a bare JID; without one it is the person's first.
    `published` is the vCard that a client has last published, `avatar` the hash of the picture:
    servers repeat both, and what is repeated must not undo what was changed elsewhere since.
    """

    device = models.OneToOneField(
        Device, on_delete=models.CASCADE, primary_key=True, related_name="address"
    )
    jid = models.CharField(_("address"), max_length=LONGEST_JID, unique=True)
    card = models.ForeignKey(Card, on_delete=models.SET_NULL, null=True, related_name="+")
    published = models.JSONField(default=list, editable=False)
    avatar = models.CharField(max_length=64, blank=True, editable=False)

    objects = AddressQuerySet.as_manager()

    class Meta:
        verbose_name = _("XMPP address")
        verbose_name_plural = _("XMPP addresses")

    def __str__(self) -> str:
        return self.jid


class Lease(models.Model):
    """Which bridge may speak: one row, with a name in it until a time of the database's own clock.
    Whoever dies over it is followed by another when it has run out."""

    DURATION = timedelta(seconds=6)

    id = models.BooleanField(primary_key=True, default=True)
    holder = models.CharField(max_length=32, blank=True)
    until = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")
        constraints = [models.CheckConstraint(condition=Q(id=True), name="lease_only_one")]

    def __str__(self) -> str:
        return self.holder

    @classmethod
    def take(cls, holder: str) -> bool:
        """Have it from now on for its duration, if nobody else has it; whether that is so."""
        cls.objects.get_or_create(pk=True)
        free = cls.objects.filter(Q(holder=holder) | Q(until__lte=Now()))
        return bool(free.update(holder=holder, until=Now() + cls.DURATION))

    @classmethod
    def give_back(cls, holder: str) -> None:
        cls.objects.filter(holder=holder).update(until=Now())
