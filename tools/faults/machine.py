"""What may happen to the process, its files, its terminal, its bus and its port."""

import fcntl
import json
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from monitor.core.commands import Reload, encode_request
from monitor.ipc.client import ask
from tests.end_to_end.test_flood import flood
from tests.storage.factories import HOLD_DATABASE, HOLD_FOLDER, held
from tools.faults.world import ACCOUNTS, Fault, Inject, World

STOPPED_SECS: Final = 4.0
LOCKED_SECS: Final = 8.0
CONNECTIONS: Final = 200


@contextmanager
def _killed(world: World) -> Iterator[None]:
    world.stop()
    world.serve()
    yield


@contextmanager
def _ended(world: World) -> Iterator[None]:
    world.stop(signal.SIGTERM)
    world.serve()
    yield


@contextmanager
def _killed_in_a_poll(world: World) -> Iterator[None]:
    from tools.faults.api import answering

    with answering(200, b"{}", delay=5)(world):
        asked = len(world.many.api.requests_of(world.first.email))
        world.until(lambda: len(world.many.api.requests_of(world.first.email)) > asked, 30)
        world.stop()
    world.serve()
    yield


@contextmanager
def _stopped(world: World) -> Iterator[None]:
    world.service.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED_SECS)
    world.service.send_signal(signal.SIGCONT)
    yield


@contextmanager
def _two(world: World) -> Iterator[None]:
    """A second one waits, and takes over from the first, which is killed."""
    leader = world.service
    world.serve()
    time.sleep(1)
    leader.kill()
    leader.wait()
    yield


@contextmanager
def _started_twice(world: World) -> Iterator[None]:
    world.stop()
    world.serve()
    world.serve()
    yield
    for each in world.many.services[:-1]:
        each.kill()
        each.wait()


def _damaged(damage: Callable[[Path], None]) -> Inject:
    """The monitor is killed, its database damaged, and another one started."""

    @contextmanager
    def inject(world: World) -> Iterator[None]:
        world.stop()
        for beside in world.database.parent.glob("state.db-*"):
            beside.unlink()
        damage(world.database)
        world.serve()
        yield

    return inject


def known(world: World) -> bool:
    """All accounts have been polled since."""
    return len(world.figures()) == ACCOUNTS


def _flip(place: float) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        chance = random.Random(place)
        for _ in range(200):
            at = min(int(len(content) * place) + chance.randrange(4096), len(content) - 1)
            content[at] ^= 1 << chance.randrange(8)
        file.write_bytes(content)

    return damage


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 - 100)


def _nothing(file: Path) -> None:
    file.write_bytes(b"")


def _foreign(file: Path) -> None:
    file.write_bytes(b"PK\x03\x04" + b"no database" * 1000)


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _of_later(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()


@contextmanager
def _database_gone(world: World) -> Iterator[None]:
    for file in world.database.parent.glob("state.db*"):
        file.unlink()
    yield


@contextmanager
def _database_locked(world: World) -> Iterator[None]:
    with held(world.database, HOLD_DATABASE):
        time.sleep(LOCKED_SECS)
    yield


@contextmanager
def _settings_locked(world: World) -> Iterator[None]:
    with held(world.many.settings, HOLD_FOLDER):
        time.sleep(LOCKED_SECS)
    yield


def _limited(limit: int, most: int) -> Inject:
    """The process may not have more than that, as on a full disk, or with too many files open."""

    @contextmanager
    def inject(world: World) -> Iterator[None]:
        pid = world.service.pid
        before = resource.prlimit(pid, limit)
        resource.prlimit(pid, limit, (most, before[1]))
        time.sleep(STOPPED_SECS)
        yield
        resource.prlimit(pid, limit, before)

    return inject


def _reloaded(damage: Callable[[Path], object]) -> Inject:
    """The settings are damaged and read again; what was in force stays."""

    @contextmanager
    def inject(world: World) -> Iterator[None]:
        settings = world.many.settings
        kept = settings.read_bytes()
        damage(settings)
        reply = ask(world.many.socket, encode_request(Reload()), 15)
        assert reply is not None and reply[0] != 0, f"the reload was not refused: {reply}"
        yield
        with suppress(FileNotFoundError):
            settings.unlink()
        settings.write_bytes(kept)
        reply = ask(world.many.socket, encode_request(Reload()), 15)
        assert reply is not None and reply[0] == 0, f"the reload failed: {reply}"

    return inject


def _login(damage: Callable[[Path], object]) -> Inject:
    """The first account's login is damaged for a while."""

    @contextmanager
    def inject(world: World) -> Iterator[None]:
        file = world.many.home / ".claude-0" / ".credentials.json"
        kept = file.read_bytes()
        damage(file)
        yield
        with suppress(FileNotFoundError):
            file.unlink()
        file.write_bytes(kept)

    return inject


def _with_bom(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())


def _cannot_read(world: World) -> bool:
    return world.reason() in ("credentials", "auth")


@contextmanager
def _half_sent(world: World) -> Iterator[None]:
    with flood(world.many.port, CONNECTIONS):
        time.sleep(3)
        yield


@contextmanager
def _unread(world: World) -> Iterator[None]:
    """Connections that ask for the page, and read nothing of it."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", world.many.port), 5))
            one.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        time.sleep(3)
        yield


def _sent(address: Callable[[World], tuple[int, Any]], data: bytes) -> Inject:
    """Bytes that are no request, on fifty connections."""

    @contextmanager
    def inject(world: World) -> Iterator[None]:
        family, place = address(world)
        for _ in range(50):
            with socket.socket(family) as one, suppress(OSError):
                one.settimeout(2)
                one.connect(place)
                one.sendall(data)
                one.recv(1)
        yield

    return inject


def _port(world: World) -> tuple[int, Any]:
    return socket.AF_INET, ("127.0.0.1", world.many.port)


def _socket(world: World) -> tuple[int, Any]:
    return socket.AF_UNIX, world.many.socket


def _configured(old: str, new: str) -> Inject:
    """The settings name another API for a while."""

    @contextmanager
    def inject(world: World) -> Iterator[None]:
        settings = world.many.settings
        kept = settings.read_text()
        settings.write_text(kept.replace(old or world.many.api.url, new))
        ask(world.many.socket, encode_request(Reload()), 15)
        yield
        settings.write_text(kept)
        ask(world.many.socket, encode_request(Reload()), 15)

    return inject


@contextmanager
def _silent_log(world: World) -> Iterator[None]:
    """The monitor is started anew, at its most talkative, with nobody to read its log."""
    world.stop(signal.SIGTERM)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    argv = [sys.executable, "-m", "monitor", "serve", "--log-level", "debug"]
    process = subprocess.Popen(argv, env=world.many.env, stdin=subprocess.DEVNULL, stderr=writing)
    world.many.services.append(process)
    os.close(writing)
    yield
    os.close(reading)


@contextmanager
def _hung_up(world: World) -> Iterator[None]:
    """A table leads; its terminal goes away, and the service takes over."""
    world.stop(signal.SIGTERM)
    table = world.many.table()
    table.wait_for("user-0@example.com")
    world.serve()
    table.close()
    yield


@contextmanager
def _stalled_terminal(world: World) -> Iterator[None]:
    table = world.many.table()
    table.wait_for("user-0@example.com")
    table.keys("\x13")
    yield
    table.keys("\x11")
    table.keys("q")
    world.many.tables.remove(table)
    table.close()


@contextmanager
def _many_commands(world: World) -> Iterator[None]:
    argv = [sys.executable, "-m", "monitor", "status"]
    asking = [
        subprocess.Popen(argv, env=world.many.env, stdout=subprocess.DEVNULL) for _ in range(12)
    ]
    assert [each.wait(60) for each in asking] == [0] * len(asking)
    yield


def _told_also(channel: str) -> Callable[[World], None]:
    def starts(world: World) -> None:
        settings = world.many.settings
        text = settings.read_text()
        settings.write_text(
            text.replace('channels = ["command"]', f'channels = ["command", "{channel}"]', 1)
        )

    return starts


def _on_a_bus(kind: str) -> Callable[[World], None]:
    """A session bus that is not there, or one that takes connections and answers nothing."""

    def starts(world: World) -> None:
        place = world.many.runtime / "dead-bus"
        _told_also("desktop")(world)
        world.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={place}"
        if kind == "silent":
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(place))
            listening.listen(100)
            _LISTENING.append(listening)

    return starts


_LISTENING: Final[list[socket.socket]] = []
"""They live as long as this program does."""


def _with_a_keyring_account(kind: str) -> Callable[[World], None]:
    """The settings have one more account, whose token is in a keyring that cannot be had."""

    def starts(world: World) -> None:
        _on_a_bus(kind)(world)
        with world.many.settings.open("a") as settings:
            settings.write(
                '[[accounts]]\nname = "kept@example.com"\norg_id = "org-kept"\n'
                'auth_method = "oauth"\nstorage = "keyring"\n'
            )

    return starts


@contextmanager
def _as_it_is(_: World) -> Iterator[None]:
    """The fault was there from the start."""
    yield


@contextmanager
def _lock_gone(world: World) -> Iterator[None]:
    Path(world.many.lock).unlink()
    yield


@contextmanager
def _runtime_gone(world: World) -> Iterator[None]:
    """As at a logout: lock and socket are deleted with their folder; the program makes them anew."""
    for entry in world.many.runtime.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    yield


HALF: Final = b'{"claudeAiOauth": {"accessTok'

FAULTS: Final = (
    Fault("process", "killed", "SIGKILL, and started again", "figures as before", _killed),
    Fault("process", "killed while it polls", "SIGKILL within a request", "figures as before", _killed_in_a_poll),
    Fault("process", "ended", "SIGTERM, and started again", "figures as before", _ended),
    Fault("process", "stopped for a while", "SIGSTOP and SIGCONT", "figures as before", _stopped, still=True),
    Fault("process", "killed while another waits", "SIGKILL of the leader", "the other takes over", _two),
    Fault("process", "started twice at once", "two `monitor serve`", "one leads", _started_twice),
    Fault("load", "a dozen commands at once", "`monitor status`", "each is answered", _many_commands),
    Fault("host", "no network", "nothing listens at the API's port", "`connection`",
          _configured("", "http://127.0.0.1:1"), lambda world: world.reason() == "connection"),
    Fault("host", "no such host", "the settings name one that does not exist", "`connection`",
          _configured("", "https://nowhere.invalid"), lambda world: world.reason() == "connection"),
    Fault("host", "another protocol", "https at a port of http", "a failure",
          _configured("http://127", "https://127"), lambda world: world.reason() is not None),
    Fault("host", "no room for files", "no file of the process may grow", "figures as before",
          _limited(resource.RLIMIT_FSIZE, 0)),
    Fault("host", "no descriptors", "16 are allowed", "figures as before",
          _limited(resource.RLIMIT_NOFILE, 16), still=True),
    Fault("D-Bus", "no bus", "an address where nothing listens", "other channels send",
          _as_it_is, starts=_on_a_bus("none")),
    Fault("D-Bus", "a bus that does not answer", "it accepts, and is silent", "other channels send",
          _as_it_is, starts=_on_a_bus("silent")),
    Fault("keyring", "no keyring", "one more account, kept in it", "the others are polled",
          _as_it_is, starts=_with_a_keyring_account("none")),
    Fault("keyring", "a keyring that does not answer", "one more account, kept in it", "the others are polled",
          _as_it_is, starts=_with_a_keyring_account("silent")),
    Fault("terminal", "a terminal that goes away", "the table that leads loses it", "a service takes over", _hung_up),
    Fault("terminal", "a terminal that stands still", "Ctrl-S in an attached table", "figures as before",
          _stalled_terminal),
    Fault("terminal", "a log that is not read", "a full pipe as standard error", "figures as before", _silent_log),
    Fault("files", "a database cut in half", "truncated", "set aside", _damaged(_cut), known),
    Fault("files", "an empty database", "no bytes", "begun again", _damaged(_nothing), known),
    Fault("files", "a foreign file as database", "a ZIP file", "set aside", _damaged(_foreign), known),
    Fault("files", "a database of a later version", "another `user_version`", "set aside", _damaged(_of_later), known),
    Fault("files", "a pipe as database", "a FIFO", "figures come back", _damaged(_pipe), known),
    Fault("files", "a folder as database", "a folder", "figures come back", _damaged(_folder), known),
    *(Fault("files", f"flipped bits {where} the database", "200 bits within 4 KiB", "set aside, or read",
            _damaged(_flip(place)), known)
      for where, place in (("at the start of", 0.0), ("in the first half of", 0.3), ("in the second half of", 0.7))),
    Fault("files", "the database is deleted", "while the monitor runs", "figures as before", _database_gone),
    Fault("files", "the database is locked", "for 8 s, by another process", "figures as before", _database_locked),
    Fault("files", "the settings' folder is locked", "for 8 s, by another process", "figures as before",
          _settings_locked),
    Fault("files", "settings that are gone", "deleted, and a reload", "refused", _reloaded(Path.unlink)),
    Fault("files", "settings that are no TOML", "a reload", "refused",
          _reloaded(lambda file: file.write_text("[settings\n"))),
    Fault("files", "settings that are no text", "a reload", "refused",
          _reloaded(lambda file: file.write_bytes(b"\xff\xfe"))),
    Fault("files", "a pipe as settings", "a FIFO, and a reload", "refused", _reloaded(_pipe)),
    Fault("files", "a login that is gone", "deleted", "`credentials`", _login(Path.unlink), _cannot_read),
    Fault("files", "a login that is half-written", "cut off", "`credentials`",
          _login(lambda file: file.write_bytes(HALF)), _cannot_read),
    Fault("files", "a pipe as login", "a FIFO", "`credentials`", _login(_pipe), _cannot_read),
    Fault("files", "a login with a byte order mark", "three bytes before it", "figures as before", _login(_with_bom)),
    Fault("files", "a login of numbers", "valid JSON that is none", "`credentials`",
          _login(lambda file: file.write_text(json.dumps({"claudeAiOauth": 7}))), _cannot_read),
    Fault("local attackers", "connections that send one letter", f"{CONNECTIONS} of them", "figures as before",
          _half_sent),
    Fault("local attackers", "connections that read nothing", f"{CONNECTIONS} of them", "figures as before", _unread),
    Fault("local attackers", "no HTTP on the metrics' port", "random bytes", "figures as before",
          _sent(_port, random.Random(1).randbytes(5000))),
    Fault("local attackers", "a head without end", "64 KiB of header", "figures as before",
          _sent(_port, b"GET / HTTP/1.1\r\nX: " + b"x" * 65536)),
    Fault("local attackers", "no request on the socket", "random bytes", "figures as before",
          _sent(_socket, random.Random(2).randbytes(5000))),
    Fault("local attackers", "a request without end on the socket", "64 KiB of one line", "figures as before",
          _sent(_socket, b'{"type": "' + b"x" * 65536)),
    Fault("local attackers", "the lock is deleted", "its file", "figures as before", _lock_gone),
)  # fmt: skip
