"""`manage.py serve`: from an empty folder to a running server, with no question asked."""

import hashlib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import uvicorn
from django.conf import settings
from django.core.files import locks
from django.core.management import call_command
from django.core.management.base import BaseCommand

from cardsite import demo

SILENCE = 45.0  # seconds; networks and proxies give up a connection after a minute
BACKLOG = 65_535  # connections; the kernel has a limit of its own, net.core.somaxconn
MAX_FRAME = 64 * 1024  # bytes; an acknowledgement of a thousand cards fits in


def stamp() -> Path:
    return Path(settings.STATIC_ROOT) / "collected"


def is_collected() -> bool:
    return stamp().exists() and stamp().read_text() == fingerprint()


def fingerprint() -> str:
    """What the collected files were made of: our own by their times, the libraries' by release."""
    ours = sorted(
        (str(path), path.stat().st_mtime_ns)
        for folder in settings.STATICFILES_DIRS
        for path in Path(folder).rglob("*")
    )
    libraries = sorted((each.name, each.version) for each in distributions())
    return hashlib.sha256(repr((ours, libraries)).encode()).hexdigest()


def collect() -> None:
    """Collect the static files if they are not the newest. Of several servers that start together
    with one folder, one does, and the others wait."""
    if is_collected():
        return
    with stamp().with_suffix(".lock").open("w") as lock:
        locks.lock(lock, locks.LOCK_EX)
        if not is_collected():
            call_command("collectstatic", interactive=False, verbosity=0)
            stamp().write_text(fingerprint())


class Command(BaseCommand):
    help = "Migrate, fill an empty database with demo people (DEMO=0: not), and serve."
    requires_system_checks = "__all__"

    def handle(self, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        collect()
        demo.fill()
        self.stdout.write(demo.welcome())
        self.stdout.flush()
        uvicorn.run(
            "cardsite.asgi:application",
            host=settings.HOST,
            port=settings.PORT,
            workers=settings.PROCESSES,
            backlog=BACKLOG,
            lifespan="on",
            ws="delivery.frames:Frames" if settings.READY_FRAMES else "auto",
            ws_max_size=MAX_FRAME,
            ws_ping_interval=SILENCE,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=5,
            log_config=None,
            access_log=False,
        )
