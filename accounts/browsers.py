"""The browsers that a person is signed in with: django-allauth's rows of their sessions."""

import re
from typing import cast

from allauth.usersessions.models import UserSession
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import devices
from accounts.models import Device, User

# As they call themselves; most also claim to be those after them.
NAMES = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def own(request: HttpRequest) -> QuerySet[UserSession]:
    sessions: QuerySet[UserSession] = UserSession.objects.filter(user=cast(User, request.user))
    return sessions.order_by("-last_seen_at")


def of(request: HttpRequest) -> list[UserSession]:
    """Those whose session is alive, this one first."""
    UserSession.objects.purge_and_list(cast(User, request.user))
    alive = list(own(request))
    here = request.session.session_key
    for each in alive:
        each.name = described(each.user_agent)
        each.is_here = each.session_key == here
    return sorted(alive, key=lambda each: each.session_key != here)


def sign_out(browser: UserSession) -> None:
    """End the session. Pages that are open with it close their sockets within a second, and it is
    notified no more."""
    for device in Device.objects.active().filter(session_key=browser.session_key):
        devices.revoke(device)
    browser.end()


def described(agent: str) -> str:
    """Such as "Firefox, Linux"; empty for what does not say."""
    return ", ".join(filter(None, (name_of(agent), first_in(agent, SYSTEMS))))


def name_of(agent: str) -> str:
    return first_in(agent, NAMES)


def first_in(agent: str, names: dict[str, str]) -> str:
    return next((name for word, name in names.items() if re.search(word, agent)), "")
