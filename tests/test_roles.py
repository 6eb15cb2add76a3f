"""No role of staff sees what owners keep to themselves, wherever links lead."""

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from typing import Any
from urllib.parse import urljoin

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, Circle, Device, User
from bindings import exchange
from bindings.models import Binding
from cards.models import SEEN_BY_NAME, Card
from cardsite.roles import ROLES, bring
from delivery import rows
from delivery.models import PushAttempt
from tests.conftest import bind, make_card, make_device, prop
from tests.staff import act_at_once, browser_of, list_page, make_staff, page_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("uncounted")]

VALUES: dict[str, Any] = {
    "adr": ["", "", "needle-adr-here", "", "", "", ""],
    "n": ["needle-n-here", "", "", "", ""],
    "org": ["needle-org-here"],
    "categories": ["needle-categories-here"],
    "nickname": ["needle-nickname-here"],
    "url": "https://needle-url-here.example/",
    "impp": "xmpp:needle-impp-here@example.org",
}
PHOTO = "needle-photo"
# What lies beside the properties, and which permission shows it.
ELSEWHERE = {
    "needle-label": "cards.see_whole",
    "needle-circle": "accounts.view_circle",
    "needle-message": "bindings.see_message",
}
NOWHERE = ("needle-alias", "needle-remark", "needle-tag", "needle-token", "needle-hash")


def needle(name: str) -> str:
    return PHOTO if name == "photo" else f"needle-{name}-here"


def sown(owner: User, holder: User) -> Card:
    """A card with all that can be on one, some of it for nobody, and what lies around it."""
    circle = Circle.objects.create(owner=owner, name="needle-circle")
    audiences = [[], ["*"], ["public"], [str(circle.pk)]]
    properties = [
        prop(name, VALUES.get(name, f"needle-{name}-here"), *audiences[place % 4])
        for place, name in enumerate(SEEN_BY_NAME)
        if name != "photo"
    ]
    card = make_card(owner, *properties, prop("x-secret", "needle-x"))
    card.label = "needle-label"
    card.photo, card.photo_circles = f"{PHOTO}.jpg", []
    card.save()
    card.properties = [{**each, "params": {"type": ["work"]}} for each in card.properties]
    card.save()
    binding = bind(card, holder, str(circle.pk))
    private = {"nickname": "needle-alias", "note": "needle-remark", "tags": ["needle-tag"]}
    Binding.objects.filter(pk=binding.pk).update(**private)
    device = make_device(holder, "ios", push_token="ab" * 32)
    Device.objects.filter(pk=device.pk).update(token_hash="needle-hash")
    rows.fill([device])
    PushAttempt.objects.create(device=device, transport="apns", verdict="delivered")
    exchange.invite(card, circles=[str(circle.pk)], lifetime=timedelta(days=1))
    exchange.ask(holder, owner.username, make_card(holder), [], "needle-message")
    return card


def crawl(browser: Client) -> Iterator[tuple[str, str]]:
    """Every page of the admin that links and lists lead to, with its text. A list is narrowed by
    one filter at a time, and not sorted."""
    todo = [reverse("admin:index"), *map(list_page, admin.site._registry)]
    seen = set(todo)
    while todo:
        page = todo.pop()
        answer = browser.get(page)
        text = html.unescape(answer.content.decode(errors="replace"))
        yield page, text
        for link in re.findall(r'href="([^"#]+)"', answer.content.decode(errors="replace")):
            there = urljoin(page, html.unescape(link)).partition("?_changelist_filters")[0]
            narrower = "?" in there and ("?" in page or "?o=" in there)
            if there.startswith("/admin/") and there not in seen and not narrower:
                seen.add(there)
                todo.append(there)


def found(browser: Client, *needles: str) -> set[str]:
    return {each for _page, text in crawl(browser) for each in needles if each in text}


def with_permissions(*names: str) -> Client:
    staff = make_staff(f"helper{len(names)}", superuser=False)
    for name in names:
        app, codename = name.split(".")
        staff.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    return browser_of(staff)


def in_role(name: str) -> Client:
    staff = make_staff("helper", superuser=False)
    staff.groups.add(Group.objects.get(name=name))
    return browser_of(staff)


EVERYTHING = ("needle-x", *map(needle, SEEN_BY_NAME), *ELSEWHERE, *NOWHERE)


def test_a_superuser_sees_all_of_it_but_what_nobody_sees(alice: User, bob: User) -> None:
    sown(alice, bob)
    assert found(browser_of(make_staff()), *EVERYTHING) == {*EVERYTHING} - {*NOWHERE}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_what_it_was_given(alice: User, bob: User, role: str) -> None:
    sown(alice, bob)
    allowed = {needle(name) for name in SEEN_BY_NAME if f"cards.see_{name}" in ROLES[role]}
    assert found(in_role(role), *EVERYTHING) == allowed


# No two are given to the same three of the seven: of any two, somebody has one without the other.
GIVEN = dict(zip(SEEN_BY_NAME, combinations(range(7), 3), strict=False))


@pytest.mark.parametrize("somebody", range(7))
def test_each_property_is_given_by_itself(alice: User, bob: User, somebody: int) -> None:
    card = sown(alice, bob)
    names = [name for name, to in GIVEN.items() if somebody in to]
    sees = [f"cards.see_{name}" for name in names]
    browser = with_permissions("cards.view_card", "cards.view_cardrevision", *sees)
    assert found(browser, *EVERYTHING) == {*map(needle, names)}
    assert "needle" not in browser.get(list_page(Card), {"q": str(card.pk)}).content.decode()


@pytest.mark.parametrize(("what", "permission"), ELSEWHERE.items())
def test_so_is_what_lies_beside_them(alice: User, bob: User, what: str, permission: str) -> None:
    sown(alice, bob)
    lists = ("cards.view_card", "bindings.view_request", "bindings.view_binding")
    assert what not in found(with_permissions(*lists), what)
    assert what in found(with_permissions(*lists, permission), what)


def test_every_role_has_something_to_see(db: None) -> None:
    for role in ROLES:
        staff = make_staff(f"of-{role.split()[0].lower()}", superuser=False)
        staff.groups.add(Group.objects.get(name=role))
        browser = browser_of(staff)
        pages = [browser.get(list_page(model)).status_code for model in admin.site._registry]
        assert 200 in pages
        assert 403 in pages


# What staff cannot do about it


def test_who_does_not_see_a_card_whole_does_not_write_it(alice: User, bob: User) -> None:
    card = sown(alice, bob)
    browser = in_role("Company details")
    form = {"label": "", "fn": "Forged", "properties": "[]", "seen_rev": card.rev}
    assert browser.post(page_of(card), form).status_code == 403
    card.refresh_from_db()
    assert card.fn != "Forged"


def test_nor_makes_one_for_somebody(alice: User) -> None:
    browser = with_permissions("cards.view_card", "cards.add_card", "cards.see_tel")
    form = {"owner": alice.pk, "label": "", "fn": "Forged", "properties": "[]", "seen_rev": 0}
    assert browser.post(reverse("admin:cards_card_add"), form).status_code == 403
    assert not Card.objects.exists()


def test_support_does_not_become_the_person(alice: User) -> None:
    browser = in_role("Support")
    form = {
        "email": "me@example.org",
        "name": "Alice Renamed",
        "username": alice.username,
        "language": "en",
        "time_zone": "UTC",
        "is_active": "on",
    }
    assert browser.post(page_of(alice), form).status_code == 302
    path = reverse("admin:auth_user_password_change", args=[alice.pk])
    new = {"password1": "another-horse-1", "password2": "another-horse-1"}
    assert browser.post(path, {**new, "usable_password": "true"}).status_code == 403
    before = alice.password
    alice.refresh_from_db()
    assert (alice.name, alice.email) == ("Alice Renamed", "alice@example.org")
    assert alice.password == before


@pytest.mark.parametrize("permission", ["auth.change_group", "account.change_emailaddress"])
def test_what_would_give_more_is_for_superusers(alice: User, permission: str) -> None:
    app, codename = permission.split(".")
    view = f"{app}.{codename.replace('change', 'view')}"
    browser = with_permissions(permission, view)
    row = Group.objects.all()[0] if app == "auth" else EmailAddress.objects.get(user=alice)
    assert browser.get(page_of(row)).status_code == 403
    assert browser.get(list_page(type(row))).status_code == 403


def test_audit_reads_the_log_and_changes_nothing(alice: User) -> None:
    browser = in_role("Audit")
    assert browser.get(list_page(AuditEntry)).status_code == 200
    act_at_once(browser, "erase", alice)
    assert User.objects.get(pk=alice.pk).is_active


# Bringing them


def test_what_was_made_of_a_role_stays(db: None) -> None:
    role = Group.objects.get(name="Support")
    role.permissions.clear()
    Group.objects.get(name="Audit").delete()
    bring(sender=None)  # type: ignore[arg-type]
    assert not role.permissions.exists()
    assert Group.objects.get(name="Audit").permissions.count() == len(ROLES["Audit"])


def test_there_is_a_permission_for_each_name_and_no_other() -> None:
    assert [*GIVEN] == [*SEEN_BY_NAME]
    told = {codename for codename, _name in Card._meta.permissions}
    assert told == {"see_whole", *(f"see_{name}" for name in SEEN_BY_NAME)}
