"""`manage.py serve`: from an empty folder to a running server, with no question asked."""

from typing import Any

import uvicorn
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.core.management.base import BaseCommand

from cardsite import demo

MAX_FRAME = 64 * 1024  # bytes; an acknowledgement of a thousand cards fits in


class Command(BaseCommand):
    help = "Migrate, fill an empty database with demo people (DEMO=0: not), and serve."
    requires_system_checks = "__all__"

    def handle(self, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        if not staticfiles_storage.exists("staticfiles.json"):
            call_command("collectstatic", interactive=False, verbosity=0)
        self.stdout.write(demo.welcome(demo.fill()))
        self.stdout.flush()
        uvicorn.run(
            "cardsite.asgi:application",
            host=settings.HOST,
            port=settings.PORT,
            lifespan="on",
            ws_max_size=MAX_FRAME,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=5,
            log_config=None,
            access_log=False,
        )
