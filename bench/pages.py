"""The pages, as somebody sees them who comes for the first time with a slow phone, and as the
server sees them when somebody holds 5,000 cards.

In Chromium with an empty cache and a processor slowed down to a quarter: when the first content is
painted, by how much the layout shifts, and how much is sent. The server's time is that of a request
from this machine for the whole page; its CPU time is what counts when others work beside it.
"""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import httpx
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from tests.servers import CHROMIUM, Server, running_server

HELD = 5_000
SLUG = "holder-at-work"
TIMES = 20
PHONE: ViewportSize = {"width": 360, "height": 740}
LOOKS = 3
SEEN = ("sign in", "first page", "held cards", "one card", "my card", "share", "public page")
EMAIL, PASSWORD = "holder@example.org", "correct-horse-battery"

SEED = f"""
from accounts.models import User
from allauth.account.models import EmailAddress
from bindings.models import Binding
from cards import public
from cards.models import Card
from delivery import fanout

def prop(name, value):
    return {{"name": name, "value": value, "params": {{}}, "circles": ["*"]}}

holder = User.objects.create_user("{EMAIL}", "{PASSWORD}", name="Holder")
EmailAddress.objects.create(user=holder, email="{EMAIL}", primary=True, verified=True)
own = Card(owner=holder, fn="Holder", properties=[
    {{**prop(name, value), "circles": ["*", "public"]}}
    for name, value in {{"tel": "+43 1 1", "title": "Engineer", "org": ["Company"]}}.items()])
own.save()
public.publish(own, slug="{SLUG}")
for n in range({HELD}):
    name = f"Owner {{n}}"
    owner = User.objects.create(email=f"o{{n}}@example.org", username=f"o{{n}}", name=name)
    card = Card(owner=owner, fn=name, properties=[
        prop("tel", f"+43 1 {{n:07}}"), prop("email", f"o{{n}}@example.org"),
        prop("org", [f"Company {{n % 100}}"]), prop("title", "Engineer")])
    card.save()
    Binding.objects.create(card=card, holder=holder, view=card.view_for([]), rev=1, held_rev=1)
fanout.run_all()
"""

OBSERVED = """() => {
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return [paint.startTime, window.shifted];
}"""
OBSERVE = """window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });"""


def run(out: TextIO) -> None:
    with TemporaryDirectory() as folder, running_server(Path(folder), SEED) as server:
        with httpx.Client(base_url=server.url, follow_redirects=True) as client:
            cookie = signed_in(client)
            paths = dict(pages(client))
            heads = f"\n{f'{HELD:,} cards held':<20} {'server ms':>10} {'CPU ms':>7} {'KiB':>5}"
            print(heads, file=out)
            for name, path in paths.items():
                print(f"{name:<20} {served(server, client, path)}", file=out, flush=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(**CHROMIUM)
            heads = f"\n{'slow phone':<20} {'first paint ms':>14} {'shift':>7} {'KiB sent':>10}"
            print(heads, file=out)
            for name in SEEN:
                looks = [seen(browser, server, paths[name], cookie) for _n in range(LOOKS)]
                paint, shift, sent = map(statistics.median, zip(*looks, strict=True))
                row = f"{name:<20} {paint:>14.0f} {shift:>7.3f} {sent:>10.0f}"
                print(row, file=out, flush=True)
            browser.close()


def signed_in(client: httpx.Client) -> str:
    client.get("/account/login/").raise_for_status()
    token = client.cookies["csrftoken"]
    form = {"login": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": token}
    assert client.post("/account/login/", data=form).url.path == "/"
    return client.cookies["sessionid"]


def pages(client: httpx.Client) -> Iterator[tuple[str, str]]:
    """The pages by their names, and where they are."""
    yield "sign in", "/account/login/"
    yield "first page", "/"
    yield "held cards", "/held/"
    yield "the last of them", f"/held/?page={HELD // 50}"
    yield "found by name", "/held/?q=owner+4321"
    yield "found by number", "/held/?q=0004321"
    yield "newest first", "/held/?sort=new"
    yield "one card", link(client.get("/held/"), "/held/", 36)
    card = link(client.get("/cards/"), "/cards/", 36)
    yield "my card", card
    yield "share", f"{card}share/"
    yield "public page", f"/p/{SLUG}"


def link(page: httpx.Response, before: str, length: int) -> str:
    """The first link on it to a page that has an id."""
    parts = page.text.split(f'href="{before}')[1:]
    return next(f"{before}{part[:length]}/" for part in parts if part[length : length + 1] == "/")


def served(server: Server, client: httpx.Client, path: str) -> str:
    times, worked = [], cpu_of(server)
    for _n in range(TIMES):
        began = time.perf_counter()
        answer = client.get(path)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.is_success, path
    size = len(answer.content) / 1024
    cpu = (cpu_of(server) - worked) * 1000 / TIMES
    return f"{statistics.median(times):>10.1f} {cpu:>7.1f} {size:>5.0f}"


def cpu_of(server: Server) -> float:
    """Seconds for which the web process has worked so far (proc(5))."""
    stat = Path(f"/proc/{server.processes['web'].pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def seen(browser: Browser, server: Server, path: str, cookie: str) -> tuple[float, float, float]:
    """When the first content was painted (ms), how much the layout shifted, and KiB sent."""
    context = browser.new_context(base_url=server.url, viewport=PHONE, has_touch=True)
    if not path.startswith(("/account/login", "/p/")):
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": server.url}])
    page = context.new_page()
    page.add_init_script(OBSERVE)
    devtools = context.new_cdp_session(page)
    sent = 0

    def count(event: dict[str, Any]) -> None:
        nonlocal sent
        sent += event["encodedDataLength"]

    devtools.on("Network.loadingFinished", count)
    devtools.send("Network.enable")
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto(path, wait_until="networkidle")
    paint, shifted = page.evaluate(OBSERVED)
    context.close()
    return paint, shifted, sent / 1024
