"""Being notified while no page is open, from the switch to the card that it leads to, by keyboard.

Chromium without Google's service cannot subscribe: a push service of ours stands in for it, to
which the server really sends. What comes there is handed to the browser's own worker.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from playwright.sync_api import Browser, CDPSession, Page, Worker, expect, sync_playwright

from accounts import webpush
from tests.browser.conftest import Say, SignIn
from tests.browser.keyboard import Keyboard, button
from tests.browser.test_live import change_phone
from tests.browser.test_offline import wait_for_copy
from tests.push_service import PushService
from tests.servers import CHROMIUM, Server, running_server

READERS = {"en": "bob", "zh-hans": "zhangwei"}

# In place of the one of Chromium's push service.
SUBSCRIBE = """(subscription) => {
  const { endpoint, ...keys } = subscription;
  PushManager.prototype.subscribe = async () => ({ toJSON: () => ({ endpoint, keys }) });
}"""
SHOWN = (
    "async () => (await registration.getNotifications()).map(({ title, body }) => [title, body])"
)
# No devtools click a notification; only a click may open a window, so it is noted which it would.
CLICK = """async () => {
  const opened = [], [notification] = await registration.getNotifications();
  clients.openWindow = async (address) => opened.push(address);
  let done;
  const click = new Event("notificationclick");
  dispatchEvent(Object.assign(click, { notification, waitUntil: (until) => (done = until) }));
  await done;
  return opened;
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A whole one: without what is around the page there is nowhere to notify."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[PushService, str]]:
    """One for the key that comes with it."""
    key = webpush.new_private_key()
    with override_settings(VAPID_PRIVATE_KEY=key):
        known = webpush.public_key()
    with PushService(known) as service:
        yield service, key


@pytest.fixture(scope="module")
def server(
    service: tuple[PushService, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    push, key = service
    with running_server(
        tmp_path_factory.mktemp("notifications"),
        DEMO="1",
        PROMPT_GRACE="0.2",
        VAPID_PRIVATE_KEY=key,
        WEB_PUSH_HOSTS=push.host,
        WEB_PUSH_CA_FILE=push.ca_file,
    ) as server:
        yield server


def test_a_notification_leads_to_the_card_that_changed(
    sign_in: SignIn,
    screen: dict[str, Any],
    say: Say,
    language: str,
    service: tuple[PushService, str],
    server: Server,
    complaints: list[str],
) -> None:
    push, who = service[0], READERS[language]
    alice, page = sign_in("alice"), sign_in(who, **screen, reduced_motion="reduce")
    keys = Keyboard(page)
    switch = button(page, say("Turn notifications on"))
    page.goto("/account/devices/")
    keys.press(switch)
    expect(page.locator("#notify [role=alert]")).to_have_text(said(page, "denied"))
    page.context.grant_permissions(["notifications"])
    keys.press(switch)
    expect(page.locator("#notify [role=alert]")).to_have_text(said(page, "failed"))
    page.evaluate(SUBSCRIBE, push.subscription(who)._asdict())
    keys.press(switch)
    on = say("This browser is notified when cards that you hold change.")
    expect(page.get_by_text(on)).to_be_visible()
    wait_for_copy(page)
    (devtools, registered), worker = devtools_of(page), worker_of(page)

    page.goto("about:blank")
    change_phone(alice, f"+43 1 555 71{len(who)}")
    message = push.next_message()
    for_it = {"origin": server.url, "registrationId": registered, "data": json.dumps(message)}
    devtools.send("ServiceWorker.deliverPushMessage", for_it)
    body = say("Cards that you hold have changed. This opens them.")
    assert shown(worker) == [["Cardsite", body]]
    [address] = worker.evaluate(CLICK)
    assert worker.evaluate(SHOWN) == []
    page.goto(address)
    expect(page.get_by_role("heading", name="Alice Example", level=1)).to_be_visible()
    expect(page.locator(".lines")).to_contain_text(f"+43 1 555 71{len(who)}")

    page.goto("/account/devices/")
    keys.follow(button(page, say("Turn notifications off")))
    expect(switch).to_be_visible()
    complaints[:] = [each for each in complaints if "does not support the Push API" not in each]


def said(page: Page, what: str) -> str:
    text = page.locator("#notify").get_attribute(f"data-{what}")
    assert text
    return text


def devtools_of(page: Page) -> tuple[CDPSession, str]:
    """Those of the page, and what they call the registration of its worker."""
    devtools = page.context.new_cdp_session(page)
    heard: list[dict[str, Any]] = []
    devtools.on("ServiceWorker.workerRegistrationUpdated", lambda said: heard.append(said))
    devtools.send("ServiceWorker.enable")
    while not any(each["registrations"] for each in heard):
        page.evaluate("navigator.serviceWorker.ready.then(() => {})")
    [[registration]] = [each["registrations"] for each in heard if each["registrations"]]
    return devtools, registration["registrationId"]


def worker_of(page: Page) -> Worker:
    [worker] = page.context.service_workers
    return worker


def shown(worker: Worker) -> Any:
    """The notifications, once there are any."""
    deadline = time.monotonic() + 20
    while not (found := worker.evaluate(SHOWN)):
        assert time.monotonic() < deadline, "no notification is shown"
    return found
