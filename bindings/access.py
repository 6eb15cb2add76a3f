"""Which bindings, circles, offers and people a person may open: those that are theirs."""

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Circle, User
from bindings.models import Binding, BindingQuerySet, Block, Invitation, Request
from cards.models import View
from cards.search import folded, terms


def held_by(person: User) -> BindingQuerySet:
    """The bindings through which this person holds others' cards."""
    return Binding.objects.active().complete().filter(holder=person)


def given_by(person: User) -> QuerySet[Binding]:
    """The bindings through which others hold this person's cards."""
    return Binding.objects.active().complete().filter(card__owner=person)


def circles_of(person: User) -> QuerySet[Circle]:
    return Circle.objects.filter(owner=person).order_by("name")


def invitations_of(person: User) -> QuerySet[Invitation]:
    """Those that still open something."""
    return Invitation.objects.open().filter(card__owner=person).order_by("-created_at")


def all_invitations_of(person: User) -> QuerySet[Invitation]:
    """Those that are over as well, as long as they are kept."""
    made = Invitation.objects.filter(card__owner=person, card__retired_at=None)
    return made.select_related("card").order_by("-created_at")


def requests_to(person: User) -> QuerySet[Request]:
    """Those that this person can decide about."""
    waiting = Request.objects.waiting().filter(recipient=person, card__retired_at=None)
    return waiting.select_related("sender", "recipient", "card").order_by("-created_at")


def requests_from(person: User) -> QuerySet[Request]:
    sent = Request.objects.filter(sender=person, card__retired_at=None)
    return sent.select_related("card").order_by("-created_at")


def blocks_of(person: User) -> QuerySet[Block]:
    return Block.objects.filter(blocker=person).select_related("blocked").order_by("-created_at")


def known_to(person: User) -> QuerySet[User]:
    """All with whom there ever was a card, and who asked for one. Of others, also of those whom
    this person has asked in vain, it is not told whether they are here."""
    them = OuterRef("pk")
    return User.objects.filter(
        Exists(Binding.objects.filter(card__owner=person, holder=them))
        | Exists(Binding.objects.filter(card__owner=them, holder=person))
        | Exists(Request.objects.filter(sender=them, recipient=person))
    )


# Among the cards one holds


def found(held: BindingQuerySet, wanted: str) -> BindingQuerySet:
    """Those in which all of this is found: on the card as the holder sees it, or in what the
    holder keeps beside it."""
    for term in terms(wanted):
        beside = Q(nickname__icontains=term) | Q(note__icontains=term)
        held = held.filter(Q(view__search__contains=term) | beside)
    return held


def tagged(held: BindingQuerySet, tag: str) -> BindingQuerySet:
    """In one way on each database: as JSON is stored in another form in each, they are read."""
    having = [pk for pk, tags in held.exclude(tags=[]).values_list("pk", "tags") if tag in tags]
    return held.filter(pk__in=having)


def tags_of(person: User) -> list[str]:
    """All that this person has given to cards."""
    lists = held_by(person).exclude(tags=[]).values_list("tags", flat=True)
    return sorted({tag for tags in lists for tag in tags}, key=folded)


def in_circle(held: BindingQuerySet, person: User, circle: str) -> BindingQuerySet:
    """The cards of those whom this person has in the circle."""
    views = View.objects.filter(card__owner=person).values_list("pk", "circles")
    through = [pk for pk, circles in views if circle in circles]
    them = Binding.objects.active().filter(card__owner=person, view__in=through)
    return held.filter(card__owner__in=them.values("holder"))
