"""The embedded engine: threads of the server process that do what is due.

They are woken after a commit, and look by themselves every second for what nobody woke them for:
a change made by another process, or left behind by a crash.
"""

import logging
import threading
from collections.abc import Callable

from django.db import close_old_connections

LOOK_EVERY = 1.0  # seconds

logger = logging.getLogger(__name__)
woken = threading.Event()


class Worker(threading.Thread):
    """Calls `job` until it has nothing more to do, then waits to be woken, again and again."""

    def __init__(
        self, name: str, job: Callable[[], bool], woken: threading.Event | None = None
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.job = job
        self.woken = woken or threading.Event()
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            close_old_connections()
            if not self.did_something():
                self.woken.wait(LOOK_EVERY)
                self.woken.clear()
        close_old_connections()

    def did_something(self) -> bool:
        try:
            return self.job()
        except Exception:  # whatever went wrong with one card must not stop the others
            logger.exception("%s failed; trying again in %s s", self.name, LOOK_EVERY)
            return False

    def stop(self) -> None:
        """Let it finish what it is doing, and wait for that."""
        self.stopping = True
        self.woken.set()
        self.join(timeout=10)
