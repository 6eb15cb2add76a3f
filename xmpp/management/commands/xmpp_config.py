"""`manage.py xmpp_config`: Prosody's configuration, made from the environment."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from xmpp.configuration import Prosody, address

FOLDER = "/var/lib/prosody"  # as Debian has it


def prosody(folder: str = FOLDER) -> Prosody:
    """As the settings say."""
    return Prosody(
        domain=settings.XMPP_DOMAIN,
        cards_domain=settings.XMPP_CARDS_DOMAIN,
        component=address(settings.XMPP_COMPONENT),
        secret=settings.XMPP_SECRET,
        door=settings.XMPP_DOOR,
        # A name that the product answers to, by whatever address it is reached.
        door_name=urlsplit(settings.BASE_URL).netloc,
        folder=folder,
        host=settings.XMPP_HOST,
        port=settings.XMPP_PORT,
        server_port=settings.XMPP_SERVER_PORT,
        certificates=settings.XMPP_CERTIFICATES,
    )


class Command(BaseCommand):
    help = "Print the configuration that Prosody needs, the secret included."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--folder", default=FOLDER, help="where Prosody keeps what it must")

    def handle(self, *, folder: str, **options: Any) -> None:
        if not settings.XMPP_DOMAIN:
            raise CommandError("XMPP is off: set XMPP_DOMAIN and XMPP_SECRET.")
        self.stdout.write("-- Made by `manage.py xmpp_config`. Keep it from others: of the secret.")
        self.stdout.write(prosody(folder).text(), ending="")
