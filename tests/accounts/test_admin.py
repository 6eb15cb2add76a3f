"""Every page of the admin; staff's people, devices and circles."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import staff as shared
from accounts.models import AuditEntry, Device, User
from bindings.models import Binding
from tests.conftest import PASSWORD, make_device
from tests.staff import (
    PRIVATE,
    act,
    act_at_once,
    browser_of,
    delete_page_of,
    last_log,
    list_page,
    make_staff,
    page_of,
    populate,
    said,
)

pytestmark = pytest.mark.usefixtures("uncounted")

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
EMPTY = {"push_notifications.WebPushDevice", "auth.Group"}
ROOMS = {"accounts", "cards", "bindings", "delivery"}
OURS = [model for model in MODELS if model._meta.app_label in ROOMS]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
every_model_of_ours = pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)


@pytest.fixture
def staff(db: None) -> Client:
    return browser_of(make_staff())


# Every page


@every_model
def test_a_list_opens(staff: Client, alice: User, model: type[Model]) -> None:
    populate(alice, 0, 2)
    page = staff.get(list_page(model))
    assert page.status_code == 200
    assert page.context["cl"].result_count > 0 or model._meta.label in EMPTY


@every_model
def test_a_page_of_one_row_opens(staff: Client, alice: User, model: type[Model]) -> None:
    populate(alice, 0, 2)
    row = model._default_manager.first()
    if row is not None:
        page = staff.get(page_of(row))
        assert page.status_code == 200
    assert row is not None or model._meta.label in EMPTY


@every_model
def test_what_a_list_offers_to_do_can_be_done(
    staff: Client, alice: User, model: type[Model]
) -> None:
    populate(alice, 0, 2)
    chosen = model._default_manager.all()[:2]
    form = staff.get(list_page(model)).context["action_form"]
    for action, _words in form.fields["action"].choices[1:] if form and chosen else []:
        assert act(staff, action, chosen).status_code == 200


@every_model_of_ours
def test_a_list_can_be_searched_for_anything(
    staff: Client, alice: User, model: type[Model]
) -> None:
    populate(alice, 0, 2)
    for term in ("holder1", "HOLDER1@example.org", "Holder 1", "7", "9" * 30, "'%\0_", str(alice)):
        assert staff.get(list_page(model), {"q": term}).status_code == 200


def test_lists_ask_as_many_questions_for_15_rows_as_for_5(staff: Client, alice: User) -> None:
    populate(alice, 0, 5)
    models = {*MODELS} - {AuditEntry}  # which grows by every look
    questions_of(staff, list_page(User))  # what is asked once for a process
    few = {model: questions_of(staff, list_page(model)) for model in models}
    populate(alice, 5, 15)  # all on one page: further pages take a question more
    many = {model: questions_of(staff, list_page(model)) for model in models}
    assert many == few


def questions_of(staff: Client, page: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        staff.get(page)
    return len(asked)


def test_what_a_holder_keeps_private_is_on_no_page(staff: Client, alice: User) -> None:
    populate(alice, 0, 3)
    for model in OURS:
        rows = list(model._default_manager.all()[:3])
        for page in (list_page(model), *map(page_of, rows)):
            assert b"PRIVATE" not in staff.get(page).content, page
    assert Binding.objects.filter(**PRIVATE).count() == 3


# What a list must not be narrowed by: how many rows there are would tell what no page shows.
GUESSES = {
    "accounts.User": ["password__startswith", "bindings__note__startswith", "sessions__pk"],
    "accounts.Device": ["token_hash__startswith", "user__password__startswith"],
    "cards.Card": ["properties__contains", "label__startswith", "bindings__note__contains"],
    "cards.BulkChange": ["items__card__properties__contains", "old__contains"],
    "cards.CardRevision": ["properties__contains", "card__properties__contains"],
    "bindings.Binding": ["note__contains", "nickname__gte", "tags__contains", "view__search__gt"],
    "bindings.Invitation": ["code_hash__startswith", "card__properties__contains"],
    "bindings.Request": ["message__contains", "card__properties__contains"],
    "bindings.Exchange": ["given__note__contains", "returned__card__properties__contains"],
    "bindings.Guest": ["key_hash__startswith", "user__password__startswith"],
    "delivery.OfflineMessage": ["binding__note__contains", "device__token_hash__startswith"],
    "delivery.Mailbox": ["device__token_hash__startswith"],
    "delivery.PushAttempt": ["device__token_hash__startswith"],
    "delivery.CardUpdate": ["card__properties__contains"],
}


@every_model_of_ours
def test_no_list_is_narrowed_by_what_is_private(staff: Client, model: type[Model]) -> None:
    guesses = GUESSES.get(model._meta.label, [])
    columns = [field.name for field in model._meta.fields if not field.is_relation]
    filtered = set(admin.site.get_model_admin(model).filtered_by())  # type: ignore[attr-defined]
    for name in [*guesses, *({*columns} - filtered), "owner__password__startswith"]:
        assert staff.get(list_page(model), {name: "x"}).status_code == 400, name


def test_lists_are_narrowed_by_their_filters(staff: Client, alice: User) -> None:
    populate(alice, 0, 1)
    for model in OURS:
        page = staff.get(list_page(model))
        choices = [
            choice["query_string"]
            for each in page.context["cl"].filter_specs
            for choice in each.choices(page.context["cl"])
        ]
        for query in choices:
            assert staff.get(list_page(model) + query).status_code == 200, query


def test_nothing_secret_is_on_the_page_of_a_device(staff: Client, bob: User) -> None:
    token = "a1b2c3" + "0" * 52 + "f9e8d7"
    device = make_device(bob, "ios", push_token=token)
    page = staff.get(page_of(device)).content.decode()
    assert "f9e8d7" in page
    secrets = (token, device.token_hash, device.identifier_hash)
    assert not [secret for secret in secrets if secret in page]


@pytest.mark.parametrize("path", ["/admin/", "/admin/accounts/user/", "/admin/cards/card/add/"])
def test_whoever_is_not_staff_gets_no_admin(alice: User, path: str) -> None:
    answer = browser_of(alice).get(path, follow=True)
    assert answer.status_code == 403
    assert not [each.name for each in answer.templates if (each.name or "").startswith("admin/")]


def test_whoever_is_not_signed_in_is_sent_to_the_one_way_in(db: None) -> None:
    answer = Client().get("/admin/cards/card/", follow=True)
    assert answer.redirect_chain[-1][0].startswith(reverse("account_login"))


def test_staff_without_permissions_see_no_list(db: None) -> None:
    staff = browser_of(make_staff("helper", superuser=False))
    assert staff.get("/admin/").status_code == 200
    assert {staff.get(list_page(model)).status_code for model in MODELS} == {403}


def test_no_page_has_a_script_or_style_in_it(staff: Client, alice: User) -> None:
    populate(alice, 0, 1)
    for model in OURS:
        for row in model._default_manager.all()[:1]:
            text = staff.get(page_of(row)).content.decode()
            assert "<script>" not in text
            assert " style=" not in text, page_of(row)
            assert "<style" not in text


def test_a_long_list_is_not_counted_to_its_end(
    staff: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(alice, 0, 5)
    monkeypatch.setattr(shared, "COUNTED", 3)
    page = staff.get(list_page(Device))
    assert page.context["cl"].result_count == 3
    assert b"at least" in page.content


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("holder1@ex", ["holder1"]),
        ("HOLDER1", ["holder1"]),
        ("Holder 1", ["holder1"]),
        ("older1", []),
        ("1@example", []),
    ],
)
def test_people_are_found_by_how_they_begin(
    staff: Client, alice: User, term: str, found: list[str]
) -> None:
    populate(alice, 0, 3)
    page = staff.get(list_page(User), {"q": term})
    assert [user.username for user in page.context["cl"].result_list] == found


def test_a_device_is_found_by_its_person_and_by_its_id(staff: Client, alice: User) -> None:
    populate(alice, 0, 3)
    device = Device.objects.get(user__username="holder1")
    for term in ("holder1", str(device.pk), device.pk.hex):
        page = staff.get(list_page(Device), {"q": term})
        assert list(page.context["cl"].result_list) == [device]


# People


def person_form(user: User, **changes: Any) -> dict[str, Any]:
    return {
        "email": user.email,
        "name": user.name,
        "username": user.username,
        "language": user.language,
        "time_zone": user.time_zone,
        "is_active": "on",
        **changes,
    }


def add_person(staff: Client, **changes: str) -> Any:
    form = {
        "email": "New@Example.org",
        "name": "New Person",
        "username": "",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
        **changes,
    }
    return staff.post(reverse("admin:accounts_user_add"), form)


def test_staff_add_a_person_who_can_sign_in(staff: Client) -> None:
    assert add_person(staff).status_code == 302
    person = User.objects.get(email="new@example.org")
    assert person.check_password(PASSWORD)
    assert person.username == "new"
    assert not EmailAddress.objects.get(user=person, primary=True).verified


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "ALICE@example.org"),
        ("username", "alice"),
        ("username", "Not allowed"),
        ("name", ""),
        ("password2", "another-password-1"),
    ],
)
def test_a_person_that_cannot_be_is_refused(
    staff: Client, alice: User, field: str, value: str
) -> None:
    answer = add_person(staff, **{field: value})
    assert field in answer.context["adminform"].form.errors
    assert not User.objects.filter(name="New Person").exists()


def test_staff_change_a_person(staff: Client, alice: User) -> None:
    staff.post(page_of(alice), person_form(alice, name="Alice Changed", time_zone="Asia/Tokyo"))
    alice.refresh_from_db()
    assert (alice.name, alice.time_zone) == ("Alice Changed", "Asia/Tokyo")


def test_a_time_zone_that_is_none_is_refused(staff: Client, alice: User) -> None:
    answer = staff.post(page_of(alice), person_form(alice, time_zone="Moon/Crater"))
    assert "time_zone" in answer.context["adminform"].form.errors


def test_only_the_new_address_signs_a_person_in(staff: Client, alice: User) -> None:
    staff.post(page_of(alice), person_form(alice, email="Alice@New.example"))
    signed_in = {
        email: Client().login(email=email, password=PASSWORD)
        for email in ("alice@example.org", "alice@new.example")
    }
    assert signed_in == {"alice@example.org": False, "alice@new.example": True}
    assert not EmailAddress.objects.get(user=alice).verified


def test_the_page_of_a_person_leads_to_a_new_password(staff: Client, alice: User) -> None:
    page = staff.get(page_of(alice))
    assert b"../password/" in page.content
    path = reverse("admin:auth_user_password_change", args=[alice.pk])
    form = {"password1": "another-horse-1", "password2": "another-horse-1"}
    staff.post(path, {**form, "usable_password": "true", "set-password": "1"})
    alice.refresh_from_db()
    assert alice.check_password("another-horse-1")


def test_switching_a_person_off_signs_their_devices_out(staff: Client, bob: User) -> None:
    device = make_device(bob)
    form = person_form(bob)
    del form["is_active"]
    staff.post(page_of(bob), form)
    device.refresh_from_db()
    assert device.revoked_at


def test_nobody_is_deleted(staff: Client, alice: User) -> None:
    assert staff.post(delete_page_of(alice), {"post": "yes"}).status_code == 403
    act_at_once(staff, "delete_selected", alice)
    assert User.objects.filter(pk=alice.pk).exists()


@pytest.fixture
def helper(db: None) -> User:
    """Staff who may change people, and no superuser."""
    user = make_staff("helper", superuser=False)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    return user


def test_staff_cannot_make_themselves_superusers(helper: User) -> None:
    group = Group.objects.create(name="all")
    form = person_form(helper, name="Changed", is_superuser="on", groups=[group.pk])
    browser_of(helper).post(page_of(helper), form)
    helper.refresh_from_db()
    assert helper.name == "Changed"
    assert not helper.is_superuser
    assert not helper.groups.exists()


def test_staff_cannot_take_over_a_superuser(helper: User) -> None:
    root = make_staff("root")
    browser = browser_of(helper)
    path = reverse("admin:auth_user_password_change", args=[root.pk])
    assert browser.get(path).status_code == 403
    assert browser.post(page_of(root), person_form(root, email="me@x.org")).status_code == 403


def test_the_log_of_what_staff_did_names_nobody(staff: Client, alice: User) -> None:
    staff.post(page_of(alice), person_form(alice, name="Alice Changed"))
    add_person(staff)
    written = [entry.object_repr for entry in LogEntry.objects.order_by("pk")]
    assert written == [str(alice.pk), str(User.objects.get(email="new@example.org").pk)]


# Devices


def test_revoking_a_device_asks_first(staff: Client, bob: User) -> None:
    device = make_device(bob)
    page = act(staff, "revoke", [device])
    assert b"signed out at once" in page.content
    device.refresh_from_db()
    assert device.revoked_at is None


def test_revoking_a_device_signs_it_out(staff: Client, bob: User) -> None:
    device = make_device(bob, "ios", push_token="ab" * 32)
    answer = act_at_once(staff, "revoke", device)
    device.refresh_from_db()
    assert device.revoked_at
    assert device.apns is None
    assert said(answer) == ["Revoke: done for 1."]
    assert last_log().object_id == str(device.pk)


def test_what_is_asked_leads_to_what_is_done(staff: Client, bob: User) -> None:
    phone, other = make_device(bob), make_device(bob)
    page = act(staff, "revoke", [phone])
    form = {"action": page.context["action"], "confirmed": "yes"}
    chosen = {page.context["checkbox"]: [row.pk for row in page.context["rows"]]}
    staff.post(list_page(Device), {**form, **chosen})
    revoked = Device.objects.exclude(revoked_at=None)
    assert list(revoked) == [phone] != [other]


def test_an_action_on_too_many_rows_does_nothing(
    staff: Client, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "AT_ONCE", 2)
    phones = [make_device(bob) for _number in range(3)]
    answer = act_at_once(staff, "revoke", *phones)
    assert said(answer) == ["Choose at most 2 rows at a time. Nothing has been done."]
    assert not Device.objects.exclude(revoked_at=None).exists()


def test_who_may_only_look_may_not_revoke(bob: User) -> None:
    looker = make_staff("looker", superuser=False)
    looker.user_permissions.add(Permission.objects.get(codename="view_device"))
    device = make_device(bob)
    act_at_once(browser_of(looker), "revoke", device)
    device.refresh_from_db()
    assert device.revoked_at is None


@pytest.mark.parametrize(("answer", "count"), [("1", 1), ("0", 2)])
def test_devices_are_told_apart_by_whether_they_were_revoked(
    staff: Client, bob: User, answer: str, count: int
) -> None:
    make_device(bob)
    for _number in range(2):
        device = make_device(bob)
        device.revoked_at = device.created_at
        device.save()
    page = staff.get(list_page(Device), {"revoked_at__isempty": answer})
    assert page.context["cl"].result_count == count
    assert b">Yes</a>" in page.content


def test_the_admin_of_the_push_tokens_still_works(staff: Client, bob: User) -> None:
    device = make_device(bob, "ios", push_token="cd" * 32)
    assert device.apns
    act_at_once(staff, "disable", device.apns)
    device.apns.refresh_from_db()
    assert not device.apns.active
