"""The rows of a bulk change: one property of many cards, changed by staff as one save for each of
them. What is done with them is in cards/bulk.py."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class BulkChangeQuerySet(models.QuerySet["BulkChange"]):
    def due(self) -> Self:
        return self.filter(confirmed_at__isnull=False, stopped_at=None, ended_at=None)


class BulkChange(models.Model):
    """What is to become of a property. `old` and `new` are texts by their places in its value, as
    forms have them: a place that `old` leaves out may have any text, one that `new` leaves out
    keeps its own, unless the change `empties` it. The last three numbers add up to `total` when
    it is done. Who confirmed it last answers for what it does from then on."""

    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("staff"),
    )
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("confirmed by"),
    )
    name = models.CharField(_("property"), max_length=32)
    type = models.CharField(_("type"), max_length=64, blank=True)
    old = models.JSONField(_("old value"), default=dict, blank=True)
    new = models.JSONField(_("new value"), default=dict, blank=True)
    removes = models.BooleanField(_("is removed"), default=False)
    empties = models.BooleanField(_("empties what is left empty"), default=False)
    is_cut = models.BooleanField(_("not all cards were looked at"), default=False)
    total = models.PositiveIntegerField(_("cards"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("nothing left to change"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    made_at = models.DateTimeField(_("created at"), default=timezone.now)
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True)
    stopped_at = models.DateTimeField(_("stopped at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)

    objects = BulkChangeQuerySet.as_manager()

    class Meta:
        verbose_name = _("bulk change")
        verbose_name_plural = _("bulk changes")

    def __str__(self) -> str:
        return f"{self.pk} {self.name}"

    @property
    def settled(self) -> int:
        """Of how many cards it is known what has become of them."""
        return self.changed + self.unchanged + self.failed

    @property
    def state(self) -> str:
        if self.ended_at:
            return "ended"
        if self.stopped_at:
            return "stopped"
        return "working" if self.confirmed_at else "proposed"


class BulkItem(models.Model):
    """One of the cards, and what has become of it."""

    class Outcome(models.TextChoices):
        """Each also the name of a number of BulkChange."""

        CHANGED = "changed", _("changed")
        UNCHANGED = "unchanged", _("nothing left to change")
        FAILED = "failed", _("failed")

    change = models.ForeignKey(
        BulkChange, on_delete=models.CASCADE, related_name="items", db_index=False
    )
    card = models.ForeignKey(
        "cards.Card", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True)
    why = models.CharField(max_length=200, blank=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("card of a bulk change")
        verbose_name_plural = _("cards of a bulk change")
        constraints = [
            models.UniqueConstraint(fields=["change", "card"], name="bulk_item_once_a_card")
        ]
        indexes = [
            models.Index(
                fields=["change", "id"], condition=Q(settled_at=None), name="bulk_item_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.change_id} {self.card_id} {self.outcome}"
