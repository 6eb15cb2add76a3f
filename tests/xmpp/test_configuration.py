"""Prosody's configuration is made from ours, and ours is checked."""

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError

from tests.prosody import running_prosody
from tests.servers import find, free_port, running, wait_until
from xmpp.configuration import lua

SECRET = "a-secret-of-the-tests"


@pytest.fixture(autouse=True)
def xmpp(settings: Any) -> None:
    settings.XMPP_DOMAIN, settings.XMPP_SECRET = "example.org", SECRET
    settings.XMPP_CARDS_DOMAIN = "cards.example.org"


def errors() -> set[str]:
    return {each.id or "" for each in checks.run_checks() if (each.id or "").startswith("xmpp.")}


def test_what_is_right_is_not_complained_of(settings: Any) -> None:
    assert not errors()
    settings.XMPP_HOST, settings.XMPP_CERTIFICATES = "0.0.0.0", "/etc/prosody/certs"
    settings.XMPP_DOOR, settings.XMPP_COMPONENT = "https://cards.example.org", "[::1]:5347"
    assert not errors()


def test_nothing_is_while_it_is_off(settings: Any) -> None:
    settings.XMPP_DOMAIN, settings.XMPP_SECRET = "", "short"
    assert not errors()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("XMPP_DOMAIN", "example org", "xmpp.E001"),
        ("XMPP_DOMAIN", 'x"; os.exit()', "xmpp.E001"),
        ("XMPP_DOMAIN", "-example.org", "xmpp.E001"),
        ("XMPP_DOMAIN", "alice@example.org", "xmpp.E001"),
        ("XMPP_CARDS_DOMAIN", "example.org", "xmpp.E002"),
        ("XMPP_CARDS_DOMAIN", "cards_example", "xmpp.E002"),
        ("XMPP_SECRET", "", "xmpp.E003"),
        ("XMPP_SECRET", "19-characters-long-", "xmpp.E003"),
        ("XMPP_COMPONENT", "127.0.0.1", "xmpp.E004"),
        ("XMPP_COMPONENT", "127.0.0.1:xmpp", "xmpp.E004"),
        ("XMPP_COMPONENT", "192.0.2.1:5347", "xmpp.E004"),
        ("XMPP_DOOR", "http://192.0.2.1:8000", "xmpp.E005"),
        ("XMPP_DOOR", "http://localhost.example.org", "xmpp.E005"),
        ("XMPP_DOOR", "127.0.0.1:8000", "xmpp.E005"),
        ("XMPP_DOOR", "https://example.org/cards", "xmpp.E005"),
        ("XMPP_HOST", "0.0.0.0", "xmpp.E006"),
        ("XMPP_HOST", "here", "xmpp.E006"),
        ("XMPP_CERTIFICATES", "certs", "xmpp.E007"),
    ],
)
def test_what_is_wrong_is_said(settings: Any, name: str, value: str, error: str) -> None:
    setattr(settings, name, value)
    assert errors() == {error}
    with pytest.raises(SystemCheckError, match=name):
        call_command("xmpp_config", skip_checks=False)


def printed(**options: str) -> str:
    out = io.StringIO()
    call_command("xmpp_config", stdout=out, **options)
    return out.getvalue()


def test_prosody_takes_what_is_printed(settings: Any, tmp_path: Path) -> None:
    settings.XMPP_PORT, settings.XMPP_SERVER_PORT = free_port(), free_port()
    settings.XMPP_COMPONENT = f"127.0.0.1:{free_port()}"
    file = tmp_path / "prosody.cfg.lua"
    file.write_text("run_as_root = true\n" + printed(folder=str(tmp_path)))
    with running(find("prosody"), "-F", "--config", file, port=settings.XMPP_PORT):
        wait_until((tmp_path / "prosody.pid").exists)


def test_it_speaks_to_no_other_server_if_one_wants_it_so(settings: Any, tmp_path: Path) -> None:
    with running_prosody(tmp_path, server_port=0) as prosody:
        assert "service 's2s' on" not in prosody.log()


def test_off_loopback_everything_is_encrypted(settings: Any) -> None:
    assert "c2s_require_encryption = false" in printed()
    settings.XMPP_HOST, settings.XMPP_CERTIFICATES = "0.0.0.0", "/etc/prosody/certs"
    said = printed().splitlines()
    assert {
        "c2s_require_encryption = true",
        "s2s_require_encryption = true",
        "s2s_secure_auth = true",
        "allow_unencrypted_plain_auth = false",
    } <= {*said}


def test_nothing_is_printed_while_it_is_off(settings: Any) -> None:
    settings.XMPP_DOMAIN = ""
    with pytest.raises(CommandError, match="XMPP is off"):
        printed()


@pytest.mark.parametrize(
    "text",
    ["", "plain", 'a "quoted" one', "back\\slash", "two\nlines\r", "\\n", "\0" + "1", "卡片"],
)
def test_lua_reads_what_was_written(text: str) -> None:
    program = f"io.write({lua(text)})"
    run = subprocess.run([find("lua5.4"), "-"], input=program.encode(), capture_output=True)
    assert run.stdout.decode() == text
