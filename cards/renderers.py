"""A card in its vCard forms: text/vcard (RFC 6350, RFC 2426), xCard (RFC 6351), jCard (RFC 7095).

They render what the JSON answers hold: `{fn, properties, photo}` with `id`, of one card.
"""

import base64
from collections.abc import Mapping
from typing import Any

from django.core.files.storage import default_storage
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.utils.mediatypes import _MediaType

from cards import vcard
from cards.photos import path_of

# How the API schema describes an answer that is a card, beside its JSON.
FORMS = {
    (200, "text/vcard"): {"type": "string"},
    (200, "application/vcard+xml"): {"type": "string"},
    (200, "application/vcard+json"): {"type": "array", "items": {}},
}


def properties_of(card: Mapping[str, Any]) -> list[vcard.Property]:
    """The card as the codec knows it: with its fn, a UID, and the photo itself instead of its
    address, which an address book could not open."""
    properties = [{"name": "fn", "value": card["fn"], "params": {}}, *card["properties"]]
    if not any(each["name"] == "uid" for each in properties):
        properties.append({"name": "uid", "value": f"urn:uuid:{card['id']}", "params": {}})
    return [*vcard.of_canonical(properties), *photo_of(card.get("photo"))]


def photo_of(photo: Any) -> list[vcard.Property]:
    url = photo["url"] if isinstance(photo, Mapping) else photo
    if not url:
        return []
    with default_storage.open(path_of(url.rsplit("/", 1)[-1])) as file:
        picture = base64.b64encode(file.read()).decode()
    return [vcard.Property("photo", f"data:image/jpeg;base64,{picture}", {})]


class CardRenderer(BaseRenderer):
    """An answer that is a card, in one of its forms. An error is said as problem details
    (RFC 9457), whatever was asked for."""

    charset = "utf-8"

    def render(self, data: Any, accepted: str | None = None, context: Any = None) -> str | bytes:
        if data is None:
            return b""
        if context and context["response"].exception:
            context["response"].content_type = "application/problem+json"
            return JSONRenderer().render(data)
        return self.write(properties_of(data), accepted or "")

    def write(self, card: list[vcard.Property], accepted: str) -> str | bytes:
        raise NotImplementedError


class VCardRenderer(CardRenderer):
    media_type = "text/vcard"
    format = "vcf"

    def write(self, card: list[vcard.Property], accepted: str) -> str | bytes:
        version = _MediaType(accepted).params.get("version", "4.0")
        return vcard.write(card, version="3.0" if version == "3.0" else "4.0")


class XCardRenderer(CardRenderer):
    media_type = "application/vcard+xml"
    format = "xcard"

    def write(self, card: list[vcard.Property], accepted: str) -> str | bytes:
        return vcard.xcard.dumps([card])


class JCardRenderer(CardRenderer):
    media_type = "application/vcard+json"
    format = "jcard"

    def write(self, card: list[vcard.Property], accepted: str) -> str | bytes:
        return vcard.jcard.dumps([card])
