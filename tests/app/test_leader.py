"""The process that polls: what reading the settings anew changes, and all that it leaves as it was."""

import asyncio
import contextlib
import os
import re
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from monitor.app.leader import Leader
from monitor.core.alerts.rules import AlertKind, Override
from monitor.core.commands import (
    EditAccount,
    Refresh,
    Reload,
    SendTest,
    Status,
    UseAccount,
    encode_request,
)
from monitor.core.errors import SettingsError
from monitor.core.model import AccountState
from monitor.core.state import State
from monitor.demo.server import Fault, usage_body
from monitor.ipc.mirror import mirror_state
from monitor.ipc.server import Stream
from monitor.paths import instance_key
from monitor.storage.cache import read
from monitor.storage.deliveries import Stage
from monitor.system.sd_notify import PassedSockets, open_notices
from tests.app.factories import UserHome, until
from tests.end_to_end.crowd import uses
from tests.end_to_end.world import free_port
from tests.fakes import FakeClock
from tests.storage.factories import HOLD_FOLDER, MOST_STALL_SECS, Stalls, held_from_a_thread
from tools.kill.bench import stored


async def scraped(url: str) -> tuple[int, str]:
    async with ClientSession() as client, client.get(url) as answer:
        return answer.status, await answer.text()


async def url_of(leader: Leader) -> str:
    """Where metrics are, once they are served."""
    await until(lambda: leader.metrics.url)
    return leader.metrics.url


def first(state: State) -> AccountState:
    return next(iter(state.accounts.values()))


async def test_wrong_settings_are_refused_by_line_and_all_goes_on_as_before(
    user: UserHome,
) -> None:
    async with user.leader() as leader:
        before = await user.polled()
        app = await leader.app()
        lines = user.config.read_text().splitlines()
        lines.insert(1, "pol_interval_secs = 60")
        user.config.write_text("\n".join(lines))
        with pytest.raises(SettingsError, match=rf"{re.escape(str(user.config))}:2: "):
            await leader.reload()
        code, text = await user.ask(Reload())
        assert code == 2
        words = "settings.pol_interval_secs: unknown key; did you mean poll_interval_secs?"
        assert text == f"{user.config}:2: {words}"
        assert await leader.app() is app
        known = user.view.state.accounts
        assert [replace(a, forecast=None) for a in known.values()] == [
            replace(a, forecast=None) for a in before.accounts.values()
        ]


async def test_without_an_api_it_is_ready_once_it_has_looked_around(user: UserHome) -> None:
    user.settle(more="enabled = false\n")
    async with user.leader(listen=f"127.0.0.1:{free_port()}") as leader:
        await user.seen(lambda state: state.looked_around)
        url = (await url_of(leader)).replace("metrics", "-/ready")
        assert (await scraped(url))[0] == 200
        assert [a.usage for a in user.view.state.accounts.values()] == [None, None]
        await leader.reload()
        assert (await scraped(url))[0] == 200
        assert user.api.seen == []
        user.settle()
        await leader.reload()
        assert not user.view.state.looked_around, "there are polls to wait for"


async def test_the_settings_file_may_be_broken_while_nobody_reads_it_anew(user: UserHome) -> None:
    """An editor has saved half of it, and Claude Code logs in as somebody else at that moment."""
    async with user.leader() as leader:
        await user.polled()
        user.config.write_text("[settings\n")
        user.people[0].tokens, (old,) = {"sk-ant-oat01-new"}, user.people[0].tokens
        login = user.home / ".claude-0" / ".credentials.json"
        login.write_text(login.read_text().replace(old, "sk-ant-oat01-new"))
        await (await leader.app()).credentials.watcher.look()
        assert (await user.ask(Status()))[0] == 0


async def test_a_reload_asks_nobody_before_time_and_forgets_no_figure(user: UserHome) -> None:
    async with user.leader() as leader:
        before = await user.polled()
        answer = await leader.reload()
        assert answer == "settings reloaded: 2 accounts, every 3600 s"
        await asyncio.sleep(1.2)  # two ticks of the new poller
        after = user.view.state
        assert [user.requests(0), user.requests(1)] == [1, 1]
        for name, account in before.accounts.items():
            assert after.accounts[name].polls == account.polls == 1
            assert after.accounts[name].next_poll_at == account.next_poll_at
            assert after.accounts[name].usage == account.usage


async def test_a_reload_drops_no_follower_and_each_sees_what_changed(user: UserHome) -> None:
    async with user.leader() as leader:
        await user.polled()
        async with asyncio.timeout(5), contextlib.aclosing(mirror_state(user.socket)) as states:
            assert len((await anext(states)).accounts) == 2
            user.settle(user.people[:1], interval=1800)
            await leader.reload()
            while len((state := await anext(states)).accounts) != 1:
                pass
            assert state.policy.interval == timedelta(seconds=1800)


async def test_an_account_that_the_settings_name_anew_is_polled_and_no_other(
    user: UserHome,
) -> None:
    user.settle(user.people[:1])
    async with user.leader() as leader:
        await user.polled(user.people[0])
        user.settle()
        await leader.reload()
        await user.polled()
        assert [user.requests(0), user.requests(1)] == [1, 1]


async def test_a_shorter_interval_holds_from_the_reload_on(user: UserHome) -> None:
    async with user.leader() as leader:
        before = first(await user.polled())
        user.settle(interval=600)
        await leader.reload()
        state = await user.seen(lambda s: s.policy.interval == timedelta(seconds=600))
        asked_at = before.requests[-1]
        assert first(state).next_poll_at <= asked_at + timedelta(seconds=1200)
        assert first(state).next_poll_at >= asked_at + timedelta(seconds=600)


async def test_metrics_move_with_a_reload(user: UserHome) -> None:
    user.settle(listen="127.0.0.1:0")
    async with user.leader() as leader:
        old = await url_of(leader)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        user.settle(listen=f"127.0.0.1:{port}")
        await leader.reload()
        new = f"http://127.0.0.1:{port}/metrics"
        await until(lambda: leader.metrics.url == new)
        assert (await scraped(new))[0] == 200
        with pytest.raises(ClientError):
            await scraped(old)
        user.settle(listen="off")
        await leader.reload()
        await until(lambda: not leader.metrics.url)


async def test_a_reload_onto_a_port_that_is_taken_is_refused_and_metrics_stay(
    user: UserHome,
) -> None:
    user.settle(listen="127.0.0.1:0")
    with socket.create_server(("127.0.0.1", 0)) as other:
        async with user.leader() as leader:
            url = await url_of(leader)
            user.settle(listen=f"127.0.0.1:{other.getsockname()[1]}", interval=1800)
            code, text = await user.ask(Reload())
            assert code == 1
            assert "the port is in use" in text
            assert user.view.state.policy.interval == timedelta(seconds=3600)
            assert (await scraped(url))[0] == 200


async def test_the_address_of_the_command_line_holds_over_every_reload(user: UserHome) -> None:
    async with user.leader(listen="127.0.0.1:0") as leader:
        before = await url_of(leader)
        user.settle(interval=1800, listen="127.0.0.1:1")
        await leader.reload()
        await user.seen(lambda s: s.policy.interval == timedelta(seconds=1800))
        assert (await scraped(before))[0] == 200


async def test_counters_go_on_over_a_reload(user: UserHome) -> None:
    user.settle(listen="127.0.0.1:0")
    async with user.leader() as leader:
        url = await url_of(leader)
        await user.polled()
        user.settle(listen="127.0.0.1:0", interval=1800)
        await leader.reload()
        await user.seen(lambda s: s.policy.interval == timedelta(seconds=1800))
        _, page = await scraped(url)
        name = user.people[0].email
        assert f'claude_usage_polls_total{{account="{name}"}} 1.0' in page
        assert f'claude_usage_requests_last_hour{{account="{name}"}} 1.0' in page


def telling(home: Path, words: str = "told", thresholds: str = "[80, 95]") -> str:
    argv = f'["sh", "-c", "cat >/dev/null; echo {words} >> {home}/told"]'
    return (
        f'[notifications]\nchannels = ["command"]\nthresholds = {thresholds}\n'
        f"[channels.command]\nargv = {argv}\n"
    )


async def told(user: UserHome, count: int) -> list[str]:
    file = user.home / "told"
    await until(lambda: file.exists() and len(file.read_text().split()) >= count)
    return file.read_text().split()


async def test_a_reload_repeats_no_alert_and_its_channels_tell_the_next(user: UserHome) -> None:
    user.settle(more=telling(user.home))
    async with user.leader() as leader:
        await user.polled(user.people[0])
        uses(user.people[0], 85)
        await user.poll_now(leader)
        assert await told(user, 1) == ["told"]
        user.settle(more=telling(user.home, "anew"))
        await leader.reload()
        uses(user.people[0], 97)
        await user.poll_now(leader)
        assert await told(user, 2) == ["told", "anew"]


async def test_metrics_tell_wrong_settings_and_every_channel_before_it_has_sent(
    user: UserHome,
) -> None:
    user.settle(listen="127.0.0.1:0", more=telling(user.home))
    async with user.leader() as leader:
        await user.seen(lambda state: state.notifications.channels == ("command",))
        url, successful = await url_of(leader), "claude_usage_config_last_reload_successful"
        _, page = await scraped(url)
        sent = 'claude_usage_notifications_total{channel="command",kind="threshold"} 0.0'
        assert {sent, f"{successful} 1.0"} <= set(page.splitlines())
        right = user.config.read_text()
        user.config.write_text("[settings\n")
        assert (await user.ask(Reload()))[0] == 2
        assert f"{successful} 0.0" in (await scraped(url))[1].splitlines()
        user.config.write_text(right)
        await leader.reload()
        assert f"{successful} 1.0" in (await scraped(url))[1].splitlines()


async def test_a_new_threshold_holds_from_the_next_poll_on(user: UserHome) -> None:
    uses(user.people[0], 70)
    user.settle(more=telling(user.home))
    async with user.leader() as leader:
        await user.polled()
        user.settle(more=telling(user.home, thresholds="[50]"))
        await leader.reload()
        uses(user.people[0], 71)
        await user.poll_now(leader)
        assert await told(user, 1) == ["told"]


async def test_a_file_that_is_broken_right_after_a_reload_does_no_harm(user: UserHome) -> None:
    async with user.leader() as leader:
        user.settle(user.people[:1])
        await leader.reload()
        user.config.write_text("[settings\n")
        assert len(user.view.state.accounts) == 1


async def test_alerts_that_cannot_be_written_down_are_said_before_and_after_a_reload(
    user: UserHome, caplog: pytest.LogCaptureFixture
) -> None:
    (user.home / "state").mkdir()
    (user.home / "state" / "claude-tracker").write_text("no folder")
    async with user.leader() as leader:
        assert user.view.state.storage_failure
        await user.polled()
        await leader.reload()
        assert user.view.state.storage_failure
        assert (await user.ask(Status()))[0] == 0
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([line for line in said if line.startswith(str(user.home))]) == 1


async def test_what_is_learnt_is_written_down_once_there_is_room(user: UserHome) -> None:
    state = user.home / "state" / "claude-tracker"
    state.parent.mkdir()
    state.write_text("no folder")
    async with user.leader():
        await user.polled()
        assert user.view.state.storage_failure
        state.unlink()
        await user.seen(lambda s: s.storage_failure is None)
    known = read(state / "state.db", instance_key(os.environ, user.config))
    assert known.accounts.keys() == {p.email for p in user.people}
    assert all(account.alerts for account in known.accounts.values())
    assert known.facts


async def test_while_another_process_holds_the_database_all_goes_on_and_is_written_afterwards(
    user: UserHome,
) -> None:
    user.settle(listen="127.0.0.1:0", more=telling(user.home))
    file = user.home / "state" / "claude-tracker" / "state.db"
    rows, name, stalls = instance_key(os.environ, user.config), user.people[0].email, Stalls()
    async with user.leader() as leader:
        await user.polled()
        health = (await url_of(leader)).replace("/metrics", "/-/healthy")
        watch = asyncio.create_task(stalls.watch())
        async with held_from_a_thread(file):
            uses(user.people[0], 85)
            await user.poll_now(leader)
            await user.seen(lambda s: s.storage_failure is not None)
            assert await told(user, 1) == ["told"]
            assert (await scraped(health))[0] == 200
            await leader.reload()
            uses(user.people[0], 86)
            await user.poll_now(leader)
            newest = user.view.state.accounts[name].usage
            assert newest is not None
            assert read(file, rows).accounts[name].usage != newest
        await user.seen(lambda s: s.storage_failure is None)
        watch.cancel()
        assert stalls.longest < MOST_STALL_SECS
    assert read(file, rows).accounts[name].usage == newest
    (alert,) = stored(file.parent, rows)
    assert alert.stage is Stage.SENT


async def test_while_another_process_locks_the_settings_all_goes_on_and_they_are_edited_afterwards(
    user: UserHome,
) -> None:
    user.settle(listen="127.0.0.1:0")
    name, other, stalls = user.people[0].email, user.people[1].email, Stalls()
    async with user.leader() as leader:
        await user.polled()
        health = (await url_of(leader)).replace("/metrics", "/-/healthy")
        watch = asyncio.create_task(stalls.watch())
        async with held_from_a_thread(user.config, HOLD_FOLDER):
            edit = asyncio.create_task(leader.execute(UseAccount(other)))
            for used in (81, 82, 83):
                uses(user.people[0], used)
                await user.poll_now(leader)
                usage = user.view.state.accounts[name].usage
                assert usage is not None and usage.windows[0].utilization == used / 100
                assert (await scraped(health))[0] == 200
                await asyncio.sleep(0.5)
            assert not edit.done()
            assert "active_account" not in user.config.read_text()
        await edit
        watch.cancel()
        assert user.view.state.active == 1
        assert "active_account = 1\n" in user.config.read_text()
        assert stalls.longest < MOST_STALL_SECS


async def test_a_command_beside_a_reload_is_not_undone_by_it(user: UserHome) -> None:
    async with user.leader() as leader:
        await asyncio.gather(leader.reload(), leader.execute(UseAccount(user.people[1].email)))
        assert user.view.state.active == 1


async def test_accounts_are_polled_by_the_clock_of_the_options(user: UserHome) -> None:
    clock = FakeClock(datetime.now(UTC))
    async with user.leader(clock=clock):
        await until(lambda: user.requests(0))
        await user.polled(user.people[0])
        assert user.requests(1) == 0
        await clock.advance(2)
        await user.polled()


async def test_lines_are_made_once_for_all_who_follow_the_same(user: UserHome) -> None:
    async with user.leader(clock=FakeClock(datetime.now(UTC))) as leader:
        await user.polled(user.people[0])
        for request in (Status(watch=True), Status("json", watch=True)):
            plain = encode_request(request)
            one, other = await leader.answer(plain), await leader.answer(plain)
            assert isinstance(one, Stream)
            assert isinstance(other, Stream)
            lines = one.news()
            assert user.people[0].email.encode() in lines
            assert other.news() is lines
            assert one.news() == b"", "nothing has changed"


async def test_a_poll_that_is_under_way_goes_on_over_a_reload(user: UserHome) -> None:
    late = user.people[0]
    late.fault = lambda now: Fault(body=usage_body(late.limits(now)), delay=0.5)
    async with user.leader() as leader:
        await until(lambda: user.requests(0))
        await leader.reload()
        assert first(user.view.state).usage is None
        await user.polled(late)
        await asyncio.sleep(0.7)  # a tick of the poller
        assert user.requests(0) == 1


async def test_an_alert_that_is_being_sent_at_a_reload_is_sent_once(user: UserHome) -> None:
    slow = telling(user.home).replace("cat >/dev/null;", "cat >/dev/null; sleep 0.4;")
    user.settle(more=slow)
    async with user.leader() as leader:
        await user.polled(user.people[0])
        uses(user.people[0], 85)
        await user.poll_now(leader)
        await until(lambda: user.view.state.accounts[user.people[0].email].alerts)
        user.settle(more=slow.replace("told >>", "anew >>"))
        await leader.reload()
        assert await told(user, 1) in (["told"], ["anew"])
        await asyncio.sleep(1)  # a second one would have come
        assert len(await told(user, 1)) == 1


async def test_without_its_settings_file_nothing_is_reloaded(user: UserHome) -> None:
    async with user.leader() as leader:
        await user.polled()
        user.config.unlink()
        with pytest.raises(SettingsError, match="no such file"):
            await leader.reload()
        assert len(user.view.state.accounts) == 2


async def test_a_reload_moves_to_another_api_and_back(user: UserHome) -> None:
    async with user.leader() as leader:
        await user.polled()
        text = user.config.read_text()
        user.config.write_text(text.replace(user.api.url, f"http://127.0.0.1:{free_port()}"))
        await leader.reload()
        await user.poll_now(leader)
        assert first(user.view.state).down is not None
        user.config.write_text(text)
        await leader.reload()
        await user.poll_now(leader)
        assert first(user.view.state).down is None


async def test_sockets_that_were_passed_serve_one_address_after_another(user: UserHome) -> None:
    """Also for a process that leads for the second time."""
    user.settle(listen="127.0.0.1:0")
    tcp = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(user.socket)
    unix.listen()
    for one in (tcp, unix):
        one.setblocking(False)
    url = f"http://127.0.0.1:{tcp.getsockname()[1]}/metrics"
    with tcp, unix:
        for _ in range(2):
            async with user.leader(passed=PassedSockets((tcp,), unix)) as leader:
                assert await url_of(leader) == url
                user.settle(listen="off")
                await leader.reload()
                assert (await user.ask(Status()))[0] == 0
                user.settle(listen="127.0.0.1:0")
                await leader.reload()
                assert await url_of(leader) == url
                assert (await scraped(url))[0] == 200


async def test_the_service_manager_is_told_of_reloads_that_fail_and_of_those_that_do_not(
    user: UserHome,
) -> None:
    address = str(user.home / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.setblocking(False)
        async with user.leader(notices=open_notices({"NOTIFY_SOCKET": address})) as leader:
            assert heard(manager) == ["STATUS=polls 2 accounts, every 3600 s", "READY=1"]
            user.settle(interval=1800)
            await leader.reload()
            assert heard(manager) == [
                "RELOADING=1",
                "STATUS=polls 2 accounts, every 1800 s",
                "READY=1",
            ]
            user.config.write_text("[settings\n")
            with pytest.raises(SettingsError):
                await leader.reload()
            assert heard(manager) == ["RELOADING=1", "READY=1"]
        assert heard(manager) == []  # it is for the process to say that it stops


def heard(manager: socket.socket) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(manager.recv(4096).decode().split("\n")[0])
    return found


async def test_a_refresh_waits_for_its_polls_and_counts_them(user: UserHome) -> None:
    async with user.leader():
        await user.polled()
        code, text = await user.ask(Refresh())
        assert (code, re.fullmatch(r"2 wait \d+s\n", text) is not None) == (0, True), (
            "right after a poll"
        )
        user.settle([*user.people], more="enabled = false\n")
        await user.ask(Reload())
        assert (await user.ask(Refresh()))[1].startswith("nothing is polled")


async def test_an_edit_of_an_account_changes_the_rules_at_once_and_under_its_new_name(
    user: UserHome,
) -> None:
    person = user.people[0]
    async with user.leader():
        await user.polled()
        own = Override((0.5,), frozenset({AlertKind.PACE}))
        edit = EditAccount(person.email, "work", person.org_uuid, None, None, own, 0.15)
        assert (await user.ask(edit))[0] == 0
        state = await user.seen(lambda state: "work" in state.accounts)
        assert state.policy.alerts.overrides == {"work": own}
        assert state.accounts["work"].account.reserve == 0.15
        async with contextlib.aclosing(mirror_state(user.socket)) as states:
            policy = (await anext(states)).policy
            assert policy.alerts.overrides == {"work": own}, "a follower's form shows it"


async def test_a_test_alert_stands_in_the_log_whatever_becomes_of_it(user: UserHome) -> None:
    async with user.leader():
        code, text = await user.ask(SendTest())
        assert (code, "every channel failed: desktop: unavailable" in text) == (1, True)
        state = await user.seen(lambda state: state.log and state.log[-1].outcome)
        assert (state.log[-1].alert.kind, state.log[-1].is_sent) == (AlertKind.TEST, False)
