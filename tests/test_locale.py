"""The Chinese translation is whole: what the source says, the .po translates and the .mo has.

Formats: https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html and MO-Files.html.
"""

import ast
import re
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import allauth
import django
import push_notifications
import pytest
import rest_framework
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, label_for_field
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils.translation import override
from django.utils.translation.template import templatize

from accounts.models import User
from bindings.models import Binding
from cards.models import Card
from delivery import prompts

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("accounts", "cards", "bindings", "delivery", "xmpp", "cardsite")
CATALOG = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django"

# What of the libraries speaks to people here.
LIBRARIES = {
    allauth: "account mfa templates/account templates/allauth templates/mfa",
    django: "contrib/admin contrib/auth contrib/humanize core db/models forms utils",
    push_notifications: "admin.py models.py",
    rest_framework: "exceptions.py fields.py relations.py serializers.py validators.py",
}

PO_LINE = re.compile(r'^(?:(msg\w+)\S* )?(".*")$', re.MULTILINE)
MO_MAGIC = 0x950412DE
CHINESE = re.compile("[\u4e00-\u9fff]")
ENGLISH = re.compile("[A-Za-z][a-z]{2}")
ENGLISH_WORD = re.compile("app|email|hello|passkey|token", re.IGNORECASE)
PLACEHOLDER = re.compile(r"%\(\w+\)[sdr]|%[sd]|\{\w+\}")
QUOTED = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
TEMPLATE_CALL = re.compile(rf"\b(n?p?gettext|_)\(((?:{QUOTED}(?:, |,)?)+)")


def key(function: str, *words: str) -> str:
    """A message as an .mo names it: its context, its text, its plural."""
    if "pgettext" in function:
        context, text, *plural = words
        words = (f"{context}\4{text}", *plural)
    return "\0".join(words[:2])  # the third of a plural may be the name of the number


def in_po() -> dict[str, str]:
    messages = {}
    for entry in CATALOG.with_suffix(".po").read_text().split("\n\n"):
        fields: dict[str, str] = defaultdict(str)
        name = ""
        for begins, text in PO_LINE.findall(entry):
            name = begins or name
            fields[name] += ast.literal_eval(text)
        *named, translation = fields.values()
        messages[key("pgettext" if "msgctxt" in fields else "gettext", *named)] = translation
    return messages


def in_mo(catalog: Path = CATALOG) -> dict[str, str]:
    raw = catalog.with_suffix(".mo").read_bytes()
    magic, _revision, count, keys, translations = struct.unpack_from("<5I", raw)
    assert magic == MO_MAGIC

    def text(table: int, place: int) -> str:
        length, start = struct.unpack_from("<2I", raw, table + 8 * place)
        return str(raw[start : start + length], "utf-8")

    return {text(keys, place): text(translations, place) for place in range(count)}


def in_module(path: Path, *, is_ours: bool = True) -> Iterator[str]:
    """What a module has translated, by whatever name it imports gettext."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = {
        alias.asname or alias.name: alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if "gettext" in alias.name
    }
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) in imported:
            literals = [each.value for each in node.args if isinstance(each, ast.Constant)]
            words = [each for each in literals if isinstance(each, str)]
            assert words or not is_ours, f"{path}:{node.lineno} translates what nobody can know"
            if words:
                yield key(imported[ast.unparse(node.func)], *words)


def in_template(path: Path) -> Iterator[str]:
    for function, words in TEMPLATE_CALL.findall(templatize(path.read_text())):
        yield key(function, *map(ast.literal_eval, re.findall(QUOTED, words)))


def in_source() -> set[str]:
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    templates = [p for kind in ("html", "txt") for p in (ROOT / "templates").rglob(f"*.{kind}")]
    return {
        *(each for path in modules for each in in_module(path)),
        *(each for path in templates for each in in_template(path)),
    }


def in_library(folder: Path) -> Iterator[str]:
    """What is said in it, but for the templates that we have one of our own for."""
    for path in [folder] if folder.is_file() else folder.rglob("*"):
        _before, _templates, name = str(path).partition("/templates/")
        if path.suffix == ".py":
            yield from in_module(path, is_ours=False)
        elif path.suffix in {".html", ".txt"} and not (ROOT / "templates" / name).exists():
            yield from in_template(path)


def in_english() -> set[str]:
    """What libraries have not translated, have with a place for what is not given, or call by an
    English word in the middle of Chinese; names of fields and of parameters aside."""
    found = set()
    for library, parts in LIBRARIES.items():
        home = Path(library.__file__).parent
        theirs: dict[str, str] = {}
        for catalog in home.rglob(str(CATALOG.relative_to(ROOT).with_suffix(".mo"))):
            theirs |= in_mo(catalog)
        said = (each for part in parts.split() for each in in_library(home / part))
        found |= {each for each in said if each and not is_chinese(each, theirs.get(each, each))}
    return found


def is_chinese(message: str, said: str) -> bool:
    words = PLACEHOLDER.sub("", re.sub("<[^>]*>", "", said))
    if {*PLACEHOLDER.findall(said)} - {*PLACEHOLDER.findall(message)}:
        return False
    return not (ENGLISH_WORD if CHINESE.search(words) else ENGLISH).search(words)


def headings(page: bytes) -> list[str]:
    return re.findall("<h1>(.*?)</h1>", page.decode())


def test_it_has_what_the_source_says_and_nothing_else() -> None:
    known = in_po().keys() - {""}  # the header is the translation of nothing
    said = in_source() | in_english()
    assert (said - known, known - said) == (set(), set())


def test_nothing_is_left_untranslated() -> None:
    assert [message for message, translation in in_po().items() if not translation] == []


def test_nothing_is_uncertain() -> None:
    assert not re.search(r"^#.*\bfuzzy", CATALOG.with_suffix(".po").read_text(), re.MULTILINE)


def test_placeholders_are_kept() -> None:
    for message, translation in in_po().items():
        text = message.split("\0")[-1]
        assert sorted(PLACEHOLDER.findall(translation)) == sorted(PLACEHOLDER.findall(text)), text


def test_what_is_compiled_is_what_is_written() -> None:
    assert in_mo() == in_po()


@pytest.mark.parametrize(("language", "said"), [("en", "12,345"), ("zh-hans", "12,345")])
def test_a_count_is_read_in_groups_of_three(language: str, said: str) -> None:
    with override(language):
        assert intcomma(12345) == said


@pytest.mark.parametrize(
    ("door", "heading"),
    [
        ("held", "我持有的名片"),
        ("cards", "我的名片"),
        ("card", "编辑名片"),
        ("share", "分享“Bob Sample”"),
        ("circles", "圈子"),
        ("requests", "请求"),
    ],
)
def test_pages_are_in_the_language_of_the_person(
    door: str, heading: str, bob: User, bob_card: Card, held: Binding, web: Callable[[User], Client]
) -> None:
    bob.language = "zh-hans"
    bob.save()
    of_a_card = door in {"card", "share"}
    answer = web(bob).get(reverse(door, args=[bob_card.pk] if of_a_card else []))
    assert headings(answer.content) == [heading]


def test_a_stranger_signs_in_in_the_language_of_the_browser(client: Client, db: None) -> None:
    answer = client.get(reverse("account_login"), headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert headings(answer.content) == ["登录"]


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_staff_are_told_in_chinese_what_they_see(model: type[Model], db: None) -> None:
    rows, request = admin.site.get_model_admin(model), RequestFactory().get("/")
    request.user = User(is_staff=True, is_superuser=True)
    fieldsets = [*rows.get_fieldsets(request), *rows.get_fieldsets(request, model())]
    meta = model._meta
    with override("zh-hans"):
        said = [str(each) for each in (meta.verbose_name, meta.verbose_name_plural)]
        said.append(str(meta.app_config.verbose_name))
        for name in {*rows.get_list_display(request), *flatten_fieldsets(fieldsets)}:
            with suppress(AttributeError):  # a field of the form alone
                said.append(str(label_for_field(name, model, rows)))
    assert [each for each in said if not is_chinese("", each)] == []


def test_a_prompt_is_in_the_language_of_the_person() -> None:
    assert "名片" in prompts.worded("zh-hans").body
