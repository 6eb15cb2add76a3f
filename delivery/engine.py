"""Who does what is due: threads of the server process, or Celery where there is a broker."""

import logging
import time
from uuid import UUID

from django.conf import settings
from django.db import connection

from cards import bulk
from delivery import fanout, prompts, retention, tally
from delivery.models import Chunk
from delivery.worker import Worker, woken

PAUSE = 1.0  # seconds for which a broker that is away is not asked again

logger = logging.getLogger(__name__)
_quiet_until = 0.0


def wake(card: UUID) -> None:
    """A change of this card has been committed."""
    if settings.CELERY_BROKER_URL:
        call_celery(card)
    else:
        woken.set()


def call_celery(card: UUID | None) -> None:
    """Whoever saves a card waits for a broker that is away at most once in a while: then nobody
    asks it for a time, and the sweep finds the rest. Without a card: for a chunk that a
    worker left when it died."""
    global _quiet_until
    from kombu.exceptions import OperationalError

    from delivery import tasks

    if time.monotonic() < _quiet_until:
        return
    try:
        tasks.fan_out.delay(str(card) if card else None)
    except OperationalError as error:
        _quiet_until = time.monotonic() + PAUSE
        logger.warning("The broker is away, what is new arrives late: %s", error)


def start() -> list[Worker]:
    """Start the threads: fan-out never waits for a push service, nor for a bulk change or the
    cleaning.

    With a broker there are none here. On SQLite they are the only ones, so what an earlier process
    had taken when it was killed is taken up at once.
    """
    if connection.vendor == "sqlite":
        Chunk.objects.all().abandon()
    if settings.CELERY_BROKER_URL:
        return []
    workers = [
        Worker("fan-out", fanout.run_one, woken),
        Worker("prompts", prompts.run_one),
        Worker("bulk changes", bulk.run_one),
        Worker("retention", retention.run_one),
        Worker("tally", tally.run_one),
    ]
    for worker in workers:
        worker.start()
    return workers


def stop(workers: list[Worker]) -> None:
    for worker in workers:
        worker.stop()
