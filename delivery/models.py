"""What each device must have and has said it has, what is still to be fanned out, and what was
pushed. No content: what is sent is rendered when it is sent."""

import secrets
from datetime import timedelta
from typing import Self
from uuid import UUID

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Device
from bindings.models import Binding
from cards.models import Card

LEASE = timedelta(seconds=10)  # many times what a chunk takes
PATIENCE = timedelta(seconds=3)  # until a card that nobody has taken counts as forgotten


class OfflineMessageQuerySet(models.QuerySet["OfflineMessage"]):
    def pending(self) -> Self:
        return self.filter(rev__gt=F("acknowledged_rev"))

    def of_cards(self) -> Self:
        """Without those that tell a holder's devices what the holder keeps private."""
        return self.exclude(subject=F("binding"), binding__holder=F("device__user"))

    def complete(self) -> Self:
        """With all that it takes to render them, from one snapshot of the database."""
        return self.select_related(
            "binding__view", "binding__card__owner", "binding__holder", "device"
        )


class OfflineMessage(models.Model):
    """The newest revision of one binding's card that one device must have, and the newest that
    the device itself said it has.

    Both numbers only grow, so writes commute: a live frame need not wait for the row, and an
    acknowledgement may come early or twice. `subject` is what the device acknowledges it by: the
    card where its person holds it, the binding itself where its person owns the card. On the
    devices of a holder the binding is the subject of what they keep private beside the card, whose
    revs are a count of its own (`Binding.private_rev`).
    """

    # Both are the first column of an index below or of the constraint's.
    device = models.ForeignKey(
        Device, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    subject = models.UUIDField(_("acknowledged by"), editable=False)
    binding = models.ForeignKey(
        Binding, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    rev = models.PositiveBigIntegerField(_("revision it must have"))
    acknowledged_rev = models.PositiveBigIntegerField(_("revision it has"), default=0)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True, editable=False)

    objects = OfflineMessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("offline message")
        verbose_name_plural = _("offline messages")
        constraints = [
            models.UniqueConstraint(
                fields=["device", "subject", "binding"], name="message_once_a_device_and_binding"
            )
        ]
        # None on the two numbers: PostgreSQL then changes them in place (docs/decisions/0008).
        indexes = [models.Index(fields=["binding"], name="message_by_binding")]

    def __str__(self) -> str:
        return f"{self.subject} {self.acknowledged_rev}/{self.rev}"

    @property
    def for_owner(self) -> bool:
        return self.subject == self.binding_id and not self.is_private

    @property
    def is_private(self) -> bool:
        is_holders = self.device.user_id == self.binding.holder_id
        return self.subject == self.binding_id and is_holders

    @property
    def is_pending(self) -> bool:
        return self.rev > self.acknowledged_rev


class CardUpdateQuerySet(models.QuerySet["CardUpdate"]):
    def due(self) -> Self:
        return self.filter(rev__gt=F("done_rev"))

    def waiting(self) -> Self:
        """Those with bindings that nobody has taken."""
        return self.due().filter(all_taken=False)

    def forgotten(self) -> Self:
        """Those that nobody seems to have been called for."""
        then = timezone.now() - PATIENCE
        return self.waiting().filter(wanted_at__lt=then, served_at__lt=then)

    def next(self, card: UUID | None = None) -> "CardUpdate | None":
        """This card's if it waits, or whose last turn is longest ago; with its card's rev."""
        these = self.filter(pk=card) if card else self.order_by("served_at", "pk")
        found = these.waiting().annotate(card_rev=F("card__rev"))  # type: ignore[no-redef]
        return next(iter(found[:1]), None)

    def done_up_to(self, rev: int) -> None:
        self.filter(done_rev__lt=rev).update(done_rev=rev)


class CardUpdate(models.Model):
    """The intent: this card has changed up to `rev`, and all who must know up to `done_rev` do.

    A pass over the bindings works in chunks. `cursor` is the last binding that was taken,
    `all_taken` says that no more are left to take; the pass is over when its chunks are gone.
    `wanted_at` is when it changed last; `served_at` is its last turn: when a chunk was cut, a
    worker was called once more, or one failed. What is done in one go does not note a turn.
    """

    card = models.OneToOneField(
        Card, on_delete=models.CASCADE, primary_key=True, related_name="card_update"
    )
    rev = models.PositiveBigIntegerField(_("revision to fan out"))
    done_rev = models.PositiveBigIntegerField(_("revision fanned out"), default=0)
    pass_rev = models.PositiveBigIntegerField(_("revision being fanned out"), null=True)
    cursor = models.UUIDField(_("last binding taken"), null=True)
    all_taken = models.BooleanField(_("all bindings taken"), default=False)
    wanted_at = models.DateTimeField(_("wanted at"), default=timezone.now)
    served_at = models.DateTimeField(_("served at"), default=timezone.now)

    objects = CardUpdateQuerySet.as_manager()

    card_rev: int  # of the card, where next() read it

    class Meta:
        verbose_name = _("card update")
        verbose_name_plural = _("card updates")
        indexes = [
            models.Index(
                fields=["served_at"], condition=Q(rev__gt=F("done_rev")), name="update_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.card_id} {self.done_rev}/{self.rev}"


class ChunkQuerySet(models.QuerySet["Chunk"]):
    def abandoned(self) -> Self:
        return self.filter(leased_until__lt=timezone.now())

    def abandon(self) -> None:
        """Let anybody have what was taken by workers that are surely dead."""
        self.update(leased_until=timezone.now() - LEASE)


class Chunk(models.Model):
    """A part of a pass that a worker is at: the bindings after `after`, as far as `upto` or to the
    end. A lease that runs out, because its worker died, is anybody's."""

    update = models.ForeignKey(CardUpdate, on_delete=models.CASCADE, related_name="chunks")
    after = models.UUIDField(null=True)
    upto = models.UUIDField(null=True)
    leased_until = models.DateTimeField(db_index=True)

    objects = ChunkQuerySet.as_manager()

    class Meta:
        verbose_name = _("chunk")
        verbose_name_plural = _("chunks")

    def __str__(self) -> str:
        return f"{self.update_id} {self.after}–{self.upto}"


class MailboxQuerySet(models.QuerySet["Mailbox"]):
    def due(self) -> Self:
        return self.filter(prompt_due_at__lte=timezone.now())


class Mailbox(models.Model):
    """Delivery's side of a device: whether its first messages were put in, and its prompts."""

    device = models.OneToOneField(
        Device, on_delete=models.CASCADE, primary_key=True, related_name="mailbox"
    )
    filled_at = models.DateTimeField(_("filled at"), null=True)
    prompt_due_at = models.DateTimeField(_("prompt due at"), null=True)
    prompted_at = models.DateTimeField(_("prompted at"), null=True)
    failing_since = models.DateTimeField(_("failing since"), null=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    news = models.PositiveIntegerField(_("times it was to be prompted"), default=0)

    objects = MailboxQuerySet.as_manager()

    class Meta:
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")
        indexes = [
            models.Index(
                fields=["prompt_due_at"],
                condition=Q(prompt_due_at__isnull=False),
                name="mailbox_prompt_due",
            )
        ]

    def __str__(self) -> str:
        return str(self.device_id)


class PushAttempt(models.Model):
    """One try to prompt one device: written before it is made, completed with its outcome."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="push_attempts")
    transport = models.CharField(_("transport"), max_length=16)
    sent_at = models.DateTimeField(_("sent at"), default=timezone.now)
    verdict = models.CharField(_("verdict"), max_length=16, blank=True)
    status = models.PositiveSmallIntegerField(_("status"), null=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    push_id = models.CharField(_("id at the push service"), max_length=64, blank=True)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True)

    class Meta:
        verbose_name = _("push attempt")
        verbose_name_plural = _("push attempts")
        indexes = [models.Index(fields=["-sent_at"], name="push_attempt_newest")]

    def __str__(self) -> str:
        return f"{self.device_id} {self.verdict}"


class Tally(models.Model):
    """What delivery did in one hour, and what waited when it was last counted: charts are drawn of
    it. Nobody is in it. delivery/tally.py writes it."""

    hour = models.DateTimeField(_("hour"), unique=True)
    delivered = models.PositiveBigIntegerField(_("messages acknowledged"), default=0)
    pushed = models.PositiveBigIntegerField(_("pushes"), default=0)
    failed = models.PositiveBigIntegerField(_("pushes that failed"), default=0)
    waiting = models.PositiveBigIntegerField(_("messages pending"), default=0)
    oldest_at = models.DateTimeField(_("oldest pending since"), null=True)
    counted_at = models.DateTimeField(_("counted up to"), null=True)

    class Meta:
        verbose_name = _("hour of deliveries")
        verbose_name_plural = _("deliveries by hour")

    def __str__(self) -> str:
        return self.hour.isoformat(" ", "minutes")

    @property
    def longest_wait(self) -> timedelta:
        """How long the oldest pending message had waited when it was counted."""
        if self.oldest_at is None or self.counted_at is None:
            return timedelta(0)
        return max(self.counted_at - self.oldest_at, timedelta(0))


class Epoch(models.Model):
    """Which history of this server the devices follow. A restore from a backup starts another:
    revs that devices have seen may come again with other content."""

    id = models.BooleanField(primary_key=True, default=True)
    name = models.CharField(max_length=32)

    class Meta:
        verbose_name = _("epoch")
        verbose_name_plural = _("epochs")
        constraints = [models.CheckConstraint(condition=Q(id=True), name="epoch_only_one")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def current(cls) -> str:
        epoch, _made = cls.objects.get_or_create(pk=True, defaults={"name": secrets.token_hex(8)})
        return epoch.name

    @classmethod
    @transaction.atomic
    def renew(cls) -> str:
        """Start another epoch: everything that any device holds is pending again."""
        epoch, _made = cls.objects.update_or_create(
            pk=True, defaults={"name": secrets.token_hex(8)}
        )
        OfflineMessage.objects.update(acknowledged_rev=0)
        return epoch.name
