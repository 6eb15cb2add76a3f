"""The verbs of exchange: offer, accept, decline, change circles, revoke, leave, block, erase.

Each runs in one transaction and ends in `card.save()`: the card's rev orders all that can happen
to a held card, and the one receiver in delivery takes it from there to every device.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Greatest, Lower
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import devices
from accounts.models import AppPassword, Circle, Device, IdempotentReply, User
from bindings.models import (
    REQUEST_LIFETIME,
    Binding,
    Block,
    Exchange,
    Guest,
    Invitation,
    Request,
    blocked_between,
)
from cards.models import EVERYONE, PUBLIC, Card, PublicPage, View, digest_of


class Gone(Exception):
    """The offer is used up, expired, revoked, decided, or never was: it is not told which."""


class Exchanged(NamedTuple):
    """The two bindings of an exchange, seen by the person who accepted."""

    held: Binding
    given: Binding


def invite(
    card: Card, *, circles: Iterable[str] = (), lifetime: timedelta, uses: int = 1
) -> tuple[Invitation, str]:
    """Offer the card to whoever brings the code; return the invitation and, only here, the code."""
    code = Invitation.new_code()
    invitation = Invitation.objects.create(
        card=card,
        circles=sorted(set(circles)),
        code_hash=Invitation.hash_code(code),
        uses=uses,
        expires_at=timezone.now() + lifetime,
    )
    return invitation, code


def find_invitation(code: str, person: User | None = None) -> Invitation:
    """The open invitation with this code, with card and owner. Raises Gone, also for a blocked
    person: they see what a stranger with a wrong code sees."""
    invitation = Invitation.objects.open().with_code(code).select_related("card__owner").first()
    if invitation is None or (person and blocked_between(invitation.card.owner, person)):
        raise Gone
    return invitation


@transaction.atomic
def accept_invitation(
    code: str, person: User, card: Card, circles: Iterable[str] = ()
) -> Exchanged:
    """Take the offered card and give back `card`. Raises Gone, or ValidationError on one's own.

    Whoever already has a binding keeps it as it is; if nothing new comes of it, no use is spent.
    """
    offered = find_invitation(code, person)
    if offered.card.owner == person:
        raise ValidationError(_("This is your own invitation."))
    between = _between(person, offered.card.owner, offered.card_id, card.pk)
    invitation = Invitation.objects.select_for_update().get(pk=offered.pk)
    held, given, made = between.exchange(invitation.circles, circles)
    if made:
        if not Invitation.objects.open().filter(pk=invitation.pk).update(used=F("used") + 1):
            raise Gone
        Exchange.objects.create(invitation=invitation, given=held, returned=given)
    return Exchanged(held, given)


@transaction.atomic
def accept_page(page: PublicPage, person: User, card: Card, circles: Iterable[str]) -> Exchanged:
    """Take the card of a public page, as the public sees it, and give back `card`. Raises Gone, or
    ValidationError on one's own.

    Anybody may do that, and the owner has not decided about them: what everyone who holds the card
    sees is not for them until the owner says so (`regrant`).
    """
    owner = page.shown_card.owner
    if owner == person:
        raise ValidationError(_("This is your own card."))
    between = _between(person, owner, page.shown_card.pk, card.pk)
    if not PublicPage.objects.shown().select_for_update(of=("self",)).filter(pk=page.pk).exists():
        raise Gone
    held, given, made = between.exchange([PUBLIC], circles)
    if made:
        Exchange.objects.create(given=held, returned=given)
    return Exchanged(held, given)


@transaction.atomic
def ask(
    sender: User, to: str, card: Card, circles: Iterable[str] = (), message: str = ""
) -> Request:
    """Offer the card to the person with this username or confirmed email address, and ask for
    theirs. Whether anybody gets to see it is not told."""
    recipient = _reachable(to, sender)
    now = timezone.now()
    return Request.objects.create(
        sender=sender,
        recipient=recipient,
        to=to,
        card=card,
        circles=sorted(set(circles)),
        message=message,
        created_at=now,
        expires_at=now + REQUEST_LIFETIME,
    )


def _reachable(to: str, sender: User) -> User | None:
    wanted = to.strip().lower()
    by_address = Q(emailaddress__email=wanted, emailaddress__verified=True)
    person = User.objects.filter(
        by_address if "@" in wanted else Q(username=wanted), is_active=True
    ).first()
    if person is None or person == sender or blocked_between(person, sender):
        return None
    return person


@transaction.atomic
def accept_request(request: Request, card: Card, circles: Iterable[str] = ()) -> Exchanged:
    """The recipient takes the offered card and gives back `card`. Raises Gone."""
    if request.recipient is None:
        raise Gone
    between = _between(request.recipient, request.sender, request.card_id, card.pk)
    waiting = Request.objects.waiting().filter(pk=request.pk)
    if not waiting.update(decided_at=timezone.now(), accepted=True):
        raise Gone
    request.refresh_from_db()
    held, given, made = between.exchange(request.circles, circles)
    if made:
        Exchange.objects.create(request=request, given=held, returned=given)
    return Exchanged(held, given)


def decline_request(request: Request) -> None:
    """Silently: to the sender it looks like one that nobody has answered. Raises Gone."""
    if not Request.objects.waiting().filter(pk=request.pk).update(decided_at=timezone.now()):
        raise Gone


@transaction.atomic
def withdraw_request(request: Request) -> None:
    """The sender takes it back, as if it had never been sent; one that was declined looks to them
    as one that waits, so it goes as well. Raises Gone if it was accepted."""
    sent = Request.objects.select_for_update().filter(pk=request.pk, accepted=False).first()
    if sent is None:
        raise Gone
    sent.delete()


class _Between(NamedTuple):
    """Two people and their cards, locked."""

    taker: User
    giver: User
    offered: Card
    returned: Card

    def exchange(
        self, offered_circles: Iterable[str], returned_circles: Iterable[str]
    ) -> tuple[Binding, Binding, bool]:
        """Bind both ways: what is held, what is given, and whether either is new."""
        held, held_is_new = _bind(self.offered, self.taker, offered_circles)
        given, given_is_new = _bind(self.returned, self.giver, returned_circles)
        return held, given, held_is_new or given_is_new


def _between(taker: User, giver: User, offered_id: UUID, returned_id: UUID) -> _Between:
    """Lock people, then cards; the offer comes after them. All verbs do so in this order, so that
    no two wait for each other, and a block or an erasure comes before all of this or after it.
    Raises Gone."""
    people = locked_people(taker, giver)
    if blocked_between(taker, giver) or not all(each.is_active for each in people):
        raise Gone
    cards = {card.pk: card for card in locked(offered_id, returned_id)}
    if any(card.retired_at for card in cards.values()):
        raise Gone
    return _Between(taker, giver, cards[offered_id], cards[returned_id])


def locked_people(*people: User) -> list[User]:
    """Until the end of the transaction, nothing else begins or ends between any two of them."""
    rows = User.objects.select_for_update(no_key=True)
    return list(rows.filter(pk__in=[each.pk for each in people]).order_by("pk"))


def locked(*ids: UUID) -> list[Card]:
    return list(Card.objects.select_for_update().filter(pk__in=ids).order_by("pk"))


def _bind(card: Card, holder: User, circles: Iterable[str]) -> tuple[Binding, bool]:
    known = Binding.objects.filter(card=card, holder=holder, ended_at=None).first()
    if known:
        return known, False
    card.save()
    view = card.view_for(granted(circles))
    binding = Binding.objects.create(
        card=card,
        holder=holder,
        view=view,
        rev=card.rev,
        held_rev=card.rev,
        approved_rev=card.rev,
    )
    return binding, True


def granted(circles: Iterable[str]) -> set[str]:
    """What everyone sees is granted by holding the card at all."""
    return set(circles) - {EVERYONE}


@transaction.atomic
def regrant(binding: Binding, circles: Iterable[str]) -> Binding:
    """Let the holder see the card through these circles from now on. Raises Gone if ended."""
    (card,) = locked(binding.card_id)
    binding = Binding.objects.select_for_update().select_related("view").get(pk=binding.pk)
    if binding.ended_at or card.retired_at:
        raise Gone
    before = binding.view
    view = card.view_for(granted(circles))
    if view == before:
        return binding
    card.save()
    alike = view.digest == before.digest
    if alike and binding.followed_rev <= binding.approved_rev:
        binding.approved_rev = max(binding.approved_rev, view.rev)
    binding.view, binding.rev = view, card.rev
    # Where the two look alike, the holder may still have to be told what came through the other.
    binding.held_rev = max(binding.held_rev, before.rev) if alike else card.rev
    binding.save(update_fields=["view", "rev", "held_rev", "approved_rev"])
    return binding


def revoke(binding: Binding) -> None:
    """The owner takes the card back from this holder. Ending what has ended does nothing."""
    _end(binding, Binding.Ended.OWNER)


def leave(binding: Binding) -> None:
    """The holder gives the card back. Ending what has ended does nothing."""
    _end(binding, Binding.Ended.HOLDER)


@transaction.atomic
def _end(binding: Binding, by: str) -> None:
    (card,) = locked(binding.card_id)
    if not Binding.objects.filter(pk=binding.pk, ended_at=None).exists():
        return
    card.save()
    Binding.objects.filter(pk=binding.pk).update(
        ended_at=timezone.now(), ended_by=by, rev=card.rev, held_rev=card.rev
    )


@transaction.atomic
def block(blocker: User, blocked: User) -> Block:
    """End every binding between the two, drop what they asked of each other, and let the blocked
    person see only what a stranger sees."""
    locked_people(blocker, blocked)
    made, _new = Block.objects.get_or_create(blocker=blocker, blocked=blocked)
    for binding in Binding.objects.filter(card__owner=blocker, holder=blocked, ended_at=None):
        revoke(binding)
    for binding in Binding.objects.filter(card__owner=blocked, holder=blocker, ended_at=None):
        leave(binding)
    Request.objects.waiting().filter(
        Q(sender=blocker, recipient=blocked) | Q(sender=blocked, recipient=blocker)
    ).update(decided_at=timezone.now())
    return made


class Reached(NamedTuple):
    """How many of those who hold a card a change would be seen by, and how many not."""

    see: int
    do_not: int


def reached_by(draft: Card) -> Reached:
    """Whose copies would change if the card were saved like this. Of a draft that is not to be
    saved."""
    holders = Binding.objects.active().filter(card=draft.pk).order_by()
    counts = dict(holders.values_list("view").annotate(Count("pk")))
    views = View.objects.in_bulk(counts)
    see = sum(
        counts[pk]
        for pk, view in views.items()
        if view.digest != digest_of(draft.visible_to(view.circles))
    )
    return Reached(see, sum(counts.values()) - see)


@transaction.atomic
def drop_circle(circle: Circle) -> None:
    """Remove the circle: who was in it alone sees no more of what was given to it."""
    gone = str(circle.pk)
    for card in Card.objects.select_for_update().kept().filter(owner=circle.owner).order_by("pk"):
        views = [view for view in card.views.all() if gone in view.circles]
        if without_circle(card, gone) or views:
            card.save()
        for view in views:
            _move_all(view, card.view_for(set(view.circles) - {gone}), card.rev)
    for offer in (
        *Invitation.objects.open().filter(card__owner=circle.owner),
        *Request.objects.waiting().filter(sender=circle.owner),
    ):
        if gone in offer.circles:
            offer.circles.remove(gone)
            offer.save(update_fields=["circles"])
    circle.delete()


def _move_all(view: View, to: View, rev: int) -> None:
    """Every holder who saw `view` sees `to` from this rev on, whatever their number."""
    alike = view.digest == to.digest
    held_rev = Greatest(F("held_rev"), view.rev) if alike else rev
    through = Binding.objects.filter(view=view, ended_at=None)
    if alike:
        through.settled().update(approved_rev=Greatest(F("approved_rev"), to.rev))
    through.update(view=to, rev=rev, held_rev=held_rev)


def without_circle(card: Card, circle: str) -> bool:
    """Take the circle from all that the card gives to it; whether there was any."""
    lists = [card.photo_circles, *(each["circles"] for each in card.properties)]
    touched = [each for each in lists if circle in each]
    for each in touched:
        each.remove(circle)
    return bool(touched)


@transaction.atomic
def erase(user: User) -> None:
    """Take back all cards of this person, give back all that they hold, sign every device out,
    and leave nothing of the account but an empty row that nobody can sign in to.

    The copies on others' devices are removed as with any revocation.
    """
    locked_people(user)
    for binding in Binding.objects.filter(holder=user, ended_at=None):
        leave(binding)
    for card in Card.objects.select_for_update().kept().filter(owner=user).order_by("pk"):
        card.retire()
    # What others noted beside the cards that are gone goes with them.
    Binding.objects.filter(Q(holder=user) | Q(card__owner=user)).update(
        nickname="", note="", tags=[], asks=None
    )
    addresses = EmailAddress.objects.filter(user=user).values_list("email", flat=True)
    names = {user.username, user.email, *addresses}
    Request.objects.alias(asked=Lower("to")).filter(
        Q(sender=user) | Q(recipient=user) | Q(asked__in=names)
    ).delete()
    Block.objects.filter(Q(blocker=user) | Q(blocked=user)).delete()
    Circle.objects.filter(owner=user).delete()
    EmailAddress.objects.filter(user=user).delete()
    for device in Device.objects.filter(user=user).select_related(*Device.WAYS):
        devices.revoke(device)
    Device.objects.filter(user=user).update(name="")
    IdempotentReply.objects.filter(user=user).delete()
    for kept in (Guest, AppPassword, Authenticator, UserSession):
        cast(Any, kept).objects.filter(user=user).delete()
    empty(user)


def empty(user: User) -> None:
    """Leave a row of them that nobody can sign in to and that says nothing."""
    # Nobody can have signed up with these, so they are free.
    user.email = f"erased-{user.pk}@invalid"
    user.username = f"erased:{user.pk}"
    user.name = ""
    user.asks_before_applying = False
    user.language, user.time_zone = settings.LANGUAGE_CODE, "UTC"
    user.is_active = user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save()
