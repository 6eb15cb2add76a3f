"""Photos, logos, sounds and keys carried inside a card: `data:` URIs (RFC 2397) on our side, the
TYPE words and bare base64 of vCard 2.1 and 3.0 on the other.
"""

import base64
import re
from urllib.parse import unquote_to_bytes

_BY_WORD = {
    "jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "gif": "image/gif",
    "webp": "image/webp", "bmp": "image/bmp", "tiff": "image/tiff", "heic": "image/heic",
    "basic": "audio/basic", "mp3": "audio/mpeg", "wave": "audio/wav", "wav": "audio/wav",
    "aac": "audio/aac", "ogg": "audio/ogg", "aiff": "audio/aiff",
    "pgp": "application/pgp-keys", "x509": "application/pkix-cert",
}  # fmt: skip
_BY_MEDIA_TYPE = {media_type: word for word, media_type in reversed(_BY_WORD.items())}
_BY_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"ID3", "audio/mpeg"),
)
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*+={0,2}")


def media_type_of(word: str) -> str:
    """The media type that a TYPE word (JPEG, or a whole media type) says; else empty."""
    word = word.lower()
    return word if _MEDIA_TYPE.fullmatch(word) else _BY_WORD.get(word, "")


def word_for(media_type: str) -> str:
    """The TYPE word of vCard 3.0, or the media type itself where there is none."""
    return _BY_MEDIA_TYPE.get(media_type, media_type)


def looks_like_base64(text: str) -> bool:
    """Long enough not to be a word or a name, and nothing but base64."""
    return len(text) > 100 and _BASE64.fullmatch("".join(text.split())) is not None


def tidied(text: str) -> str:
    """Base64 in whole groups, from text with white space, other signs or a torn end."""
    if len(text) % 4 or not _BASE64.fullmatch(text):
        text = re.sub("[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/"))
        text = text[: len(text) - (len(text) % 4 == 1)]
        text += "=" * (-len(text) % 4)
    return text


def data_uri(text: str, media_type: str = "") -> str:
    """The URI of this base64, its type sniffed if not given; empty if there is nothing in it."""
    text = tidied(text)
    return f"data:{media_type or _sniffed(text)};base64,{text}" if text else ""


def opened(uri: str) -> tuple[str, str] | None:
    """The media type and the base64 of a `data:` URI; None for any other URI."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "data":
        return None
    head, _, body = rest.partition(",")
    media_type, *settings = head.lower().split(";")
    if "base64" in settings and "%" not in body:
        return media_type, tidied(body)
    octets = unquote_to_bytes(body)
    if "base64" in settings:
        return media_type, tidied(octets.decode("latin-1"))
    return media_type, base64.b64encode(octets).decode()


def _sniffed(text: str) -> str:
    head = base64.b64decode(text[:64])
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    found = (media_type for magic, media_type in _BY_MAGIC if head.startswith(magic))
    return next(found, "application/octet-stream")
