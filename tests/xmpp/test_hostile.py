"""What a hostile server may do to the cards, and a hostile client: be refused."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.nameserver import asking, naming
from tests.prosody import RunningProsody, running_prosody
from tests.servers import Server, free_port, running_server, wait_until
from tests.xmpp.hostile import Hostile
from tests.xmpp.raw import Raw

SECRET = "a-secret-of-the-tests"
HERE, CARDS, EVIL = "example.org", "cards.example.org", "evil.example"
CAST = """
from accounts.models import AppPassword, User
from cards.models import Card
for name in ("alice", "bob"):
    user = User.objects.create_user(f"{name}@example.org", name=name.title(), username=name)
    hashed = AppPassword.hash_password(f"{name}-phone")
    AppPassword.objects.create(user=user, name="phone", password_hash=hashed)
    tel = {"name": "tel", "value": f"number-of-{name}", "params": {}, "circles": ["*"]}
    Card.objects.create(owner=user, fn=name.title(), properties=[tel])
"""


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    xmpp: dict[str, Any] = {"XMPP_DOMAIN": HERE, "XMPP_SECRET": SECRET, "THROTTLE_PAGE": "20/hour"}
    xmpp["XMPP_COMPONENT"] = f"127.0.0.1:{free_port()}"
    with running_server(tmp_path_factory.mktemp("product"), CAST, **xmpp) as server:
        yield server


@pytest.fixture(scope="module")
def prosody(
    product: Server, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProsody]:
    port = int(product.environment["XMPP_COMPONENT"].split(":")[1])
    with naming(ports) as names:
        same: dict[str, Any] = {"door": product.url, "secret": SECRET, "more": asking(names)}
        folder = tmp_path_factory.mktemp("prosody")
        with running_prosody(folder, component=("127.0.0.1", port), **same) as running:
            ports[HERE] = ports[CARDS] = running.has.server_port
            product.run("xmpp", product.whole_environment({}), "manage.py", "xmpp")
            wait_until(lambda: connections(product))
            yield running


@pytest.fixture
async def evil(prosody: RunningProsody, ports: dict[str, int]) -> AsyncIterator[Hostile]:
    async with Hostile(EVIL) as server:
        ports[EVIL] = server.port
        yield server


@pytest.fixture
async def stream(evil: Hostile, prosody: RunningProsody) -> Raw:
    """Of the hostile server, to the cards."""
    return await evil.stream(prosody.has.server_port, CARDS)


async def answers(evil: Hostile, stream: Raw, number: str) -> bool:
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    await stream.say(f"<iq type='get' id='{number}' from='{EVIL}' to='{CARDS}'>{ping}</iq>")
    return "type='result'" in await evil.hears(f"<iq[^>]*id='{number}'[^>]*>")


def connections(product: Server) -> int:
    return product.log("xmpp").count("The bridge is connected.")


def counted(product: Server, what: str) -> int:
    """What a program of the product prints last."""
    program = f"from accounts.models import User; from bindings.models import *; print({what})"
    return int(product.manage("shell", "-v0", "-c", program).split()[-1])


def nested(depth: int) -> str:
    return "<a xmlns='urn:a'>" + "<a>" * depth + "</a>" * depth + "</a>"


NASTY = [
    f"<iq type='set' id='n' from='e@{EVIL}' to='alice@{CARDS}'>{nested(20_000)}</iq>",
    f"<iq type='get' id='n' from='e@{EVIL}' to='{CARDS}'>{nested(20_000)}</iq>",
    f"<message from='e@{EVIL}' to='{CARDS}'>{nested(20_000)}</message>",
    f"<presence type='subscribe' from='e@{EVIL}' to='alice@{CARDS}'>{nested(20_000)}</presence>",
    f"<presence from='e@{EVIL}' to='{CARDS}'>{nested(20_000)}</presence>",
    f"<iq type='get' id='n' from='{EVIL}' to='{CARDS}'/>",
    f"<iq type='odd' id='n' from='{EVIL}' to='{CARDS}'><a xmlns='urn:a'/></iq>",
    f"<iq type='get' from='{EVIL}' to='{CARDS}'><query xmlns='jabber:iq:version'/></iq>",
    f"<iq type='get' id='n' from='{EVIL}' to='{CARDS}'><a xmlns='u'/><b xmlns='u'/></iq>",
    f"<presence type='odd' from='e@{EVIL}' to='alice@{CARDS}'/>",
    f"<message type='odd' from='e@{EVIL}' to='{CARDS}'><body>{'x' * 400_000}</body></message>",
    f"<message from='e@{EVIL}/{'r' * 1023}' to='{CARDS}'><body>help</body></message>",
    f"<presence type='subscribe' from='{'e' * 1023}@{EVIL}' to='alice@{CARDS}'/>",
    f"<presence type='subscribe' from='e@{EVIL}' to='{'a' * 1023}@{CARDS}'/>",
    f"<presence type='subscribe' from='e@{EVIL}' to='alice?{'9' * 900}@{CARDS}'/>",
    f"<presence type='subscribe' from='e@{EVIL}' to='alice@{CARDS}'>"
    f"<status>{'x' * 400_000}</status></presence>",
    f"<iq type='get' id='n' from='e@{EVIL}' to='alice@{CARDS}'>"
    f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{'n' * 400_000}'/></pubsub>"
    "</iq>",
    f"<message from='e@{EVIL}' to='{CARDS}'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
    "<items node='urn:xmpp:vcard4'><item><vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>"
    f"{'<tel><uri>x</uri></tel>' * 15_000}</vcard></item></items></event></message>",
    f"<iq type='set' id='n' from='e@{EVIL}' to='alice@{CARDS}'><vCard xmlns='vcard-temp'>"
    f"<PHOTO><BINVAL>{'not base64 ' * 30_000}</BINVAL></PHOTO></vCard></iq>",
    f"<iq type='set' id='n' from='e@{EVIL}' to='{CARDS}'><command action='odd' node='{'c' * 9999}'"
    " xmlns='http://jabber.org/protocol/commands'/></iq>",
    f"<iq type='result' id='n' from='e@{EVIL}' to='{CARDS}'/>",
    f"<iq type='error' id='n' from='e@{EVIL}' to='{CARDS}'/>",
]


@pytest.mark.parametrize("said", NASTY, ids=range(len(NASTY)))
async def test_it_answers_after_whatever_is_said(
    product: Server, evil: Hostile, stream: Raw, said: str
) -> None:
    assert await answers(evil, stream, "before")
    await stream.say(said)
    assert await answers(evil, stream, "after")
    assert connections(product) == 1, "by the same connection"
    assert "Traceback" not in product.log("xmpp"), product.log("xmpp")[-3000:]


ASKED = [
    "<vCard xmlns='vcard-temp'/>",
    "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info'/>",
]


@pytest.mark.parametrize("asked", ASKED, ids=range(len(ASKED)))
async def test_a_stranger_sees_nothing_whoever_they_ask_for(
    evil: Hostile, stream: Raw, asked: str
) -> None:
    told = []
    for name in ("alice", "nobody"):
        to = f"to='{name}@{CARDS}'"
        await stream.say(f"<iq type='get' id='{name}' from='e@{EVIL}' {to}>{asked}</iq>")
        said = await evil.hears(f"<iq[^>]*id='{name}'.*?</iq>")
        told.append(said.rpartition("<iq")[2].replace("alice", "nobody").partition(">")[2])
    assert told[0] == told[1] and "service-unavailable" in told[0]


async def test_requests_of_one_server_are_few_however_many_names_it_has(
    product: Server, evil: Hostile, stream: Raw
) -> None:
    before = counted(product, "User.objects.count()")
    for number in range(200):
        await stream.say(f"<presence type='subscribe' from='s{number}@{EVIL}' to='bob@{CARDS}'/>")
    assert await answers(evil, stream, "after")
    assert counted(product, "Request.objects.count()") <= 20
    assert counted(product, "User.objects.count()") - before <= 20


async def test_a_flood_at_the_cards_leaves_the_others_their_turn(
    prosody: RunningProsody, evil: Hostile, stream: Raw
) -> None:
    ask = (
        f"<iq type='get' id='f' from='e@{EVIL}' to='alice@{CARDS}'><vCard xmlns='vcard-temp'/></iq>"
    )
    async with Raw(prosody.has.port) as bob:
        assert "<success" in await bob.sign_in("bob", "bob-phone")
        await stream.say(ask * 5000)
        for number in range(5):
            ping = "<ping xmlns='urn:xmpp:ping'/>"
            await bob.say(f"<iq type='get' id='b{number}' to='{CARDS}'>{ping}</iq>")
            assert "type='result'" in await bob.hears(f"<iq[^>]*id='b{number}'[^>]*>")


async def test_what_is_too_large_does_not_get_onto_a_card(
    product: Server, prosody: RunningProsody
) -> None:
    async with Raw(prosody.has.port) as bob:
        assert "<success" in await bob.sign_in("bob", "bob-phone")
        await bob.say(f"<iq type='set' id='large' to='bob@{CARDS}'>{vcard_with(300_000)}</iq>")
        await bob.hears("id='large'[^>]*>")
        await bob.say(f"<iq type='set' id='larger' to='bob@{CARDS}'>{vcard_with(10_000_000)}</iq>")
        await bob.end()
    properties = "User.objects.get(username='bob').cards.get().properties"
    assert counted(product, f"len({properties})") == 1, "the number of before"
    assert counted(product, f"len(str({properties}))") < 200


def vcard_with(size: int) -> str:
    return f"<vCard xmlns='vcard-temp'><FN>Bob Changed</FN><DESC>{'x' * size}</DESC></vCard>"
