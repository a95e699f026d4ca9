"""The status page: its document, its events, and how a real Chromium shows and follows it."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import bcrypt
import pytest
from aiohttp import ClientSession, web

from exporters.page import render_page, render_status
from exporters.server import MOST_FOLLOWERS, Site
from exporters.web_config import SiteConfig
from monitor.core.errors import Reason
from monitor.core.forecast import Forecast, FullAt
from monitor.core.model import Account, AccountForecast, Window
from monitor.core.sanitize import clean
from monitor.core.state import State
from tests.builders import NOW, after, failing, live, state
from tests.exporters.factories import HOSTILE, rich_state
from tests.real.chromium import Tab, chromium


class Page(HTMLParser):
    """A page as its reader sees it: text with single spaces, tags, links, and the rows of its table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.rows: list[str] = []
        self._hidden = False
        self.feed(html)
        self.text = " ".join(self.text.split())
        self.rows = [" ".join(row.split()) for row in self.rows]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag in ("style", "script")
        if tag == "a":
            self.links.append(dict(attrs)["href"])
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False
        if tag in ("td", "th"):
            self.handle_data(" | ")
        if tag in ("dt", "dd"):
            self.text += " "

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data
            if self.rows:
                self.rows[-1] += data


def page_of(shown: State, metrics: str = "/metrics") -> Page:
    return Page(render_page(shown, NOW, "127.0.0.1:15707", metrics, secure=False))


@asynccontextmanager
async def served(shown: list[State], config: SiteConfig | None = None) -> AsyncIterator[Site]:
    """The site over the state that is in the list at each moment."""
    async with Site(lambda: shown[0], lambda: datetime.now(UTC), config or SiteConfig()) as site:
        yield site


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with chromium(tmp_path) as opened:
        yield opened


def test_it_has_a_row_for_each_account_and_links_to_the_rest() -> None:
    page = page_of(rich_state(NOW))
    assert page.links == ["metrics", "-/healthy", "-/ready"]
    assert page.rows[0] == "Account | 5 hours | 7 days | Other limits | State |"
    assert page.rows[1] == (
        "home use now · logged in | 42% resets in 2h 14m likely full in 1h 30m | 18% resets in 6d 23h |"
        " opus 3% extra 21% $21.50 of $100 | live |"
    )
    assert page.rows[2] == (
        "user@client.com | 104% resets in 12m | 91% resets in 2d 06h | | rate limited, 10m old |"
    )
    assert page.rows[3].endswith("| | log in again, 2h old |")
    assert (
        page.rows[4] == "new@example.com | not known | not known | | waiting for the first poll |"
    )
    assert page.rows[5].startswith(f"{clean(HOSTILE)} | ~0% reset expected | 96%")
    assert 'targets: ["127.0.0.1:15707"]' in page.text


@pytest.mark.parametrize("reason", Reason)
def test_each_failure_has_words_and_no_account_that_fails_is_live(reason: Reason) -> None:
    page = page_of(state(failing(live("a", Window("5h", 0.4)), reason)))
    said = page.rows[1].split(" | ")[4]
    assert said and said != "live"


def test_it_says_which_account_to_use_and_what_resets_next() -> None:
    text = page_of(rich_state(NOW)).text
    assert "Use now home58% left" in text
    assert "Next reset in 12m5h of user@client.com" in text
    assert "1 free, 1 busy, 1 full, 1 not known, 1 needing a login" in text
    assert "Free later 1–3 in 59m1–3 in 2h 59m, 1–3 in 7h 59m (80%)" in text


def test_it_says_which_account_is_free_first_where_all_are_full() -> None:
    full = [
        live(f"{number}@example.com", Window("5h", 1.0, NOW + timedelta(hours=number)))
        for number in (3, 1, 2)
    ]
    text = page_of(state(*full)).text
    assert "Free first" in text and "1@example.com" in text and "in 1h 00m" in text
    assert "3 full" in text


@pytest.mark.parametrize(
    ("used", "forecast", "words"),
    [
        (
            0.5,
            Forecast(0.9, FullAt(after(hours=1), after(hours=1.5), after(hours=2))),
            "likely full in 1h 30m",
        ),
        (0.5, Forecast(0.31, None), "31% likely to run out"),
        (0.5, Forecast(0.1, None), ""),
        (1.0, Forecast(1.0, FullAt(NOW, NOW, NOW)), ""),
        (0.5, None, ""),
    ],
)
def test_it_says_what_is_expected_of_a_window(
    used: float, forecast: Forecast | None, words: str
) -> None:
    window = Window("5h", used, after(hours=3))
    expected = AccountForecast(NOW, {"5h": forecast} if forecast else {})
    (_, row) = page_of(state(live("a@example.com", window, forecast=expected))).rows
    assert row.split(" | ")[1] == f"{used:.0%} resets in 3h 00m {words}".strip()


def test_another_path_of_the_metrics_is_named() -> None:
    page = page_of(rich_state(NOW), "/claude")
    assert page.links[0] == "claude"
    assert "metrics_path: /claude" in page.text


def test_it_takes_nothing_from_elsewhere() -> None:
    html = render_page(rich_state(NOW), NOW, "localhost", "/metrics", secure=False)
    assert not {"img", "iframe", "object", "form"} & set(Page(html).tags)
    assert not re.search(r"(?<!xmlns=')https?://|url\(|@import", html)
    assert not re.search(r" on\w+=| style=", html)


async def test_it_may_use_its_own_style_and_script_and_no_other() -> None:
    async with served([rich_state(NOW)]) as site, ClientSession() as session:
        answer = await session.get(site.url)
        html = await answer.text()
    policy = answer.headers["Content-Security-Policy"]
    for tag in ("style", "script"):
        text = html.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy and policy.startswith("default-src 'none';")


def test_names_cannot_write_html() -> None:
    page = page_of(rich_state(NOW))
    assert clean(HOSTILE) in page.text
    assert page.tags.count("b") == render_status(rich_state(NOW), NOW).count("<b>")


def test_without_accounts_it_says_what_to_do() -> None:
    assert "monitor accounts import" in page_of(state()).text


def test_the_label_stands_for_the_name() -> None:
    named = live("user@example.com", account=Account("user@example.com", label="work"))
    assert "user@example.com" not in render_page(state(named), NOW, "h", "/metrics", secure=False)


async def test_events_bring_what_has_changed_and_nothing_else() -> None:
    shown = [state(live("first@example.com"))]
    async with served(shown) as site, ClientSession(site.url) as session:
        answer = await session.get("/events")
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        first = (await answer.content.readuntil(b"\n\n")).decode()
        assert "first@example.com" in first
        assert all(line.startswith("data: ") for line in first.rstrip("\n").split("\n"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await answer.content.readuntil(b"\n\n")
        shown[0] = state(live("second@example.com"))
        assert b"second@example.com" in await answer.content.readuntil(b"\n\n")
        answer.close()


async def test_not_more_pages_are_followed_than_leave_room_for_scrapes() -> None:
    async with served([rich_state(NOW)]) as site, ClientSession(site.url) as session:
        opened = [await session.get("/events") for _ in range(MOST_FOLLOWERS)]
        assert [one.status for one in opened] == [200] * MOST_FOLLOWERS
        assert await status(session, "/events") == 503
        assert await status(session, "/metrics") == 200
        opened.pop().close()
        async with asyncio.timeout(10):
            while await status(session, "/events") == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        for one in opened:
            one.close()


async def status(session: ClientSession, path: str) -> int:
    async with session.get(path) as answer:
        return answer.status


async def test_a_browser_shows_each_change_without_a_reload(tab: Tab) -> None:
    shown = [state(live("first@example.com", Window("5h", 0.25)))]
    async with served(shown) as site:
        await tab.open(site.url)
        await tab.evaluate("window.stayed = true")
        assert await tab.evaluate("document.querySelector('tbody td').innerText") == "25%"
        shown[0] = state(live("first@example.com", Window("5h", 0.5)))
        await tab.until("document.querySelector('tbody td').innerText === '50%'")
        assert await tab.evaluate("window.stayed")
        await site.stop()
        await tab.until("document.querySelector('#connection').innerText.includes('last figures')")
    assert not [one for one in tab.problems if "net::ERR" not in one]


async def test_a_browser_without_scripts_reloads_the_page(tab: Tab) -> None:
    await tab.command("Emulation.setScriptExecutionDisabled", value=True)
    shown = [state(live("first@example.com"))]
    async with served(shown) as site:
        await tab.command("Page.navigate", url=site.url)
        async with asyncio.timeout(10):
            while "first@example.com" not in await tab.accessible_names("rowheader"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        shown[0] = state(live("second@example.com"))
        async with asyncio.timeout(30):
            while "second@example.com" not in await tab.accessible_names("rowheader"):  # noqa: ASYNC110
                await asyncio.sleep(0.2)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 390, 768, 1400])
async def test_it_fits_every_width_and_can_be_read_in_both_themes(
    tab: Tab, width: int, dark: bool
) -> None:
    async with served([rich_state(datetime.now(UTC))]) as site:
        await tab.resize(width, 900, dark=dark)
        await tab.open(site.url)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        ratios = await tab.evaluate(CONTRAST)
    assert ratios
    assert min(ratios) >= 4.5
    assert tab.problems == []


CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = parse(text)
      .map((c) => c / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (parse(colour)[3] !== 0) return colour;
    }
  };
  return [...document.querySelectorAll("h1, small, a, dt, dd, th, td, td b, .soft, footer p, summary")]
    .filter((element) => element.innerText)
    .map((element) => {
      const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
})()
"""


async def test_a_screen_reader_finds_its_way(tab: Tab) -> None:
    async with served([rich_state(datetime.now(UTC))]) as site:
        await tab.open(site.url)
        assert "Usage of each account" in await tab.accessible_names("table")
        columns = await tab.accessible_names("columnheader")
        assert columns == ["Account", "5 hours", "7 days", "Other limits", "State"]
        assert "home use now · logged in" in await tab.accessible_names("rowheader")
        assert "Pages for programs" in await tab.accessible_names("navigation")
        assert await tab.accessible_names("image") == []  # a bar repeats what stands beside it


@asynccontextmanager
async def elsewhere(html: str) -> AsyncIterator[str]:
    """Another site, by another name of this machine; yields its address."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    application = web.Application()
    application.router.add_get("/", page)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://localhost:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_a_browser_follows_a_link_from_another_site_and_lets_it_read_nothing(
    tab: Tab,
) -> None:
    async with served([rich_state(NOW)]) as site:
        link = f'<a href="{site.url}">tracker</a><iframe src="{site.url}"></iframe>'
        async with elsewhere(link) as other:
            await tab.open(other)
            read = f"fetch('{site.metrics_url}').then(a => a.text()).catch(e => 'refused')"
            assert await tab.evaluate(read) == "refused"
            blind = f"fetch('{site.metrics_url}', {{mode: 'no-cors'}}).then(a => a.type)"
            assert await tab.evaluate(blind) == "opaque"
            await tab.evaluate("document.querySelector('a').click()")
            await tab.until("document.querySelector('h1')?.innerText.startsWith('Claude Tracker')")
            assert await tab.evaluate("location.href") == site.url


async def test_a_browser_with_the_password_follows_it_too(tab: Tab, tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  ann: {hashed}\n")
    shown = [state(live("first@example.com"))]
    async with served(shown, SiteConfig(web_config=tmp_path / "web.yml")) as site:
        await tab.open(site.url.replace("http://", "http://ann:right@"))
        shown[0] = state(live("second@example.com"))
        await tab.until("document.querySelector('tbody th').innerText === 'second@example.com'")
