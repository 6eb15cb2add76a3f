"""What clients that nobody here wrote make of it: Debian's profanity and mcabber, typed into."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from asgiref.sync import sync_to_async as in_rows

from accounts.models import User
from bindings import exchange
from bindings.models import Binding, Request
from cards.models import Card
from tests.conftest import change
from tests.prosody import RunningProsody
from tests.servers import install_missing
from tests.xmpp.conftest import fan_out, stored
from tests.xmpp.terminals import Terminal, mcabber, profanity
from tests.xmpp.test_answers import give_photo
from tests.xmpp.test_updates import has_all
from xmpp.addresses import card_given, signed_in
from xmpp.bridge import Bridge
from xmpp.looks import Avatar, jpeg_of, png_of

pytestmark = pytest.mark.django_db(transaction=True)

ALICE, BOB = "alice@cards.example.org", "bob@cards.example.org"


class Stock(NamedTuple):
    """How one starts a client; what one types to add and approve of somebody, and to see their
    vCard (XEP-0054) or their avatar (XEP-0084), and what picture is in that."""

    start: Callable[[Path, RunningProsody, str], AbstractContextManager[Terminal]]
    add: str
    approve: str
    look: str
    picture: Callable[[str], Avatar | None]


CLIENTS = {
    "profanity": Stock(profanity, "/sub request {}", "/sub allow {}", "/avatar get {}", png_of),
    "mcabber": Stock(mcabber, "/add {}", "/authorization allow {}", "/request vcard {}", jpeg_of),
}


@pytest.fixture(params=CLIENTS)
def stock(request: Any) -> Stock:
    install_missing({name: name for name in CLIENTS})
    return CLIENTS[request.param]


async def test_a_contact_is_added_accepted_seen_and_followed_and_the_client_acknowledges(
    stock: Stock,
    bridge: Bridge,
    prosody: RunningProsody,
    alice_card: Card,
    bob: User,
    tmp_path: Path,
) -> None:
    await in_rows(give_photo)(alice_card, "*")
    await in_rows(signed_in)(bob)  # as his server says
    with stock.start(tmp_path, prosody, "bob") as his:
        await online(bridge)
        his.types(stock.add.format(ALICE))
        await stored(Request.objects.waiting().exists)

        def accept() -> None:
            request = Request.objects.waiting().get()
            exchange.accept_request(request, alice_card)

        await in_rows(accept)()
        await fan_out()
        await his.shows("+43 1 111")
        his.types(stock.look.format(ALICE))
        picture = await in_rows(stock.picture)(alice_card.photo)
        assert picture
        await his.shows(picture.text[:60])
        await stored(lambda: has_all(bob))
        await in_rows(change)(alice_card, tel="+43 1 999")
        await fan_out()
        await his.shows("+43 1 999")
        await stored(lambda: has_all(bob))
    await in_rows(change)(alice_card, tel="+43 1 888")
    await fan_out()
    with stock.start(tmp_path, prosody, "bob") as his:
        await his.shows("+43 1 888")
        await stored(lambda: has_all(bob))
        binding = await Binding.objects.aget(card=alice_card)
        await in_rows(exchange.revoke)(binding)
        await fan_out()
        await his.shows("You no longer hold the card of Alice Example.")
        await stored(lambda: has_all(bob))


async def online(bridge: Bridge) -> None:
    """Until a client is there, and it is known what it can do."""
    from tests.xmpp.conftest import until

    def known() -> bool:
        boxes = bridge.boxes.by_jid.values()
        return any(f is not None for box in boxes for f in box.sessions.values())

    await until(known, 20)


async def test_who_is_asked_accepts_in_their_client(
    stock: Stock,
    bridge: Bridge,
    prosody: RunningProsody,
    alice_card: Card,
    alice: User,
    bob: User,
    bob_card: Card,
    tmp_path: Path,
) -> None:
    await in_rows(signed_in)(alice)
    with stock.start(tmp_path, prosody, "alice") as hers:
        await online(bridge)
        asked = await in_rows(exchange.ask)(bob, "alice", await in_rows(card_given)(bob))
        await hers.shows(BOB)
        hers.types(stock.approve.format(BOB))
        await stored(Request.objects.filter(pk=asked.pk, accepted=True).exists)
        await fan_out()
        await hers.shows("You hold this card: Bob Sample")
