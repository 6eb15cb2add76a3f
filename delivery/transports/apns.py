"""Apple's push service: one prompt to one iOS device, over connections that stay open.

HTTP/2 (RFC 9113), provider tokens are JWTs signed with ES256 (RFC 7519, RFC 7518 section 3.4).
https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
"""

import json
import logging
import re
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamReset

from delivery.transports import Outcome, Prompt, TransportError, Verdict, parse_retry_after
from delivery.transports.lines import Lines

logger = logging.getLogger(__name__)

PRODUCTION_HOST = "api.push.apple.com"
SANDBOX_HOST = "api.sandbox.push.apple.com"

# Apple refuses tokens older than an hour and more than one new token in twenty minutes.
PROVIDER_TOKEN_LIFETIME = 45 * 60
PROVIDER_TOKEN_UPDATE_INTERVAL = 20 * 60

# What Apple's reasons mean for the push and its token.
VERDICTS: Mapping[str, Verdict] = {
    # The app was removed from the phone, or its user took back the permission.
    "Unregistered": "dead",
    # The token has run out; the app gets a new one at its next start.
    "ExpiredToken": "dead",
    # Never a token of this environment: mistyped, or from the sandbox when we use production.
    "BadDeviceToken": "dead",
    # A token of another app.
    "DeviceTokenNotForTopic": "dead",
    # Too many pushes to this one device.
    "TooManyRequests": "retry",
    # Apple closes connections that were silent for long; says so at the next request.
    "IdleTimeout": "retry",
    # Trouble at Apple's.
    "InternalServerError": "retry",
    "ServiceUnavailable": "retry",
    "Shutdown": "retry",
    # The topic in our settings is none that our key may push to.
    "BadTopic": "refused",
    "MissingTopic": "refused",
    "TopicDisallowed": "refused",
    # The prompt is too long for Apple, as a translation may be.
    "PayloadTooLarge": "refused",
    # Requests that this module should never make.
    "BadCollapseId": "refused",
    "BadExpirationDate": "refused",
    "BadMessageId": "refused",
    "BadPath": "refused",
    "BadPriority": "refused",
    "DuplicateHeaders": "refused",
    "InvalidPushType": "refused",
    "MethodNotAllowed": "refused",
    "MissingDeviceToken": "refused",
    "PayloadEmpty": "refused",
}

# Reasons that speak of our key and not of the push, and whether only staff can mend them.
KEY_TROUBLE: Mapping[str, bool] = {
    # The key was revoked, or its id or team is not the one in our settings.
    "InvalidProviderToken": True,
    "UnrelatedKeyIdInToken": True,
    "MissingProviderToken": True,
    # The key is for the other of sandbox and production.
    "BadEnvironmentKeyInToken": True,
    "Forbidden": True,
    # A token made a moment ago is too old: the clock of this machine is wrong.
    "ExpiredProviderToken": True,
    # Several servers with one key, or one that is restarted again and again.
    "TooManyProviderTokenUpdates": False,
}

# Tokens come from clients and become part of a path at Apple: nothing but hexadecimal digits.
_TOKEN = re.compile(r"[0-9A-Fa-f]+")


class Apns:
    """The transport to Apple. Make one for each process and keep it."""

    def __init__(
        self,
        *,
        key: str,
        key_id: str,
        team_id: str,
        topic: str,
        host: str = PRODUCTION_HOST,
        port: int = 443,
        ca_file: str = "",
        timeout: float = 10.0,
        connections: int = 4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`key` is the PEM text of the .p8 file, `timeout` in seconds, `ca_file` empty for the
        system's authorities. Raises ValueError for a bad key, OSError for a bad CA file."""
        self._provider_token = ProviderToken(key, key_id, team_id, clock)
        self._origin = f"https://{host}:{port}"
        self._topic = topic
        self._timeout = httpx.Timeout(timeout).as_dict()
        self._clock = clock
        tls = ssl.create_default_context(cafile=ca_file or None)
        self._lines = Lines(tls, connections, http1=False)

    def send(self, token: str, prompt: Prompt) -> Outcome:
        """Push the prompt to the device with that token, waiting for Apple's answer.

        Raises TransportError if Apple cannot be reached or does not accept our key.
        """
        apns_id = str(uuid.uuid4())
        if not _TOKEN.fullmatch(token):
            return Outcome(verdict="dead", reason="BadDeviceToken", apns_id=apns_id)
        request = self._request(token, prompt, apns_id)
        bearer = self._provider_token.current()
        outcome = self._ask(request, bearer)
        if outcome.reason == "ExpiredProviderToken":
            outcome = self._ask(request, self._provider_token.renewed(bearer))
        logger.info("apns %s: %s %s", apns_id, outcome.status, outcome.reason or outcome.verdict)
        _raise_for_key(outcome)
        return outcome

    def close(self) -> None:
        self._lines.close()

    def _request(self, token: str, prompt: Prompt, apns_id: str) -> httpx.Request:
        headers = {
            "apns-id": apns_id,
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-topic": prompt.topic or self._topic,
        }
        if prompt.collapse_id:
            headers["apns-collapse-id"] = prompt.collapse_id
        if prompt.expires_at is not None:
            headers["apns-expiration"] = str(int(prompt.expires_at.timestamp()))
        aps: dict[str, Any] = {"alert": {"title": prompt.title, "body": prompt.body}}
        if prompt.badge is not None:
            aps["badge"] = prompt.badge
        return httpx.Request(
            "POST",
            f"{self._origin}/3/device/{token}",
            headers=headers,
            content=json.dumps({"aps": aps}, ensure_ascii=False).encode(),
        )

    def _ask(self, request: httpx.Request, bearer: str) -> Outcome:
        """Apple's answer. Asks a second time over a new connection if the first one turned out to
        be dead and Apple cannot have acted on the request."""
        request.headers["authorization"] = f"bearer {bearer}"
        with self._lines.lent() as line:
            outcome, never_processed = self._try(line, request)
            if never_processed:
                outcome, _ = self._try(line, request)
        return outcome

    def _try(self, line: httpx.HTTPTransport, request: httpx.Request) -> tuple[Outcome, bool]:
        """The outcome, and whether Apple surely never acted on the request."""
        trail = _Trail()
        request.extensions = {"timeout": self._timeout, "trace": trail}
        try:
            response = line.handle_request(request)
            response.read()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TransportError(f"cannot connect: {error}", permanent=False) from None
        except httpx.TransportError as error:
            line.close()
            apns_id = request.headers["apns-id"]
            lost = Outcome(verdict="retry", reason=_reason_for_silence(error), apns_id=apns_id)
            return lost, trail.shows_unprocessed(error)
        return _outcome(response, request.headers["apns-id"], self._clock()), False


class ProviderToken:
    """The signed statement, sent with each push, that we are who may push to our app."""

    def __init__(self, key: str, key_id: str, team_id: str, clock: Callable[[], float]) -> None:
        private_key = load_pem_private_key(key.encode(), password=None)
        if not isinstance(private_key, EllipticCurvePrivateKey) or not isinstance(
            private_key.curve, SECP256R1
        ):
            raise ValueError("APNs keys are elliptic curve keys on P-256")
        self._key = private_key
        self._key_id = key_id
        self._team_id = team_id
        self._clock = clock
        self._lock = threading.Lock()
        self._text = ""
        self._made_at = 0.0

    def current(self) -> str:
        with self._lock:
            # An age below zero is a clock that was set back.
            if not self._text or not 0 <= self._clock() - self._made_at < PROVIDER_TOKEN_LIFETIME:
                self._make()
            return self._text

    def renewed(self, stale: str) -> str:
        """A token other than `stale`; of several threads that ask, only the first makes one."""
        with self._lock:
            if self._text == stale:
                self._make()
            return self._text

    def _make(self) -> None:
        self._made_at = self._clock()
        self._text = jwt.encode(
            {"iss": self._team_id, "iat": int(self._made_at)},
            self._key,
            algorithm="ES256",
            headers={"kid": self._key_id},
        )


class _Trail:
    """How far one request got, as httpcore's trace extension tells it."""

    def __init__(self) -> None:
        self._stream_id = 0
        self._sent_whole = False

    def __call__(self, event: str, details: Mapping[str, Any]) -> None:
        if event == "http2.send_request_headers.started":
            self._stream_id = details["stream_id"]
            self._sent_whole = False
        elif event == "http2.send_request_body.complete":
            self._sent_whole = True

    def shows_unprocessed(self, error: httpx.TransportError) -> bool:
        """Whether the server cannot have acted on the request (RFC 9113, section 8.7)."""
        event = _h2_event(error)
        if isinstance(event, ConnectionTerminated):
            return (event.last_stream_id or 0) < self._stream_id
        if isinstance(event, StreamReset):
            return event.error_code == ErrorCodes.REFUSED_STREAM
        return not self._sent_whole


def _h2_event(error: httpx.TransportError) -> Event | None:
    """The GOAWAY or RST_STREAM behind the error, which httpcore wraps."""
    causes = error.__cause__.args if error.__cause__ else ()
    return next((cause for cause in causes if isinstance(cause, Event)), None)


def _reason_for_silence(error: httpx.TransportError) -> str:
    """Why there was no answer: Apple's words in its GOAWAY, or else the kind of the trouble."""
    event = _h2_event(error)
    said = _read_json(event.additional_data) if isinstance(event, ConnectionTerminated) else {}
    return str(said.get("reason") or type(event or error).__name__)


def _read_json(text: bytes | None) -> dict[str, Any]:
    """The JSON object in the text, empty where there is none: gateways answer in HTML."""
    try:
        found = json.loads(text or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _outcome(response: httpx.Response, apns_id: str, now: float) -> Outcome:
    said = _read_json(response.content)
    reason = str(said.get("reason", ""))
    since = said.get("timestamp")  # in milliseconds
    return Outcome(
        verdict=_verdict(response.status_code, reason),
        status=response.status_code,
        reason=reason,
        retry_after=parse_retry_after(response.headers.get("retry-after", ""), now),
        dead_since=datetime.fromtimestamp(since / 1000, UTC) if isinstance(since, int) else None,
        apns_id=apns_id,
    )


def _verdict(status: int, reason: str) -> Verdict:
    """Apple's reason decides; the status only where there is none or a new one."""
    if status == 200:
        return "delivered"
    by_status: Mapping[int, Verdict] = {410: "dead", 429: "retry"}
    fallback: Verdict = "retry" if status >= 500 else "refused"
    return VERDICTS.get(reason, by_status.get(status, fallback))


def _raise_for_key(outcome: Outcome) -> None:
    if outcome.status != 403 and outcome.reason not in KEY_TROUBLE:
        return
    permanent = KEY_TROUBLE.get(outcome.reason, True)
    pause = None if permanent else outcome.retry_after or PROVIDER_TOKEN_UPDATE_INTERVAL
    raise TransportError(outcome.reason or "403 without a reason", permanent, pause)


def apns_from_settings() -> Apns | None:
    """The transport that the settings describe, or None where they name no key.

    Raises ImproperlyConfigured if something else is missing or the key or CA file is no good.
    """
    shared = settings.PUSH_NOTIFICATIONS_SETTINGS
    key = shared.get("APNS_AUTH_KEY_PATH")
    if not key:
        return None
    key_id, team_id, topic = (
        shared.get(name) for name in ("APNS_AUTH_KEY_ID", "APNS_TEAM_ID", "APNS_TOPIC")
    )
    if not (key_id and team_id and topic):
        raise ImproperlyConfigured(
            "an APNs key needs APNS_AUTH_KEY_ID, APNS_TEAM_ID and APNS_TOPIC beside it"
        )
    apples_host = SANDBOX_HOST if shared.get("APNS_USE_SANDBOX") else PRODUCTION_HOST
    try:
        return Apns(
            # django-push-notifications has a path here; the key itself will do as well.
            key=key if "-----BEGIN" in key else Path(key).read_text(),
            host=settings.APNS_HOST or apples_host,
            port=settings.APNS_PORT or 443,
            ca_file=settings.APNS_CA_FILE,
            key_id=key_id,
            team_id=team_id,
            topic=topic,
        )
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"the APNs key or CA file cannot be used: {error}") from None
