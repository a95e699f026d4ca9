"""The past as charts and as samples: as processes over a state database, and in a circle through a real Prometheus."""

import csv
import io
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from monitor.commands.history_import import parse_csv
from monitor.core.errors import TrackerError
from monitor.core.forecast import Forecast, FullAt, RunOut
from monitor.core.model import AccountForecast, Window
from monitor.paths import config_path, instance_key
from monitor.settings import state_db
from monitor.storage import cache, samples
from monitor.storage.db import read_only
from monitor.storage.samples import StoredSample
from monitor.terminal.text import width
from tests.builders import NOW, live
from tests.real.need import need
from tests.real.prometheus import prometheus
from tests.storage.factories import keep_accounts, write
from tests.test_fast_path import account, env, ran, settings  # noqa: F401 - a fixture

HOUR = timedelta(hours=1)


def kept(env: dict[str, str], *rows: StoredSample) -> None:  # noqa: F811
    """The history has these samples."""
    name = instance_key(env, Path(config_path(env)))
    write(state_db(env), lambda database: samples.insert_many(database, name, rows))


def climbing(name: str, window: str, hours: int, now: datetime) -> list[StoredSample]:
    """A sample each hour, a percent more each time, with the reset an hour ahead."""
    return [
        StoredSample(now - (hours - n) * HOUR, name, window, n / 100, now + HOUR)
        for n in range(hours + 1)
    ]


@pytest.fixture
def world(env: dict[str, str]) -> dict[str, str]:  # noqa: F811
    """Two accounts, with two days of history of the first one."""
    settings(env, "work", "home")
    now = datetime.now(UTC).replace(microsecond=250_000) - timedelta(seconds=1)
    keep_accounts(env, Path(config_path(env)), account("work", 42))
    kept(env, *climbing("work", "7d", 48, now), *climbing("work", "5h", 20, now))
    return env


def test_the_charts_of_an_account(world: dict[str, str]) -> None:
    done = ran({**world, "COLUMNS": "60", "LINES": "40"}, "history", "wo")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.split("\n\n")
    assert first.startswith("work  5h  42%, resets ")
    assert second.startswith("work  7d  10%, resets ")
    assert all(line.count("\n") == 18 for line in (first + "\n", second))
    assert any("\u2800" < char < "\u2900" for char in first)
    assert max(map(width, done.stdout.splitlines())) <= 60


@pytest.mark.parametrize("columns", [40, 41, 80, 200])
def test_a_chart_fits_into_the_terminal_from_40_columns_on(
    world: dict[str, str], columns: int
) -> None:
    done = ran({**world, "COLUMNS": str(columns), "LINES": "24"}, "history", "work")
    assert columns - 1 <= max(map(width, done.stdout.splitlines())) <= columns


def test_another_encoding_has_plain_characters(world: dict[str, str]) -> None:
    plain = {**world, "PYTHONIOENCODING": "ascii"}
    for words in (("history", "work", "--window", "7d"), ("history",)):
        done = ran(plain, *words)
        assert (done.returncode, done.stdout.isascii()) == (0, True)
        assert "7d" in done.stdout and {"*", "="} & set(done.stdout)


def test_the_settings_may_want_plain_characters(world: dict[str, str]) -> None:
    file = Path(world["HOME"]) / ".config/claude-tracker/config.toml"
    file.write_text(f"[display]\nascii = true\n{file.read_text()}")
    assert ran(world, "history", "work").stdout.isascii()


def test_several_accounts_are_a_line_each(world: dict[str, str]) -> None:
    head, work, home = ran({**world, "COLUMNS": "80"}, "history").stdout.splitlines()
    assert head.split() == ["5h", "since", *head.split()[2:4], "7d", "since", *head.split()[6:]]
    assert work.startswith("work  ")
    assert work.rstrip().endswith("10%")
    assert "▂" in work
    assert home.split() == ["home", "--", "--"]
    assert max(map(width, (work, home))) <= 80


@pytest.mark.parametrize("columns", [40, 50, 60])
def test_the_heading_of_several_accounts_is_whole(world: dict[str, str], columns: int) -> None:
    for words in (("history",), ("history", "--since", "30d"), ("history", "--demo")):
        lines = ran({**world, "COLUMNS": str(columns)}, *words).stdout.splitlines()
        assert "5h" in lines[0] and "7d" in lines[0] and "…" not in lines[0]
        assert max(map(width, lines)) <= columns


@pytest.mark.parametrize(
    ("columns", "heading"),
    [
        (200, r"user@work.com  7d  65%, resets [^,]+ \(in 5d \d\dh\), full [^,]+, between .*\)"),
        (80, r"user@work.com  7d  65%, resets [^,]+, full [^,]+"),
        (40, "user@work.com  7d  65%.*"),
    ],
)
def test_the_heading_of_a_chart_has_the_words_that_fit(
    env: dict[str, str],  # noqa: F811
    columns: int,
    heading: str,
) -> None:
    done = ran({**env, "COLUMNS": str(columns)}, "history", "--demo", "2", "--window", "7d")
    assert re.fullmatch(heading, done.stdout.splitlines()[0])
    assert width(done.stdout.splitlines()[0]) <= columns


def test_other_windows_are_named_where_none_is_asked_for(world: dict[str, str]) -> None:
    kept(world, StoredSample(datetime.now(UTC) - HOUR, "work", "7d_opus", 0.5))
    assert ran(world, "history", "work").stdout.endswith(
        "\n\nalso known: 7d_opus (--window 7d_opus)\n"
    )
    assert "also" not in ran(world, "history", "work", "--window", "7d_opus").stdout


def test_what_is_expected_is_a_band_up_to_the_reset(world: dict[str, str]) -> None:
    now = datetime.now(UTC)
    reset = now + 24 * HOUR
    run_out = RunOut(
        now, reset, tuple(range(1, 25)), tuple(3.0 * n for n in range(1, 25)), (0.7, 1.3), 58, 9
    )
    forecast = Forecast(0.6, FullAt(now + 8 * HOUR, now + 15 * HOUR, now + 22 * HOUR), run_out)
    live = account("work", 10)
    assert live.usage is not None
    usage = replace(live.usage, windows=(Window("7d", 0.42, reset),))
    known = replace(live, usage=usage, forecast=AccountForecast(now, {"7d": forecast}))
    keep_accounts(world, Path(config_path(world)), known)
    done = ran({**world, "COLUMNS": "90"}, "history", "work", "--window", "7d", "--since", "1d")
    lines = done.stdout.splitlines()
    assert ", full " in lines[0]
    now_place = lines[-2].index("●")
    assert 40 < now_place < 52, "a day before it, and a day after"
    assert all("░" not in line[:now_place] for line in lines)
    assert sum(line.count("▓") for line in lines) == len(lines[-2]) - now_place - 1


@pytest.mark.parametrize(("hours", "is_known"), [(72, True), (0, False)])
def test_a_forecast_of_an_older_sample_is_made_anew_of_what_is_kept(
    env: dict[str, str],  # noqa: F811
    hours: int,
    is_known: bool,
) -> None:
    """The week was said to last; since then it has come to 95 %, with two days to go."""
    settings(env, "work")
    now = datetime.now(UTC).replace(microsecond=250_000) - timedelta(seconds=5)
    reset, before = now + 48 * HOUR, now - HOUR
    lasts = RunOut(before, reset, (49.0,), (9.0,), (1.0,), 60, 2)
    saved = replace(
        live("work", Window("7d", 0.95, reset), at=now),
        forecast=AccountForecast(before, {"7d": Forecast(0.0123, None, lasts)}),
    )
    keep_accounts(env, Path(config_path(env)), saved)
    kept(
        env,
        *(StoredSample(now - n * HOUR, "work", "7d", 0.95 - n / 80, reset) for n in range(hours)),
    )
    (one,) = json.loads(ran(env, "status", "--json").stdout)["accounts"]
    forecast = one["windows"][0]["forecast"]
    assert (forecast is not None and forecast["run_out_probability"] > 0.9) is is_known
    assert "0.0123" not in str(forecast)
    need = ran(env, "guard", "--need", "5", "--account", "work")
    assert need.returncode == (0 if is_known else 5)
    chart = ran(env, "history", "work", "--window", "7d")
    assert ("▓" in chart.stdout) is is_known, chart.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("history ghost", 2, "there is no account 'ghost'"),
        ("history home", 1, "nothing is known of home since then"),
        ("history home --window 7d", 1, "nothing is known of home since then"),
        ("history work --window 7d_opus", 2, "no window '7d_opus'; known are 5h, 7d"),
        ("history --window NONSENSE", 2, "no window 'NONSENSE'; known are 5h, 7d"),
        ("history --csv --window NONSENSE", 2, "no window 'NONSENSE'; known are 5h, 7d"),
        ("history --demo --window 9h", 2, "known are 5h, 7d, 7d_fable, 7d_opus, extra"),
        ("history --since 2222-01-01", 2, "is in the future"),
        ("history --since soon", 2, "neither a duration nor a date"),
        ("history work --from x.csv", 2, "--from is for `monitor history import`"),
        ("history import --csv", 2, "--csv is not for `monitor history import`"),
        ("history import --since 3d", 2, "--since is not for `monitor history import`"),
        ("history import --from /nonexistent.csv", 1, "/nonexistent.csv: No such file"),
        ("history import --from-prometheus http://127.0.0.1:9", 1, "monitor: 127.0.0.1:9: "),
        (
            "history import --from-prometheus http://u:secret@127.0.0.1:9",
            1,
            "monitor: 127.0.0.1:9: ",
        ),
        ("history import --from-prometheus localhost:9090", 2, "a URL such as http://localhost"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    world: dict[str, str], words: str, code: int, told: str
) -> None:
    done = ran(world, *words.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert told in done.stderr
    assert "secret" not in done.stderr


def test_the_demo_has_a_past_and_expects_something(env: dict[str, str]) -> None:  # noqa: F811
    whole = ran(env, "history", "--demo")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.count("@") == 6
    one = ran({**env, "COLUMNS": "80"}, "history", "--demo", "2", "--window", "7d")
    assert one.stdout.startswith("user@work.com  7d  ")
    assert "▓" in one.stdout
    assert not list(Path(env["HOME"]).rglob("state.db"))


def test_a_window_with_old_samples_alone_is_known(world: dict[str, str]) -> None:
    kept(world, StoredSample(datetime.now(UTC) - timedelta(days=10), "home", "7d_opus", 0.5))
    for words in ("", "home"):
        done = ran(world, "history", *words.split(), "--window", "7d_opus")
        assert (done.returncode, done.stdout) == (1, "")
        assert "nothing is known of 7d_opus since " in done.stderr
    back = ran(world, "history", "home", "--window", "7d_opus", "--since", "400d")
    assert (back.returncode, back.stderr) == (0, "")
    other = ran(world, "history", "work", "--window", "7d_opus")
    assert (other.returncode, "known are 5h, 7d" in other.stderr) == (2, True)


def test_without_a_history_it_says_why(env: dict[str, str]) -> None:  # noqa: F811
    settings(env, "work")
    file = Path(env["HOME"]) / ".config/claude-tracker/config.toml"
    file.write_text(f"[history]\nenabled = false\n{file.read_text()}")
    for words in ("history", "next --plan 3h"):
        keep_accounts(env, file, account("work", 42))
        done = ran(env, *words.split())
        assert done.returncode == 1
        assert "enabled = false" in done.stderr


def test_the_samples_as_documents(world: dict[str, str]) -> None:
    table = list(csv.DictReader(io.StringIO(ran(world, "history", "--csv").stdout)))
    document = json.loads(ran(world, "history", "--json").stdout)
    assert len(table) == len(document["samples"]) == 49 + 21
    assert list(table[0]) == ["at", "account", "window", "utilization", "resets_at"]
    assert table[-1]["at"] == document["samples"][-1]["at"]
    assert float(table[-1]["utilization"]) == document["samples"][-1]["utilization"]
    some = ran(world, "history", "work", "--window", "5h", "--since", "5h", "--csv").stdout
    assert some.count("\n") == 1 + 5
    assert ran(world, "history", "home", "--csv").stdout.count("\n") == 1


def test_what_was_exported_can_be_imported_once(world: dict[str, str]) -> None:
    exported = ran(world, "history", "--csv").stdout
    again = ran(world, "history", "import", stdin=exported)
    assert (again.returncode, again.stdout) == (
        0,
        "imported 70 samples, 70 of them known before\n",
    )
    rows = instance_key(world, Path(config_path(world)))

    def source() -> str:
        return read_only(state_db(world), lambda database: cache.last_import(database, rows), "")

    assert source() == "", "nothing was new"
    other = exported.replace(",0.48,", ",0.49,")
    differing = ran(world, "history", "import", stdin=other)
    assert (differing.returncode, differing.stdout) == (
        1,
        "imported 69 samples, 69 of them known before\n",
    )
    assert "other figures are known of the same times" in differing.stderr
    assert ran(world, "history", "--csv").stdout == exported
    state_db(world).unlink()
    file = Path(world["HOME"]) / "past.csv"
    file.write_text(f"\ufeff{exported}", encoding="utf-8")
    assert ran(world, "history", "import", "--from", str(file)).stdout == "imported 70 samples\n"
    assert ran(world, "history", "--csv").stdout == exported
    first = source()
    into = ran(world, "history", "import", "--from", str(file), "--account", "2")
    assert into.stdout == "imported 70 samples\n"
    assert "" != first != source(), "a running monitor sees each import"
    assert ran(world, "history", "home", "--csv").stdout == exported.replace(",work,", ",home,")


@pytest.mark.parametrize(("hours", "is_said"), [(3, True), (1, False)])
def test_samples_that_forecasts_cannot_learn_from_are_said_to_be(
    world: dict[str, str], hours: int, is_said: bool
) -> None:
    now = datetime.now(UTC)
    rows = [f"{(now - n * HOUR).isoformat()},home,7d,0.5," for n in range(0, 60, hours)]
    document = "\n".join(["at,account,window,utilization,resets_at", *rows, ""])
    done = ran(world, "history", "import", stdin=document)
    assert (done.returncode, done.stdout) == (0, f"imported {len(rows)} samples\n")
    assert done.stderr == is_said * (
        "monitor: home 7d: most samples are more than 1h 30m apart: "
        "charts show them, forecasts cannot learn from them\n"
    )


BAD = {
    "2026-11-22T11:00:00Z,home,7d,0.5,": None,
    "2026-11-22T11:00:00+02:00,home,7d,1.2,2026-11-24T00:00:00Z,more": None,
    "yesterday,home,7d,0.5,": "at is not a time such as 2026-11-22T12:00:00Z: 'yesterday'",
    "2026-11-22T11:00:00,home,7d,0.5,": "at has no time zone",
    "2026-11-22T13:00:00Z,home,7d,0.5,": "at is in the future",
    "2025-01-22T13:00:00Z,home,7d,0.5,": "at is longer ago than the 396 days",
    "0001-01-01T00:00:00+10:00,home,7d,0.5,": "at is not a time",
    "2026-11-22T11:00:00Z,home,7d,-1,": "utilization is a ratio, 0.42 for 42 %: -1",
    "2026-11-22T11:00:00Z,home,7d,nan,": "utilization is a ratio",
    "2026-11-22T11:00:00Z,home,7d,much,": "utilization is not a number: 'much'",
    "2026-11-22T11:00:00Z,home,,0.5,": "window is not a window's name: ''",
    f"2026-11-22T11:00:00Z,home,{'x' * 200},0.5,": "window is not a window's name",
    "2026-11-22T11:00:00Z,home,limit,0.5,2027-11-01T00:00:00Z": None,
    "2026-11-22T11:00:00Z,home,5h,0.5,2026-11-23T00:36:00Z": None,
    "2026-11-22T11:00:00Z,home,5h,0.5,1970-01-01T00:00:00Z": "resets_at is too far from at",
    "2026-11-22T11:00:00Z,home,5h,0.5,9999-12-31T00:00:00Z": "resets_at is too far from at",
    "2026-11-22T11:00:00Z,home,5h,0.5,9999-12-31T23:59:59-23:00": "resets_at is not a time",
    "2026-11-22T11:00:00Z,ghost,7d,0.5,": "there is no account 'ghost'",
    "2026-11-22T11:00:00Z,home,7d,0.5,later": "resets_at is not a time",
    "2026-11-22T11:00:00Z,home": "2 values instead of 5",
}


@pytest.mark.parametrize(("line", "words"), BAD.items())
def test_a_bad_line_is_named_by_its_number_and_the_others_count(
    line: str, words: str | None
) -> None:
    def find(name: str) -> str:
        if name != "home":
            raise TrackerError(f"there is no account {name!r}")
        return name

    good = "2026-11-22T10:00:00Z,home,7d,0.5,\n"
    file = io.StringIO(f"at,account,window,utilization,resets_at\n{good}\n{line}\n{good}")
    told: list[tuple[str, str]] = []
    rows = list(parse_csv(file, "f.csv", find, lambda *said: told.append(said), NOW))
    assert len(rows) == (2 if words else 3)
    assert [where for where, _ in told] == (["f.csv: line 4"] if words else [])
    assert all(words is not None and words in said for _, said in told)


def test_a_file_with_bad_lines_ends_with_their_number_and_one_without_columns_is_refused(
    world: dict[str, str],
) -> None:
    header = "account,window,at,utilization,resets_at\n"
    bad = "home,7d,2026-11-22T11:00:00Z,-1,\n"
    done = ran(world, "history", "import", stdin=header + bad * 25)
    assert (done.returncode, done.stdout) == (1, "imported 0 samples\n")
    assert done.stderr.splitlines()[0].startswith("monitor: standard input: line 2: utilization")
    assert done.stderr.splitlines()[-2:] == ["monitor: and 5 more", "monitor: 25 samples left out"]
    done = ran(world, "history", "import", stdin="at,account\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "line 1: there is no column window" in done.stderr


@pytest.mark.parametrize("used", [[42, 9], [9], [1, 2, 2], [0.5, 0.7, 42]])
def test_nothing_is_imported_of_percentages(world: dict[str, str], used: list[float]) -> None:
    now = datetime.now(UTC)
    rows = [f"{(now - n * HOUR).isoformat()},home,5h,{one},\n" for n, one in enumerate(used)]
    document = "at,account,window,utilization,resets_at\n" + "".join(rows)
    done = ran(world, "history", "import", stdin=document)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"0.42 for 42 %, and here is {max(used)}: nothing was imported" in done.stderr


def test_what_is_no_text_is_no_file(world: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(b"at\xff")
    done = ran(world, "history", "import", "--from", str(tmp_path / "b.bin"))
    assert (done.returncode, done.stderr) == (
        1,
        f"monitor: {tmp_path}/b.bin: it is not UTF-8 text\n",
    )


def matrix(result: str) -> str:
    return f'{{"status": "success", "data": {{"result": {result}}}}}'


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, "<html>", "no Prometheus answers there: the answer is not understood"),
        (404, "not found", "no Prometheus answers there: HTTP 404"),
        (422, '{"status": "error", "error": "too many\\nsamples"}', "too many samples"),
        (200, matrix("[]"), "does it scrape this program?"),
        (401, matrix("[]"), "no Prometheus answers there: HTTP 401"),
        (200, matrix('{"a": 1}'), "the answer is not understood"),
        (200, matrix('[{"metric": {}}]'), "the answer is not understood"),
        (200, matrix('[{"metric": {}, "values": [[1, "abc"]]}]'), "the answer is not understood"),
        (200, "[" * 100_000, "the answer is not understood"),
    ],
)
def test_what_is_no_prometheus_or_has_nothing_is_named(
    world: dict[str, str], status: int, body: str, words: str
) -> None:
    with answering(status, body) as url:
        done = ran(world, "history", "import", "--from-prometheus", url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert words in done.stderr


def test_samples_of_a_prometheus_that_cannot_be_are_left_out(world: dict[str, str]) -> None:
    now = int(datetime.now(UTC).timestamp())
    metric = '"metric": {"account": "home", "window": "5h"}'
    body = matrix(f'[{{{metric}, "values": [[{now - 60}, "1e30"], [{now - 90}, "NaN"]]}}]')
    with answering(200, body) as url:
        done = ran(world, "history", "import", "--from-prometheus", url)
    assert (done.returncode, done.stdout) == (1, "imported 0 samples\n")
    first, last = done.stderr.splitlines()
    assert "home 5h: resets_at is not a time" in first
    assert last.endswith(" left out")


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A server on loopback that answers everything so."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_history_goes_through_a_real_prometheus_and_back(
    world: dict[str, str], tmp_path: Path
) -> None:
    need("promtool")
    exported = ran(world, "history", "--openmetrics").stdout
    assert exported.endswith("# EOF\n")
    (tmp_path / "past.txt").write_text(exported)
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "past.txt", "data"]
    made = subprocess.run(blocks, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    state_db(world).unlink()
    with prometheus(tmp_path, "127.0.0.1:9") as server:
        done, again = (
            ran(world, "history", "import", "--from-prometheus", server.base_url) for _ in range(2)
        )
        nobody = {**world, "MONITOR_CONFIG": str(tmp_path / "none.toml")}
        (tmp_path / "none.toml").write_text('[[accounts]]\nname = "else"\n')
        unknown = ran(nobody, "history", "import", "--from-prometheus", f"{server.base_url}/")
    assert (done.returncode, done.stderr) == (0, "")
    count = done.stdout.split()[1]
    assert again.stdout.startswith(f"imported {count} samples, {count} of them known before")
    rows = list(csv.DictReader(io.StringIO(ran(world, "history", "--csv").stdout)))
    levels = {
        key: [float(row["utilization"]) for row in rows if row["window"] == key]
        for key in ("7d", "5h")
    }
    for key, hours in (
        ("7d", 48),
        ("5h", 20),
    ):  # the newest may be younger than the last five minutes
        assert levels[key][:hours] == [n / 100 for n in range(hours)]
    assert all(row["resets_at"] for row in rows)
    assert unknown.returncode == 1
    assert "there is no account 'work'" in unknown.stderr
