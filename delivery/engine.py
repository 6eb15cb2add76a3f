"""The embedded engine: which threads of the server process do what is due."""

from django.db import connection

from delivery import fanout, prompts, retention
from delivery.models import Chunk
from delivery.worker import Worker, woken


def start() -> list[Worker]:
    """Start the threads: fan-out never waits for a push service, and neither for the cleaning.

    On SQLite they are the only ones, so what an earlier process had taken when it was killed is
    taken up at once.
    """
    if connection.vendor == "sqlite":
        Chunk.objects.all().abandon()
    workers = [
        Worker("fan-out", fanout.run_one, woken),
        Worker("prompts", prompts.run_one),
        Worker("retention", retention.run_one),
    ]
    for worker in workers:
        worker.start()
    return workers


def stop(workers: list[Worker]) -> None:
    for worker in workers:
        worker.stop()
