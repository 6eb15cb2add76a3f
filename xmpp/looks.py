"""What somebody who asks by XMPP may see of a person's card, and in which forms.

Everybody gets what is for them: there is no node that others share.
"""

import base64
import hashlib
import io
from functools import lru_cache
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from django.conf import settings
from django.core.files.storage import default_storage
from PIL import Image

from accounts.models import User
from bindings.models import Binding, blocked_between
from cards import vcard
from cards.models import PUBLIC, PublicPage
from cards.photos import as_jpeg, path_of
from cards.vcard import temp
from xmpp import stanzas
from xmpp.addresses import card_given
from xmpp.jids import contact

SIDE = 96  # pixels of an avatar (XEP-0084, section 4.2.1, and XEP-0153, section 4.2)
PHOTO_UPDATE = "vcard-temp:x:update"


class Avatar(NamedTuple):
    """A small picture in one format, and the hash that names it."""

    type: str
    octets: bytes

    @property
    def hash(self) -> str:
        return hashlib.sha1(self.octets, usedforsecurity=False).hexdigest()

    @property
    def text(self) -> str:
        return base64.b64encode(self.octets).decode()


class Look(NamedTuple):
    """A card as one person sees it."""

    card: str
    owner: str
    rev: int
    view: dict[str, Any]

    @property
    def photo(self) -> str:
        """The name of the photo's file, or nothing."""
        return (self.view["photo"] or "").rpartition("/")[2]

    def properties(self) -> list[vcard.Property]:
        """As the codec has it, without the photo."""
        given = [{"name": "fn", "value": self.view["fn"], "params": {}}, *self.view["properties"]]
        names = {each["name"] for each in given}
        if "uid" not in names:
            given.append({"name": "uid", "value": f"urn:uuid:{self.card}", "params": {}})
        if "impp" not in names:
            given.append({"name": "impp", "value": f"xmpp:{contact(self.owner)}", "params": {}})
        return vcard.of_canonical(given)

    def xcard(self) -> Element:
        """vCard 4.0 as XML (XEP-0292); the photo is an address."""
        photo = absolute(self.view["photo"])
        more = [vcard.Property("photo", photo, {})] if photo else []
        return vcard.xcard.element([*self.properties(), *more])

    def vcard_temp(self) -> Element:
        """The same as XEP-0054 has it; the photo is the avatar itself."""
        more = []
        if avatar := jpeg_of(self.photo):
            more.append(vcard.Property("photo", f"data:{avatar.type};base64,{avatar.text}", {}))
        return temp.element([*self.properties(), *more])

    def photo_update(self) -> Element:
        """What a presence says of the avatar (XEP-0153)."""
        avatar = jpeg_of(self.photo)
        photo = stanzas.element(PHOTO_UPDATE, "photo", text=avatar.hash if avatar else "")
        return stanzas.element(PHOTO_UPDATE, "x", photo)


def look(owner: User | None, asker: User | None) -> Look | None:
    """What the asker may see of the owner's card; None looks like nobody there."""
    if owner is None or not owner.is_active:
        return None
    if asker == owner:
        card = card_given(owner)
        return Look(str(card.pk), owner.username, card.rev, plain(card.for_owner()))
    if asker:
        held = Binding.objects.active().complete().filter(card__owner=owner, holder=asker)
        if binding := held.order_by("created_at").first():
            return seen_through(binding)
    return public_look(owner, asker)


def seen_through(binding: Binding) -> Look:
    view = binding.card.visible_to(binding.view.circles)
    owner = binding.card.owner.username
    return Look(str(binding.card_id), owner, binding.followed_rev, view)


def public_look(owner: User, asker: User | None) -> Look | None:
    page = PublicPage.objects.shown().filter(card__owner=owner).select_related("card").first()
    if page is None or (asker and blocked_between(owner, asker)):
        return None
    card = page.shown_card
    return Look(str(card.pk), owner.username, card.rev, card.visible_to([PUBLIC]))


def plain(view: dict[str, Any]) -> dict[str, Any]:
    """The owner's own view, without who sees what."""
    kept = ("name", "value", "params")
    properties = [{name: each[name] for name in kept} for each in view["properties"]]
    return {**view, "properties": properties}


def absolute(url: str | None) -> str:
    return f"{settings.BASE_URL}{url}" if url else ""


# Avatars


def jpeg_of(photo: str) -> Avatar | None:
    return made(photo, "JPEG") if photo else None


def png_of(photo: str) -> Avatar | None:
    """XEP-0084 wants every avatar to be there as PNG."""
    return made(photo, "PNG") if photo else None


@lru_cache(maxsize=512)
def made(photo: str, form: str) -> Avatar | None:
    """None if the file has gone meanwhile."""
    try:
        file = default_storage.open(path_of(photo))
    except FileNotFoundError:
        return None
    with file, Image.open(file, formats=["JPEG"]) as picture:
        picture.thumbnail((SIDE, SIDE))
        if form == "JPEG":
            return Avatar("image/jpeg", as_jpeg(picture))
        out = io.BytesIO()
        picture.save(out, "PNG", optimize=True)
        return Avatar("image/png", out.getvalue())
