"""A few people, cards and bindings for an empty server, and what to try first."""

from collections.abc import Sequence

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction

from accounts.models import Circle, User
from bindings import exchange
from bindings.models import Binding
from cards.models import EVERYONE, Card, Door, Property

PASSWORD = "cards-for-everyone"  # noqa: S105  (printed at the start, for the demo alone)

PEOPLE = {
    "alice": ("Alice Example", "en", "Product designer", "Example Studio", "+43 1 555 0100"),
    "bob": ("Bob Sample", "en", "Engineer", "Sample Works", "+49 30 555 0101"),
    "carol": ("Carol Model", "en", "Photographer", "", "+44 20 7946 0102"),
    "zhangwei": ("张伟", "zh-hans", "总经理", "示例科技", "+86 10 5550 0103"),
}


@transaction.atomic
def fill() -> bool:
    """Make the demo people if nobody is here yet and DEMO is on; whether that was so."""
    if not settings.DEMO or User.objects.exists():
        return False
    User.objects.create_superuser("staff@example.org", PASSWORD, name="Staff", username="staff")
    cards = {username: person(username, *about) for username, about in PEOPLE.items()}
    family = Circle.objects.create(owner=cards["alice"].owner, name="Family")
    Circle.objects.create(owner=cards["alice"].owner, name="Customers")
    alice = cards["alice"]
    alice.properties.append(prop("tel", "+43 664 555 0199", ["home"], [str(family.pk)]))
    alice.save()
    for username, circles in {"bob": [], "carol": [str(family.pk)], "zhangwei": []}.items():
        introduce(alice, cards[username], circles)
    introduce(cards["bob"], cards["carol"], [])
    return True


def person(username: str, name: str, language: str, title: str, org: str, tel: str) -> Card:
    email = f"{username}@example.org"
    user = User.objects.create_user(
        email, PASSWORD, name=name, username=username, language=language
    )
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    properties = [
        prop("tel", tel, ["work", "voice"]),
        prop("email", email, ["work"]),
        prop("title", title),
        *([prop("org", [org])] if org else []),
        prop("url", f"https://example.org/{username}"),
    ]
    card = Card(
        owner=user,
        label={"en": "Work", "zh-hans": "工作"}[language],
        fn=name,
        properties=properties,
        changed_by=user,
        changed_via=Door.SERVER,
    )
    card.save()
    return card


def prop(
    name: str,
    value: str | list[str],
    types: Sequence[str] = (),
    circles: Sequence[str] = (EVERYONE,),
) -> Property:
    params = {"type": list(types)} if types else {}
    return Property(name=name, value=value, params=params, circles=list(circles))


def introduce(one: Card, other: Card, circles: list[str]) -> tuple[Binding, Binding]:
    asked = exchange.ask(one.owner, other.owner.username, one, circles)
    held, given = exchange.accept_request(asked, other)
    return held, given


def welcome() -> str:
    """What the terminal says at the start."""
    lines = ["", f"Cardsite is at {settings.BASE_URL}", ""]
    if User.objects.filter(email="alice@example.org").exists():
        lines += [
            f"Sign in as alice@example.org, bob@example.org, carol@example.org or "
            f"zhangwei@example.org, password {PASSWORD}",
            f"Staff: staff@example.org, the same password, at {settings.BASE_URL}/admin/",
            "",
            "Two things to try first:",
            "  1. Sign in as Alice in one browser window and as Bob in a private one. Change",
            "     Alice's phone number and watch Bob's page.",
            "  2. In another terminal, be Bob's phone and change it again:",
            f"     .venv/bin/python clients/phone.py --server {settings.BASE_URL} \\",
            f"       --email bob@example.org --password {PASSWORD} --folder var/bob-phone",
            "",
        ]
    return "\n".join(lines)
