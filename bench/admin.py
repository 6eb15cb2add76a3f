"""`python -m bench.admin PEOPLE`: the admin's pages with so many people, three times as many
bindings and five times as many offline messages, in the database of the environment (PostgreSQL);
one that is filled already is only looked at.

The rows are copies of a few real ones, made by the database itself. Each list is opened, narrowed
by each of its filters, searched by how an address begins and by an id; each change page is opened.
A bulk change is proposed for as many cards as there may be at once, and a month of hours is drawn;
what the worker takes to add one up is said too.
Times are of the whole answer in this process, the fastest of a few: what the machine does beside it
only makes it slower.
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO, cast

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cardsite.settings")
    django.setup()

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory
from django.test.utils import override_settings
from django.urls import reverse

from accounts.models import Device, User
from bindings.models import Binding
from cards import bulk
from cards.bulkrows import BulkChange
from cards.models import Card, View
from delivery import fanout, tally
from delivery.models import CardUpdate, Mailbox, OfflineMessage, Tally

PEOPLE = 1_000_000
LOOKS = 3
BOUND = 300  # ms
PLAIN = {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
}
SEEN_BY_ALL = [{"name": "tel", "value": "+43 1 111", "params": {}, "circles": ["*"]}]
HOURS = 30 * 24
PROPOSED = {"name": "tel", "old": {"0": "+43 1 111"}, "new": {"0": "+43 1 222"}}


def copies(row: Model, count: int, **columns: str) -> None:
    """So many rows like this one. `columns` are what differs in them, in SQL; n counts from 1."""
    table, key = row._meta.db_table, row._meta.pk.column
    fields = [str(field.column) for field in row._meta.concrete_fields]
    kept = [name for name in fields if name in columns or name != key]
    values = [columns.get(name, f'seed."{name}"') for name in kept]
    names = ", ".join(f'"{name}"' for name in kept)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{table}" ({names}) SELECT {", ".join(values)} '  # noqa: S608
            f'FROM "{table}" AS seed, generate_series(1, %s) AS n '
            f'WHERE seed."{key}" = %s',
            [count, row.pk],
        )


def uuid_of(what: str, n: str = "n") -> str:
    return f"md5('{what}' || ({n}))::uuid"


def fill(people: int) -> None:
    """One real person who holds the card of another, and then all their copies."""
    owner = User.objects.create_user("owner@example.org", "x", name="Owner")
    holder = User.objects.create_user("holder@example.org", "x", name="Holder")
    card = Card(owner=owner, fn="Owner", properties=SEEN_BY_ALL)
    card.save()
    view = card.view_for([])
    binding = Binding.objects.create(card=card, holder=holder, view=view, rev=1, held_rev=1)
    phone = {"platform": "android", "identifier_hash": "0", "token_hash": "0"}
    device = Device.objects.create(user=holder, **phone)
    fanout.run_all()
    message = OfflineMessage.objects.get(binding=binding, device=device)
    base, first_view = User.objects.latest("pk").pk, View.objects.latest("pk").pk
    ago = f"now() - ({5 * people} - n) * interval '2 seconds'"  # in the order of their ids
    door = "(ARRAY['web', 'api', 'admin', 'import', 'server'])[1 + n %% 5]"
    platform = "(ARRAY['android', 'ios', 'desktop'])[1 + n %% 3]"
    around = f"1 + (n - 1) %% {people}"  # from 1 to `people`, again and again
    next_one = f"1 + (n - 1 + 7 * (1 + (n - 1) / {people})) %% {people}"
    someone = {"username": "'u' || n", "email": "'u' || n || '@example.org'"}
    copies(owner, people, id=f"{base} + n", **someone, joined_at=ago)
    copies(
        card, people, id=uuid_of("card"), owner_id=f"{base} + n", changed_at=ago, changed_via=door
    )
    changed = {"changed_at": ago, "changed_via": door}
    copies(card.revisions.get(), people, card_id=uuid_of("card"), **changed)
    copies(view, people, id=f"{first_view} + n", card_id=uuid_of("card"))
    hashes = {"identifier_hash": "'i' || n", "token_hash": "'t' || n"}
    kinds = {"platform": platform, "created_at": ago, "last_seen_at": ago}
    copies(device, people, id=uuid_of("device"), user_id=f"{base} + n", **hashes, **kinds)
    copies(CardUpdate.objects.get(card=card), people, card_id=uuid_of("card"))
    if mailbox := Mailbox.objects.first():
        copies(mailbox, people, device_id=uuid_of("device"))
    copies(
        binding,
        3 * people,
        id=uuid_of("binding"),
        card_id=uuid_of("card", around),
        view_id=f"{first_view} + {around}",
        holder_id=f"{base} + {next_one}",
        created_at=ago,
    )
    copies(
        message,
        5 * people,
        device_id=uuid_of("device", next_one),
        subject=uuid_of("card", around),
        binding_id=uuid_of("binding", f"1 + (n - 1) %% {3 * people}"),
        acknowledged_rev="n %% 2",
        created_at=ago,
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def add_up(out: TextIO) -> None:
    """What the worker does every ten minutes, after a month of it."""
    began = time.perf_counter()
    tally.count()
    taken = (time.perf_counter() - began) * 1000
    print(f"{'(the worker adds an hour up)':<60} {taken:>7.0f} ms", file=out, flush=True)
    newest = Tally.objects.latest("hour")
    copies(newest, HOURS, hour=f"'{newest.hour.isoformat()}'::timestamptz - n * interval '1 hour'")


def propose(staff: User, out: TextIO) -> None:
    """What staff wait for before they see what a bulk change would do."""
    change = BulkChange(by=staff, **PROPOSED)
    began = time.perf_counter()
    bulk.propose(change, Card.objects.all())
    taken = (time.perf_counter() - began) * 1000
    what = f"(a bulk change of {change.total:,} cards is proposed)"
    print(f"{what:<60} {taken:>7.0f} ms", file=out, flush=True)


def pages(site: admin.AdminSite) -> Iterator[tuple[str, str]]:
    """What is looked at, and where."""
    yield "index", reverse("admin:index")
    for model, model_admin in sorted(site._registry.items(), key=lambda each: each[0]._meta.label):
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        address, label = reverse(f"admin:{name}_changelist"), model._meta.label
        yield f"{label} list", address
        yield f"{label} page 200", f"{address}?p=200"
        for choice in filters(model_admin, address):
            yield f"{label} {choice}", f"{address}{choice}"
        yield f"{label} search", f"{address}?q=u4999"
        row = model._default_manager.order_by("pk").first()
        if row:
            yield f"{label} by id", f"{address}?q={row.pk}"
            yield f"{label} row", reverse(f"admin:{name}_change", args=[row.pk])


def filters(model_admin: Any, address: str) -> Iterator[str]:
    """What the links beside the list lead to."""
    request = RequestFactory().get(address)
    request.user = User.objects.get(is_superuser=True)
    listed: ChangeList = model_admin.get_changelist_instance(request)
    for spec in listed.filter_specs:
        yield from [str(cast(Any, each)["query_string"]) for each in spec.choices(listed)][1:]


def run(people: int, out: TextIO) -> None:
    if not User.objects.exists():
        User.objects.create_superuser("staff@example.org", "x", name="Staff")
        began = time.monotonic()
        fill(people)
        print(f"{people:,} people made in {time.monotonic() - began:.0f} s", file=out, flush=True)
        add_up(out)
    staff = User.objects.get(is_superuser=True)
    propose(staff, out)
    browser, slow = Client(), 0
    browser.force_login(staff)
    with override_settings(ALLOWED_HOSTS=["*"], STORAGES=PLAIN, DEBUG=False):
        for name, address in [*pages(admin.site)]:
            taken = min(look(browser, address) for _n in range(LOOKS))
            slow += taken > BOUND
            print(f"{name:<60} {taken:>7.0f} ms{' !' * (taken > BOUND)}", file=out, flush=True)
    print(f"{slow} pages over {BOUND} ms", file=out)


def look(browser: Client, address: str) -> float:
    """Milliseconds until the answer."""
    began = time.perf_counter()
    answer = browser.get(address, follow=True)  # from a page that is not there to the first
    taken = (time.perf_counter() - began) * 1000
    assert answer.status_code == 200, (address, answer.status_code)
    return taken


if __name__ == "__main__":
    run(int(sys.argv[1]) if sys.argv[1:] else PEOPLE, sys.stdout)
