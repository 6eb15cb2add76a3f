"""Signing in with a second step, and with a passkey that Chromium's virtual authenticator keeps."""

import time
import zipfile
from itertools import count
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Say, hand_in
from tests.browser.test_owner import PASSWORD

people = count(1)


def at_localhost(page: Page) -> str:
    """Passkeys belong to a name; an address in numbers is none."""
    page.goto("/account/login/")
    return page.url.split("/account/")[0].replace("127.0.0.1", "localhost")


def new_person(page: Page, house: str) -> str:
    address = f"careful{next(people)}@example.org"
    person = {"name": "Carla Careful", "email": address, "password1": PASSWORD}
    hand_in(page, f"{house}/account/signup/", **person)
    return address


def open_second_step(page: Page, say: Say, house: str) -> None:
    page.goto(f"{house}/account/settings/")
    page.get_by_role("link", name=say("Second step and passkeys")).click()


def prove(page: Page) -> None:
    """Who is there, as it is asked for again."""
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()


def sign_out(page: Page, say: Say) -> None:
    page.locator("details.account summary").click()
    page.get_by_role("button", name=say("Sign out")).click()
    expect(page.get_by_role("heading", name=say("Sign in"))).to_be_visible()


def sign_in(page: Page, say: Say, address: str) -> None:
    page.locator("[name=login]").fill(address)
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name=say("Sign in"), exact=True).click()


def is_in(page: Page) -> None:
    expect(page.locator("details.account")).to_be_visible()


def test_a_code_is_asked_for_after_the_password(
    window: Open, screen: dict[str, Any], say: Say
) -> None:
    page = window(**screen)
    house = at_localhost(page)
    address = new_person(page, house)
    open_second_step(page, say, house)
    page.get_by_role("link", name=say("Set it up")).click()
    prove(page)
    expect(page.locator("img.qr")).to_have_js_property("complete", True)
    assert page.locator("img.qr").evaluate("picture => picture.naturalWidth") > 100
    secret = page.locator("#authenticator_secret").input_value()
    page.locator("[name=code]").fill(code_of(secret))
    page.locator("main button[type=submit]").click()
    recovery = page.locator("textarea").input_value().split()
    assert len(recovery) == 10
    sign_out(page, say)
    sign_in(page, say, address)
    page.locator("[name=code]").fill("nonsense")
    page.get_by_role("button", name=say("Sign in"), exact=True).click()
    expect(page.locator(".errorlist")).to_be_visible()
    page.locator("[name=code]").fill(recovery[0])
    page.get_by_role("button", name=say("Sign in"), exact=True).click()
    is_in(page)


def code_of(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def test_a_passkey_signs_in_alone(window: Open, screen: dict[str, Any], say: Say) -> None:
    page = window(**screen)
    keep_passkeys(page)
    house = at_localhost(page)
    new_person(page, house)
    open_second_step(page, say, house)
    page.get_by_role("link", name=say("Add a passkey")).click()
    prove(page)
    page.wait_for_load_state()
    page.get_by_role("button", name=say("Add it")).click()
    page.wait_for_url("**/recovery-codes/**")
    open_second_step(page, say, house)
    page.get_by_role("link", name=say("Look at them")).first.click()
    expect(page.get_by_text(say("signs in alone"))).to_be_visible()
    sign_out(page, say)
    page.wait_for_load_state()
    page.get_by_role("button", name=say("Use a passkey")).click()
    is_in(page)


def keep_passkeys(page: Page) -> None:
    """As a phone does, that its person unlocks without being asked twice."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    kind = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    person = {"hasUserVerification": True, "isUserVerified": True}
    options = {**kind, **person, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_an_app_password_is_shown_once(window: Open, screen: dict[str, Any], say: Say) -> None:
    page = window(**screen)
    house = at_localhost(page)
    new_person(page, house)
    page.goto(f"{house}/account/settings/")
    page.get_by_role("link", name=say("App passwords")).click()
    prove(page)
    page.get_by_label(say("What it is for")).fill("Phone")
    page.get_by_role("button", name=say("Make an app password")).click()
    made = page.locator("#made").input_value()
    page.goto(page.url)
    assert made not in page.content()
    page.get_by_role("button", name=say("Delete")).click()
    expect(page.get_by_text("Phone")).to_have_count(0)


def test_other_browsers_are_signed_out(window: Open, screen: dict[str, Any], say: Say) -> None:
    here, other = window(**screen), window(**screen)
    house = at_localhost(here)
    address = new_person(here, house)
    other.goto(f"{house}/account/login/")
    sign_in(other, say, address)
    is_in(other)
    here.goto(f"{house}/account/devices/")
    here.get_by_role("button", name=say("Sign all other browsers out")).click()
    expect(here.get_by_text(say("All other browsers are signed out."))).to_be_visible()
    expect(other.get_by_role("heading", name=say("Sign in"))).to_be_visible()


def test_all_data_is_taken_along_and_the_account_erased(
    window: Open, screen: dict[str, Any], say: Say
) -> None:
    page = window(**screen)
    house = at_localhost(page)
    address = new_person(page, house)
    page.goto(f"{house}/account/settings/")
    page.get_by_role("link", name=say("My data")).click()
    with page.expect_download() as download:
        page.get_by_role("link", name=say("Download my data")).click()
        prove(page)
    assert zipfile.is_zipfile(download.value.path())
    page.goto(f"{house}/account/data/")
    page.get_by_role("link", name=say("Erase my account")).click()
    page.get_by_role("button", name=say("Erase everything")).click()
    expect(page.get_by_text(say("Your account is erased. Nothing of it is kept."))).to_be_visible()
    sign_in(page, say, address)
    expect(page.locator(".errorlist")).to_be_visible()
