"""`manage.py vapid`: a key by which the push services of browsers know this server."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts import webpush


class Command(BaseCommand):
    help = (
        "Make a key for notifications in browsers, to be put into the environment. Keeps nothing."
    )
    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        self.stdout.write(f"VAPID_PRIVATE_KEY={webpush.new_private_key()}")
