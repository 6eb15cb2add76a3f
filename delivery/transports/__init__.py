"""What every push transport has in common: the prompt, its outcome, its one error, the backoff.

A prompt is a hint and never the record, so nothing here keeps or repeats one: the worker does.
Each service lives in its own module.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

Verdict = Literal["delivered", "retry", "dead", "refused"]

FIRST_DELAY = 5.0
LONGEST_DELAY = 3600.0


class TransportError(Exception):
    """Trouble that concerns no single token: every other push would meet it as well.

    `permanent` means that only staff can mend it; otherwise try again, not before `retry_after`
    seconds where the service named them. The text never shows a token, a key or a payload.
    """

    def __init__(self, reason: str, permanent: bool, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What one device shows its user, already in that user's language."""

    title: str = field(repr=False)
    body: str = field(repr=False)
    badge: int | None = None
    collapse_id: str = ""
    topic: str = ""  # empty: the transport's own
    expires_at: datetime | None = None  # None: as long as the service likes


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one push.

    `dead` means that the token is of no use any more, `refused` that the push itself is wrong: a
    bug or a setting of ours, which a repetition does not mend. `status` is None if there was no
    answer; `dead_since` is None if the service did not say, `retry_after` is in seconds.
    """

    verdict: Verdict
    status: int | None = None
    reason: str = ""
    retry_after: float | None = None
    dead_since: datetime | None = None
    apns_id: str = ""


def next_delay(
    attempt: int,
    retry_after: float | None = None,
    jitter: Callable[[], float] = random.random,
) -> float:
    """Seconds to wait after the attempt of that number (the first is 1) has failed.

    Exponential with full jitter between five seconds and one hour, never below `retry_after`.
    `jitter` returns a number from 0 to 1.
    """
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt, 30))
    return max(retry_after or 0.0, FIRST_DELAY + jitter() * (ceiling - FIRST_DELAY))


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds from `now` that a Retry-After header asks for (RFC 9110, section 10.2.3).

    It is a number of seconds or a date; None if it is neither.
    """
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None
