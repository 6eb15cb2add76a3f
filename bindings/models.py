"""Who holds whose card, and the offers that lead there.

The verbs that change these rows are in bindings/exchange.py; telling the devices is delivery's.
"""

import secrets
import uuid
from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.models import Device, User
from cards.models import Card, View

CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
CODE_LENGTH = 12  # 60 bits
REQUEST_LIFETIME = timedelta(days=30)


class BindingQuerySet(models.QuerySet["Binding"]):
    def active(self) -> Self:
        return self.filter(ended_at=None, card__retired_at=None)

    def of(self, user: User) -> Self:
        """Those that this person is one side of."""
        return self.filter(Q(holder=user) | Q(card__owner=user))

    def complete(self) -> Self:
        return self.select_related("card__owner", "holder", "view")

    def behind(self, rev: str) -> Self:
        """Those that follow a newer rev than the one in this column."""
        return self.filter(Q(view__rev__gt=F(rev)) | Q(held_rev__gt=F(rev)))

    def settled(self) -> Self:
        """Those of which nothing would wait, if their holders were asked."""
        return self.filter(view__rev__lte=F("approved_rev"), held_rev__lte=F("approved_rev"))

    def waiting(self) -> Self:
        """Those with a change that their holders want to be asked about and have not taken over."""
        asked = Q(asks=True) | Q(asks=None, holder__asks_before_applying=True)
        return self.active().filter(asked).behind("approved_rev")


class Binding(models.Model):
    """One person holds one card, and follows it through one view.

    `rev` is the card's rev at which this binding last changed; `held_rev` the one at which it
    last changed in a way that the holder may notice. Moving between circles that show the same
    is none of the holder's business.

    Where the holder is asked before a change is applied to the address books of their devices,
    `approved_rev` is what they have taken over, and `put_off_rev` what they said "not now" to. The
    devices have the newest in any case. `private_rev` counts the changes of all that the holder
    keeps private; the owner never hears of them.
    """

    class Ended(models.TextChoices):
        OWNER = "owner", _("taken back by the owner")
        HOLDER = "holder", _("given back by the holder")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Both are the first column of an index below.
    card = models.ForeignKey(
        Card, on_delete=models.PROTECT, related_name="bindings", db_index=False
    )
    holder = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="bindings", db_index=False
    )
    view = models.ForeignKey(View, on_delete=models.PROTECT, related_name="bindings")
    rev = models.PositiveBigIntegerField(_("revision it changed at"), editable=False)
    held_rev = models.PositiveBigIntegerField(
        _("revision it changed at for the holder"), editable=False
    )
    nickname = models.CharField(_("nickname"), max_length=200, blank=True)
    note = models.TextField(_("note"), max_length=10_000, blank=True)
    tags = models.JSONField(default=list, blank=True)
    asks = models.BooleanField(null=True)  # None: as the holder wants it for all cards
    approved_rev = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)
    put_off_rev = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)
    private_rev = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True, editable=False)
    ended_by = models.CharField(
        _("ended by"), max_length=16, choices=Ended, blank=True, editable=False
    )

    objects = BindingQuerySet.as_manager()

    class Meta:
        verbose_name = _("binding")
        verbose_name_plural = _("bindings")
        constraints = [
            models.UniqueConstraint(
                fields=["card", "holder"],
                condition=Q(ended_at=None),
                name="binding_one_active_a_holder",
            ),
            models.CheckConstraint(
                condition=Q(held_rev__lte=F("rev")), name="binding_held_rev_is_not_ahead"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, ended_by="")
                | (Q(ended_at__isnull=False) & ~Q(ended_by="")),
                name="binding_ended_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["card", "rev"], name="binding_changed"),
            models.Index(fields=["card", "id"], name="binding_to_fan_out"),
            models.Index(fields=["holder", "-created_at"], name="binding_by_holder"),
            models.Index(fields=["-created_at"], name="binding_newest"),
            models.Index(
                fields=["ended_by", "-created_at"],
                condition=Q(ended_at__isnull=False),
                name="binding_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.card_id} / {self.holder_id}"

    @property
    def is_active(self) -> bool:
        return self.ended_at is None and self.card.retired_at is None

    @property
    def followed_rev(self) -> int:
        """The rev that the holder's copies must have. What has ended follows nothing any more: a
        removal that grew with the card would win over the same card given again."""
        return self.held_rev if self.ended_at else max(self.view.rev, self.held_rev)

    @property
    def asks_first(self) -> bool:
        return self.holder.asks_before_applying if self.asks is None else self.asks

    @property
    def waits(self) -> bool:
        """As `waiting()` has it."""
        return self.is_active and self.asks_first and self.followed_rev > self.approved_rev

    @property
    def is_put_off(self) -> bool:
        return self.followed_rev <= self.put_off_rev


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def with_code(self, code: str) -> Self:
        return self.filter(code_hash=Invitation.hash_code(code))

    def open(self) -> Self:
        return self.filter(
            revoked_at=None,
            expires_at__gt=timezone.now(),
            used__lt=F("uses"),
            card__retired_at=None,
        )


class Invitation(models.Model):
    """An offer of a card to whoever brings the code: as a QR, a link, or typed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    card = models.ForeignKey(Card, on_delete=models.CASCADE, related_name="invitations")
    circles = models.JSONField(default=list, blank=True)
    code_hash = models.CharField(max_length=64, unique=True, editable=False)
    uses = models.PositiveIntegerField(_("uses allowed"), default=1)
    used = models.PositiveIntegerField(_("times used"), default=0)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.CheckConstraint(
                condition=Q(used__lte=F("uses")), name="invitation_not_used_too_often"
            ),
            models.CheckConstraint(condition=Q(uses__gt=0), name="invitation_can_be_used"),
        ]
        indexes = [models.Index(fields=["card", "-created_at"], name="invitation_by_card")]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_open(self) -> bool:
        return (
            self.revoked_at is None and self.used < self.uses and timezone.now() < self.expires_at
        )

    @staticmethod
    def new_code() -> str:
        return "".join(secrets.choice(CODE_ALPHABET) for _n in range(CODE_LENGTH))

    @staticmethod
    def shown(code: str) -> str:
        """The code in groups of four, as a person reads it."""
        return "-".join(code[at : at + 4] for at in range(0, len(code), 4))

    @staticmethod
    def hash_code(code: str) -> str:
        """Keyed, as a code that can be typed is short enough to be searched for. Forgives case,
        spaces, hyphens, and the letters that look like digits."""
        plain = code.upper().translate(str.maketrans("ILO", "110", "- "))
        return salted_hmac("invitation-code", plain, algorithm="sha256").hexdigest()


class RequestQuerySet(models.QuerySet["Request"]):
    def waiting(self) -> Self:
        return self.filter(decided_at=None, expires_at__gt=timezone.now())


class Request(models.Model):
    """One person offers a card to another and asks for theirs.

    `recipient` is empty where nobody by that name or address may be asked: the sender must not be
    able to tell such a request from one that was never answered.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sender = models.ForeignKey(User, on_delete=models.CASCADE, related_name="requests_sent")
    recipient = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, related_name="requests_received"
    )
    to = models.CharField(_("asked as"), max_length=254)
    card = models.ForeignKey(Card, on_delete=models.CASCADE, related_name="requests")
    circles = models.JSONField(default=list, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires at"))
    decided_at = models.DateTimeField(_("decided at"), null=True, editable=False)
    accepted = models.BooleanField(_("accepted"), default=False)

    objects = RequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")
        permissions = [("see_message", "Can see what people write to each other")]
        indexes = [
            models.Index(fields=["sender", "-created_at"], name="request_by_sender"),
            models.Index(fields=["recipient", "-created_at"], name="request_by_recipient"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(accepted=False) | Q(decided_at__isnull=False),
                name="request_accepted_is_decided",
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Exchange(models.Model):
    """That two cards were exchanged: which, by what offer, and the two bindings it made.

    Claim 1 of the patent: the server binds the two. The bindings say what is true now; this row
    says how it came about and is not changed afterwards.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    invitation = models.ForeignKey(
        Invitation, on_delete=models.SET_NULL, null=True, related_name="exchanges"
    )
    request = models.ForeignKey(
        Request, on_delete=models.SET_NULL, null=True, related_name="exchanges"
    )
    given = models.ForeignKey(
        Binding, on_delete=models.CASCADE, related_name="+", verbose_name=_("binding given")
    )
    returned = models.ForeignKey(
        Binding, on_delete=models.CASCADE, related_name="+", verbose_name=_("binding returned")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("exchange")
        verbose_name_plural = _("exchanges")

    def __str__(self) -> str:
        return str(self.pk)


class Block(models.Model):
    """Somebody who must not reach this person any more."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    blocker = models.ForeignKey(User, on_delete=models.CASCADE, related_name="blocks")
    blocked = models.ForeignKey(User, on_delete=models.CASCADE, related_name="blocked_by")
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("block")
        verbose_name_plural = _("blocks")
        constraints = [
            models.UniqueConstraint(fields=["blocker", "blocked"], name="block_once"),
            models.CheckConstraint(
                condition=~Q(blocker=F("blocked")), name="block_is_of_somebody_else"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.blocker_id} / {self.blocked_id}"


class GuestQuerySet(models.QuerySet["Guest"]):
    def with_key(self, key: str) -> Self:
        """Those whose card is still theirs alone to change."""
        return self.filter(key_hash=Device.hash_token(key), claimed_at=None)


class Guest(models.Model):
    """Somebody without an account, who has left a card and has a private link to it.

    To all others they are a person as any, whom nobody can sign in as. Once the card was claimed
    into an account, nothing stays but that the link is used up.
    """

    user = models.OneToOneField(
        User, on_delete=models.CASCADE, primary_key=True, related_name="guest"
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    claimed_at = models.DateTimeField(_("claimed at"), null=True, editable=False)

    objects = GuestQuerySet.as_manager()

    class Meta:
        verbose_name = _("guest")
        verbose_name_plural = _("guests")

    def __str__(self) -> str:
        return str(self.pk)


def blocked_between(one: User, other: User) -> bool:
    return Block.objects.filter(
        Q(blocker=one, blocked=other) | Q(blocker=other, blocked=one)
    ).exists()
