"""Photos: checked, re-encoded without metadata, and kept under a name made of their content."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Self

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from cards.models import Card

MAX_BYTES = 5 * 1024 * 1024
MAX_PIXELS = 25_000_000
SMALLEST_SIDE = 0.05  # of the picture's shorter side
KEPT_SIDE = 1024  # pixels; what phones show is smaller
SMALL_SIDE = 320
FORMATS = ("JPEG", "PNG", "WEBP")


class Crop(NamedTuple):
    """A square of a picture that stands upright: its corner as parts of width and height, its side
    as a part of the shorter one. All from 0 to 1."""

    left: float
    top: float
    side: float

    @classmethod
    def read(cls, text: str) -> Self:
        """Of `left,top,side`. Raises ValueError."""
        crop = cls(*(float(part) for part in text.split(",", 2)))
        if not all(0 <= part <= 1 for part in crop) or crop.side < SMALLEST_SIDE:
            raise ValueError(text)
        return crop

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Its edges in pixels, all of them in the picture."""
        side = round(self.side * min(width, height)) or 1
        left = min(round(self.left * width), width - side)
        top = min(round(self.top * height), height - side)
        return left, top, left + side, top + side


def keep(card: "Card", upload: bytes, crop: Crop | None = None) -> str:
    """Store an uploaded picture, or a square of it, for this card and return its name. Raises
    ValidationError."""
    return store(card, reencoded(upload, crop))


def store(card: "Card", picture: bytes) -> str:
    """Store a picture that `reencoded` made and return its name.

    The name is a keyed hash of card and content: nobody can tell from it, or guess with it,
    whether a card carries a picture that they know.
    """
    digest = salted_hmac("photo", f"{card.pk}".encode() + picture, algorithm="sha256").hexdigest()
    name = f"{digest[:40]}.jpg"
    if not default_storage.exists(path_of(name)):
        default_storage.save(path_of(name), ContentFile(picture))
    return name


def copied(name: str, card: "Card") -> str:
    """Keep the same picture for another card; the name it has there."""
    with default_storage.open(path_of(name)) as picture:
        return store(card, picture.read())


def small(name: str) -> bytes:
    """The picture in the size of a page that must be there at once."""
    with default_storage.open(path_of(name)) as file, Image.open(file, formats=["JPEG"]) as picture:
        picture.draft("RGB", (SMALL_SIDE, SMALL_SIDE))
        picture.thumbnail((SMALL_SIDE, SMALL_SIDE))
        return as_jpeg(picture)


def forget(names: Iterable[str]) -> None:
    for name in names:
        default_storage.delete(path_of(name))


def path_of(name: str) -> str:
    return f"photos/{name}"


def reencoded(upload: bytes, crop: Crop | None = None) -> bytes:
    """The picture as a JPEG of at most 1024 pixels a side, upright, nothing but pixels in it."""
    if len(upload) > MAX_BYTES:
        raise ValidationError(_("The photo is larger than 5 MB."))
    try:
        with Image.open(io.BytesIO(upload), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValidationError(_("The photo has more than 25 megapixels."))
            enough = round(KEPT_SIDE / (crop.side if crop else 1))
            picture.draft("RGB", (enough, enough))
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except ValidationError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValidationError(_("The photo must be a JPEG, PNG or WebP picture.")) from error
    if crop:
        upright = upright.crop(crop.box(*upright.size))
    upright.thumbnail((KEPT_SIDE, KEPT_SIDE))
    paper = Image.new("RGB", upright.size, "white")
    paper.paste(upright, mask=upright.getchannel("A"))
    return as_jpeg(paper)


def as_jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85, optimize=True)
    return out.getvalue()
