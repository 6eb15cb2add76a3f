"""A card, its revisions, and what each set of circles may see of it.

Who holds a card is in bindings; how a change reaches them is in delivery.
"""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable
from typing import Any, NoReturn, Self, TypedDict, cast

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cards import bulkrows, photos  # noqa: F401  (so that Django knows of those rows)
from cards.search import LONGEST, search_text, sort_text

EVERYONE = "*"
PUBLIC = "public"
# What staff may be given to see of every card, each by a permission of its own; all else needs the
# one to see all.
SEEN_BY_NAME = (
    "adr",
    "anniversary",
    "bday",
    "categories",
    "email",
    "impp",
    "lang",
    "n",
    "nickname",
    "note",
    "org",
    "photo",
    "role",
    "tel",
    "title",
    "url",
)
NEVER_CHANGED = "A revision is never changed."


class Property(TypedDict):
    """One vCard property (RFC 6350) and the circles that may see it; an empty list hides it."""

    name: str
    value: Any
    params: dict[str, list[str]]
    circles: list[str]


class StaleCard(Exception):
    """The card has been changed by somebody else since it was read."""


class CardQuerySet(models.QuerySet["Card"]):
    """Cards are written one by one through `save()`: what writes many at once sends no signal,
    and the copies would never hear of it."""

    def kept(self) -> Self:
        return self.filter(retired_at=None)

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Cards are changed one by one, with save(), so that every copy follows.")

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Cards are made one by one, with save(), so that every copy follows.")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Cards are changed one by one, with save(), so that every copy follows.")

    def delete(self) -> NoReturn:
        raise TypeError("Cards are retired, with retire(), so that every copy is taken back.")


class Door(models.TextChoices):
    """Where a change came in."""

    WEB = "web", _("web page")
    API = "api", _("app")
    ADMIN = "admin", _("admin")
    IMPORT = "import", _("import")
    XMPP = "xmpp", _("XMPP")
    SERVER = "server", _("server")


class Content(models.Model):
    """What an owner writes on a card: the same columns on the card and on each revision."""

    label = models.CharField(
        _("label"), max_length=100, blank=True, help_text=_("Only the owner sees it.")
    )
    fn = models.CharField(_("name on the card"), max_length=500)
    properties = models.JSONField(_("properties"), default=list, blank=True)
    photo = models.CharField(_("photo"), max_length=100, blank=True, editable=False)
    photo_circles = models.JSONField(_("who sees the photo"), default=list, blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("changed by"),
    )
    changed_via = models.CharField(
        _("changed through"), max_length=16, choices=Door, default=Door.SERVER, editable=False
    )
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now, editable=False)

    CONTENT = ("label", "fn", "properties", "photo", "photo_circles")

    class Meta:
        abstract = True

    def content(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.CONTENT)

    def visible_to(self, circles: Collection[str]) -> dict[str, Any]:
        """What a holder in these circles gets: `{fn, properties: [{name, value, params}],
        photo: url or None}`. Only what was given to one of the circles, or to everyone, is in it.

        Whoever is counted among the public is not everyone who holds the card: for them it is only
        what was given to the public (docs/decisions/0026-the-public-is-an-audience.md).
        """
        audience = {*circles} if PUBLIC in circles else {EVERYONE, *circles}
        return {
            "fn": self.fn,
            "properties": [
                {"name": each["name"], "value": each["value"], "params": each["params"]}
                for each in self.properties
                if not audience.isdisjoint(each["circles"])
            ],
            "photo": None if audience.isdisjoint(self.photo_circles) else self.photo_url,
        }

    def for_owner(self) -> dict[str, Any]:
        """All of it, in the same form."""
        return {"fn": self.fn, "properties": self.properties, "photo": self.photo_url}

    @property
    def photo_url(self) -> str | None:
        return reverse("photo", args=[self.photo]) if self.photo else None


class Card(Content):
    """One vCard of one owner. `rev` counts every change of it or of who holds it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="cards",
        verbose_name=_("owner"),
    )
    rev = models.PositiveBigIntegerField(_("revision"), default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True, editable=False)

    objects = CardQuerySet.as_manager()

    class Meta:
        verbose_name = _("card")
        verbose_name_plural = _("cards")
        permissions = [
            ("see_whole", "Can see all that is on cards, and who sees what"),
            *((f"see_{name}", f"Can see {name} on cards") for name in SEEN_BY_NAME),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="card_by_owner"),
            models.Index(fields=["-changed_at"], name="card_last_changed"),
            models.Index(
                fields=["retired_at"],
                condition=models.Q(retired_at__isnull=False),
                name="card_retired",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(rev__gt=0), name="card_rev_is_positive")
        ]

    def __str__(self) -> str:
        """A retired card has no name any more."""
        return self.fn or str(self.pk)

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the card as the next rev, with its revision and what moved in its views.

        Raises StaleCard if the row is no longer at the rev that this object was read at.
        Always writes the whole row: `update_fields` would part the content from its rev.
        """
        kwargs.pop("update_fields", None)
        stored = Card.objects.select_for_update().filter(pk=self.pk).first()
        if (stored.rev if stored else 0) != self.rev:
            raise StaleCard(self.pk)
        self.rev += 1
        if self.content_differs(stored):
            self.changed_at = timezone.now()
        try:
            super().save(*args, **kwargs)
        except BaseException:
            self.rev -= 1
            raise
        if self.content_differs(stored):
            CardRevision.objects.create(
                card=self, rev=self.rev, **{f: getattr(self, f) for f in CardRevision.COPIED}
            )
            View.objects.move([view for view in self.views.all() if view.follows(self)])

    @property
    def content_rev(self) -> int:
        """The rev of its content. An exchange moves the card's own rev and changes nothing of what
        its owner edits, so it must not get in the way of an edit."""
        newest = self.revisions.first()
        return newest.rev if newest else 0

    def content_differs(self, stored: "Card | None") -> bool:
        return (
            stored is None
            or stored.content() != self.content()
            or stored.retired_at != self.retired_at
        )

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("A card is retired, with retire(), so that every copy is taken back.")

    def restore(self, revision: "CardRevision") -> None:
        """Become again what that revision was, as the next rev. Circles that are no more see
        nothing of it. Raises StaleCard as `save()` does."""
        there = {
            EVERYONE,
            PUBLIC,
            *(str(pk) for pk in self.owner.circles.values_list("pk", flat=True)),
        }
        self.label, self.fn, self.photo = revision.label, revision.fn, revision.photo
        self.photo_circles = [each for each in revision.photo_circles if each in there]
        self.properties = [
            {**each, "circles": [circle for circle in each["circles"] if circle in there]}
            for each in revision.properties
        ]
        self.save()

    def retire(self) -> None:
        """Take the card back for good. The row stays, empty, until every copy is gone; its
        history and its photos go at once."""
        with transaction.atomic():
            shown = {*self.revisions.exclude(photo="").values_list("photo", flat=True)}
            self.label, self.fn, self.properties = "", "", []
            self.photo, self.photo_circles = "", []
            self.retired_at = timezone.now()
            self.save()
            self.revisions.all().delete()
            self.pages.free()
            self.pages.update(card=None)
            transaction.on_commit(lambda: photos.forget(shown), robust=True)

    def view_for(self, circles: Iterable[str]) -> "View":
        """The row of what exactly these circles see. Call it with the card locked."""
        wanted = sorted(set(circles))
        known = self.views.filter(circles=wanted).first()
        if known:
            return known
        view = View(card=self, circles=wanted, rev=self.rev)
        view.show(self.visible_to(wanted))
        # What others see just the same has not changed by being shown to somebody else.
        twin = self.views.filter(digest=view.digest).first()
        view.rev = twin.rev if twin else self.rev
        view.save()
        return view


class PublicPageQuerySet(models.QuerySet["PublicPage"]):
    def free(self) -> int:
        """Give these addresses up. What stays of them keeps them from others for a while."""
        return self.filter(freed_at=None).update(freed_at=timezone.now(), is_on=False)

    def shown(self) -> Self:
        """Those that anybody may open."""
        return self.filter(is_on=True, card__retired_at=None, card__owner__is_active=True)


class PublicPage(models.Model):
    """The address at which anybody sees what a card shows to the public, while it is on.

    One that was given up stays as a row of nothing but the address, so that nobody else gets it
    while there are still links and printed cards that lead there. How one is turned on and off is
    in cards/public.py.
    """

    slug = models.CharField(_("address"), max_length=40, unique=True)
    card = models.ForeignKey(
        Card, on_delete=models.CASCADE, null=True, related_name="pages", verbose_name=_("card")
    )
    is_on = models.BooleanField(_("on"), default=False)
    is_indexed = models.BooleanField(_("search engines may list it"), default=False)
    takes_cards = models.BooleanField(
        _("visitors may leave their card"), default=True, db_default=True
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    freed_at = models.DateTimeField(_("given up at"), null=True, editable=False)

    objects = PublicPageQuerySet.as_manager()

    class Meta:
        verbose_name = _("public page")
        verbose_name_plural = _("public pages")
        constraints = [
            models.UniqueConstraint(
                fields=["card"],
                condition=models.Q(freed_at=None),
                name="public_page_one_a_card",
            ),
            models.CheckConstraint(
                condition=models.Q(slug=Lower("slug")), name="public_page_address_is_lower_case"
            ),
            models.CheckConstraint(
                condition=models.Q(freed_at=None, card__isnull=False)
                | models.Q(freed_at__isnull=False, is_on=False),
                name="public_page_given_up_is_off",
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def shown_card(self) -> Card:
        """Of a page that is on, which has one."""
        return cast(Card, self.card)

    @property
    def url(self) -> str:
        return reverse("public", args=[self.slug])


class CardRevisionQuerySet(models.QuerySet["CardRevision"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError(NEVER_CHANGED)

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(NEVER_CHANGED)


class CardRevision(Content):
    """The content of a card as one change left it. Never changed afterwards."""

    COPIED = (*Content.CONTENT, "changed_by", "changed_via", "changed_at")

    card = models.ForeignKey(Card, on_delete=models.CASCADE, related_name="revisions")
    rev = models.PositiveBigIntegerField(_("revision"))

    objects = CardRevisionQuerySet.as_manager()

    class Meta:
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")
        ordering = ["-rev"]
        constraints = [models.UniqueConstraint(fields=["card", "rev"], name="revision_once_a_card")]
        indexes = [models.Index(fields=["-changed_at"], name="revision_newest")]

    def __str__(self) -> str:
        return f"{self.fn} ({self.rev})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(NEVER_CHANGED)
        super().save(*args, **kwargs)


class ViewQuerySet(models.QuerySet["View"]):
    def move(self, views: Iterable["View"]) -> None:
        """Write where these stand now. A card may have a thousand, and its owner is waiting:
        `bulk_update` needs half a millisecond for each to put its statement together."""
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE cards_view SET rev = %s, digest = %s, sort = %s, search = %s WHERE id = %s",
                [(view.rev, view.digest, view.sort, view.search, view.pk) for view in views],
            )


class View(models.Model):
    """What one set of circles may see of a card, as the rev at which that last changed.

    A holder's copy has this rev to follow: a change that these circles cannot see moves the
    card's rev and leaves this one alone. It is kept when the card is saved, so a change that is
    taken back before it was delivered still counts as two.
    """

    card = models.ForeignKey(Card, on_delete=models.CASCADE, related_name="views")
    circles = models.JSONField(default=list, blank=True)
    rev = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=64, blank=True)
    sort = models.CharField(max_length=LONGEST, blank=True, default="", editable=False)
    search = models.TextField(blank=True, default="", editable=False)

    objects = ViewQuerySet.as_manager()

    class Meta:
        verbose_name = _("view")
        verbose_name_plural = _("views")
        constraints = [
            models.UniqueConstraint(fields=["card", "circles"], name="view_once_a_set_of_circles")
        ]

    def __str__(self) -> str:
        return f"{self.card_id} {self.circles}"

    def follows(self, card: Card) -> bool:
        """Take over the card's rev if what these circles see has changed; whether it has."""
        shown = None if card.retired_at else card.visible_to(self.circles)
        if digest_of(shown) == self.digest:
            return False
        self.rev = card.rev
        self.show(shown)
        return True

    def show(self, shown: dict[str, Any] | None) -> None:
        """Note what these circles see: how to tell it from other content, and what finds it."""
        self.digest = digest_of(shown)
        self.sort, self.search = (sort_text(shown), search_text(shown)) if shown else ("", "")


def digest_of(view: dict[str, Any] | None) -> str:
    return hashlib.sha256(json.dumps(view, sort_keys=True).encode()).hexdigest()
