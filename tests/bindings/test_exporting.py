"""The cards one holds as files: what is in them, and that no spreadsheet runs any of it."""

import csv
import io
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Circle, User
from bindings.models import Binding
from cards import vcard
from tests.conftest import bind, make_card, make_person, prop

Web = Callable[[User], Client]


def rows(browser: Client, query: str = "") -> list[list[str]]:
    answer = browser.get(f"/held/export.csv{query}")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    return [*csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))]


def test_a_spreadsheet_has_a_line_for_each_card(held: Binding, bob: User, web: Web) -> None:
    two = make_card(
        make_person("dora", "Dora"), prop("tel", "1", "*"), prop("tel", "2", "*"), fn="Dora"
    )
    bind(two, bob)
    held.nickname, held.tags = "Ali", ["a", "b"]
    held.save()
    head, alice, dora = rows(web(bob))
    assert head[:3] == ["Name on the card", "Phone", "Phone 2"]
    assert alice[:3] == ["Alice Example", "+43 1 111", ""]
    assert alice[3:6] == ["Ali", "", "a, b"]
    assert dora[:3] == ["Dora", "1", "2"]


def test_a_file_of_vcards_has_what_its_holder_sees(held: Binding, bob: User, web: Web) -> None:
    answer = web(bob).get("/held/export.vcf")
    (card,) = vcard.read(answer.content)
    assert card.fn == "Alice Example"
    assert [each.value for each in card.properties if each.name in ("tel", "note")] == ["+43 1 111"]


def test_the_files_are_narrowed_as_the_list_is(held: Binding, bob: User, web: Web) -> None:
    assert len(rows(web(bob), "?q=nobody")) == 1
    assert len(rows(web(bob), "?q=alice&page=7")) == 2
    assert web(bob).get("/held/export.vcf?q=nobody").content == b""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3|cmd", "'-2+3|cmd"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("+43 (1) 111-2", "+43 (1) 111-2"),
    ],
)
def test_nothing_is_a_formula(bob: User, alice: User, web: Web, text: str, written: str) -> None:
    bind(make_card(alice, prop("note", text, "*"), fn=text), bob)
    _head, row = rows(web(bob))
    assert row[:2] == [written] * 2


def test_many_cards_take_as_many_queries_as_one(
    held: Binding, bob: User, family: Circle, web: Web
) -> None:
    def queries() -> int:
        browser = web(bob)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            browser.get("/held/export.csv")
        return len(asked)

    before = queries()
    for n in range(5):
        bind(make_card(make_person(f"p{n}", "P"), prop("tel", "1", "*")), bob)
    assert queries() == before


def test_others_get_their_own(held: Binding, charlie: User, web: Web, client: Client) -> None:
    assert len(rows(web(charlie))) == 1
    assert client.get("/held/export.vcf")["Location"].startswith("/account/login/")
