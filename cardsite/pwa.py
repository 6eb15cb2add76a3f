"""What makes an app of the pages: its manifest, its service worker, and the pages it shows while
there is no connection. None of them knows who is signed in.

https://www.w3.org/TR/appmanifest/ and https://www.w3.org/TR/service-workers/
"""

import functools
import hashlib
import json

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import override

from cards.access import own_cards, user_of

# What the pages without a connection need, and the icon of notifications.
FILES = ("vendor/pico-2.1.1.min.css", "cardsite.css", "offline.js", "icon.svg", "icons/192.png")
# Bars of the browser around the pages: the colours of their header.
THEME = {"light": "#ffffff", "dark": "#181c25"}
LANGUAGES = [code for code, _name in settings.LANGUAGES]


def manifest(request: HttpRequest, language: str) -> HttpResponse:
    """The language is in the address, as browsers ask for it without the session."""
    if language not in LANGUAGES:
        raise Http404
    with override(language):
        said = {
            "id": "/",
            "name": "Cardsite",
            "short_name": "Cardsite",
            "description": _("Cards that keep themselves up to date."),
            "lang": language,
            "dir": "auto",
            "start_url": reverse("home"),
            "scope": "/",
            "display": "standalone",
            "theme_color": THEME["light"],
            "background_color": THEME["light"],
            "icons": [
                icon("icons/192.png", "192x192", "any"),
                icon("icons/512.png", "512x512", "any"),
                icon("icons/maskable-512.png", "512x512", "maskable"),
                {**icon("icon.svg", "any", "any"), "type": "image/svg+xml"},
            ],
            "shortcuts": [
                {"name": _("My QR code"), "url": reverse("own-qr")},
                {"name": _("Cards I hold"), "url": reverse("held")},
            ],
        }
    text = json.dumps(said, ensure_ascii=False)
    return HttpResponse(text, content_type="application/manifest+json")


def icon(name: str, sizes: str, purpose: str) -> dict[str, str]:
    return {"src": static(name), "sizes": sizes, "type": "image/png", "purpose": purpose}


def offline(request: HttpRequest, language: str) -> HttpResponse:
    if language not in LANGUAGES:
        raise Http404
    return HttpResponse(offline_page(language))


def offline_page(language: str) -> str:
    with override(language):
        return render_to_string("offline.html")


def worker(request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        worker_text(), content_type="text/javascript", headers={"Cache-Control": "no-cache"}
    )


@functools.cache
def worker_text() -> str:
    """Its text changes with any of the files and pages that it keeps: to a browser that is another
    worker, which fetches them anew."""
    pages = {language: reverse("offline", args=[language]) for language in LANGUAGES}
    files = [static(name) for name in FILES]
    kept = repr((files, [offline_page(language) for language in LANGUAGES]))
    said = {
        "version": hashlib.sha256(kept.encode()).hexdigest()[:12],
        "pages": json.dumps(pages),
        "files": json.dumps(files),
        "icon": static("icons/192.png"),
    }
    return render_to_string("worker.js", said)


@login_required
def own_qr(request: HttpRequest) -> HttpResponse:
    """Where the shortcut leads: to the sharing of one's first card."""
    card = own_cards(user_of(request)).first()
    return redirect("share", card.pk) if card else redirect("card-new")
