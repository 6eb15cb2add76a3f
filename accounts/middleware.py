"""What a signed-in person has chosen: the language and the time zone of the page. When their
browser was last here, and whose page it is, for its own copy (templates/worker.js)."""

import zoneinfo
from collections.abc import Callable

from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.crypto import salted_hmac

CONTACT_EVERY = 600  # seconds
WHOSE = "Cardsite-Person"


def mark_of(request: HttpRequest) -> str:
    """What a browser may tell people apart by and nobody can tell who they are from."""
    if not request.user.is_authenticated:
        return "nobody"
    return salted_hmac("mark of a person", str(request.user.pk)).hexdigest()


def note_contact(request: HttpRequest) -> None:
    """When this browser was last here, for the page that lists them: not more often than that is
    read, as each time is a row written."""
    key = request.session.session_key
    if key and cache.add(f"contact.{key}", True, CONTACT_EVERY):
        UserSession.objects.create_from_request(request)


class PersonalSettingsMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.in_their_words(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response[WHOSE] = mark_of(request)
        return response

    def in_their_words(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return self.get_response(request)
        note_contact(request)
        with (
            timezone.override(zoneinfo.ZoneInfo(request.user.time_zone)),
            translation.override(request.user.language),
        ):
            return self.get_response(request)
