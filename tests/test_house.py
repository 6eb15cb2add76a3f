"""The conventions of this house that a machine can check."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core import checks
from django.db.models import ForeignKey
from django.db.models.signals import post_save

from cards.models import Card

ROOT = Path(__file__).resolve().parent.parent
# Who may import whom: each room those to its left. Foreign keys count as imports.
ROOMS = ["accounts", "cards", "bindings", "delivery", "xmpp", "cardsite"]
DOORS = {"views", "api", "admin"}  # nobody imports another's


def modules(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        yield from (p for p in sorted((ROOT / room).rglob("*.py")) if "migrations" not in p.parts)


def imports(path: Path) -> set[str]:
    """The dotted names that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    later = set(ROOMS[ROOMS.index(room) + 1 :])
    for path in modules(room):
        assert not {name for name in imports(path) if name.split(".")[0] in later}, path


@pytest.mark.parametrize("room", ROOMS[:-1])
def test_no_room_imports_anothers_doors(room: str) -> None:
    for path in modules(*ROOMS):
        if path.relative_to(ROOT).parts[0] != room:
            found = {name for name in imports(path) if name.startswith(f"{room}.")}
            assert not {name for name in found if name.split(".")[1] in DOORS}, path


def test_browsers_are_heard_and_never_slept_for() -> None:
    """Windows are opened where all that they complain of is a failure."""
    for path in (ROOT / "tests" / "browser").glob("*.py"):
        source = path.read_text()
        assert "new_context(" not in source or path.name == "conftest.py", path
        assert not re.search(r"\bsleep\(|wait_for_timeout", source), path


def test_counts_are_written_for_people() -> None:
    """What a text is counted by is a number to a machine; what is read of it is grouped."""
    counted = re.compile(
        r"{% blocktranslate [^%]*\bcount (\w+)=.*?{% endblocktranslate %}", re.DOTALL
    )
    for path in (ROOT / "templates").rglob("*.html"):
        for found in counted.finditer(path.read_text()):
            assert f"{{{{ {found[1]} }}}}" not in found[0], path


def test_foreign_keys_point_one_way() -> None:
    for model in apps.get_models():
        if model._meta.app_label not in ROOMS:
            continue
        for field in model._meta.get_fields():
            if isinstance(field, ForeignKey):
                target = field.related_model._meta.app_label
                if target in ROOMS:
                    assert ROOMS.index(target) <= ROOMS.index(model._meta.app_label), field


def test_the_codec_knows_nothing_of_django() -> None:
    for path in modules("cards/vcard"):
        assert not {name for name in imports(path) if name.startswith(("django", "rest_"))}, path


def test_the_phone_knows_nothing_of_the_server() -> None:
    for path in modules("clients"):
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {*ROOMS, "django", "rest_framework", "channels"}


def test_nobody_writes_cards_behind_the_signal() -> None:
    """`_base_manager` and raw SQL would go around what CardQuerySet refuses."""
    writes = re.compile(r"Card\._base_manager|(UPDATE|INSERT INTO|DELETE FROM) cards_card\b")
    for path in modules(*ROOMS):
        assert not writes.search(path.read_text()), path


def test_every_module_says_what_lives_in_it() -> None:
    for path in modules(*ROOMS, "clients", "tests", "bench"):
        text = path.read_text()
        assert not text.strip() or ast.get_docstring(ast.parse(text)), path


def test_there_is_one_receiver_of_card_changes() -> None:
    receivers, awaited = post_save._live_receivers(Card)
    assert [each.__module__ for each in (*receivers, *awaited)] == ["delivery.signals"]


def test_nothing_is_skipped_silently() -> None:
    forbidden = re.compile(r"mark\.skip|pytest\.skip|xfail|importorskip")
    for path in modules("tests"):
        if path != Path(__file__):
            assert not forbidden.search(path.read_text()), path


MIGRATE = """
import django
django.setup()
from django.core.management import call_command
for step in [[], *([room, "zero"] for room in {rooms}), []]:
    call_command("migrate", *step, verbosity=0)
"""


def test_migrations_run_forwards_backwards_and_forwards_again(tmp_path: Path) -> None:
    rooms = [room for room in ROOMS[::-1] if (ROOT / room / "migrations").is_dir()]
    steps = MIGRATE.format(rooms=rooms)
    subprocess.run([sys.executable, "-c", steps], cwd=ROOT, env=environment(tmp_path), check=True)


def environment(folder: Path) -> dict[str, str]:
    """That of a process of ours with a folder of its own, which does not count for coverage."""
    ours = {"DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "cardsite.settings"}
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")} | ours


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BASE_URL", "cards.example.org", "cardsite.E001"),
        ("BASE_URL", "https://example.org/cards", "cardsite.E001"),
        ("ALLOWED_HOSTS", ["*"], "cardsite.W001"),
        ("DATA_DIR", Path("/proc/nowhere"), "cardsite.E002"),
        ("APNS_CA_FILE", "/nowhere.pem", "cardsite.E004"),
        ("ACCOUNT_EMAIL_VERIFICATION", "mandatory", "cardsite.E005"),
        ("CELERY_BROKER_URL", "redis://127.0.0.1", "cardsite.E006"),
        ("PROCESSES", 2, "cardsite.E007"),
        (
            "PUSH_NOTIFICATIONS_SETTINGS",
            {
                "APNS_AUTH_KEY_PATH": "key",
                "APNS_AUTH_KEY_ID": "",
                "APNS_TEAM_ID": "",
                "APNS_TOPIC": "",
            },
            "cardsite.E003",
        ),
    ],
)
def test_a_wrong_setting_is_said_at_the_start(
    settings: Any, name: str, value: object, said: str
) -> None:
    settings.REDIS_URL = ""
    setattr(settings, name, value)
    assert said in {message.id for message in checks.run_checks()}
