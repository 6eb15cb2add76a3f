"""`manage.py serve`: the demo, and what a stranger to the place is told."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from accounts.models import User
from bindings.models import Binding
from cardsite import demo
from cardsite.management.commands import serve
from delivery import fanout
from tests.conftest import RecordingLayer
from tests.servers import ROOT, running_server


def test_the_demo_fills_an_empty_database_once(db: None, wire: RecordingLayer) -> None:
    assert demo.fill()
    assert not demo.fill()
    fanout.run_all()
    assert Binding.objects.active().count() == 8
    assert User.objects.get(username="staff").is_superuser


def test_the_demo_can_be_left_out(db: None, settings: Any) -> None:
    settings.DEMO = False
    assert not demo.fill()
    assert not User.objects.exists()
    assert demo.PASSWORD not in demo.welcome()


def test_the_welcome_says_where_who_and_what_to_try(db: None, wire: RecordingLayer) -> None:
    demo.fill()
    said = demo.welcome()
    for part in ("http://127.0.0.1:8000", "alice@example.org", demo.PASSWORD, "clients/phone.py"):
        assert part in said


def test_of_servers_that_start_together_one_collects(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STATIC_ROOT = tmp_path
    collected: list[str] = []

    def slowly(command: str, **_options: Any) -> None:
        collected.append(command)
        time.sleep(0.2)

    monkeypatch.setattr(serve, "call_command", slowly)
    servers = [threading.Thread(target=serve.collect) for _n in range(3)]
    for server in servers:
        server.start()
    for server in servers:
        server.join()
    assert collected == ["collectstatic"]


def test_static_files_are_collected_again_when_they_change(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STATICFILES_DIRS = [tmp_path / "ours"]
    (tmp_path / "ours").mkdir()
    assert not serve.is_collected()
    serve.stamp().write_text(serve.fingerprint())
    assert serve.is_collected()
    (tmp_path / "ours" / "new.css").write_text("")
    assert not serve.is_collected()


def test_it_serves_and_stops_in_an_orderly_way(tmp_path: Path) -> None:
    """With its own settings: those of the tests hash passwords at once."""
    own = {"DJANGO_SETTINGS_MODULE": "cardsite.settings", "DEMO": "1"}
    with running_server(tmp_path, empty=True, **own) as server:
        assert httpx.get(f"{server.url}/account/login/").status_code == 200
        alice = {"email": "alice@example.org", "password": demo.PASSWORD}
        device = {"platform": "desktop", "identifier": "the-laptop"}
        door = f"{server.url}/api/v1/session"
        assert httpx.post(door, json={**alice, "device": device}).is_success
        with closing(sqlite3.connect(tmp_path / "cardsite.sqlite3")) as rows:
            kept = rows.execute("SELECT password FROM accounts_user").fetchall()
        assert all(password.startswith("argon2$") for (password,) in kept)
        assert "Cardsite is at" in server.log()
        server.stop()
        assert "Application shutdown complete" in server.log()
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "eighty"), ("DEBUG", "perhaps"), ("DATABASE_URL", "nonsense://x"), ("BASE_URL", "x")],
)
def test_a_wrong_setting_stops_it_at_once_and_says_which(
    tmp_path: Path, name: str, value: str
) -> None:
    stopped = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path), name: value},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert stopped.returncode != 0
    assert name in stopped.stderr
