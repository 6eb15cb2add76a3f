"""The transport to Apple, against a server that speaks Apple's protocol over HTTP/2 and TLS."""

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from delivery.transports import Prompt, TransportError, next_delay, parse_retry_after
from delivery.transports.apns import Apns, ProviderToken, apns_from_settings
from tests.apple import KEY_ID, TEAM_ID, TOPIC, Apple, Fault, Notification, Reply, signing_key

TOKEN = "0a1b2c3d" * 8
PROMPT = Prompt(title="Katzenklavier", body="Open the app.", collapse_id="cards")
PRIVATE_KEY, PUBLIC_KEY = signing_key()
MINUTE = 60

Connect = Callable[..., Apns]


class Clock:
    """The one clock of both sides."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def apple(clock: Clock) -> Iterator[Apple]:
    with Apple(PUBLIC_KEY, clock=clock) as server:
        yield server


def reach(apple: Apple, clock: Clock, **arguments: Any) -> Apns:
    """A transport to the server; arguments replace the usual ones."""
    usual: dict[str, Any] = {
        "key": PRIVATE_KEY,
        "key_id": KEY_ID,
        "team_id": TEAM_ID,
        "topic": TOPIC,
        "host": apple.host,
        "port": apple.port,
        "ca_file": apple.ca_file,
        "clock": clock,
    }
    return Apns(**usual | arguments)


@pytest.fixture
def connect(apple: Apple, clock: Clock) -> Iterator[Connect]:
    """Makes transports to the server, and closes them."""
    with ExitStack() as made:
        yield lambda **arguments: made.enter_context(closing(reach(apple, clock, **arguments)))


@pytest.fixture
def apns(connect: Connect) -> Apns:
    return connect()


def send_many(apns: Apns, times: int) -> Counter[str]:
    return Counter(apns.send(TOKEN, PROMPT).verdict for _ in range(times))


# What a push carries


def test_a_push_reaches_the_device_with_apples_headers(apple: Apple, apns: Apns) -> None:
    expires_at = datetime(2026, 3, 8, tzinfo=UTC)
    prompt = Prompt(title="Katze", body="Öffne die App.", badge=0, expires_at=expires_at)
    outcome = apns.send(TOKEN, prompt)
    pushed = apple.wait_for(TOKEN)
    assert pushed.payload == {
        "aps": {"alert": {"title": "Katze", "body": "Öffne die App."}, "badge": 0}
    }
    assert pushed.headers.items() >= {
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-topic", TOPIC),
        ("apns-expiration", "1772928000"),
        ("apns-id", outcome.apns_id),
    }
    assert (outcome.verdict, outcome.status) == ("delivered", 200)


def test_letters_beyond_ascii_take_no_more_room_than_they_need(apns: Apns) -> None:
    assert apns.send(TOKEN, Prompt(title="", body="ö" * 2000)).verdict == "delivered"


def test_what_the_prompt_leaves_out_is_not_sent(apple: Apple, apns: Apns) -> None:
    apns.send(TOKEN, Prompt(title="Katze", body="Maus"))
    pushed = apple.wait_for(TOKEN)
    assert pushed.payload == {"aps": {"alert": {"title": "Katze", "body": "Maus"}}}
    assert not {"apns-expiration", "apns-collapse-id"} & pushed.headers.keys()


def test_a_prompt_brings_its_collapse_id_and_may_bring_its_own_topic(
    apple: Apple, apns: Apns
) -> None:
    apple.topics = ("org.example.other",)
    apns.send(TOKEN, Prompt(title="", body="", topic="org.example.other", collapse_id="cards"))
    assert apple.wait_for(TOKEN).headers.items() >= {
        ("apns-topic", "org.example.other"),
        ("apns-collapse-id", "cards"),
    }


def test_every_attempt_has_an_id_of_its_own(apns: Apns) -> None:
    assert len({apns.send(TOKEN, PROMPT).apns_id for _ in range(3)}) == 3


# What Apple answers


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(400, "BadDeviceToken"), "dead"),
        (Reply(400, "DeviceTokenNotForTopic"), "dead"),
        (Reply(400, "IdleTimeout"), "retry"),
        (Reply(400, "SomethingNew"), "refused"),
        (Reply(405, "MethodNotAllowed"), "refused"),
        (Reply(410, "Unregistered"), "dead"),
        (Reply(410, "ExpiredToken"), "dead"),
        (Reply(410), "dead"),
        (Reply(413, "PayloadTooLarge"), "refused"),
        (Reply(429, "TooManyRequests"), "retry"),
        (Reply(429), "retry"),
        (Reply(500, "InternalServerError"), "retry"),
        (Reply(500), "retry"),
        (Reply(503, "Shutdown"), "retry"),
        (Reply(503), "retry"),
    ],
    ids=lambda value: f"{value.status}-{value.reason}" if isinstance(value, Reply) else value,
)
def test_the_answer_decides_the_verdict(
    apple: Apple, apns: Apns, reply: Reply, verdict: str
) -> None:
    apple.script(TOKEN, reply)
    outcome = apns.send(TOKEN, PROMPT)
    assert (outcome.verdict, outcome.status, outcome.reason) == (
        verdict,
        reply.status,
        reply.reason,
    )
    assert apple.requests[TOKEN] == 1
    assert not apple.accepted


@dataclass(frozen=True)
class GatewayReply(Reply):
    text: bytes = b""

    @property
    def body(self) -> bytes:
        return self.text


@pytest.mark.parametrize("text", [b"<html>", b"[]", b"\xff"])
def test_an_answer_in_words_that_are_not_apples_is_judged_by_its_status(
    apple: Apple, apns: Apns, text: bytes
) -> None:
    apple.script(TOKEN, GatewayReply(503, text=text))
    outcome = apns.send(TOKEN, PROMPT)
    assert (outcome.verdict, outcome.status, outcome.reason) == ("retry", 503, "")


def test_a_dead_token_died_at_the_moment_that_apple_names(apple: Apple, apns: Apns) -> None:
    apple.script(TOKEN, Reply(410, "Unregistered", timestamp=1772366400123))
    died_at = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
    assert apns.send(TOKEN, PROMPT).dead_since == died_at


def test_without_a_timestamp_the_moment_of_death_is_unknown(apple: Apple, apns: Apns) -> None:
    apple.script(TOKEN, Reply(410, "Unregistered"))
    assert apns.send(TOKEN, PROMPT).dead_since is None


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_in_both_of_its_forms(
    apple: Apple, apns: Apns, clock: Clock, status: int
) -> None:
    in_a_minute = datetime.fromtimestamp(clock.now + MINUTE, UTC)
    as_date = format_datetime(in_a_minute, usegmt=True)
    apple.script(TOKEN, Reply(status, retry_after="30"), Reply(status, retry_after=as_date))
    assert [apns.send(TOKEN, PROMPT).retry_after for _ in range(3)] == [30, 60, None]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (Prompt(title="", body="", topic="org.example.stranger"), "TopicDisallowed"),
        (Prompt(title="", body="", collapse_id="x" * 65), "BadCollapseId"),
        (Prompt(title="", body="x" * 4096), "PayloadTooLarge"),
    ],
    ids=lambda value: value if isinstance(value, str) else "prompt",
)
def test_apple_refuses_a_prompt_that_is_wrong(apns: Apns, prompt: Prompt, reason: str) -> None:
    outcome = apns.send(TOKEN, prompt)
    assert (outcome.verdict, outcome.reason) == ("refused", reason)


def test_apple_knows_no_short_token(apns: Apns) -> None:
    outcome = apns.send("abcd", PROMPT)
    assert (outcome.verdict, outcome.status, outcome.reason) == ("dead", 400, "BadDeviceToken")


@pytest.mark.parametrize("token", ["", "../../1/apps", "0a?x=1", "0a\r\nx: y", "größe"])
def test_a_token_that_is_no_token_is_never_sent(apple: Apple, apns: Apns, token: str) -> None:
    assert apns.send(token, PROMPT).verdict == "dead"
    assert not apple.requests


# Our key


@pytest.mark.parametrize(
    "wrong", [{"key": signing_key()[0]}, {"key_id": "ANOTHER999"}, {"team_id": "ANOTHER999"}]
)
def test_a_key_that_apple_does_not_know_is_trouble_for_staff(
    connect: Connect, wrong: dict[str, str]
) -> None:
    with pytest.raises(TransportError, match="^InvalidProviderToken$") as trouble:
        connect(**wrong).send(TOKEN, PROMPT)
    assert trouble.value.permanent


@pytest.mark.parametrize("reason", ["Forbidden", "SomethingNew", ""])
def test_any_403_is_trouble_with_our_key(apple: Apple, apns: Apns, reason: str) -> None:
    apple.script(TOKEN, Reply(403, reason))
    with pytest.raises(TransportError) as trouble:
        apns.send(TOKEN, PROMPT)
    assert trouble.value.permanent


def test_a_hundred_pushes_take_one_connection_and_one_provider_token(
    apple: Apple, apns: Apns
) -> None:
    assert send_many(apns, 100) == {"delivered": 100}
    assert (apple.connections, len(apple.provider_tokens)) == (1, 1)


def test_the_provider_token_is_renewed_after_45_minutes(
    apple: Apple, apns: Apns, clock: Clock
) -> None:
    apple.limit_provider_tokens = True
    apns.send(TOKEN, PROMPT)
    clock.now += 44 * MINUTE
    apns.send(TOKEN, PROMPT)
    assert len(apple.provider_tokens) == 1
    clock.now += 1 * MINUTE
    assert apns.send(TOKEN, PROMPT).verdict == "delivered"
    assert len(apple.provider_tokens) == 2


def test_a_clock_that_is_set_back_makes_a_new_provider_token(
    apple: Apple, apns: Apns, clock: Clock
) -> None:
    apns.send(TOKEN, PROMPT)
    clock.now -= 2 * 60 * MINUTE
    apns.send(TOKEN, PROMPT)
    assert (apple.requests[TOKEN], len(apple.provider_tokens)) == (2, 2)


def test_an_expired_provider_token_is_renewed_at_once(apple: Apple, apns: Apns) -> None:
    apple.script(TOKEN, Reply(403, "ExpiredProviderToken"))
    assert apns.send(TOKEN, PROMPT).verdict == "delivered"
    assert (apple.requests[TOKEN], len(apple.provider_tokens)) == (2, 2)


def test_an_expired_provider_token_is_renewed_only_once(apple: Apple, apns: Apns) -> None:
    apple.script_always(TOKEN, Reply(403, "ExpiredProviderToken"))
    with pytest.raises(TransportError, match="ExpiredProviderToken") as trouble:
        apns.send(TOKEN, PROMPT)
    assert trouble.value.permanent
    assert apple.requests[TOKEN] == 2


def test_of_those_who_find_the_provider_token_expired_only_the_first_renews_it(
    clock: Clock,
) -> None:
    provider_token = ProviderToken(PRIVATE_KEY, KEY_ID, TEAM_ID, clock)
    stale = provider_token.current()
    renewed = provider_token.renewed(stale)
    assert renewed != stale
    assert provider_token.renewed(stale) == provider_token.current() == renewed


def test_too_many_provider_tokens_are_waited_out(apple: Apple, connect: Connect) -> None:
    apple.limit_provider_tokens = True
    connect().send(TOKEN, PROMPT)
    with pytest.raises(TransportError, match="TooManyProviderTokenUpdates") as trouble:
        connect().send(TOKEN, PROMPT)
    assert (trouble.value.permanent, trouble.value.retry_after) == (False, 20 * MINUTE)


@pytest.mark.parametrize("key", ["no key", signing_key(ec.SECP384R1())[0]])
def test_only_an_elliptic_key_on_p256_will_do(key: str, clock: Clock) -> None:
    with pytest.raises(ValueError, match="PEM|P-256"):
        ProviderToken(key, KEY_ID, TEAM_ID, clock)


# Connections


def test_threads_send_side_by_side(apple: Apple, apns: Apns) -> None:
    with ThreadPoolExecutor(max_workers=8) as threads:
        verdicts = sum(threads.map(lambda _: send_many(apns, 25), range(8)), Counter())
    assert verdicts == {"delivered": 200}
    assert len(apple.accepted) == 200
    assert apple.connections <= 4
    assert len(apple.provider_tokens) == 1


def test_silence_ends_with_the_timeout(apple: Apple, connect: Connect) -> None:
    apple.script(TOKEN, Fault.HANG)
    apns = connect(timeout=0.2)
    started = time.monotonic()
    outcome = apns.send(TOKEN, PROMPT)
    assert 0.2 <= time.monotonic() - started < 8
    assert (outcome.verdict, outcome.status, outcome.reason) == ("retry", None, "ReadTimeout")
    assert apple.requests[TOKEN] == 1


def test_a_connection_that_fell_silent_is_given_up(apple: Apple, connect: Connect) -> None:
    apple.script(TOKEN, Fault.HANG)
    verdicts = send_many(connect(timeout=0.2), 2)
    assert verdicts == {"retry": 1, "delivered": 1}
    assert (apple.connections, len(apple.open_connections)) == (2, 1)


@pytest.mark.parametrize("fault", [Fault.GOAWAY, Fault.REFUSE])
@pytest.mark.parametrize("earlier_pushes", [0, 2])
def test_a_request_that_apple_did_not_look_at_is_sent_again_at_once(
    apple: Apple, apns: Apns, fault: Fault, earlier_pushes: int
) -> None:
    send_many(apns, earlier_pushes)
    apple.script(TOKEN, fault)
    assert apns.send(TOKEN, PROMPT).verdict == "delivered"
    assert apple.requests[TOKEN] == earlier_pushes + 2


def test_a_request_is_sent_again_only_once(apple: Apple, apns: Apns) -> None:
    apple.script_always(TOKEN, Fault.REFUSE)
    assert apns.send(TOKEN, PROMPT).verdict == "retry"
    assert apple.requests[TOKEN] == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.GOAWAY_LATE, "Shutdown"),
        (Fault.CLOSE, "RemoteProtocolError"),
        (Fault.RESET, "StreamReset"),
    ],
)
def test_a_request_that_apple_may_have_processed_is_not_sent_again(
    apple: Apple, apns: Apns, fault: Fault, reason: str
) -> None:
    apple.script(TOKEN, fault)
    outcome = apns.send(TOKEN, PROMPT)
    assert (outcome.verdict, outcome.status, outcome.reason) == ("retry", None, reason)
    assert apple.requests[TOKEN] == 1
    assert apns.send(TOKEN, PROMPT).verdict == "delivered"


@pytest.mark.parametrize("goaway", [True, False])
def test_a_connection_that_died_while_idle_is_replaced(
    apple: Apple, apns: Apns, goaway: bool
) -> None:
    apns.send(TOKEN, PROMPT)
    apple.hang_up(goaway=goaway)
    assert apns.send(TOKEN, PROMPT).verdict == "delivered"
    assert (apple.connections, len(apple.accepted)) == (2, 2)


def test_a_server_that_is_not_there_is_trouble_for_a_while(connect: Connect) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TransportError, match="cannot connect") as trouble:
        connect(port=port).send(TOKEN, PROMPT)
    assert not trouble.value.permanent


def test_a_server_that_nobody_vouches_for_gets_nothing(apple: Apple, connect: Connect) -> None:
    with pytest.raises(TransportError, match="certificate verify failed"):
        connect(ca_file="").send(TOKEN, PROMPT)
    assert not apple.requests


# Secrets


def test_neither_token_nor_key_nor_payload_is_shown(
    apple: Apple, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    apns = connect(timeout=0.2)
    apple.script(TOKEN, Reply(410), Fault.CLOSE, Fault.HANG, Fault.GOAWAY)
    outcomes = [apns.send(TOKEN, PROMPT) for _ in range(5)]
    apple.script(TOKEN, Reply(403, "Forbidden"))
    with pytest.raises(TransportError) as refused:
        apns.send(TOKEN, PROMPT)
    with pytest.raises(TransportError) as unreachable:
        connect(ca_file="").send(TOKEN, PROMPT)
    shown = caplog.text + repr([apns, vars(apns), PROMPT, outcomes, refused, unreachable])
    secrets = [TOKEN, PROMPT.title, PROMPT.body, *apple.provider_tokens, PRIVATE_KEY[30:60]]
    assert [secret for secret in secrets if secret in shown] == []
    assert all(outcome.apns_id in caplog.text for outcome in outcomes)


# Settings


@pytest.fixture
def configured(settings: Settings, apple: Apple, tmp_path: Path) -> Settings:
    key_file = tmp_path / "AuthKey.p8"
    key_file.write_text(PRIVATE_KEY)
    settings.APNS_HOST, settings.APNS_PORT = apple.host, apple.port
    settings.APNS_CA_FILE = apple.ca_file
    settings.PUSH_NOTIFICATIONS_SETTINGS = {
        "APNS_AUTH_KEY_PATH": str(key_file),
        "APNS_AUTH_KEY_ID": KEY_ID,
        "APNS_TEAM_ID": TEAM_ID,
        "APNS_TOPIC": TOPIC,
    }
    return settings


@pytest.mark.parametrize("as_text", [True, False])
def test_the_settings_lead_to_the_server(
    apple: Apple, clock: Clock, configured: Settings, as_text: bool
) -> None:
    shared = configured.PUSH_NOTIFICATIONS_SETTINGS
    if as_text:
        shared["APNS_AUTH_KEY_PATH"] = PRIVATE_KEY
    apple.clock = lambda: datetime.now(UTC).timestamp()
    apns = apns_from_settings()
    assert apns
    with closing(apns):
        assert apns.send(TOKEN, PROMPT).verdict == "delivered"


def test_without_a_key_there_is_no_transport(configured: Settings) -> None:
    configured.PUSH_NOTIFICATIONS_SETTINGS["APNS_AUTH_KEY_PATH"] = ""
    assert apns_from_settings() is None


@pytest.mark.parametrize(
    ("sandbox", "host"), [(True, "api.sandbox.push.apple.com"), (False, "api.push.apple.com")]
)
def test_an_empty_host_is_apples_own(
    configured: Settings,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: bool,
    host: str,
) -> None:
    asked: list[tuple[str, int]] = []

    def resolve(name: str, port: int, *_: object) -> list[Any]:
        asked.append((name, port))
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    configured.APNS_HOST, configured.APNS_PORT = "", 443
    configured.PUSH_NOTIFICATIONS_SETTINGS["APNS_USE_SANDBOX"] = sandbox
    apns = apns_from_settings()
    assert apns
    with pytest.raises(TransportError):
        apns.send(TOKEN, PROMPT)
    assert asked == [(host, 443)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APNS_AUTH_KEY_ID", ""),
        ("APNS_TEAM_ID", None),
        ("APNS_TOPIC", ""),
        ("APNS_AUTH_KEY_PATH", "/nowhere/AuthKey.p8"),
        ("APNS_AUTH_KEY_PATH", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"),
    ],
)
def test_half_a_configuration_fails_at_once(
    configured: Settings, name: str, value: str | None
) -> None:
    configured.PUSH_NOTIFICATIONS_SETTINGS[name] = value
    with pytest.raises(ImproperlyConfigured):
        apns_from_settings()


# Backoff


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 10), (2, 20), (5, 160), (9, 2560), (10, 3600), (10_000, 3600)]
)
def test_the_delay_lies_between_five_seconds_and_a_bound_that_doubles(
    attempt: int, longest: float
) -> None:
    assert next_delay(attempt, None, lambda: 0.0) == 5
    assert next_delay(attempt, None, lambda: 1.0) == longest


def test_the_delay_is_never_below_retry_after() -> None:
    assert next_delay(1, 7200, lambda: 1.0) == 7200
    assert next_delay(10, 30, lambda: 1.0) == 3600


def test_the_delay_is_spread() -> None:
    assert len({next_delay(5) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("", None),
        ("-5", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(clock: Clock, value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, clock.now) == seconds


# The server itself


def raw_request(apple: Apple, apns: Apns) -> dict[str, Any]:
    """What a client of httpx sends to have one more push accepted."""
    apns.send(TOKEN, PROMPT)
    headers = apple.wait_for(TOKEN).headers
    return {
        "method": "POST",
        "url": f"https://{apple.host}:{apple.port}/3/device/{TOKEN}",
        "headers": {name: headers[name] for name in headers if name.startswith("a")},
        "json": {"aps": {}},
    }


def test_the_server_answers_many_streams_of_one_connection(apple: Apple, apns: Apns) -> None:
    request = raw_request(apple, apns)
    tls = ssl.create_default_context(cafile=apple.ca_file)

    async def push_many() -> list[int]:
        async with httpx.AsyncClient(verify=tls, http2=True) as client:
            answers = await asyncio.gather(*(client.request(**request) for _ in range(20)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(push_many()) == [200] * 20
    assert apple.connections == 2


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"method": "GET"}, 405, "MethodNotAllowed"),
        ({"path": f"/2/device/{TOKEN}"}, 404, "BadPath"),
        ({"path": "/3/device/"}, 400, "MissingDeviceToken"),
        ({"headers": {"authorization": ""}}, 403, "MissingProviderToken"),
        ({"headers": {"apns-topic": ""}}, 400, "MissingTopic"),
        ({"headers": {"apns-push-type": "x"}}, 400, "InvalidPushType"),
        ({"headers": {"apns-priority": "7"}}, 400, "BadPriority"),
        ({"headers": {"apns-id": "7"}}, 400, "BadMessageId"),
        ({"headers": {"apns-expiration": "x"}}, 400, "BadExpirationDate"),
        ({"json": {}}, 400, "PayloadEmpty"),
        ({"json": []}, 400, "PayloadEmpty"),
        ({"json": None, "content": "no JSON"}, 400, "PayloadEmpty"),
    ],
)
def test_the_server_refuses_what_apple_refuses(
    apple: Apple, apns: Apns, change: dict[str, Any], status: int, reason: str
) -> None:
    request = raw_request(apple, apns)
    path, headers = change.pop("path", f"/3/device/{TOKEN}"), change.pop("headers", {})
    request["url"] = httpx.URL(request["url"], path=path)
    request["headers"] |= headers
    tls = ssl.create_default_context(cafile=apple.ca_file)
    with httpx.Client(verify=tls, http1=False, http2=True) as client:
        answer = client.request(**request | change)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert len(apple.accepted) == 1


def test_the_server_wants_provider_tokens_of_the_last_hour(
    apple: Apple, apns: Apns, clock: Clock
) -> None:
    apple.clock = lambda: clock.now + 61 * MINUTE
    with pytest.raises(TransportError, match="ExpiredProviderToken"):
        apns.send(TOKEN, PROMPT)


def test_waiting_gives_each_notification_once_and_ends(apple: Apple, apns: Apns) -> None:
    apns.send(TOKEN, PROMPT)
    apple.wait_for(TOKEN)
    with pytest.raises(TimeoutError):
        apple.wait_for(TOKEN, timeout=0)


def test_the_server_calls_the_hook_on_each_accepted_push(apple: Apple, apns: Apns) -> None:
    woken: Queue[Notification] = Queue()
    apple.on_push = woken.put
    apple.script(TOKEN, Reply(500))
    send_many(apns, 3)
    assert [woken.get(timeout=5), woken.get(timeout=5)] == apple.accepted


def test_the_server_does_not_swallow_what_a_hook_raises(clock: Clock) -> None:
    def fail(pushed: Notification) -> None:
        raise LookupError(pushed.token)

    with (
        pytest.raises(LookupError),
        Apple(PUBLIC_KEY, clock=clock, on_push=fail) as apple,
        closing(reach(apple, clock)) as apns,
    ):
        apns.send(TOKEN, PROMPT)
