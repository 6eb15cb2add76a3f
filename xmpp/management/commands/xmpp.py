"""`manage.py xmpp`: the bridge between the rows and the XMPP server."""

import asyncio
import contextlib
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from xmpp.bridge import Bridge


async def run() -> None:
    """Until it is told to end."""
    bridge = asyncio.create_task(Bridge().run())
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, bridge.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await bridge


class Command(BaseCommand):
    help = "Speak for the cards at the XMPP server of XMPP_COMPONENT. Several may run: one speaks."
    requires_system_checks = "__all__"

    def handle(self, **options: Any) -> None:
        if not settings.XMPP_DOMAIN:
            raise CommandError("XMPP is off: set XMPP_DOMAIN and XMPP_SECRET.")
        asyncio.run(run())
