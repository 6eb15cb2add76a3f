"""What is new for a person, how far a change has come, and the copy that a browser keeps."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.cache import get_conditional_response

from accounts.devices import browser_of
from accounts.middleware import WHOSE, mark_of
from bindings.access import circles_of, given_by, held_by, requests_to
from cards import history
from cards.access import own_card, own_cards, user_of
from delivery import offline, reach, rows
from delivery.home import asked_about, news, on_their_way

PAGE = 50  # holders
ASKING = 5  # people
MANY = 5000  # devices; to count more takes longer
SOON, LATER = 2, 10  # seconds until the page looks again


@login_required
def home(request: HttpRequest) -> HttpResponse:
    person = user_of(request)
    asking, asked = requests_to(person), asked_about(person)
    context = {
        "asking": asking[:ASKING],
        "more": max(asking.count() - ASKING, 0),
        "asked": asked,
        "news": news(person, asked),
        "cards": on_their_way(person),
        "has_card": own_cards(person).exists(),
        "holds": held_by(person).exists(),
    }
    return render(request, "delivery/home.html", context)


@login_required
def notified(request: HttpRequest) -> HttpResponse:
    """Where a notification leads: to the card that it is about, or to all that is new."""
    browser = browser_of(request)
    only = offline.only_news(user_of(request), browser) if browser else None
    return redirect("held-card", only.pk) if only else redirect("home")


@login_required
def card_reach(request: HttpRequest, pk: UUID) -> HttpResponse:
    person, card = user_of(request), own_card(request, pk)
    given = given_by(person).filter(card=card)
    page = Paginator(given.order_by(Lower("holder__name"), "pk"), PAGE)
    holders = page.get_page(request.GET.get("page"))
    kinds = reach.by_kind(given)
    have, total = sum(kind.have for kind in kinds), sum(kind.all for kind in kinds)
    newest, *before = card.revisions.all()[:2]
    names = {str(circle.pk): circle.name for circle in circles_of(person)}
    context = {
        "card": card,
        "page": holders,
        "holders": reach.of_each(holders),
        "kinds": kinds,
        "have": have,
        "total": total,
        "look_again": (SOON if total <= MANY else LATER) if have < total else None,
        "newest": newest,
        "before": before[0] if before else None,
        "differences": history.of_contents(before[0], newest, names) if before else [],
    }
    return render(request, "delivery/reach.html", context)


@login_required
def offline_copy(request: HttpRequest) -> HttpResponse:
    """All that the browser's service worker keeps for its person. It asks again after each page,
    with If-None-Match (RFC 9110, section 13.1.2), and so says which state it has."""
    person, browser = user_of(request), browser_of(request)
    owed = offline.owed(browser) if browser else {}
    etag = f'"{offline.fingerprint(person)}"'
    answer = get_conditional_response(request, etag)
    if answer:
        rows.acknowledge(owed, told=True)
    else:
        answer = JsonResponse(offline.copy_of(person), json_dumps_params=offline.TERSE)
    answer["ETag"], answer["Cache-Control"] = etag, "no-store"
    answer[WHOSE], answer["Content-Language"] = mark_of(request), person.language
    return answer
