"""A card's public page: its address, and turning it on and off.

What the public sees of the card is `visible_to([PUBLIC])`; the pages themselves are in
bindings/public.py, as they lead to an exchange.
"""

import re
import secrets
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from cards.models import Card, PublicPage, StaleCard

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
LENGTH = 12  # 60 bits: nobody finds one by trying
KEPT_FROM_OTHERS = timedelta(days=365)
MOST_GIVEN_UP = 10  # addresses of one person that are kept from others
NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,39}")

# What would look like the house's own, and what links and mail programs take for something else.
RESERVED = re.compile(
    "about|abuse|account|accounts|admin|administrator|administration|api|app|apps|assets"
    "|blog|card|cards|cardsite|carddav|claim|code|contact|dav|demo|developer|docs"
    "|download|error|everyone|favicon|feedback|guest|guests|help|home|host|hostmaster"
    "|http|https|imprint|index|info|invite|invitation|legal|login|logout|mail|mailer"
    "|manifest|me|media|moderator|new|news|noreply|null|official|owner|page|pages"
    "|password|photo|photos|policy|postmaster|press|privacy|public|register|robots|root"
    "|sales|search|security|service|settings|share|shop|signin|signup|site|sitemap|staff"
    "|static|status|support|sync|system|team|terms|test|undefined|user|users|verify"
    "|webmaster|well-known|www"
)


def new_slug() -> str:
    return "".join(secrets.choice(ALPHABET) for _n in range(LENGTH))


def checked_slug(slug: str) -> str:
    """A chosen address as it is stored. Raises ValidationError for one that cannot be chosen."""
    plain = slug.strip().lower()
    if not NAME.fullmatch(plain) or len(plain) > 40:
        raise ValidationError(
            _("An address has 3 to 40 letters from a to z and digits, with single hyphens between.")
        )
    if RESERVED.fullmatch(plain):
        raise ValidationError(_("This address cannot be chosen. Try another one."))
    return plain


def page_of(card: Card) -> PublicPage | None:
    """The card's page, on or off; none before it was ever turned on."""
    return card.pages.filter(freed_at=None).first()


@transaction.atomic
def publish(
    card: Card, *, slug: str = "", takes_cards: bool = True, is_indexed: bool = False
) -> PublicPage:
    """Turn the page on, at this address; without one, where it was, or where nobody guesses it.

    Raises StaleCard if the card is not at this rev any more, as the public must see nothing that
    the owner was not shown, and ValidationError for an address that cannot be chosen or is not
    free.
    """
    if not Card.objects.select_for_update().kept().filter(pk=card.pk, rev=card.rev).exists():
        raise StaleCard(card.pk)
    page = page_of(card)
    if page is None or (slug and checked_slug(slug) != page.slug):
        new = address(card, checked_slug(slug) if slug else new_slug())
        card.pages.free()
        page = new
    page.card, page.freed_at, page.is_on = card, None, True
    page.takes_cards, page.is_indexed = takes_cards, is_indexed
    try:
        with transaction.atomic():
            page.save()
    except IntegrityError as error:
        raise ValidationError(_("This address is not free. Try another one.")) from error
    return page


def address(card: Card, slug: str) -> PublicPage:
    """The row of an address that the card is to get: a new one, or one that its owner gave up."""
    given_up = PublicPage.objects.filter(freed_at__isnull=False, card__owner=card.owner_id)
    if own := given_up.filter(slug=slug).first():
        return own
    if given_up.count() >= MOST_GIVEN_UP:
        raise ValidationError(_("You have given up many addresses. Go back to one of them."))
    return PublicPage(slug=slug)


def unpublish(card: Card) -> None:
    """Turn it off at once. The address stays the card's."""
    card.pages.update(is_on=False)
