"""`monitor status`, `next`, `guard` and `run`: by the running monitor, else by what was saved last or after one poll.

Light on purpose: what polls is imported only where a poll is needed.
"""

import json
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

from exporters.template import DEFAULT, parse_format
from monitor import fast_path
from monitor.app.cached_state import find_login, read_cached, restore_state
from monitor.app.queries import answer_query, render_watched
from monitor.core import commands
from monitor.core.commands import Reply, StateQuery, Status, decode_request
from monitor.core.errors import NoFolderError, SettingsError, TrackerError
from monitor.core.events import LoginSeen
from monitor.core.sanitize import clean
from monitor.core.schedule import is_in_turn
from monitor.core.state import State
from monitor.core.update import update
from monitor.credentials.account_cache import AccountCache
from monitor.ipc.lock import Lock, holder
from monitor.paths import config_path, instance, instance_key
from monitor.settings import Settings, load, state_db
from monitor.storage.cache import true_now
from monitor.system import logs
from monitor.system.files import write_whole
from monitor.system.stdio import can_move_cursor
from monitor.terminal.text import clip, width

if TYPE_CHECKING:  # they bring what polls, and asyncio
    from asyncio import Future

    from monitor.app.app import App

STARTING_SECS: Final = 5.0
"""A monitor that has the lock may take so long until it answers."""

LOOK_SECS: Final = 0.1

WATCH_SECS: Final = 1.0
"""Between two looks for a monitor that runs, and for saved figures that have changed."""

QUIET_SECS: Final = 15
"""Between two documents that differ only in their time, as of a running monitor."""

OVERRIDES: Final = (
    "CLAUDE_SECURESTORAGE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
)
"""The variables by which Claude Code would use another login than that of its folder."""


class Saved(NamedTuple):
    """The saved state; `knows_login` is false where it may not say which account Claude Code would use now."""

    state: State
    knows_login: bool

    def state_for(self, query: StateQuery) -> State:
        """Return the state; for a query of the current account, without an active one where that may be wrong."""
        match query:
            case commands.Status(account=commands.CURRENT) | commands.Guard(account=None):
                return self.state if self.knows_login else replace(self.state, active=-1)
        return self.state

    def is_newest(self, at: datetime) -> bool:
        """Return whether a poll would bring nothing, since no account is due.

        False where the API may not be asked: Claude Code's own files may have newer figures at any time.
        """
        policy = self.state.policy
        accounts = self.state.accounts.values()
        in_turn = any(is_in_turn(account, at, policy.interval) for account in accounts)
        return self.knows_login and policy.polls and not in_turn

    def is_fresh(self, at: datetime) -> bool:
        """Return whether the figures are new enough to answer without a poll."""
        interval = self.state.policy.interval
        accounts = self.state.accounts.values()
        fresh = all(account.values_are_fresh(at, interval) for account in accounts)
        return self.knows_login and (fresh or self.is_newest(at))


def status(arguments: Namespace) -> int:
    """Print the figures of all accounts, once or (`--watch`) whenever they change."""
    if arguments.textfile and arguments.watch:
        raise SettingsError("--textfile writes once: not with --watch")
    if arguments.watch:
        return _watch(arguments)
    if arguments.textfile:
        return _write_textfile(arguments)
    return fast_path.write(*answer_locally(arguments))


def answer(arguments: Namespace) -> tuple[int, str]:
    """Return the exit code and the text that the running monitor answers, else what `answer_locally` does."""
    return fast_path.leader_reply(arguments) or answer_locally(arguments)


def _write_textfile(arguments: Namespace) -> int:
    """Replace the file in one step. It is as readable as the umask allows, since another program reads it."""
    code, text = answer(arguments)
    if code:
        return fast_path.write(code, text)
    mask = os.umask(0o077)
    os.umask(mask)
    try:
        write_whole(Path(arguments.textfile), text.encode(), 0o666 & ~mask)
    except OSError as error:
        raise TrackerError(f"cannot write {arguments.textfile}: {error.strerror}") from error
    return 0


def _watch(arguments: Namespace) -> int:
    """Print lines for ever, also across restarts of the monitor: while none runs, those of the saved state."""
    if arguments.demo:
        raise SettingsError("--watch follows a running monitor: not with --demo")
    parse_format(arguments.format or DEFAULT)  # a wrong one fails now
    last: dict[TextIO, str] = {}

    def write(file: TextIO, text: str) -> None:
        """Write the text, unless it is what was written there last."""
        if last.get(file) != text:
            last[file] = text
            file.write(text)
            file.flush()

    if fast_path.is_silent(arguments):
        write(sys.stdout, _saved_lines(arguments))  # rather than wait for it once more
    while True:
        if problem := fast_path.stream_lines(arguments):
            write(sys.stderr, f"monitor: {problem}\n")
        write(sys.stdout, _saved_lines(arguments))
        time.sleep(WATCH_SECS)


def _saved_lines(arguments: Namespace) -> str:
    query = query_of(arguments)
    assert isinstance(query, Status)  # noqa: S101 - it is that of `status`
    state, at = load_saved(arguments).state_for(query), now()
    if query.form == "json":  # a document holds its own time, which is no news
        at = at.replace(second=at.second - at.second % QUIET_SECS, microsecond=0)
    return render_watched(state, at, query)


def next(arguments: Namespace) -> int:
    """Print the account to use now, and why."""
    return fast_path.write(*answer_locally(arguments))


def guard(arguments: Namespace) -> int:
    """Exit with 0 below, 4 at or above, 5 where that cannot be known now: by saved figures, as no monitor runs."""
    query = query_of(arguments)
    state = load_saved(arguments).state_for(query)
    if arguments.need is not None:
        state = with_forecasts(state, settings_of(arguments))
    return fast_path.write(*answer_query(state, now(), query))


def run(arguments: Namespace) -> int:
    """Become the command, as the account to use now or a named one. Returns only where it is not run: 4 where the
    account has no room. Raises TrackerError.

    Claude Code finds its login by its folder, so the folder is all that the command is given; a token is not.
    """
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise SettingsError("no command to run: `monitor run -- claude`")
    code, text = answer(arguments)
    if code:
        return fast_path.write(code, text)
    place = json.loads(text)
    left_out = [name for name in OVERRIDES if name in os.environ]
    if left_out:
        fast_path.note(f"left out {' and '.join(left_out)}: Claude Code would use that login")
    if sys.stderr.isatty():
        fast_path.note(f"using {clean(place['account'])}")
    environ = environment(os.environ, place["config_dir"])
    for name in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and the command inherits
        signal.signal(name, signal.SIG_DFL)
    try:
        os.execvpe(words[0], words, environ)  # noqa: S606 - the user's own command, without a shell
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise TrackerError(f"cannot run {clean(words[0])!r}: {why}") from None


def environment(environ: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return the environment in which Claude Code uses the login of this folder.

    "" is its default folder, for which the variable has to be unset: naming that folder leads to another login.
    """
    kept = {n: v for n, v in environ.items() if n not in (*OVERRIDES, "CLAUDE_CONFIG_DIR")}
    return {**kept, "CLAUDE_CONFIG_DIR": folder} if folder else kept


def settings_of(arguments: Namespace) -> Settings:
    """Read the settings that the arguments and the environment name. Raises SettingsError."""
    return load(Path(config_path(os.environ, arguments.config)))


def query_of(arguments: Namespace) -> StateQuery:
    """Make the query of `status`, `next`, `guard` or `run`."""
    query = decode_request(fast_path.request_of(arguments))
    assert isinstance(query, StateQuery)  # noqa: S101 - the commands have no others
    return query


def now() -> datetime:
    return true_now(state_db(os.environ))


def answer_locally(arguments: Namespace) -> tuple[int, str]:
    """Answer by what was saved, if that is enough, else by what one poll brings. Raises TrackerError."""
    query = query_of(arguments)
    if arguments.demo:
        return _poll_and_answer(arguments, query)
    at, found = now(), load_saved(arguments)
    state = found.state_for(query)
    reply = answer_query(state, at, query)  # raises what is wrong with the query, before a poll
    is_enough = found.is_newest(at) if isinstance(query, Status) else found.is_fresh(at)
    if not is_enough and (polled := _after_poll(arguments, query)):
        return polled
    ahead = with_forecasts(state, settings_of(arguments))
    return reply if ahead is state else answer_query(ahead, now(), query)


def with_forecasts(state: State, settings: Settings) -> State:
    """Return the saved state with the forecasts that are missing in it: a command that polled may have made none."""
    if not any(account.forecast_is_due for account in state.accounts.values()):
        return state
    import asyncio

    from monitor.app.forecaster import look_ahead
    from monitor.app.past_samples import History
    from monitor.storage.db import StateFile
    from monitor.storage.recorder import Database
    from monitor.store import Store
    from monitor.system.clock import ServerClock

    path, clock, store = state_db(os.environ), ServerClock(), Store(state)
    clock.offset = now() - clock.machine.now()

    async def forecast() -> State:
        database = Database(StateFile(path))
        try:
            settings_key = instance_key(os.environ, settings.path)
            await look_ahead(store, clock, History(database, settings_key, lambda *_: ()))
        finally:
            await database.close()
        return store.state

    return asyncio.run(forecast())


def _after_poll(arguments: Namespace, query: StateQuery) -> tuple[int, str] | None:
    """Poll once and answer, holding the lock; if a monitor starts meanwhile, return its answer instead.

    None where a monitor has the lock and does not answer: it may be stopped, and no other process polls in its place.
    """
    lock = Lock(instance(os.environ, config_path(os.environ, arguments.config))[0])
    deadline = time.monotonic() + STARTING_SECS
    while not _acquire(lock):
        reply = fast_path.leader_reply(arguments)
        if reply is not None or fast_path.is_silent(arguments):
            return reply
        if time.monotonic() > deadline:
            who = f"monitor (pid {holder(lock.path)})"
            fast_path.note(
                f"{who} is running and does not answer: these are the last saved figures"
            )
            return None
        time.sleep(LOOK_SECS)
    try:
        return _poll_and_answer(arguments, query)
    finally:
        lock.release()


def _acquire(lock: Lock) -> bool:
    """Acquire the lock; False where a monitor has it. True, too, where no lock file can be made."""
    try:
        return lock.acquire()
    except NoFolderError:
        return True


def _poll_and_answer(arguments: Namespace, query: StateQuery) -> Reply:
    import asyncio

    from monitor.app.wiring import build, build_demo

    logs.configure("ERROR")

    async def work() -> Reply:
        async with build_demo() if arguments.demo else build(settings_of(arguments)) as app:
            async with asyncio.TaskGroup() as group:
                polls = group.create_task(_poll(app))
                if isinstance(query, Status) and query.form == "table" and can_move_cursor():
                    await _show_rows(app, polls, query)
            return answer_query(app.store.state, app.clock.now(), query)

    return asyncio.run(work())


async def _poll(app: "App") -> None:
    from monitor.app.forecaster import look_ahead

    await app.poll_once()
    await look_ahead(app.store, app.clock, app.persistence.history)


async def _show_rows(app: "App", polls: "Future[None]", query: Status) -> None:
    """Redraw the table in place as polls end, above a line that names the accounts still waited for."""
    import shutil

    from monitor.system.aio import wait_for_either

    size, drawn = shutil.get_terminal_size(), 0
    while not polls.done():
        state, at = app.store.state, app.clock.now()
        waiting = [
            clean(account.account.title)
            for account in state.accounts.values()
            if account.polling or is_in_turn(account, at, state.policy.interval)
        ]
        lines = answer_query(state, at, query).text.splitlines()[: max(size.lines - 2, 0)]
        lines.append(waiting_line(waiting, len(state.accounts), size.columns))
        sys.stdout.write(f"{_erase(drawn)}{chr(10).join(lines)}\n")
        sys.stdout.flush()
        drawn = len(lines)
        await wait_for_either(polls, app.store.wait_for_change())
    sys.stdout.write(_erase(drawn))


def _erase(lines: int) -> str:
    """Return the sequence that erases the last lines of a terminal."""
    return f"\x1b[{lines}A\x1b[J" if lines else ""


def waiting_line(waiting: Sequence[str], count: int, columns: int) -> str:
    """Return a line that names as many of the waiting accounts as fit, and how many of `count` have been polled."""
    come = f" ({count - len(waiting)} of {count} polled)" if waiting else ""
    for shown in range(len(waiting), -1, -1):
        more = len(waiting) - shown
        names = [*waiting[:shown], *([f"{more} more"] if more and shown else [])]
        others = "the API" if waiting else "the forecasts"
        words = f"waiting for {', '.join(names) or others}{come}"
        if width(words) < columns:
            return words
    return clip("waiting …", columns - 1)


def load_saved(arguments: Namespace) -> Saved:
    """Load the saved state of the settings' accounts. Raises SettingsError."""
    settings = settings_of(arguments)
    logs.configure("ERROR")
    at = now()
    known = read_cached(settings)
    state = restore_state(settings, known.accounts, at)
    login = find_login(state, AccountCache(known.facts), at)
    state, _ = update(state, LoginSeen(at, login.account))
    return Saved(state, login.known)
