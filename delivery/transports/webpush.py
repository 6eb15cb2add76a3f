"""The push services of browsers: one notification, that only the browser can read, to one of them.

Web Push (RFC 8030), its encryption (RFC 8291, RFC 8188) and its signature, VAPID (RFC 8292).
"""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import http_ece
import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from accounts import webpush
from accounts.webpush import Subscription
from delivery.transports import Outcome, Prompt, TransportError, Verdict, parse_retry_after
from delivery.transports.lines import Lines

logger = logging.getLogger(__name__)

SIGNATURE_LIFETIME = 12 * 3600  # seconds; at most a day (RFC 8292, section 2)
LONGEST_TTL = 4 * 7 * 24 * 3600  # seconds; more than any of them keeps anything

VERDICTS: Mapping[int, Verdict] = {
    # Taken (RFC 8030, section 5); some say 200 or 202.
    200: "delivered",
    201: "delivered",
    202: "delivered",
    # The subscription has ended, or never was (RFC 8030, section 7.3).
    404: "dead",
    410: "dead",
    # Too many to this browser (RFC 8030, section 8.4).
    429: "retry",
}


class WebPush:
    """The transport to all of them. Make one for each process and keep it."""

    def __init__(
        self,
        *,
        key: str,
        subject: str,
        ca_file: str = "",
        timeout: float = 10.0,
        connections: int = 4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`key` is 32 bytes in base64url, `subject` an address to write to about us, as mailto: or
        https:. Raises ValueError for a bad key, OSError for a bad CA file."""
        self._key, self._public_key = webpush.private_key(key), webpush.public_key()
        self._subject, self._clock = subject, clock
        self._timeout = httpx.Timeout(timeout).as_dict()
        tls = ssl.create_default_context(cafile=ca_file or None)
        self._lines = Lines(tls, connections, http1=True)
        self._signatures: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def send(self, to: Subscription, prompt: Prompt) -> Outcome:
        """Push the prompt to the browser, waiting for its service's answer. Raises TransportError
        if that cannot be reached."""
        if problem := webpush.problem_with(to):  # the hosts that we know may be others by now
            return Outcome(verdict="dead", reason=f"unknown {problem}")
        request = self._request(to, prompt)
        try:
            with self._lines.lent() as line:
                response = line.handle_request(request)
                response.read()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TransportError(f"cannot connect: {error}", permanent=False) from None
        except httpx.TransportError as error:
            return Outcome(verdict="retry", reason=type(error).__name__)
        status = response.status_code
        logger.info("web push to %s: %s", request.url.host, status)
        return Outcome(
            verdict=VERDICTS.get(status, "retry" if status >= 500 else "refused"),
            status=status,
            reason="" if status < 400 else " ".join(response.text[:200].split()),
            retry_after=parse_retry_after(response.headers.get("retry-after", ""), self._clock()),
        )

    def close(self) -> None:
        self._lines.close()

    def _request(self, to: Subscription, prompt: Prompt) -> httpx.Request:
        """The ephemeral key and the salt are new for each (RFC 8291, section 3)."""
        said = {"title": prompt.title, "body": prompt.body}
        body = http_ece.encrypt(
            json.dumps(said, ensure_ascii=False).encode(),
            private_key=ec.generate_private_key(webpush.CURVE),
            dh=webpush.decoded(to.p256dh),
            auth_secret=webpush.decoded(to.auth),
            version="aes128gcm",
        )
        lifetime = prompt.expires_at.timestamp() - self._clock() if prompt.expires_at else None
        headers = {
            "authorization": f"vapid t={self._signature(to.endpoint)}, k={self._public_key}",
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(LONGEST_TTL if lifetime is None else max(0, int(lifetime))),
            "urgency": "normal",
        }
        if prompt.collapse_id:
            headers["topic"] = prompt.collapse_id
        request = httpx.Request("POST", to.endpoint, headers=headers, content=body)
        request.extensions = {"timeout": self._timeout}
        return request

    def _signature(self, endpoint: str) -> str:
        """For the service that the endpoint is at; signed anew twice a day."""
        parts = urlsplit(endpoint)
        audience, now = f"https://{parts.netloc}", self._clock()
        with self._lock:
            text, made_at = self._signatures.get(audience, ("", 0.0))
            if not text or not 0 <= now - made_at < SIGNATURE_LIFETIME:
                claims = {"aud": audience, "exp": int(now) + 2 * SIGNATURE_LIFETIME - 60}
                if self._subject:
                    claims["sub"] = self._subject
                text = jwt.encode(claims, self._key, algorithm="ES256")
                self._signatures[audience] = text, now
            return text


def web_push_from_settings() -> WebPush | None:
    """The transport that the settings describe, or None without a key.

    Raises ImproperlyConfigured if the key or the CA file is no good.
    """
    if not settings.VAPID_PRIVATE_KEY:
        return None
    try:
        return WebPush(
            key=settings.VAPID_PRIVATE_KEY,
            subject=settings.VAPID_SUBJECT or (settings.BASE_URL if settings.HTTPS else ""),
            ca_file=settings.WEB_PUSH_CA_FILE,
        )
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"the VAPID key or CA file cannot be used: {error}") from None
