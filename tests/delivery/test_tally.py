"""What delivery did, hour by hour, and the charts that staff see of it."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import staff as shared
from accounts.models import AuditEntry, Device, User
from bindings.models import Binding
from cards.models import Card
from delivery import dashboard, fanout, retention, tally
from delivery.models import OfflineMessage, PushAttempt, Tally
from tests.conftest import catch_up, change, make_device
from tests.staff import browser_of, list_page, make_staff, page_of

pytestmark = pytest.mark.django_db

PAGE = "admin:delivery_tally_changelist"


@pytest.fixture
def staff() -> Client:
    return browser_of(make_staff())


def in_role(name: str) -> Client:
    person = make_staff(name.split()[0].lower(), superuser=False)
    person.groups.add(Group.objects.get(name=name))
    return browser_of(person)


def ago(**time: int) -> datetime:
    return timezone.now() - timedelta(**time)


def push(device: Device, verdict: str, at: datetime) -> None:
    PushAttempt.objects.create(device=device, transport="apns", verdict=verdict, sent_at=at)


def forget_the_last_count() -> None:
    """As if it had been a while ago."""
    newest = Tally.objects.latest("hour")
    newest.counted_at = ago(minutes=30)
    newest.save()


def numbers() -> dict[datetime, tuple[int, int, int]]:
    return {each.hour: (each.delivered, each.pushed, each.failed) for each in Tally.objects.all()}


def acknowledged(at: datetime) -> None:
    OfflineMessage.objects.update(acknowledged_at=at)


# Counting


def test_what_was_acknowledged_is_counted_in_its_hour(held: Binding, bob: User) -> None:
    catch_up(make_device(bob))
    at = ago(hours=5)
    acknowledged(at)
    tally.count()
    assert numbers()[tally.hour_of(at)] == (OfflineMessage.objects.count(), 0, 0)
    assert Tally.objects.latest("hour").waiting == 0


def test_nothing_is_counted_twice(held: Binding, bob: User) -> None:
    phone = make_device(bob)
    catch_up(phone)
    acknowledged(ago(hours=2))
    push(phone, "delivered", ago(hours=2))
    tally.count()
    before = numbers()
    for _time in range(2):
        forget_the_last_count()
        tally.count()
    assert {hour: each for hour, each in numbers().items() if any(each)} == {
        hour: each for hour, each in before.items() if any(each)
    }


def test_what_comes_later_is_added(held: Binding, bob: User) -> None:
    phone = make_device(bob)
    tally.count()
    forget_the_last_count()
    at = ago(minutes=20)
    Tally.objects.update_or_create(hour=tally.hour_of(at), defaults={"pushed": 10, "failed": 1})
    for verdict in ("delivered", "dead", "retry", "refused", ""):
        push(phone, verdict, at)
    tally.count()
    assert numbers()[tally.hour_of(at)] == (0, 15, 5)


def test_an_attempt_that_is_still_being_made_is_left_for_later(bob: User) -> None:
    push(make_device(bob), "", timezone.now())
    tally.count()
    assert not any(any(each) for each in numbers().values())


def test_it_is_not_counted_again_at_once(bob: User) -> None:
    tally.count()
    before = Tally.objects.latest("hour").counted_at
    with CaptureQueriesContext(connection) as asked:
        tally.count()
    assert len(asked) == 1
    assert Tally.objects.latest("hour").counted_at == before


def test_of_two_who_count_at_once_one_gives_up(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    phone, look = make_device(bob), tally.look_at_pushes
    push(phone, "delivered", ago(hours=1))

    def overtaken(hours: tally.Hours, since: datetime, upto: datetime) -> None:
        look(hours, since, upto)
        monkeypatch.setattr(tally, "look_at_pushes", look)
        tally.count()

    monkeypatch.setattr(tally, "look_at_pushes", overtaken)
    tally.count()
    assert sum(pushed for _delivered, pushed, _failed in numbers().values()) == 1


def test_whoever_waited_for_another_to_begin_an_hour_gives_up(
    bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL gives whoever waited the row as it was looked for: the last hour's."""
    push(make_device(bob), "delivered", ago(hours=1))
    newest = tally.newest

    def waited(*, lock: bool = False) -> Tally | None:
        before = newest()
        if lock:
            monkeypatch.setattr(tally, "newest", newest)
            tally.count()
            return before
        return newest()

    monkeypatch.setattr(tally, "newest", waited)
    tally.count()
    assert sum(pushed for _delivered, pushed, _failed in numbers().values()) == 1


def test_the_oldest_pending_message_is_found(held: Binding, alice_card: Card, bob: User) -> None:
    phone = make_device(bob)
    catch_up(phone)
    change(alice_card, tel="+43 1 333")
    fanout.run_all()
    since = ago(days=3)
    acknowledged(since)
    tally.count()
    newest = Tally.objects.latest("hour")
    assert newest.waiting == OfflineMessage.objects.pending().count() > 0
    assert newest.oldest_at == since
    assert newest.longest_wait >= timedelta(days=2, hours=23)


def test_the_embedded_engine_counts_now_and_then(
    bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "_next_run", 0.0)
    assert not tally.run_one()
    assert Tally.objects.count() == 1
    Tally.objects.all().delete()
    assert not tally.run_one()
    assert not Tally.objects.exists()


def test_an_hour_goes_after_a_year() -> None:
    Tally.objects.create(hour=ago(days=366))
    kept = Tally.objects.create(hour=ago(days=364))
    retention.clean()
    assert list(Tally.objects.all()) == [kept]


# The page


def text_of(browser: Client, query: str = "") -> str:
    answer = browser.get(reverse(PAGE) + query)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def test_the_first_page_leads_to_the_charts_of_those_who_may_see_them(staff: Client) -> None:
    link = f'href="{reverse(PAGE)}"'
    assert link in staff.get(reverse("admin:index")).content.decode()
    assert link in in_role("Operations").get(reverse("admin:index")).content.decode()
    assert link not in in_role("Support").get(reverse("admin:index")).content.decode()


def test_nobody_else_sees_them(charlie: User) -> None:
    assert in_role("Operations").get(reverse(PAGE)).status_code == 200
    assert in_role("Audit").get(reverse(PAGE)).status_code == 403
    assert browser_of(charlie).get(reverse(PAGE), follow=True).status_code == 403


def test_each_chart_is_a_picture_with_its_words_and_a_table(staff: Client) -> None:
    hour = tally.hour_of(ago(hours=3))
    Tally.objects.create(hour=hour, delivered=1234, pushed=7, failed=2)
    text = text_of(staff)
    assert text.count("<svg viewBox") == text.count("<summary>As a table") == len(dashboard.CHARTS)
    assert re.search(r'aria-label="Deliveries: 1,234; at most 1,234 at once, .+\."', text)
    assert "<td>1,234</td>" in text
    assert "Failed pushes: 2; " in text
    assert " style=" not in text


def test_of_nothing_it_is_said_that_there_was_nothing(staff: Client) -> None:
    assert 'aria-label="Deliveries: nothing in this time."' in text_of(staff)


@pytest.mark.parametrize(("query", "bars"), [("", 24), ("?span=days", 30)])
def test_a_chart_goes_back_as_far_as_is_asked_for(staff: Client, query: str, bars: int) -> None:
    page = staff.get(reverse(PAGE) + query)
    assert [len(chart.bars) for chart in page.context["charts"]] == [bars] * 4


@pytest.mark.parametrize("query", ["?span=x", "?span=hours", "?span=", "?span=%00", "?p=-1"])
def test_garbage_shows_the_last_hours(staff: Client, query: str) -> None:
    page = staff.get(reverse(PAGE) + query, follow=True)
    assert page.status_code == 200
    assert len(page.context["charts"][0].bars) == 24


def test_a_day_is_a_day_of_whoever_looks(staff: Client) -> None:
    User.objects.filter(username="staff").update(time_zone="Asia/Shanghai")
    yesterday = timezone.now().astimezone(UTC).replace(hour=17, minute=0) - timedelta(days=2)
    Tally.objects.create(hour=tally.hour_of(yesterday), delivered=5)
    bars = staff.get(reverse(PAGE) + "?span=days").context["charts"][0].bars
    [day] = [bar.when for bar in bars if bar.text == "5"]
    assert day == f"{yesterday + timedelta(days=1):%B} {(yesterday + timedelta(days=1)).day}"


def test_a_small_number_beside_a_large_one_is_seen() -> None:
    Tally.objects.create(hour=tally.hour_of(ago(hours=2)), delivered=1_000_000)
    Tally.objects.create(hour=tally.hour_of(ago(hours=3)), delivered=1)
    bars = dashboard.charts(None)[0].bars
    assert sorted(bar.height for bar in bars)[-3:] == [0, 1, dashboard.HIGHEST]


def test_what_is_due_now_is_said(staff: Client, alice_card: Card) -> None:
    tally.count()
    tiles = {str(tile.title): tile.text for tile in staff.get(reverse(PAGE)).context["tiles"]}
    assert tiles["Changes to be fanned out"] == "1"
    assert tiles["Pending messages"] == "0"


def test_many_rows_are_not_counted(
    staff: Client, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "COUNTED", 2)
    monkeypatch.setattr(shared, "reckoned_size", lambda model: 1_000_000)
    said = "about 1,000,000" if connection.vendor == "postgresql" else "at least 2"
    sizes = {str(tile.title): tile.text for tile in staff.get(reverse(PAGE)).context["sizes"]}
    assert (sizes["people"], sizes["devices"]) == (said, "0")


def test_the_database_is_asked_as_much_of_a_long_history_as_of_a_short_one(
    staff: Client,
) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            staff.get(reverse(PAGE) + "?span=days")
        return len(asked)

    questions()
    Tally.objects.create(hour=ago(hours=1), delivered=1)
    few = questions()
    Tally.objects.bulk_create(Tally(hour=ago(hours=2 + n), delivered=n) for n in range(40))
    assert questions() == few


def test_a_look_at_the_hours_is_one_entry_of_the_audit_log(staff: Client) -> None:
    for hours in range(3):
        Tally.objects.create(hour=ago(hours=hours))
    staff.get(list_page(Tally))
    assert [each.kind for each in AuditEntry.objects.all()] == ["delivery.tally"]


def test_an_hour_has_a_page(staff: Client) -> None:
    assert staff.get(page_of(Tally.objects.create(hour=ago(hours=1)))).status_code == 200
