"""`python -m bench.seed`: people, devices and cards for a benchmark, in the database of the
environment. The device of holder n has the token `token-n`, the first owner's `token-owner`."""

import argparse
import json
import os

import django

LONG = "x" * 780


def properties(title: str, more: int = 0) -> list[dict[str, object]]:
    """Those of a card that makes a message of 1.5 KB, or of so many characters more."""
    plain = {
        "n": ["Förster-Nakamura", "Ana", "María", "Dr.", ""],
        "title": title,
        "org": ["Example Industrial Logistics GmbH"],
        "tel": "+49 151 5550 0142",
        "email": "ana.foerster@example.com",
        "url": "https://www.example.com/people/ana-foerster",
        "note": LONG + "x" * more,
    }
    return [
        {"name": name, "value": value, "params": {}, "circles": ["*"]}
        for name, value in plain.items()
    ]


def seed(holders: int, cards: int, pending: int) -> dict[str, object]:
    """So many cards, all held by the same people, who each have one device. All is acknowledged
    but for one change of as many cards as are to be pending. What the benchmark needs of it."""
    from django.db import connection
    from django.db.models import F

    from accounts.models import Device, User
    from bindings.models import Binding
    from cards.models import Card
    from delivery import fanout, rows
    from delivery.models import CardUpdate, Mailbox, OfflineMessage

    people = User.objects.bulk_create(
        User(email=f"h{n}@example.org", username=f"h{n}", name=f"Holder {n}")
        for n in range(holders)
    )
    Device.objects.bulk_create(
        Device(
            user=user,
            platform="android",
            identifier_hash=f"h{n}",
            token_hash=Device.hash_token(f"token-{n}"),
        )
        for n, user in enumerate(people)
    )
    made = []
    for number in range(cards):
        owner = User.objects.create_user(f"o{number}@example.org", name=f"Owner {number}")
        card = Card(owner=owner, fn="Dr. Ana Förster", properties=properties("Chief"))
        card.save()
        view = card.view_for([])
        Binding.objects.bulk_create(
            Binding(card=card, holder=user, view=view, rev=1, held_rev=1) for user in people
        )
        made.append(card)
    Device.objects.create(
        user=made[0].owner,
        platform="desktop",
        identifier_hash="owner",
        token_hash=Device.hash_token("token-owner"),
    )
    Mailbox.objects.bulk_create(
        Mailbox(device=each, filled_at=each.created_at) for each in Device.objects.all()
    )
    for side in rows.PERSON:
        rows.must_have(Binding.objects.filter(card__in=made), side)
    OfflineMessage.objects.update(acknowledged_rev=F("rev"))
    CardUpdate.objects.update(done_rev=F("rev"))
    for card in made[:pending]:
        card.properties = properties("President")
        card.save()
    fanout.run_all()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")  # what autovacuum does within a minute
    return {"card": str(made[0].pk), "people": [user.pk for user in people]}


def seed_other() -> str:
    """A card that one other person holds: tokens `token-other-owner` and `token-other`."""
    from accounts.models import Device, User
    from bindings.models import Binding
    from cards.models import Card

    owner, holder = (User.objects.create_user(f"{n}@example.org", name=n) for n in ("eve", "max"))
    for user, token in ((owner, "token-other-owner"), (holder, "token-other")):
        Device.objects.create(
            user=user,
            platform="android",
            identifier_hash=token,
            token_hash=Device.hash_token(token),
        )
    card = Card(owner=owner, fn="Eve", properties=properties("Chief"))
    card.save()
    Binding.objects.create(card=card, holder=holder, view=card.view_for([]), rev=1, held_rev=1)
    return str(card.pk)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("holders", "cards", "pending"):
        parser.add_argument(name, type=int)
    wanted = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cardsite.settings")
    django.setup()
    other = seed_other()
    print(json.dumps({**seed(wanted.holders, wanted.cards, wanted.pending), "other": other}))


if __name__ == "__main__":
    main()
