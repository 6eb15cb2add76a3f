"""What a browser's subscription is, and which of them we believe: it names the address that we are
to send to. How that is done is in delivery/transports/webpush.py.

Push API (https://www.w3.org/TR/push-api/), VAPID keys (RFC 8292).
"""

import base64
import re
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

CURVE = ec.SECP256R1()
AUTH_LENGTH = 16  # bytes (RFC 8291, section 3.2)
KEY_LENGTH = 32  # bytes of a private key
LONGEST = 1000  # characters of an endpoint
# No two programs may read it in two ways: a plain host, and printable ASCII after it.
ENDPOINT = re.compile(r"https://([a-z0-9.-]+(?::[0-9]+)?)/[!-~]*")


class Subscription(NamedTuple):
    """Where a browser is notified, and the keys that only it can read with, in base64url."""

    endpoint: str
    p256dh: str
    auth: str


def problem_with(subscription: Subscription) -> str:
    """Why it is none that we would send to, for the log and the tests; empty if there is none."""
    if not is_known(subscription.endpoint):
        return "endpoint"
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decoded(subscription.p256dh))
    except ValueError:
        return "p256dh"
    try:
        return "" if len(decoded(subscription.auth)) == AUTH_LENGTH else "auth"
    except ValueError:
        return "auth"


def is_known(endpoint: str) -> bool:
    """Whether it is an address at one of the push services that browsers use; nobody makes us send
    to any other. A host of the setting is met as a whole, port included, or by `*.` its end."""
    found = ENDPOINT.fullmatch(endpoint)
    if found is None or len(endpoint) > LONGEST:
        return False
    return any(
        found[1].endswith(host[1:]) if host.startswith("*.") else found[1] == host
        for host in settings.WEB_PUSH_HOSTS
    )


def decoded(text: str) -> bytes:
    """Base64url without padding (RFC 7515, appendix C). Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """The VAPID key of the settings: 32 bytes in base64url. Raises ValueError."""
    raw = decoded(text)
    if len(raw) != KEY_LENGTH:
        raise ValueError("a VAPID key has 32 bytes")
    return ec.derive_private_key(int.from_bytes(raw), CURVE)


def new_private_key() -> str:
    number = ec.generate_private_key(CURVE).private_numbers().private_value
    return encoded(number.to_bytes(KEY_LENGTH))


def public_key() -> str:
    """By which browsers know us; empty where nothing is set up."""
    if not settings.VAPID_PRIVATE_KEY:
        return ""
    key = private_key(settings.VAPID_PRIVATE_KEY).public_key()
    return encoded(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
