"""Settings that cannot be right together are said at the start, with what to do about them."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from accounts import webpush

# The environment's name of each setting that pushing to iOS needs, and django-push-notifications'.
APNS = {
    "APNS_AUTH_KEY": "APNS_AUTH_KEY_PATH",
    "APNS_AUTH_KEY_ID": "APNS_AUTH_KEY_ID",
    "APNS_TEAM_ID": "APNS_TEAM_ID",
    "APNS_TOPIC": "APNS_TOPIC",
}


@register(Tags.security)
def base_url(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    parts = urlsplit(settings.BASE_URL)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
        yield Error(
            f"BASE_URL is {settings.BASE_URL!r}.",
            hint="Set it to the public address of the server, as https://cards.example.org",
            id="cardsite.E001",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield Warning(
            "ALLOWED_HOSTS allows every host.",
            hint="Name the hosts: links in mails are made from what the visitor sent.",
            id="cardsite.W001",
        )


@register(Tags.files)
def folders(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    probe = settings.DATA_DIR / ".writable"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        yield Error(
            f"DATA_DIR cannot be written: {error}",
            hint="Set DATA_DIR to a folder that the server may write to.",
            id="cardsite.E002",
        )


@register()
def apns(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    given = settings.PUSH_NOTIFICATIONS_SETTINGS
    missing = [name for name, key in APNS.items() if not given[key]]
    if 0 < len(missing) < len(APNS):
        yield Error(
            f"Pushing to iOS is half set up: {', '.join(missing)} missing.",
            hint="Set all four, or none to do without prompts on iOS.",
            id="cardsite.E003",
        )
    ca_file = settings.APNS_CA_FILE
    if ca_file and not Path(ca_file).is_file():
        yield Error(
            f"APNS_CA_FILE is {ca_file!r}, and no such file is there.",
            hint="Leave it empty to trust the system's authorities, as for Apple's own servers.",
            id="cardsite.E004",
        )


@register()
def web_push(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    try:
        webpush.public_key()
    except ValueError as error:
        yield Error(
            f"VAPID_PRIVATE_KEY cannot be used: {error}",
            hint="Run `manage.py vapid` to make one, or leave it empty to notify no browsers.",
            id="cardsite.E008",
        )
    for name in settings.WEB_PUSH_HOSTS:
        if not re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?", name):
            yield Error(
                f"WEB_PUSH_HOSTS has {name!r}.",
                hint="Name hosts, as push.example.org, or *.example.org for all below it.",
                id="cardsite.E009",
            )


@register()
def email_verification(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    if settings.ACCOUNT_EMAIL_VERIFICATION not in ("none", "optional"):
        yield Error(
            f"EMAIL_VERIFICATION is {settings.ACCOUNT_EMAIL_VERIFICATION!r}.",
            hint='Set it to "optional" or "none".',
            id="cardsite.E005",
        )


@register()
def several_processes(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    alone = settings.SQLITE or not settings.REDIS_URL
    if settings.CELERY_BROKER_URL and alone:
        yield Error(
            "CELERY_BROKER_URL is set, but the workers and the server could not hear each other.",
            hint="Set DATABASE_URL to a PostgreSQL and REDIS_URL as well, or leave it out.",
            id="cardsite.E006",
        )
    if settings.PROCESSES > 1 and alone:
        yield Error(
            f"PROCESSES is {settings.PROCESSES}, but they could not hear each other.",
            hint="Set DATABASE_URL to a PostgreSQL and REDIS_URL as well, or PROCESSES to 1.",
            id="cardsite.E007",
        )
