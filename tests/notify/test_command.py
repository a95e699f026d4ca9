"""The command channel, against real programs."""

import json
import logging
import os
import sys
import time
from pathlib import Path

import pytest

from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.core.errors import ChannelError
from monitor.notify.channels.command import CommandChannel, render_alerts
from tests.builders import NOW
from tests.notify.receiver import delivery
from tests.real.bus import wait_until

ALERT = Alert(AlertKind.LOGIN, "$(id) `id` ; Zoë", "", NOW, detail="refused")


def command(*argv: str, limit: float = 30) -> CommandChannel:
    return CommandChannel(argv, limit)


def shell(script: str, limit: float = 30) -> CommandChannel:
    return command("sh", "-c", script, limit=limit)


async def test_the_document_is_on_standard_input_and_the_fields_are_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path))
    await shell('cat > "$OUT/stdin"; env -0 > "$OUT/env"').send(
        *delivery(ALERT, urgency=Urgency.LOW)
    )
    given = (tmp_path / "stdin").read_bytes()
    environ = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().split("\0")[:-1])
    assert given == render_alerts(*delivery(ALERT, urgency=Urgency.LOW))
    assert json.loads(given)["alerts"][0]["account"] == "$(id) `id` ; Zoë"
    assert environ["CLAUDE_TRACKER_ACCOUNT"] == "$(id) `id` ; Zoë"
    assert environ["CLAUDE_TRACKER_KIND"] == "login"
    assert environ["CLAUDE_TRACKER_URGENCY"] == "low"
    assert environ["PATH"] == os.environ["PATH"]


async def test_arguments_are_handed_over_as_they_are(tmp_path: Path) -> None:
    out = tmp_path / "a file; $HOME"
    script = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    await command(sys.executable, "-c", script, str(out), "$TITLE *").send(*delivery(ALERT))
    assert out.read_text() == "$TITLE *"


async def test_a_program_that_reads_nothing_is_fine_however_much_it_is_given() -> None:
    many = [Alert(AlertKind.LOGIN, f"{n} {'x' * 500}", "", NOW) for n in range(300)]
    await command("true").send(*delivery(*many))


async def test_a_child_that_goes_on_in_the_background_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    await shell('(sleep 0.3; echo words >&2; echo done > "$OUT") & exit 0').send(*delivery(ALERT))
    wait_until((tmp_path / "out").exists, "the child's end")


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo secret; echo secret >&2; exit 3", "sh ended with 3"), ("kill -9 $$", "by signal 9")],
)
async def test_a_failure_is_told_by_its_code_and_never_by_what_was_printed(
    script: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ChannelError, match=words) as failure:
        await shell(script).send(*delivery(ALERT))
    assert failure.value.reason == "error"
    assert "secret" not in failure.value.detail + caplog.text


async def test_a_program_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    started = time.monotonic()
    with pytest.raises(ChannelError, match=r"sh took longer than 0\.5 s") as failure:
        await shell('trap "" TERM; sleep 300 & echo $! > "$OUT"; wait', limit=0.5).send(
            *delivery(ALERT)
        )
    assert failure.value.reason == "timeout"
    assert time.monotonic() - started < 5
    child = Path("/proc") / (tmp_path / "out").read_text().strip() / "stat"
    wait_until(lambda: _is_gone(child), "the end of its child")


def _is_gone(stat: Path) -> bool:
    """Ended, though perhaps not reaped by whoever inherited it."""
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


async def test_a_program_that_is_missing_or_none_is_unavailable(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("not executable")
    odd = tmp_path / "odd"
    odd.write_text("#!/no/such/interpreter\n")
    odd.chmod(0o700)
    for program, words in [
        ("no-such-program", "no-such-program is not on PATH"),
        (str(tmp_path / "nothing"), "nothing is missing, or no program"),
        (str(plain), "plain is missing, or no program"),
        (str(odd), "odd: No such file"),
    ]:
        with pytest.raises(ChannelError, match=words) as failure:
            await command(program).send(*delivery(ALERT))
        assert failure.value.reason == "unavailable"
