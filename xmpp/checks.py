"""Settings of XMPP that cannot be right are said at the start, with what to do about them."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from xmpp.configuration import address, is_loopback

SHORTEST_SECRET = 20
LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(\.{LABEL})*")


@register()
def xmpp(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    if settings.XMPP_DOMAIN:
        for number, (is_right, said, hint) in enumerate(RULES, 1):
            if not holds(is_right):
                yield Error(said.format(settings), hint=hint, id=f"xmpp.E{number:03}")


def holds(is_right: Callable[[], object]) -> bool:
    try:
        return bool(is_right())
    except ValueError:
        return False


def is_domain(name: str) -> bool:
    return bool(DOMAIN.fullmatch(name))


def is_private(url: str) -> bool:
    """Whether a password may go there."""
    parts = urlsplit(url)
    near = parts.scheme == "http" and is_loopback(parts.hostname or "")
    return not parts.path and (near or (parts.scheme == "https" and bool(parts.hostname)))


# Whether it is right, what is said if it is not, and what to do then.
RULES: list[tuple[Callable[[], object], str, str]] = [
    (
        lambda: is_domain(settings.XMPP_DOMAIN),
        "XMPP_DOMAIN is {0.XMPP_DOMAIN!r}.",
        "Set it to the domain of people's addresses, as example.org; or to nothing, for no XMPP.",
    ),
    (
        lambda: (
            is_domain(settings.XMPP_CARDS_DOMAIN)
            and settings.XMPP_CARDS_DOMAIN != settings.XMPP_DOMAIN
        ),
        "XMPP_CARDS_DOMAIN is {0.XMPP_CARDS_DOMAIN!r}.",
        "Set it to a domain of its own, as cards.example.org, or leave it out.",
    ),
    (
        lambda: len(settings.XMPP_SECRET) >= SHORTEST_SECRET,
        f"XMPP_SECRET is shorter than {SHORTEST_SECRET} characters.",
        "Set it to something long that nobody can guess, as `openssl rand -hex 20` gives.",
    ),
    (
        lambda: is_loopback(address(settings.XMPP_COMPONENT)[0]),
        "XMPP_COMPONENT is {0.XMPP_COMPONENT!r}.",
        "Set it to an address of loopback and a port, as 127.0.0.1:5347: nothing encrypts it.",
    ),
    (
        lambda: is_private(settings.XMPP_DOOR),
        "XMPP_DOOR is {0.XMPP_DOOR!r}.",
        "Set it to http:// with an address of loopback, or to https://; without a path.",
    ),
    (
        lambda: is_loopback(settings.XMPP_HOST) or settings.XMPP_CERTIFICATES,
        "XMPP_HOST is {0.XMPP_HOST!r}, and XMPP_CERTIFICATES is not set.",
        "Set XMPP_HOST to an address, and XMPP_CERTIFICATES to a folder unless it is loopback.",
    ),
    (
        lambda: not settings.XMPP_CERTIFICATES or Path(settings.XMPP_CERTIFICATES).is_absolute(),
        "XMPP_CERTIFICATES is {0.XMPP_CERTIFICATES!r}.",
        "Set it to the whole path of a folder that Prosody can read, as /etc/prosody/certs.",
    ),
]
