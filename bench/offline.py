"""One card and more and more holders, all of them offline: what the request that changes it costs,
what the fan-out costs, and whether either grows by more than it must."""

import resource
import statistics
import time
from typing import NamedTuple, TextIO

from django.db import connection, reset_queries
from django.test.utils import override_settings
from rest_framework.test import APIClient

from accounts.models import Device, User
from bindings.models import Binding
from cards.models import Card
from delivery import fanout
from delivery.models import OfflineMessage

HOLDERS = (1, 1_000, 10_000)
EDITS = 5
REQUESTS = 20
COLUMNS = "{:>9} {:>11} {:>13} {:>11} {:>9} {:>15} {:>9}"
ROW = "{:>9,} {:>11.1f} {:>13.2f} {:>11.3f} {:>9,.0f} {:>15} {:>9.0f}"


class Figures(NamedTuple):
    """Of one number of holders. Times in seconds, memory in MiB."""

    holders: int
    request: float
    fan_out: float
    questions: int
    chunks: int
    memory: float


def run(out: TextIO) -> None:
    """Measure on a new database of the configured kind, and print a table."""
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        table(out, [measure(holders) for holders in HOLDERS])
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def table(out: TextIO, figures: list[Figures]) -> None:
    print(f"One edit of a card whose holders are all offline ({connection.vendor})\n", file=out)
    heads = ("holders", "PATCH ms", "to 1 holder", "CPU s", "rows/s", "queries/chunk", "MiB")
    print(COLUMNS.format(*heads), file=out)
    for each in figures:
        row = (
            each.holders,
            each.request * 1000,
            each.request / figures[0].request,
            each.fan_out,
            each.holders / each.fan_out,
            f"{each.questions / each.chunks:.1f} x {each.chunks}",
            each.memory,
        )
        print(ROW.format(*row), file=out)


def measure(holders: int) -> Figures:
    card, client = card_held_by(holders)
    fanout.run_all()
    requests = statistics.median(patch(client, card, number) for number in range(REQUESTS))
    fanout.run_all()
    times = []
    for number in range(EDITS):
        patch(client, card, REQUESTS + number)
        start = time.process_time()
        fanout.run_all()
        times.append(time.process_time() - start)
    card.refresh_from_db()
    assert OfflineMessage.objects.filter(rev=card.rev).count() == holders
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    chunks = -(-holders // fanout.CHUNK) + (holders % fanout.CHUNK == 0)
    return Figures(
        holders, requests, statistics.median(times), questions_of(client, card), chunks, memory
    )


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
