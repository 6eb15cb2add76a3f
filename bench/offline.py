"""`python -m bench.offline HOLDERS...`: one card and more and more holders, all of them offline.
What the request that changes it costs, what the fan-out costs, and whether either grows by more
than it must; on the database of the environment, in this one process, and where the database bears
it with a second one beside it."""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO
from uuid import UUID

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cardsite.settings")
    django.setup()

from django.db import connection, reset_queries
from django.db.models import F
from django.test.utils import override_settings
from rest_framework.test import APIClient

from accounts.models import Device, User
from bindings.models import Binding
from cards.models import Card
from cardsite.garbage import spare_the_collector
from delivery import fanout
from delivery.models import CardUpdate, OfflineMessage

EDITS = 5
REQUESTS = 40
HEADS = [
    *("holders", "PATCH ms", "ratio", "fan-out s", "CPU s"),
    *("rows/s", "by two", "queries/chunk", "growth MiB"),
]
COLUMNS = "{:>9} {:>10} {:>7} {:>10} {:>8} {:>9} {:>9} {:>15} {:>12}"
ROW = "{:>9,} {:>10.1f} {:>7.2f} {:>10.2f} {:>8.2f} {:>9,.0f} {:>9,.0f} {:>15} {:>12.1f}"
BESIDE = "beside"  # the first argument of the second worker, before database and card


class Figures(NamedTuple):
    """Of one number of holders. Times in seconds; `fan_out` as the clock says, `cpu` of this
    process alone, `by_two` where another one helps; `growth` is what the process grew by in the
    fan-outs, in MiB."""

    holders: int
    request: float
    fan_out: float
    cpu: float
    by_two: float
    questions: int
    chunks: int
    growth: float


def run(out: TextIO, numbers: list[int]) -> None:
    """Measure on a new database of the configured kind, and print a table."""
    spare_the_collector()
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        table(out, [measure(holders) for holders in numbers])
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def table(out: TextIO, figures: list[Figures]) -> None:
    print(f"\nOne edit of a card whose holders are all offline ({connection.vendor})\n", file=out)
    print(COLUMNS.format(*HEADS), file=out)
    for each in figures:
        row = (
            each.holders,
            each.request * 1000,
            each.request / figures[0].request,
            each.fan_out,
            each.cpu,
            each.holders / each.fan_out,
            each.holders / each.by_two,
            f"{each.questions / each.chunks:.1f} x {each.chunks}",
            each.growth,
        )
        print(ROW.format(*row), file=out)


def measure(holders: int) -> Figures:
    card, client = card_held_by(holders)
    fanout.run_all()
    know_the_rows()
    requests = statistics.median(patch(client, card, number) for number in range(REQUESTS))
    fanout.run_all()
    before = memory()
    alone = [fan_out(client, card, REQUESTS + number) for number in range(EDITS)]
    growth = memory() - before
    times, costs = zip(*alone, strict=True)
    by_two = times
    if connection.vendor == "postgresql":
        with another_worker(card):
            by_two = tuple(fan_out(client, card, 2 * REQUESTS + n)[0] for n in range(EDITS))
    card.refresh_from_db()
    assert OfflineMessage.objects.filter(subject=card.pk, rev=card.rev).count() == holders
    chunks = max(-(-holders // fanout.CHUNK), 1)
    return Figures(
        holders=holders,
        request=requests,
        fan_out=statistics.median(times),
        cpu=statistics.median(costs),
        by_two=statistics.median(by_two),
        questions=questions_of(client, card),
        chunks=chunks,
        growth=growth,
    )


def fan_out(client: APIClient, card: Card, number: int) -> tuple[float, float]:
    """Change the card; the seconds until all has been written, and those of this process's CPU."""
    patch(client, card, number)
    start, cpu = time.perf_counter(), time.process_time()
    while CardUpdate.objects.filter(pk=card.pk, rev__gt=F("done_rev")).exists():
        if not fanout.run_one(card.pk):
            time.sleep(0.001)  # the other worker is at the last chunk
    return time.perf_counter() - start, time.process_time() - cpu


@contextmanager
def another_worker(card: Card) -> Iterator[None]:
    """A process that takes chunks of the card too."""
    database = connection.settings_dict["NAME"]
    command = [sys.executable, "-m", "bench.offline", BESIDE, str(database), str(card.pk)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert worker.stdout
    worker.stdout.readline()  # it is ready
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


def work_beside(database: str, card: str) -> None:
    """Until it is stopped, and has done what it is at."""
    connection.settings_dict["NAME"] = database
    spare_the_collector()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    print("ready", flush=True)
    while not stopped:
        if not fanout.run_one(UUID(card)):
            time.sleep(0.001)


def memory() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def card_held_by(holders: int) -> tuple[Card, APIClient]:
    """A card, each of its holders with one device, and its owner's app."""
    owner = User.objects.create(email=f"o{holders}@example.org", username=f"o{holders}", name="O")
    card = Card(owner=owner, fn="Owner", properties=properties(0))
    card.save()
    people = User.objects.bulk_create(
        User(email=f"h{holders}-{n}@example.org", username=f"h{holders}-{n}", name=f"H {n}")
        for n in range(holders)
    )
    Device.objects.bulk_create(
        Device(
            user=user,
            platform="android",
            identifier_hash=user.username,
            token_hash=Device.hash_token(user.username),
        )
        for user in people
    )
    view = card.view_for([])
    Binding.objects.bulk_create(
        Binding(card=card, holder=user, view=view, rev=1, held_rev=1) for user in people
    )
    client = APIClient(SERVER_NAME="127.0.0.1")
    client.force_authenticate(owner)
    return card, client


def properties(number: int) -> list[dict[str, object]]:
    return [{"name": "tel", "value": f"+43 1 {number}", "params": {}, "circles": ["*"]}]


def know_the_rows() -> None:
    """As much of them as autovacuum would tell in its time."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def patch(client: APIClient, card: Card, number: int) -> float:
    """Change the number on the card over REST; seconds that the request took."""
    start = time.perf_counter()
    answer = client.patch(
        f"/api/v1/cards/{card.pk}",
        {"properties": properties(number)},
        format="json",
        HTTP_IF_MATCH="*",
    )
    assert answer.status_code == 200, answer.content
    return time.perf_counter() - start


@override_settings(DEBUG=True)
def questions_of(client: APIClient, card: Card) -> int:
    """How many statements one fan-out takes."""
    patch(client, card, -1)
    reset_queries()
    fanout.run_all()
    return len(connection.queries)


if __name__ == "__main__":
    if sys.argv[1] == BESIDE:
        work_beside(*sys.argv[2:])
    else:
        run(sys.stdout, [int(number) for number in sys.argv[1:]])
