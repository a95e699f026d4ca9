"""`monitor alerts` over a real state database in a state folder of its own."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.core.events import Event, PollSucceeded
from monitor.core.model import Usage, Window
from monitor.core.update import update
from monitor.paths import instance_key
from monitor.storage.deliveries import Journal, Stage
from monitor.storage.samples import insert
from tests.builders import live, state
from tests.fakes import inline_recorder
from tests.storage.factories import write

Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder, of a user who has set nothing."""
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MONITOR_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path / "claude-tracker"


@pytest.fixture
def ran(folder: Path, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Runs `monitor alerts` with these words: its exit code, what it printed and what it complained of."""

    assert not folder.exists()

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["alerts", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def poll(at: datetime, percent: float, end: datetime, name: str = "a@b.com") -> PollSucceeded:
    seen = Usage(at, (Window("5h", percent / 100, end),))
    return PollSucceeded(at, name, seen, timedelta(seconds=1))


def climb(now: datetime) -> list[PollSucceeded]:
    """An account that crossed 80 % ten minutes ago and 95 % five minutes ago."""
    end = now + timedelta(hours=2)
    minutes = ((15, 70.0), (10, 85.0), (5, 96.0))
    return [poll(now - timedelta(minutes=m), percent, end) for m, percent in minutes]


def database_of(folder: Path) -> Path:
    return folder / "state.db"


def rows_of(folder: Path) -> str:
    return instance_key(os.environ, folder.parent / "config.toml")


def remembered(folder: Path, events: Sequence[Event], now: datetime) -> None:
    """Have the program's own parts write down these polls and what they led to; the first alert is told."""

    async def live_through() -> None:
        known = state(replace(live("a@b.com", at=now), alerts={}, usage=None))
        recorder = inline_recorder(folder, rows_of(folder))
        for event in events:
            after, effects = update(known, event)
            recorder.record(known, after, effects)
            known = after
        journal = Journal(recorder)
        first = (await journal.unfinished())[:1]
        await journal.begin(first, "desktop")
        journal.finish(first, "desktop", Stage.SENT, "sent (desktop)", first, now)
        await recorder.database.close()

    asyncio.run(live_through())


def samples(folder: Path, events: Sequence[PollSucceeded]) -> None:
    for event in events:
        write(
            database_of(folder),
            lambda db, e=event: insert(db, rows_of(folder), e.account, e.usage),  # type: ignore[misc]
        )


def test_looking_at_the_database_writes_nothing(ran: Ran, folder: Path, now: datetime) -> None:
    remembered(folder, climb(now), now)
    before = database_of(folder).read_bytes()
    assert (ran("list")[0], ran("explain")[0]) == (0, 0)
    assert database_of(folder).read_bytes() == before


def test_a_damaged_database_is_an_error_and_stays_where_it_is(ran: Ran, folder: Path) -> None:
    folder.mkdir(parents=True)
    damaged = b"no database, but long enough to be looked at " * 50
    database_of(folder).write_bytes(damaged)
    code, out, err = ran("list")
    assert (code, out) == (1, "")
    assert "cannot be read: file is not a database" in err
    assert [path.read_bytes() for path in folder.iterdir()] == [damaged]


def test_without_a_database_nothing_fires_and_no_file_is_made(ran: Ran, folder: Path) -> None:
    assert ran() == (0, "no alert is active\nno recent alerts\n", "")
    assert not folder.exists()


def test_the_list_says_what_fires_and_what_became_of_each_alert(
    ran: Ran, folder: Path, now: datetime
) -> None:
    remembered(folder, climb(now), now)
    code, out, _ = ran("list")
    firing, decided = out.split("recent alerts\n")
    assert code == 0
    at = r"(?:\w+ )*[\d:]+"
    assert re.fullmatch(
        rf"active alerts\n  a@b.com  5h passed 95% · resets {at}  since {at}\n", firing
    ), "one window is one line"
    assert re.fullmatch(
        rf"  {at}  a@b.com  5h passed 95% · resets {at} \(80% {at}\)  not sent yet\n", decided
    )
    assert ran() == (0, out, "")


def test_the_list_calls_nothing_full_that_is_not(ran: Ran, folder: Path, now: datetime) -> None:
    end = now + timedelta(hours=2)
    polls = [poll(now - timedelta(minutes=m), used, end) for m, used in ((15, 70.0), (10, 99.96))]
    remembered(folder, polls, now)
    assert ran()[1].count("passed 95%") == 2
    assert "full" not in ran()[1]


def test_the_newest_alert_comes_first(ran: Ran, folder: Path, now: datetime) -> None:
    first, second = now - timedelta(minutes=50), now + timedelta(hours=4)
    remembered(
        folder,
        [
            poll(now - timedelta(minutes=70), 70.0, first),
            poll(now - timedelta(minutes=60), 100.0, first),
            poll(now - timedelta(minutes=45), 70.0, second),
            poll(now - timedelta(minutes=10), 85.0, second),
        ],
        now,
    )
    listed = ran()[1].split("recent alerts\n")[1].splitlines()
    words = [line.split("a@b.com  ")[1].split("  ")[0].split(" · ")[0] for line in listed]
    assert words == ["5h passed 80%", "5h open again, was 100%", "5h full"]


def test_the_list_as_json(ran: Ran, folder: Path, now: datetime) -> None:
    remembered(folder, climb(now), now)
    document = json.loads(ran("list", "--json")[1])
    assert [alert["rule"] for alert in document["firing"]] == ["threshold_80", "threshold_95"]
    told, decided = document["alerts"]
    assert told == {
        "at": f"{now - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}",
        "account": "a@b.com",
        "window": "5h",
        "rule": "threshold_80",
        "kind": "threshold",
        "utilization": 0.85,
        "threshold": 0.8,
        "resets_at": f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
        "stage": "sent",
        "attempts": 1,
        "outcome": "sent (desktop)",
    }
    assert (decided["stage"], decided["attempts"]) == ("decided", 0)


def test_the_list_begins_where_it_is_asked_to_but_leaves_out_nothing_that_is_not_done(
    ran: Ran, folder: Path, now: datetime
) -> None:
    remembered(folder, climb(now), now)
    document = json.loads(ran("list", "--since", "1m", "--json")[1])
    assert [alert["rule"] for alert in document["alerts"]] == ["threshold_95"]


def test_a_rule_that_is_off_does_not_fire(ran: Ran, folder: Path, now: datetime) -> None:
    remembered(folder, climb(now), now)
    (folder.parent / "config.toml").write_text("[notifications.rules.threshold]\nenabled = false\n")
    assert ran("list")[1].startswith("no alert is active\n")


def test_a_replay_tells_what_would_have_been_told(ran: Ran, folder: Path, now: datetime) -> None:
    samples(folder, climb(now))
    code, out, _ = ran("replay", "--since", "1h")
    assert (code, re.findall(r"  a@b.com  5h passed (\d+)% · resets .*\n", out)) == (
        0,
        ["80", "95"],
    )


def test_a_replay_follows_the_present_rules(ran: Ran, folder: Path, now: datetime) -> None:
    samples(folder, climb(now))
    (folder.parent / "config.toml").write_text("[[accounts]]\nname = 'a@b.com'\nthresholds = [90]")
    document = json.loads(ran("replay", "--json")[1])
    assert [(a["rule"], a["account"]) for a in document["alerts"]] == [("threshold_90", "a@b.com")]


def test_a_replay_knows_what_was_before_it_and_tells_only_what_is_in_it(
    ran: Ran, folder: Path, now: datetime
) -> None:
    samples(folder, climb(now))
    since = (now - timedelta(minutes=7)).isoformat()
    document = json.loads(ran("replay", "--since", since, "--json")[1])
    assert [alert["rule"] for alert in document["alerts"]] == ["threshold_95"]


def test_a_replay_without_samples(ran: Ran) -> None:
    code, out, _ = ran("replay")
    assert (code, out.startswith("no alerts since ")) == (0, True)
    assert "pace goes by the slope of 5h" in out


def test_a_replay_of_the_demo_touches_nothing(ran: Ran, folder: Path) -> None:
    document = json.loads(ran("replay", "--demo", "--since", "20m", "--json")[1])
    told = {(a["account"], a["rule"]) for a in document["alerts"]}
    assert {("user@work.com", r) for r in ("threshold_80", "threshold_95", "reset")} <= told
    assert not folder.exists()


def test_explain_says_of_each_rule_why_it_spoke_or_not(
    ran: Ran, folder: Path, now: datetime
) -> None:
    remembered(folder, climb(now), now)
    code, out, _ = ran("explain")
    assert code == 0
    said = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert "fired at" in said["threshold_80"]
    assert "decided at" in said["threshold_95"] and "not sent yet" in said["threshold_95"]
    assert "waits for 100%: 4 points more" in said["threshold_100"]
    assert "not firing" in said["exhausted"]
    assert [line for line in out.splitlines() if line[:1] not in ("", " ")] == [
        "a@b.com  5h",
        "a@b.com",
        "all accounts",
    ]


def test_explain_of_one_window(ran: Ran, folder: Path, now: datetime) -> None:
    remembered(folder, climb(now), now)
    _, out, _ = ran("explain", "--account", "a@b.com", "--window", "5h")
    assert out.startswith("a@b.com  5h\n")
    assert "login" not in out


def test_explain_of_an_account_by_its_label(ran: Ran, folder: Path, now: datetime) -> None:
    remembered(folder, climb(now), now)
    (folder.parent / "config.toml").write_text(
        "[[accounts]]\nname = 'a@b.com'\nlabel = 'work'\n[[accounts]]\nname = 'new'\n"
    )
    assert ran("explain", "--account", "work")[1].startswith("a@b.com  5h\n")
    code, _, err = ran("explain", "--account", "new")
    advice = "run `monitor tui` or `monitor serve`"
    assert (code, err) == (1, f"monitor: no rule was evaluated for new yet: {advice}\n")


def test_an_account_that_only_commands_have_polled_is_not_explained(
    ran: Ran, folder: Path, now: datetime
) -> None:
    async def live_through() -> None:
        recorder = inline_recorder(folder, rows_of(folder))
        recorder.record(state(), state(live("a@b.com", at=now)), ())
        await recorder.database.close()

    asyncio.run(live_through())
    assert ran("list")[0] == 0
    code, out, err = ran("explain")
    assert (code, out) == (1, "")
    assert "no rule was evaluated yet" in err


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["explain"], 1, "no rule was evaluated yet"),
        (["explain", "--account", "x"], 2, "there is no account 'x'"),
        (["explain", "--window", "7d_opus"], 1, "no rule was evaluated for a window 7d_opus yet"),
        (["replay", "--since", "yesterday"], 2, "neither a duration nor a date"),
        (["list", "--since", "5x"], 2, "neither a duration nor a date"),
        (["list", "--since", "2222-01-01"], 2, "is in the future"),
    ],
)
def test_what_cannot_be_said_is_one_line(
    ran: Ran, words: list[str], code: int, complaint: str
) -> None:
    returned, out, err = ran(*words)
    assert (returned, out, err.count("\n")) == (code, "", 1)
    assert complaint in err


def test_wrong_settings_are_an_error_and_not_a_guess(ran: Ran, folder: Path) -> None:
    (folder.parent / "config.toml").write_text("[notifications.rules.pase]\nenabled = true\n")
    code, _, err = ran("replay")
    assert (code, "did you mean pace?" in err) == (2, True)


@pytest.mark.parametrize("verb", ["list", "replay", "explain"])
def test_the_settings_file_is_named_before_or_behind_a_verb(
    verb: str, ran: Ran, folder: Path
) -> None:
    wrong = folder.with_name("wrong.toml")
    wrong.write_text("[setings]\n")
    for words in (["--config", str(wrong), verb], [verb, "--config", str(wrong)]):
        code, out, err = ran(*words)
        assert (code, out) == (2, "")
        assert err.startswith(f"monitor: {wrong}:1")
