"""A person's own account, by keyboard alone: a second step, passkeys that Chromium's virtual
authenticator keeps, where one is signed in, and taking all of it along."""

import json
import re
import time
import zipfile
from itertools import count
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.browser.conftest import Open, Say, hand_in
from tests.browser.keyboard import Keyboard, button, link
from tests.browser.test_owner import PASSWORD
from tests.servers import Server

SIGNED_OUT = 4401  # docs/wire.md
people = count(1)


class Account:
    """Somebody who has just come, at the page of their settings."""

    def __init__(self, page: Page, say: Say) -> None:
        self.page, self.say, self.keys = page, say, Keyboard(page)
        page.goto("/account/login/")
        # Passkeys belong to a name; an address in numbers is none.
        self.house = page.url.split("/account/")[0].replace("127.0.0.1", "localhost")
        self.address = f"careful{next(people)}@example.org"
        person = {"name": "Carla Careful", "email": self.address, "password1": PASSWORD}
        hand_in(page, f"{self.house}/account/signup/", **person)
        self.open("account/settings/")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.house}/{path}")

    def follow(self, name: str) -> None:
        self.keys.follow(link(self.page, self.say(name)))

    def press(self, name: str) -> None:
        self.keys.press(button(self.page, self.say(name)))

    def prove(self) -> None:
        """Who is there, as it is asked for again before what matters."""
        self.keys.write(self.page.locator("[name=password]"), PASSWORD)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def sign_out(self) -> None:
        self.keys.press(self.page.locator("details.account summary"))
        self.press("Sign out")
        expect(self.page.get_by_role("heading", name=self.say("Sign in"))).to_be_visible()
        self.page.wait_for_load_state()

    def sign_in(self, password: str = PASSWORD) -> None:
        self.keys.write(self.page.locator("[name=login]"), self.address)
        self.keys.write(self.page.locator("[name=password]"), password)
        self.page.keyboard.press("Enter")

    def is_in(self) -> None:
        expect(self.page.locator("details.account")).to_be_visible()


@pytest.fixture
def account(window: Open, screen: dict[str, Any], say: Say) -> Account:
    return Account(window(**screen, reduced_motion="reduce"), say)


def code_of(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def test_a_code_is_asked_for_after_the_password(account: Account) -> None:
    page, keys = account.page, account.keys
    account.follow("Second step and passkeys")
    account.follow("Set it up")
    account.prove()
    expect(page.locator("img.qr")).to_have_js_property("complete", True)
    assert page.locator("img.qr").evaluate("picture => picture.naturalWidth") > 100
    secret = page.locator("#authenticator_secret").input_value()
    keys.write(page.locator("[name=code]"), code_of(secret))
    page.keyboard.press("Enter")
    first = recovery_codes(page)
    with page.expect_download() as download:
        keys.press(page.locator("main a[href*=download]"))
    assert download.value.path().read_text().split() == first
    account.open("account/second-step/")
    account.follow("Make new ones")
    keys.follow(page.locator("main button[type=submit]"))
    codes = recovery_codes(page)
    assert not {*first} & {*codes}

    account.sign_out()
    account.sign_in()
    for code, opens in (("nonsense", False), (first[0], False), (codes[0], True)):
        keys.write(page.locator("[name=code]"), code)
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.locator("details.account")).to_have_count(int(opens))

    account.open("account/second-step/")
    account.follow("Turn it off")
    account.prove()
    keys.follow(page.locator("main button[type=submit]"))
    expect(page.get_by_text(account.say("Recovery codes"))).to_have_count(0)
    account.sign_out()
    account.sign_in()
    account.is_in()


def recovery_codes(page: Page) -> list[str]:
    codes = page.locator("textarea").input_value().split()
    assert len(codes) == 10
    return codes


def test_a_passkey_signs_in_alone_until_it_is_removed(account: Account) -> None:
    page, keys = account.page, account.keys
    keep_passkeys(page)
    account.follow("Second step and passkeys")
    account.follow("Add a passkey")
    account.prove()
    keys.write(page.get_by_label(account.say("What you call it")), "Phone")
    account.press("Add it")
    page.wait_for_url("**/recovery-codes/**")
    account.open("account/second-step/")
    keys.follow(link(page, account.say("Look at them")).first)
    expect(page.get_by_text(account.say("signs in alone"))).to_be_visible()
    keys.follow(page.get_by_role("link", name=account.say("Rename")))
    keys.write(page.locator("[name=name]"), "Old phone")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator(".rows strong")).to_have_text("Old phone")

    account.sign_out()
    account.press("Use a passkey")
    account.is_in()

    account.open("account/second-step/webauthn/")
    keys.follow(page.get_by_role("link", name=account.say("Remove")))
    account.prove()
    keys.follow(link(page, account.say("Cancel")))
    keys.follow(page.get_by_role("link", name=account.say("Remove")))
    account.press("Remove it")
    expect(page.get_by_text(account.say("The passkey is removed."))).to_be_visible()
    expect(page.get_by_text(account.say("None yet."))).to_be_visible()
    account.sign_out()
    account.press("Use a passkey")
    said = "This passkey signs nobody in here. Perhaps it was removed."
    expect(page.get_by_text(account.say(said))).to_be_visible()


def keep_passkeys(page: Page) -> None:
    """As a phone does, that its person unlocks without being asked twice."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    kind = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    person = {"hasUserVerification": True, "isUserVerified": True}
    options = {**kind, **person, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_an_app_password_is_shown_once(account: Account) -> None:
    page, keys = account.page, account.keys
    account.follow("App passwords")
    account.prove()
    keys.write(page.get_by_label(account.say("What it is for")), "Phone")
    account.press("Make an app password")
    made = page.locator("#made").input_value()
    page.goto(page.url)
    assert made not in page.content()
    keys.follow(page.get_by_role("button", name=account.say("Delete")))
    expect(page.get_by_text("Phone")).to_have_count(0)


def test_another_password_takes_the_place_of_the_first(account: Account) -> None:
    page, another = account.page, "another-horse-battery"
    account.follow("Password")
    for name, text in (("oldpassword", PASSWORD), ("password1", another), ("password2", another)):
        account.keys.write(page.locator(f"[name={name}]"), text)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    account.sign_out()
    account.sign_in()
    expect(page.locator(".errorlist")).to_be_visible()
    account.sign_in(another)
    account.is_in()


# What browsers call themselves, and what they are called.
AGENTS = {
    "Firefox, Windows": "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Safari, iPhone": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Safari/604.1",
    "Edge, macOS": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/140.0 Edg/140.0",
}


def test_other_browsers_are_signed_out_one_by_one_and_all_at_once(
    account: Account, window: Open, screen: dict[str, Any], say: Say
) -> None:
    others = {name: window(**screen, user_agent=agent) for name, agent in AGENTS.items()}
    for other in others.values():
        other.goto(f"{account.house}/account/login/")
        other.locator("[name=login]").fill(account.address)
        other.locator("[name=password]").fill(PASSWORD)
        button(other, say("Sign in")).click()
        expect(other.locator("details.account")).to_be_visible()
    account.follow("Devices and browsers")
    rows = account.page.locator(".rows li")
    expect(rows).to_have_count(4)
    first, *rest = others
    account.keys.follow(rows.filter(has_text=first).get_by_role("button"))
    expect(account.page.get_by_text(say("That browser is signed out."))).to_be_visible()
    expect(others[first].get_by_role("heading", name=say("Sign in"))).to_be_visible()
    for name in rest:
        expect(others[name].locator("details.account")).to_be_visible()
    account.press("Sign all other browsers out")
    expect(account.page.get_by_text(say("All other browsers are signed out."))).to_be_visible()
    expect(rows).to_have_count(1)
    for name in rest:
        expect(others[name].get_by_role("heading", name=say("Sign in"))).to_be_visible()


def test_an_app_is_signed_out_for_good(account: Account, server: Server, say: Say) -> None:
    """Its socket closes, and its token opens nothing any more."""
    page = account.page
    app = signed_in_app(page, account)
    with socket_of(server, app) as socket:
        assert json.loads(socket.recv())["type"] == "welcome"
        account.follow("Devices and browsers")
        row = page.locator(".rows li").filter(has_text="Carla's phone")
        account.keys.follow(row.get_by_role("button"))
        said = say("%s is signed out. Nothing more is sent to it.") % "Carla's phone"
        expect(page.get_by_text(said)).to_be_visible()
        expect(row).to_have_count(0)
        assert closed(socket) == SIGNED_OUT
    answer = page.request.get(f"{server.url}/api/v1/sync", headers=app)
    assert answer.status == 401
    with socket_of(server, app) as socket:
        assert closed(socket) == SIGNED_OUT


def signed_in_app(page: Page, account: Account) -> dict[str, str]:
    """The headers that it sends."""
    device = {"platform": "android", "identifier": account.address, "name": "Carla's phone"}
    person = {"email": account.address, "password": PASSWORD}
    answer = page.context.request.post(
        f"{account.house}/api/v1/session", data={**person, "device": device}
    )
    assert answer.ok, answer.text()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def socket_of(server: Server, app: dict[str, str]) -> ClientConnection:
    address = f"ws://127.0.0.1:{server.port}/ws/v1/"
    return connect(address, additional_headers=app, subprotocols=[Subprotocol("cards.v1.json")])


def closed(socket: ClientConnection) -> int | None:
    """By which code the server has ended it."""
    with pytest.raises(ConnectionClosed) as ended:
        while True:
            socket.recv(timeout=20)
    return ended.value.rcvd.code if ended.value.rcvd else None


def test_all_data_is_taken_along_and_the_account_erased(account: Account, say: Say) -> None:
    page, keys = account.page, account.keys
    account.follow("My data")
    account.follow("Download my data")
    with page.expect_download() as download:
        keys.write(page.locator("[name=password]"), PASSWORD)
        page.keyboard.press("Enter")
    assert re.fullmatch(r"cardsite-\d{4}-\d\d-\d\d\.zip", download.value.suggested_filename)
    with zipfile.ZipFile(download.value.path()) as archive:
        assert json.loads(archive.read("account.json"))["email"] == account.address
    account.open("account/data/")
    account.follow("Erase my account")
    account.press("Erase everything")
    expect(page.get_by_text(say("Your account is erased. Nothing of it is kept."))).to_be_visible()
    account.sign_in()
    expect(page.locator(".errorlist")).to_be_visible()
