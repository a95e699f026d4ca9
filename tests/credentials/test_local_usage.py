"""Figures that need no request: Claude Code's own file, and its status line."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from monitor.api.wire import parse_usage
from monitor.core.errors import TrackerError
from monitor.core.events import PollSucceeded
from monitor.core.model import Account, Identity, Usage, Window
from monitor.credentials.claude_code import CachedUsage, ClaudeFacts
from monitor.credentials.local_usage import LocalUsage
from tests.builders import NOW, after, before
from tests.credentials.factories import AccountsRig, FakeFacts, FakeLogin

ME, YOU = "me@example.com", "you@example.com"
SOON, EARLIER = after(hours=2), before(minutes=30)
MINE, YOURS = Identity(f"uuid-{ME}", "org-1"), Identity(f"uuid-{YOU}", "org-1")


def body(percent: float, resets_at: datetime = SOON) -> bytes:
    window = f'{{"utilization": {percent}, "resets_at": "{resets_at.isoformat()}"}}'
    return f'{{"five_hour": {window}}}'.encode()


def facts(
    identity: Identity | None = MINE,
    percent: float = 42,
    at: datetime = EARLIER,
    whose: str | None = None,
) -> FakeFacts:
    owner = whose or (identity.account_uuid if identity else "")
    return FakeFacts(identity, ME, "Mine", CachedUsage(at, owner, body(percent)))


async def figures_of(rig: AccountsRig) -> LocalUsage:
    """Whoever is logged in is imported, and looked at once."""
    for login in rig.logins:
        rig.knows(login.token or "", ME if login.token == "t1" else YOU)
    await rig.book.import_all(rig.logins)
    await rig.watcher.look()
    return made(rig)


def made(rig: AccountsRig) -> LocalUsage:
    return LocalUsage(rig.watcher, rig.learnt, rig.store, rig.clock, parse_usage)


def rig_at(*logins: FakeLogin) -> AccountsRig:
    rig = AccountsRig()
    rig.logins = list(logins)
    return rig


def used(rig: AccountsRig, name: str = ME) -> float | None:
    usage = rig.store.state.accounts[name].usage
    window = usage.window("5h") if usage else None
    return window.utilization if window else None


async def test_the_first_picture_is_there_without_any_request_and_has_its_age() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    await figures_of(rig)
    rig.restart()
    await made(rig).look()
    state = rig.store.state.accounts[ME]
    assert used(rig) == 0.42
    assert state.last_success_at == EARLIER
    assert state.requests == ()


@pytest.mark.parametrize(
    "noted",
    [
        facts(YOURS),
        facts(Identity(MINE.account_uuid, "org-2")),
        facts(whose=YOURS.account_uuid),
        facts(whose="-"),
        facts(None),
        FakeFacts(MINE, ME),
        facts(at=after(minutes=2)),
        FakeFacts(MINE, ME, "", CachedUsage(NOW, MINE.account_uuid, b"{}")),
        FakeFacts(MINE, ME, "", CachedUsage(NOW, MINE.account_uuid, b"[")),
        replace(facts(), broken=True),
    ],
)
async def test_figures_that_may_be_anothers_or_nobodys_are_left_alone(noted: FakeFacts) -> None:
    rig = rig_at(FakeLogin("t1", facts=noted))
    await (await figures_of(rig)).look()
    assert rig.store.state.accounts[ME].last_success_at is None
    assert used(rig) is None


async def test_two_folders_are_two_pictures() -> None:
    rig = rig_at(
        FakeLogin("t1", facts=facts()), FakeLogin("u1", "/you", facts=facts(YOURS, percent=7))
    )
    await (await figures_of(rig)).look()
    assert (used(rig, ME), used(rig, YOU)) == (0.42, 0.07)


async def test_a_place_without_such_a_file_has_no_picture() -> None:
    rig = rig_at(FakeLogin("t1", None, item="keychain:x", facts=None))
    await (await figures_of(rig)).look()
    assert used(rig) is None


async def test_the_file_is_read_when_it_has_changed_and_seldom() -> None:
    noted = facts()
    rig = rig_at(FakeLogin("t1", facts=noted))
    figures = await figures_of(rig)
    await figures.look()
    before_it = rig.store.state
    for number in range(6):
        noted.email = f"{number}@example.com"  # it changes with each prompt
        rig.clock.step(timedelta(seconds=10))
        await figures.look()
    assert noted.reads == 3
    assert rig.store.state is before_it, "the same figures are no news"


async def test_newer_figures_are_taken_by_themselves() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = await figures_of(rig)
    await figures.look()
    noted = rig.logins[0].facts
    assert noted is not None
    noted.cached = CachedUsage(NOW, MINE.account_uuid, body(55))
    rig.clock.step(timedelta(seconds=40))
    await figures.look()
    assert used(rig) == 0.55


async def test_a_newer_answer_counts_more_than_what_a_status_line_has_said() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = await figures_of(rig)
    await figures.ingest(said(90), None)
    rig.clock.step(timedelta(minutes=16))
    noted = rig.logins[0].facts
    assert noted is not None
    moved_back = SOON - timedelta(hours=1)
    noted.cached = CachedUsage(
        after(minutes=15, seconds=50), MINE.account_uuid, body(3, moved_back)
    )
    await figures.look()
    usage = rig.store.state.accounts[ME].usage
    assert usage == Usage(after(minutes=15, seconds=50), (Window("5h", 0.03, moved_back),))


async def test_an_account_that_is_imported_later_has_its_picture_then() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = made(rig)
    await figures.look()
    rig.knows("t1", ME)
    await rig.import_from(rig.logins)
    await figures.look()
    assert used(rig) == 0.42


async def test_it_looks_at_the_start_and_again() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = await figures_of(rig)
    task = asyncio.create_task(figures.run())
    async with asyncio.timeout(10):
        while used(rig) != 0.42:  # noqa: ASYNC110 - a thread looks at the files
            await asyncio.sleep(0.005)
    noted = rig.logins[0].facts
    assert noted is not None
    noted.cached = CachedUsage(after(seconds=30), MINE.account_uuid, body(55))
    async with asyncio.timeout(10):
        while used(rig) != 0.55:
            await rig.clock.advance(5)
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def said(percent: object, resets_at: datetime = SOON) -> dict[str, Any]:
    row = {"used_percentage": percent, "resets_at": resets_at.timestamp()}
    return {"rate_limits": {"five_hour": row}}


@pytest.mark.parametrize("place", [None, "/you", "/you/", "/x/../you"])
async def test_the_status_line_speaks_of_the_account_of_its_folder(place: str | None) -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()), FakeLogin("u1", "/you", facts=facts(YOURS)))
    figures = await figures_of(rig)
    name = YOU if place else ME
    assert await figures.ingest(said(61), place) == name
    assert used(rig, name) == 0.61
    assert rig.store.state.accounts[name].last_success_at == NOW


async def test_without_an_api_a_folder_needs_no_token_that_holds() -> None:
    rig = rig_at(FakeLogin("setup", "/ci", scopes=("user:inference",), facts=facts()))
    rig.forbid_api()
    figures = await figures_of(rig)
    await figures.look()
    assert used(rig) == 0.42
    assert await figures.ingest(said(61), "/ci") == ME


async def test_before_the_first_look_it_is_as_it_was_when_we_last_ran() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    await figures_of(rig)
    rig.restart()
    assert await made(rig).ingest(said(61), None) == ME


async def test_where_no_token_is_to_be_seen_claude_codes_own_word_is_taken() -> None:
    rig = rig_at(FakeLogin("t1", "/w", facts=facts()))
    figures = await figures_of(rig)
    rig.logins = [FakeLogin(None, "/other", facts=facts())]
    await rig.watcher.look()
    assert await figures.ingest(said(61), "/other") == ME


async def test_an_account_of_older_settings_is_taken_by_its_place_alone() -> None:
    rig = AccountsRig(Account(ME, "org-1"))
    rig.learnt[ME] = rig.learnt[ME].move_in("")
    rig.logins = [FakeLogin("t1", facts=facts())]
    assert await made(rig).ingest(said(61), None) == ME


async def test_where_token_and_file_disagree_nothing_is_booked() -> None:
    rig = rig_at(FakeLogin("t1", "/w", facts=facts(YOURS)), FakeLogin("u1", "/y"))
    figures = await figures_of(rig)
    with pytest.raises(TrackerError, match=f"/w contains the login of {ME}"):
        await figures.ingest(said(61), "/w")
    assert (used(rig, ME), used(rig, YOU)) == (None, None)


async def test_another_login_after_a_quiet_while_is_seen_at_once() -> None:
    """The file says it before the token is looked at: nothing is booked on the account of before."""
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = await figures_of(rig)
    for _ in range(5):
        await figures.look()
        rig.clock.step(timedelta(seconds=10))
    noted = rig.logins[0].facts
    assert noted is not None
    noted.identity = YOURS
    with pytest.raises(TrackerError, match=r"names another one: run `claude` once"):
        await figures.ingest(said(71), None)
    assert used(rig) == 0.42


async def test_a_status_line_that_comes_while_the_file_is_first_read_waits_for_it() -> None:
    class SlowFacts(FakeFacts):
        async def read(self) -> ClaudeFacts:
            found = await super().read()
            await disk.wait()
            return found

    disk = asyncio.Event()
    noted = SlowFacts(YOURS, YOU)
    rig = rig_at(FakeLogin("t1", "/w", facts=noted), FakeLogin("u1", "/y"))
    figures = await figures_of(rig)
    looking = asyncio.create_task(figures.look())
    while not noted.reads:  # noqa: ASYNC110 - threads look at the disk first
        await asyncio.sleep(0)
    asking = asyncio.create_task(figures.ingest(said(61), "/w"))
    while noted.reads < 2 and not asking.done():  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    disk.set()
    with pytest.raises(TrackerError, match=f"/w contains the login of {ME}"):
        await asking
    await looking


@pytest.mark.parametrize(
    ("place", "words"),
    [("/nowhere", "nothing is known of Claude Code in /nowhere"), ("/s", "none of the accounts")],
)
async def test_a_folder_of_nobody_is_an_error(place: str, words: str) -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = await figures_of(rig)
    rig.logins.append(FakeLogin("s1", "/s", facts=facts(Identity("s", "s"))))
    with pytest.raises(TrackerError, match=words):
        await figures.ingest(said(61), place)


async def test_a_status_line_that_says_nothing_yet_is_no_error() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = await figures_of(rig)
    assert await figures.ingest({}, None) == ME
    assert used(rig) is None


async def test_a_session_that_repeats_itself_says_nothing_new() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = await figures_of(rig)
    old = {**said(61), "session_id": "idle"}
    await figures.ingest(old, None)
    figures_now = Usage(after(minutes=1), (Window("5h", 0.03, SOON),))
    rig.store.dispatch(PollSucceeded(after(minutes=1), ME, figures_now, timedelta(seconds=1)))
    await rig.clock.advance(120)
    await figures.ingest(old, None)
    assert used(rig) == 0.03, "an early reset that the idle terminal knows nothing of"
    await figures.ingest({**said(62), "session_id": "idle"}, None)
    assert used(rig) == 0.62


async def test_an_odd_status_line_changes_nothing() -> None:
    rig = rig_at(FakeLogin("t1", facts=facts()))
    figures = await figures_of(rig)
    with pytest.raises(TrackerError, match="not understood"):
        await figures.ingest(said("much"), None)
    assert used(rig) is None
