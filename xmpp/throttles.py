"""How often somebody may do something by XMPP: the API's own rates, counted at the same place, so
that whoever tries at several doors has one limit."""

import hashlib
import threading
from typing import Any, cast

from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle


class Counted(SimpleRateThrottle):
    """One who does something of this scope: by the person's key, or what else names them."""

    def __init__(self, scope: str, who: object) -> None:
        self.scope, self.who = scope, who
        super().__init__()

    def get_rate(self) -> str:
        return str(api_settings.DEFAULT_THROTTLE_RATES[str(self.scope)])

    def get_cache_key(self, request: Any, view: Any) -> str:
        ident = self.who if isinstance(self.who, int) else hashed(str(self.who))
        return self.cache_format % {"scope": self.scope, "ident": ident}


def hashed(name: str) -> str:
    """What no cache finds odd."""
    return hashlib.sha256(name.encode()).hexdigest()


one_at_a_time = threading.Lock()  # it is read, then written


def allowed(scope: str, who: object) -> bool:
    """Whether they may do it once more; counts it."""
    with one_at_a_time:
        nothing = cast(Any, None)  # it is counted by `who`, there is neither request nor view
        return Counted(scope, who).allow_request(nothing, nothing)
