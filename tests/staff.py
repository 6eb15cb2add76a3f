"""What the tests of the admin share: staff at a browser, and enough rows of every kind."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from push_notifications.models import APNSDevice, GCMDevice

from accounts.models import AuditEntry, Circle, User
from bindings import exchange, guests
from bindings.models import Binding
from cards.bulkrows import BulkChange
from cards.models import Card
from delivery import rows
from delivery.models import PushAttempt, Tally
from tests.conftest import bind, make_card, make_device, make_person, prop

PRIVATE = {"nickname": "PRIVATE-nick", "note": "PRIVATE-note", "tags": ["PRIVATE-tag"]}


def make_staff(username: str = "staff", *, superuser: bool = True) -> User:
    user = make_person(username, "Staff")
    user.is_staff, user.is_superuser = True, superuser
    user.save()
    return user


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return client


def list_page(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def delete_page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_delete", args=[row.pk])


def act(staff: Client, action: str, chosen: Iterable[Model], query: str = "", **also: str) -> Any:
    """Choose the rows in their list and run the action on them; the answer."""
    rows = list(chosen)
    form = {"action": action, "_selected_action": [str(row.pk) for row in rows], **also}
    return staff.post(list_page(type(rows[0])) + query, form, follow=True)


def act_at_once(staff: Client, action: str, *chosen: Model) -> Any:
    return act(staff, action, chosen, confirmed="yes")


def said(answer: Any) -> list[str]:
    """The messages on the page."""
    return [str(message) for message in answer.context["messages"]]


def last_log() -> LogEntry:
    return LogEntry.objects.latest("pk")


def populate(owner: User, start: int, stop: int) -> None:
    """For each number a person who holds the owner's card, and a row more in every list."""
    card = Card.objects.kept().filter(owner=owner).first() or make_card(owner)
    for number in range(start, stop):
        populate_once(card, make_person(f"holder{number}", f"Holder {number}"))


def populate_once(card: Card, person: User) -> None:
    owner = card.owner
    circle = Circle.objects.create(owner=owner, name=f"Circle for {person.username}")
    make_card(person, prop("tel", "+43 1 999", "*"))
    device = make_device(person, "ios", push_token=f"a0b1c2d3{person.pk:056d}")
    binding = bind(card, person, str(circle.pk))
    Binding.objects.filter(pk=binding.pk).update(**PRIVATE)
    rows.fill([device])
    PushAttempt.objects.create(device=device, transport="apns", verdict="delivered", status=200)
    BulkChange.objects.create(by=owner, name="tel", new={"0": "+43 1 999"}, total=1)
    Tally.objects.create(hour=timezone.now(), counted_at=timezone.now())
    exchange.invite(card, circles=[str(circle.pk)], lifetime=timedelta(days=1))
    exchange.ask(owner, person.username, card, [str(circle.pk)], "PLEASE")
    guests.welcome(f"Guest of {person.name}", lambda guest: None)
    exchange.block(person, make_person(f"blocked-{person.username}", "Blocked"))
    AuditEntry.objects.create(staff=owner, verb="looked", kind="accounts.user", object_id=owner.pk)
    GCMDevice.objects.create(user=person, registration_id=f"gcm-{person.pk}")
    assert APNSDevice.objects.filter(user=person).exists()
