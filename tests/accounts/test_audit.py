"""What staff look at and change is written down, by row, and stays."""

from datetime import timedelta
from typing import Any, cast

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from push_notifications.models import APNSDevice

from accounts.models import AuditEntry, User
from delivery import retention
from tests.conftest import make_card, make_device
from tests.staff import (
    act,
    act_at_once,
    browser_of,
    delete_page_of,
    list_page,
    make_staff,
    page_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> User:
    return make_staff()


@pytest.fixture
def staff(root: User) -> Client:
    return browser_of(root)


def push_token(person: User) -> APNSDevice:
    make_device(person, "ios", push_token="ab" * 32)
    return cast(APNSDevice, APNSDevice.objects.get(user=person))


def written() -> list[tuple[str, str, str]]:
    kept = AuditEntry.objects.order_by("pk")
    return [(entry.verb, entry.kind, entry.object_id) for entry in kept]


def test_a_look_at_a_row_is_written_down(staff: Client, root: User, alice: User) -> None:
    staff.get(page_of(alice))
    entry = AuditEntry.objects.get()
    assert (entry.staff, entry.verb) == (root, "looked")
    assert (entry.kind, entry.object_id) == ("accounts.user", str(alice.pk))
    assert timezone.now() - entry.at < timedelta(minutes=1)


@pytest.mark.parametrize("name", ["history", "delete"])
def test_so_is_a_look_at_its_other_pages(staff: Client, bob: User, name: str) -> None:
    device = push_token(bob)
    staff.get(reverse(f"admin:push_notifications_apnsdevice_{name}", args=[device.pk]))
    assert written() == [("looked", "push_notifications.apnsdevice", str(device.pk))]


def test_every_row_of_a_list_is_written_down_and_no_other(
    staff: Client, alice: User, bob: User
) -> None:
    staff.get(list_page(User), {"q": "alice@example.org"})
    assert written() == [("listed", "accounts.user", str(alice.pk))]
    assert "alice" not in str(AuditEntry.objects.values())


def test_so_is_every_person_that_a_field_proposes(staff: Client, alice: User) -> None:
    field = {"app_label": "cards", "model_name": "card", "field_name": "owner"}
    staff.get(reverse("admin:autocomplete"), {**field, "term": "alice"})
    assert written() == [("listed", "accounts.user", str(alice.pk))]


def test_what_is_changed_is_written_down_without_its_content(staff: Client, alice: User) -> None:
    card = make_card(alice)
    form = {"label": "", "fn": "SECRET", "properties": "[]", "seen_rev": card.rev}
    assert staff.post(page_of(card), form).status_code == 302
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.kind, entry.object_id) == ("changed", "cards.card", str(card.pk))
    assert "name on the card" in entry.detail.lower()
    assert "SECRET" not in entry.detail


def test_a_form_that_was_refused_is_a_look(staff: Client, alice: User) -> None:
    card = make_card(alice)
    staff.post(page_of(card), {"fn": "", "properties": "[]", "seen_rev": card.rev})
    assert written() == [("looked", "cards.card", str(card.pk))]


def test_an_action_is_written_down_for_each_row_in_one_language(
    staff: Client, root: User, bob: User
) -> None:
    phones = [make_device(bob), make_device(bob)]
    User.objects.filter(pk=root.pk).update(language="zh-hans")
    assert "撤销" in act(staff, "revoke", phones).content.decode()
    assert not AuditEntry.objects.exists()
    act_at_once(staff, "revoke", *phones)
    entries = AuditEntry.objects.filter(verb="changed")
    assert {entry.object_id for entry in entries} == {str(phone.pk) for phone in phones}
    assert {entry.detail for entry in entries} == {"Revoke"}


def test_who_was_refused_is_written_down(alice: User) -> None:
    helper = make_staff("helper", superuser=False)
    browser_of(helper).get(page_of(alice))
    assert written() == [("refused", "accounts.user", str(alice.pk))]


def test_nobody_who_is_no_staff_is_written_down(alice: User, bob: User) -> None:
    browser_of(bob).get(page_of(alice))
    Client().get(page_of(alice))
    assert written() == []


def test_an_erased_person_is_not_named(staff: Client, alice: User) -> None:
    staff.get(list_page(User), {"q": "alice"})
    staff.get(page_of(alice))
    act_at_once(staff, "erase", alice)
    log = str(list(AuditEntry.objects.values()))
    assert "alice" not in log.lower()
    assert AuditEntry.objects.filter(verb="changed", object_id=str(alice.pk)).exists()


def test_many_rows_are_not_deleted_at_once(staff: Client, bob: User) -> None:
    device = push_token(bob)
    act(staff, "delete_selected", [device], post="yes")
    device.refresh_from_db()


def test_one_that_is_deleted_is_written_down(staff: Client, bob: User) -> None:
    device = push_token(bob)
    key = str(device.pk)
    staff.post(delete_page_of(device), {"post": "yes"})
    assert ("deleted", "push_notifications.apnsdevice", key) in written()


# What is written stays


@pytest.mark.parametrize("harm", ["update", "delete", "save"])
def test_the_database_keeps_the_log_as_it_was(staff: Client, alice: User, harm: str) -> None:
    staff.get(page_of(alice))
    entry = AuditEntry.objects.get()
    harms: dict[str, Any] = {
        "update": lambda: AuditEntry.objects.update(verb="listed"),
        "delete": lambda: AuditEntry.objects.all().delete(),
        "save": entry.save,
    }
    with pytest.raises(DatabaseError, match="only added to"), transaction.atomic():
        harms[harm]()
    assert AuditEntry.objects.get().verb == "looked"


def test_an_entry_goes_after_two_years(staff: Client, root: User, alice: User) -> None:
    staff.get(page_of(alice))
    old = timezone.now() - AuditEntry.KEPT - timedelta(minutes=1)
    AuditEntry.objects.create(staff=root, verb="looked", kind="cards.card", at=old)
    retention.clean()
    assert [entry.kind for entry in AuditEntry.objects.all()] == ["accounts.user"]


# Reading it


def test_the_log_says_who_did_what_to_which_row(staff: Client, alice: User) -> None:
    card = make_card(alice)
    staff.get(page_of(card))
    act_at_once(staff, "retire", card)
    page = staff.get(list_page(AuditEntry), {"kind": "cards.card", "q": str(card.pk)})
    text = page.content.decode()
    assert page.context["cl"].result_count == AuditEntry.objects.filter(kind="cards.card").count()
    assert page_of(card) in text
    assert "Retire" in text


def test_reading_the_log_adds_one_entry_to_it(staff: Client, alice: User, bob: User) -> None:
    staff.get(list_page(User))
    before = AuditEntry.objects.count()
    staff.get(list_page(AuditEntry))
    assert AuditEntry.objects.count() == before + 1
    assert AuditEntry.objects.latest("pk").kind == "accounts.auditentry"


def test_the_log_is_found_by_who_it_was(staff: Client, root: User, alice: User) -> None:
    other = make_staff("other")
    browser_of(other).get(page_of(alice))
    staff.get(page_of(alice))
    page = staff.get(list_page(AuditEntry), {"q": "other"})
    assert [entry.staff for entry in page.context["cl"].result_list] == [other]


def test_it_is_read_by_those_who_may_alone(alice: User) -> None:
    reader = make_staff("reader", superuser=False)
    browser = browser_of(reader)
    assert browser.get(list_page(AuditEntry)).status_code == 403
    reader.user_permissions.add(Permission.objects.get(codename="view_auditentry"))
    assert browser.get(list_page(AuditEntry)).status_code == 200


def test_every_page_of_a_row_leads_to_who_looked_at_it(staff: Client, alice: User) -> None:
    card = make_card(alice)
    link = f"{list_page(AuditEntry)}?kind=cards.card&amp;q={card.pk}"
    assert link in staff.get(page_of(card)).content.decode()
    editor = make_staff("editor", superuser=False)
    editor.user_permissions.add(Permission.objects.get(codename="view_card"))
    assert link not in browser_of(editor).get(page_of(card)).content.decode()
