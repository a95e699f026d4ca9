import asyncio
import gc
import io
import logging
import re
import stat
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor import __version__, logs
from monitor.core.errors import TrackerError

TOKEN = "sk-ant-oat01-AbC_dEf-0123456789"
LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is the process's, not the test's."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    hooks = sys.unraisablehook, threading.excepthook
    yield
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(False)
    sys.unraisablehook, threading.excepthook = hooks


@pytest.fixture
def stream() -> io.StringIO:
    out = io.StringIO()
    logs.configure("INFO", stream=out)
    return out


def test_a_record_is_one_line_with_its_instant_level_and_logger(stream: io.StringIO) -> None:
    logging.getLogger("monitor.poller").warning("slow: %d s", 3)
    assert re.fullmatch(LINE + r"WARNING monitor\.poller: slow: 3 s\n", stream.getvalue())


def test_a_message_cannot_forge_lines_or_drive_the_terminal(stream: io.StringIO) -> None:
    logging.getLogger("x").warning("a\nb\r\x1b[31mc\x9b")
    assert stream.getvalue().endswith("WARNING x: a\\nb\\r\\x1b[31mc\\x9b\n")


def test_records_below_the_level_are_left_out(stream: io.StringIO) -> None:
    logging.getLogger("monitor").debug("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"token {TOKEN}!", "token sk-ant-…!"),
        (f"Authorization: Bearer {'x' * 40}", "Authorization: Bearer …"),
        (f"Cookie: sessionKey={'k' * 30}; a=b", "Cookie: sessionKey=…; a=b"),
        ('{"accessToken": "opaque-0123456789", "n": 1}', '{"accessToken": "…", "n": 1}'),
        ("{'refresh_token': 'opaque-0123456789'}", "{'refresh_token': '…'}"),
        ("the bearer token is missing", "the bearer token is missing"),
        ('auth_method = "session_key"', 'auth_method = "session_key"'),
    ],
)
def test_secrets_are_redacted_and_nothing_else(text: str, redacted: str) -> None:
    assert logs.redact(text) == redacted


def test_no_token_gets_into_a_message_its_arguments_or_a_traceback(stream: io.StringIO) -> None:
    log = logging.getLogger("x")
    log.warning(f"message {TOKEN}")
    log.warning("arguments %s %r", TOKEN, {"t": TOKEN})
    try:
        raise ValueError(TOKEN)
    except ValueError:
        log.exception("with a traceback")
    text = stream.getvalue()
    assert "AbC_dEf" not in text
    assert "ValueError: sk-ant-…" in text


def test_warnings_go_to_the_log(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logs.configure("INFO", stream=stream)
        warnings.warn("old and worn", stacklevel=1)
    assert "WARNING py.warnings" in stream.getvalue()
    assert "old and worn" in stream.getvalue()


def test_a_task_s_lost_exception_goes_to_the_log(stream: io.StringIO) -> None:
    async def bug() -> None:
        raise ValueError(f"lost {TOKEN}")

    async def main() -> None:
        task = asyncio.create_task(bug())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(main())
    assert "ERROR asyncio: Task exception was never retrieved" in stream.getvalue()
    assert "ValueError: lost sk-ant-…" in stream.getvalue()


def test_stray_exceptions_go_to_the_log_and_not_to_the_screen(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    class Bad:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    def bug() -> None:
        raise ValueError("in a thread")

    Bad()
    gc.collect()
    thread = threading.Thread(target=bug, name="worker")
    thread.start()
    thread.join()
    assert "ValueError: in a finalizer" in stream.getvalue()
    assert "a bug in the thread worker" in stream.getvalue()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["desktop_notifier.backends.base", "dbus_fast.x", "keyring"])
def test_libraries_that_chatter_are_calmed(name: str) -> None:
    out = io.StringIO()
    logs.configure("DEBUG", stream=out)
    logging.getLogger(name).info("chatter")
    logging.getLogger("monitor").debug("ours")
    assert "chatter" not in out.getvalue()
    assert "ours" in out.getvalue()


def test_the_last_configuration_holds(stream: io.StringIO) -> None:
    other = io.StringIO()
    logs.configure("WARNING", stream=other)
    logging.getLogger("x").warning("once")
    assert (stream.getvalue(), other.getvalue().count("once")) == ("", 1)


def test_a_file_is_private_and_nothing_reaches_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "state" / "monitor.log"
    logs.configure("INFO", file=file)
    logging.getLogger("x").error("for the file")
    assert "ERROR x: for the file" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert capsys.readouterr() == ("", "")


def test_a_file_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    file = tmp_path / "monitor.log"
    file.write_text("older\n")
    file.chmod(0o644)
    logs.configure("INFO", file=file)
    logging.getLogger("x").error("newer")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert re.fullmatch(r"older\n.*newer\n", file.read_text(), re.DOTALL)


def test_a_file_is_rotated_before_it_grows_large(tmp_path: Path) -> None:
    file = tmp_path / "monitor.log"
    logs.configure("INFO", file=file)
    for _ in range(40):
        logging.getLogger("x").info("%s", "y" * (logs.FILE_BYTES // 10))
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["monitor.log", "monitor.log.1"]
    assert all(each.stat().st_size <= logs.FILE_BYTES for each in files)
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in files)


def test_a_full_disk_is_not_complained_of_on_the_screen(tmp_path: Path) -> None:
    program = f"""
import logging, pathlib
from monitor import logs
logs.configure("INFO", file=pathlib.Path({str(tmp_path / "monitor.log")!r}))
logging.getLogger("x").info("nothing may be written")
print("goes on")
"""
    argv = ["sh", "-c", 'ulimit -f 0; exec "$0" -c "$1"', sys.executable, program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "goes on\n", "")


def test_a_file_that_cannot_be_opened_is_an_error_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "monitor.log"
    file.mkdir()
    with pytest.raises(TrackerError, match=f"^{file}: the log cannot be written: Is a directory$"):
        logs.configure("INFO", file=file)


def _bug(secret: str) -> BaseException:
    try:
        try:
            raise RuntimeError(f"refused {secret}\x1b[2J")
        except RuntimeError as error:
            raise KeyError(secret) from error
    except KeyError as error:
        return error


def test_a_crash_report_has_the_bug_and_the_versions_but_no_secret() -> None:
    report = logs.crash_report(_bug(TOKEN))
    assert "AbC_dEf" not in report
    assert "\x1b" not in report
    assert f"claude-tracker {__version__}, Python {sys.version.split()[0]}" in report
    assert "in _bug" in report
    assert "RuntimeError: refused sk-ant-…" in report
    assert report.rstrip().endswith("KeyError: 'sk-ant-…'")


def test_a_crash_report_shows_every_bug_of_a_group() -> None:
    report = logs.crash_report(ExceptionGroup("tasks", [ValueError("one"), OSError("two")]))
    assert "ValueError: one" in report
    assert "OSError: two" in report
