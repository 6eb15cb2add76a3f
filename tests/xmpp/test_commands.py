"""The commands, in plain chat and in a client's menu, in English and in Chinese."""

import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async as in_rows

from accounts.models import User
from bindings import exchange
from bindings.models import Binding, Request
from cards.models import Card
from tests.prosody import RunningProsody
from tests.xmpp.clients import BODY, CARDS, Client, signed_in
from xmpp.commands import COMMANDS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bridge")]

NS = "http://jabber.org/protocol/commands"
X = "{jabber:x:data}"


async def say(client: Client, words: str) -> str:
    """What is answered."""
    before = len(client.stanzas("message", CARDS))
    client.tells(CARDS, words)
    await client.is_heard()
    (reply,) = client.stanzas("message", CARDS)[before:]
    return str(reply.findtext(BODY))


async def call(client: Client, node: str, argument: str | None = None, **attributes: str) -> Any:
    """The `command` element of the answer."""
    said = "".join(f" {name}='{value}'" for name, value in attributes.items())
    form = (
        f"<x xmlns='jabber:x:data' type='submit'><field var='argument'><value>{argument}</value>"
        "</field></x>"
        if argument is not None
        else ""
    )
    command = f"<command xmlns='{NS}' node='{node}'{said}>{form}</command>"
    return (await client.asks(CARDS, command, "set")).xml[0]


async def test_a_link_invites_and_its_code_is_taken_in_chat(
    prosody: RunningProsody, alice_card: Card, bob: User
) -> None:
    async with signed_in(prosody, "alice") as hers, signed_in(prosody, "bob") as his:
        link = await say(hers, "link")
        code = re.search(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){2}", link)
        assert code
        assert "xmpp:alice?" in link
        assert await say(his, "code 0000") == "This code opens nothing."
        assert await say(his, f"code {code[0]}") == "You have exchanged cards."
        assert "Alice Example (alice@cards.example.org)" in await say(his, "held")
        assert "Bob Sample (bob@cards.example.org)" in await say(hers, "holders")
        assert "Taken back" in await say(hers, "revoke bob@cards.example.org")
        assert await say(hers, "holders") == "Nobody holds a card of yours."
        assert await say(hers, "revoke bob") == "Nobody by this name holds a card of yours."


async def test_requests_are_decided_in_chat(
    prosody: RunningProsody, alice_card: Card, bob_card: Card, bob: User, charlie: User
) -> None:
    await in_rows(exchange.ask)(bob, "alice", bob_card, message="We met")
    async with signed_in(prosody, "alice") as hers:
        assert await say(hers, "requests") == "Bob Sample (bob) We met"
        assert await say(hers, "accept charlie") == "Nobody by this name asks for your card."
        assert await say(hers, "Accept bob") == "You have exchanged cards."
        assert await say(hers, "requests") == "Nobody asks for your card."
        await in_rows(exchange.ask)(bob, "alice", bob_card)
        assert "not told" in await say(hers, "decline bob")
    assert await Binding.objects.active().acount() == 2
    assert await Request.objects.filter(accepted=False, decided_at__isnull=False).acount() == 1


async def test_it_speaks_chinese(prosody: RunningProsody, alice_card: Card, alice: User) -> None:
    await User.objects.filter(pk=alice.pk).aupdate(language="zh-hans")
    async with signed_in(prosody, "alice") as hers:
        assert await say(hers, "持有人") == "没有人持有您的名片。"
        assert "我的名片" in await say(hers, "帮助")
        menu = await hers.part("xep_0050").get_commands(CARDS)
        assert "我的名片" in [name for _jid, _node, name in menu["disco_items"]["items"]]


async def test_what_is_no_command_is_helped(prosody: RunningProsody, alice: User) -> None:
    async with signed_in(prosody, "alice") as hers:
        helped = await say(hers, "what is this?")
        for command in COMMANDS:
            assert all(word in helped for word in command.words[:2])
        assert "1. Alice Example" in await say(hers, "cards")  # made for her, as she had none
        assert await say(hers, "use 9") == "Say which, by its number."


async def test_the_menu_has_them_all_and_each_is_called_in_one_or_two_steps(
    prosody: RunningProsody, alice_card: Card, bob_card: Card, bob: User
) -> None:
    await in_rows(exchange.ask)(bob, "alice", bob_card)
    async with signed_in(prosody, "alice") as hers:
        menu = await hers.part("xep_0050").get_commands(CARDS)
        nodes = [node for _jid, node, _name in menu["disco_items"]["items"]]
        assert sorted(nodes) == sorted(each.name for each in COMMANDS)
        info = await hers.part("xep_0030").get_info(CARDS, node="cards")
        assert ("automation", "command-node", None, "My cards") in info["disco_info"]["identities"]
        done = await call(hers, "cards", action="execute")
        assert done.get("status") == "completed"
        assert "Alice Example" in done.findtext(f"{{{NS}}}note")
        first = await call(hers, "accept")
        assert first.get("status") == "executing"
        assert first.find(f"{X}x/{X}field").get("var") == "argument"
        session = first.get("sessionid")
        second = await call(hers, "accept", "bob", action="complete", sessionid=session)
        assert (second.get("status"), second.get("sessionid")) == ("completed", session)
        assert second.findtext(f"{{{NS}}}note") == "You have exchanged cards."


async def test_a_menu_can_be_left_and_odd_steps_are_refused(
    prosody: RunningProsody, alice_card: Card
) -> None:
    async with signed_in(prosody, "alice") as hers:
        assert (await call(hers, "accept", action="cancel")).get("status") == "canceled"
        odd = f"<command xmlns='{NS}' node='cards' action='odd'/>"
        assert await hers.refusal(CARDS, odd, "set") == "bad-request"


async def test_it_answers_no_machine(prosody: RunningProsody, alice: User) -> None:
    """Two that answer each other would never end."""
    async with signed_in(prosody, "alice") as hers:
        for type_ in ("error", "groupchat", "headline"):
            hers.tells(CARDS, "help", type_)
        await hers.is_heard()
        assert not hers.stanzas("message", CARDS)
