"""The production engine: tasks that any worker on any machine takes, and that call the same
functions as the threads of the embedded one. A task that is lost, repeated or late does no harm:
what is to be done is in the rows, and the sweep, which beat asks for every two seconds, calls for
what nobody has done for three. Queues, threads and beat are set up in cardsite/settings.py."""

from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from cards import bulk
from cards.bulkrows import BulkChange
from delivery import engine, fanout, prompts, retention, tally
from delivery.models import CardUpdate, Chunk, Mailbox

BREATH = 0.1  # seconds
SWEPT = 1000  # cards that one sweep calls for
BATCH = timedelta(seconds=10)  # that one task prompts devices before it lets others have the worker
TURN = timedelta(seconds=2)  # that one task changes cards, until the next sweep calls for more


@shared_task
def fan_out(card: str | None = None) -> None:
    """Do what is due for a card, or one chunk of it, and let any worker have the next meanwhile.
    Without a card: what died workers left."""
    named = UUID(card) if card else None
    fanout.run_one(
        named, call_others=lambda: engine.call_celery(named), breath=BREATH, left=named is None
    )


@shared_task
def prompt() -> None:
    """Prompt devices until none is due, or for a while."""
    end = timezone.now() + BATCH
    while prompts.run_one():
        if timezone.now() > end:
            prompt.delay()
            break


@shared_task
def change_cards() -> None:
    """Go on with bulk changes for a while."""
    end = timezone.now() + TURN
    while timezone.now() < end and bulk.run_one():
        pass


@shared_task
def sweep() -> None:
    """Call for what nobody was called for: a task that was lost, a worker that died, a prompt
    whose time has come."""
    forgotten = list(CardUpdate.objects.forgotten().order_by("served_at")[:SWEPT])
    for update in forgotten:
        fan_out.delay(str(update.pk))
    called = CardUpdate.objects.filter(pk__in=[update.pk for update in forgotten])
    called.update(served_at=timezone.now())
    if Chunk.objects.abandoned().exists():
        fan_out.delay()
    if prompts.configured() and Mailbox.objects.due().exists():
        prompt.delay()
    if BulkChange.objects.due().exists():
        change_cards.apply_async(expires=TURN.total_seconds())


@shared_task
def clean() -> None:
    """Throw away what docs/retention.md says."""
    retention.clean()


@shared_task
def add_up() -> None:
    """Add to the hours what has happened since."""
    tally.count()
