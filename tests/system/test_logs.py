import asyncio
import gc
import io
import json
import logging
import os
import re
import stat
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from monitor import __version__
from monitor.core.errors import TrackerError
from monitor.system import logs
from monitor.system.logs import JsonLines

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


class Read(io.StringIO):
    """A stream that is looked at once all is written."""

    def getvalue(self) -> str:
        written()
        return super().getvalue()


def written() -> None:
    for handler in logging.getLogger().handlers:
        handler.flush()


@pytest.fixture
def stream() -> io.StringIO:
    out = Read()
    logs.configure("INFO", stream=out)
    return out


def test_a_record_is_one_line_with_its_instant_level_and_logger(stream: io.StringIO) -> None:
    logging.getLogger("monitor.app.poller").warning("slow: %d s", 3)
    assert re.fullmatch(LINE + r"WARNING monitor\.app\.poller: slow: 3 s\n", stream.getvalue())


def test_a_message_cannot_forge_lines_or_drive_the_terminal(stream: io.StringIO) -> None:
    logging.getLogger("x").warning("a\nb\r\x1b[31mc\x9b")
    assert stream.getvalue().endswith("WARNING x: a\\nb\\r\\x1b[31mc\\x9b\n")


def test_a_library_is_heard_from_its_own_level_on_and_those_with_secrets_never(
    stream: io.StringIO,
) -> None:
    logs.configure("DEBUG", stream=stream)
    for name in ("apprise", "apprise.plugins.ntfy", "urllib3.connectionpool", "oauthlib"):
        logging.getLogger(name).critical("POST https://host/secret")
    logging.getLogger("desktop_notifier.backends.base").warning("what the channel reports itself")
    logging.getLogger("keyring.backend").info("loading")
    logging.getLogger("keyring.backend").warning("odd")
    assert stream.getvalue().count("\n") == 1


def test_importing_a_channel_sets_no_level() -> None:
    code = (
        "import logging, monitor.notify.channels.apprise, monitor.notify.channels;"
        "names = logging.getLogger().manager.loggerDict;"
        "print([n for n in names if logging.getLogger(n).level])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


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
    out = Read()
    logs.configure("DEBUG", stream=out)
    logging.getLogger(name).info("chatter")
    logging.getLogger("monitor").debug("ours")
    assert "chatter" not in out.getvalue()
    assert "ours" in out.getvalue()


def test_the_last_configuration_holds(stream: io.StringIO) -> None:
    other = Read()
    logs.configure("WARNING", stream=other)
    logging.getLogger("x").warning("once")
    assert (stream.getvalue(), other.getvalue().count("once")) == ("", 1)


def test_a_file_is_private_and_nothing_reaches_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "state" / "monitor.log"
    logs.configure("INFO", file=file)
    logging.getLogger("x").error("for the file")
    written()
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
    written()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert re.fullmatch(r"older\n.*newer\n", file.read_text(), re.DOTALL)


def test_a_file_is_rotated_before_it_grows_large(tmp_path: Path) -> None:
    file = tmp_path / "monitor.log"
    logs.configure("INFO", file=file)
    for _ in range(40):
        logging.getLogger("x").info("%s", "y" * (logs.FILE_BYTES // 10))
    written()
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["monitor.log", "monitor.log.1"]
    assert all(each.stat().st_size <= logs.FILE_BYTES for each in files)
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in files)


def test_a_full_disk_is_not_complained_of_on_the_screen(tmp_path: Path) -> None:
    program = f"""
import logging, pathlib
from monitor.system import logs
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


@pytest.fixture
def objects() -> io.StringIO:
    out = Read()
    logs.configure("DEBUG", stream=out, form="json")
    return out


def test_a_record_is_one_json_object(objects: io.StringIO) -> None:
    record = logging.makeLogRecord(
        {"name": "monitor.app.poller", "levelno": 30, "levelname": "WARNING", "msg": "slow: %d s"}
        | {"args": (3,), "created": 1795435200.0421, "account": 'a "b" <c@d.e>'}
    )
    logging.getLogger().handle(record)
    assert json.loads(objects.getvalue()) == {
        "time": "2026-11-23T12:00:00.042Z",
        "level": "warning",
        "logger": "monitor.app.poller",
        "message": "slow: 3 s",
        "account": 'a "b" <c@d.e>',
    }


def test_a_traceback_stays_in_its_json_object_and_holds_no_token(objects: io.StringIO) -> None:
    try:
        raise ValueError(f'{{"accessToken": "opaque-0123456789", "t": "{TOKEN}"}}')
    except ValueError:
        logging.getLogger("x").exception("bad\nnews %s", TOKEN, extra={"account": TOKEN})
    (line,) = objects.getvalue().splitlines()
    assert "AbC_dEf" not in line
    assert "opaque" not in line
    told = json.loads(line)
    assert (told["message"], told["account"]) == ("bad\nnews sk-ant-…", "sk-ant-…")
    assert told["error"].startswith("Traceback (most recent call last):\n")
    assert told["error"].endswith('ValueError: {"accessToken": "…", "t": "sk-ant-…"}')


@pytest.mark.parametrize("text", ["", "a\r\x1b[31m\x9b\u2028b", "\ud800", "💥"])
def test_whatever_is_said_is_one_line_of_ascii_json(text: str) -> None:
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s", (text,), None)
    line = JsonLines().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == text


def test_the_journal_gets_priorities_on_every_line_and_no_second_instant(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w+") as stream:
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        logs.configure("DEBUG", stream=stream, environ=environ)
        log = logging.getLogger("x")
        log.debug("d")
        log.info("i\n<0>forged")
        log.warning("w")
        try:
            raise ValueError("two\nlines")
        except ValueError:
            log.exception("e")
        log.critical("c")
        written()
        stream.seek(0)
        lines = stream.read().splitlines()
    assert lines[:4] == ["<7>x: d", "<6>x: i\\n<0>forged", "<4>x: w", "<3>x: e"]
    assert lines[4] == "<3>Traceback (most recent call last):"
    assert lines[-3:] == ["<3>ValueError: two", "<3>lines", "<2>x: c"]


@pytest.mark.parametrize("environ", [{}, {"JOURNAL_STREAM": "1:2"}, {"JOURNAL_STREAM": ""}])
def test_a_stream_that_is_not_the_journal_gets_plain_lines(environ: dict[str, str]) -> None:
    out = Read()
    logs.configure("INFO", stream=out, environ=environ)
    logging.getLogger("x").info("m")
    assert re.fullmatch(LINE + "INFO x: m\n", out.getvalue())


def test_a_log_beside_the_journal_keeps_its_instants(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "other").open("w+") as other:
        status = os.fstat(journal.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        logs.configure("INFO", stream=other, environ=environ)
        logging.getLogger("x").info("m")
        written()
        other.seek(0)
        assert re.fullmatch(LINE + "INFO x: m\n", other.read())


def test_serve_logs_json_where_it_is_asked_to(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[api]\nurl = "http://127.0.0.1:9"\n[[accounts]]\nname = "a"\n')
    argv = [sys.executable, "-m", "monitor", "serve", "--listen", "off", "--no-notify"]
    argv += ["--log-format", "json", "--config", str(file)]
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path)}
    env |= {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) as serving:
        limit = threading.Timer(20, serving.kill)
        limit.start()
        assert serving.stderr is not None
        told = [json.loads(line) for line in lines_until(serving.stderr, '"account"')]
        serving.terminate()
        serving.communicate()
        limit.cancel()
    assert told[-1]["account"] == "a"
    assert told[-1]["message"].startswith("a: credentials")


def lines_until(stream: IO[str], text: str) -> Iterator[str]:
    for line in stream:
        yield line
        if text in line:
            return


def test_what_repeats_itself_is_left_out_and_counted(stream: io.StringIO) -> None:
    times = iter([*range(30), 31.0, 70.0])
    (handler,) = [h for h in logging.getLogger().handlers if h.filters]
    handler.filters[:] = [logs.RepeatLimit(lambda: next(times))]
    for number in range(30):
        logging.getLogger("asyncio").error("out of %s", "descriptors")
        assert stream.getvalue().count("out of descriptors") == min(number + 1, 10)
    logging.getLogger("asyncio").error("out of %s", "patience")
    logging.getLogger("asyncio").error("out of %s", "descriptors")
    *_, other, last = stream.getvalue().splitlines()
    assert other.endswith("out of patience")
    assert last.endswith("out of descriptors (20 more were left out)")


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting_and_lost_lines_are_counted() -> None:
    program = """
import logging, sys
from monitor.system import logs
logs.configure("INFO")
for number in range(20_000):
    logging.getLogger("x").info("line %d %s", number, "y" * 100)
print("done", flush=True)
if sys.stdin.readline():
    for _ in range(20):
        logging.getLogger().handlers[0].flush()
    logging.getLogger("x").info("the last")
"""
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        _, told = process.communicate("go on\n", timeout=20)
    assert re.search(r"WARNING monitor\.system\.logs: \d{4,5} log lines were dropped", told)
    assert told.endswith("INFO x: the last\n")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as stuck:
        assert stuck.stdin is not None
        stuck.stdin.close()
        assert stuck.wait(20) == 0
