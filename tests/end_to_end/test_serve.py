"""A user's processes from start to end: what the service says, survives and hands over; see `crowd`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest

from monitor.demo.server import Fault, rate_limited
from monitor.ipc.client import ask, stream
from monitor.ipc.lock import Lock
from monitor.paths import state_folder
from monitor.settings import state_db
from monitor.storage.db import list_set_aside
from tests.end_to_end.crowd import Crowd, crowd
from tests.end_to_end.world import MONITOR, canary, free_port
from tests.real.bus import wait_until
from tests.real.pty import Terminal
from tests.real.secret_service import secret_service

ENDED_SECS = 2.0  # a second, and as much again for a machine with other work
TAKEN_OVER_SECS = 2.0


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Crowd]:
    with crowd(tmp_path, accounts=2) as found:
        yield found


def written(many: Crowd, log: str = "serve.log") -> str:
    return (many.home / log).read_text()


def document(many: Crowd) -> dict[str, Any]:
    """What `monitor status --json` says of each account, by name."""
    done = many.run("status", "--json")
    assert done.returncode == 0, done.stderr
    return {account["name"]: account for account in json.loads(done.stdout)["accounts"]}


def asked(many: Crowd) -> list[int]:
    """How often each account's usage was asked for."""
    return [len(many.api.requests_of(account.email)) for account in many.api.accounts]


def ended_within(process: "subprocess.Popen[bytes]") -> float:
    """The seconds from SIGTERM to the end, which must be a good one."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    return time.monotonic() - began


def metrics(port: int, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


# The service manager


class Manager:
    """Hears what a service says to systemd."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._heard: SimpleQueue[str] = SimpleQueue()
        self._thread = Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while said := self._socket.recv(4096).decode():
            self._heard.put(said)

    def hear(self, notice: str) -> None:
        """Wait for this notice, the next of its kind."""
        while not self._heard.get(timeout=15).startswith(notice):
            pass

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as us:
            us.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()


@contextmanager
def manager(folder: Path) -> Iterator[Manager]:
    made = Manager(folder)
    try:
        yield made
    finally:
        made.close()


def test_a_service_is_ready_reloads_and_stops_soon_whoever_hangs_on_it(
    many: Crowd,
) -> None:
    hanging = many.api.accounts[1]
    hanging.fault = lambda _: Fault(delay=60)
    settings = many.settings.read_text()
    with manager(many.home) as told:
        service = many.serve(NOTIFY_SOCKET=told.address, WATCHDOG_USEC="200000")
        told.hear("STATUS=polls 2 accounts, every 30 s")
        told.hear("READY=1")
        told.hear("WATCHDOG=1")

        many.settings.write_text(settings.replace("= 30", "= 60"))
        done = many.run("reload")
        assert (done.returncode, done.stdout) == (0, "settings reloaded: 2 accounts, every 60 s\n")
        told.hear("RELOADING=1\nMONOTONIC_USEC=")
        told.hear("STATUS=polls 2 accounts, every 60 s")
        told.hear("READY=1")
        many.settings.write_text(settings)
        service.send_signal(signal.SIGHUP)
        told.hear("STATUS=polls 2 accounts, every 30 s")

        many.settings.write_text(settings.replace("poll_interval_secs = 30", "poll_intervall = 30"))
        done = many.run("reload")
        assert done.returncode == 2
        assert f"{many.settings}:2: " in done.stderr
        service.send_signal(signal.SIGHUP)
        wait_until(
            lambda: "reload failed, nothing changed" in written(many), "the refusal in the log"
        )
        assert f"reload failed, nothing changed: {many.settings}:2: " in written(many)
        assert json.loads(many.run("status", "--json").stdout)["poll_interval_secs"] == 30

        wait_until(lambda: asked(many)[1], "the poll that hangs")
        streams = [stream(many.socket, {"type": "WatchState"}) for _ in range(20)]
        assert all(next(one) for one in streams if one is not None)
        assert ended_within(service) <= ENDED_SECS
        told.hear("STOPPING=1")
    assert written(many).rstrip().endswith("stopped")
    assert not Path(many.socket).exists()
    assert Lock(many.lock).acquire()
    assert asked(many) == [1, 1]


AS_SYSTEMD = """
import os, sys
for place, number in enumerate(map(int, sys.argv[1].split(","))):
    os.dup2(number, 3 + place)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.execv(sys.executable, [sys.executable, "-m", "monitor", "serve"])
"""


def test_sockets_that_the_manager_opened_are_served_on_and_guarded_as_any_other(
    many: Crowd,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        Path(many.socket).parent.mkdir(mode=0o700)
        unix.bind(many.socket)
        unix.listen()
        above = [os.dup2(one.fileno(), 100 + place) for place, one in enumerate((tcp, unix))]
        argv = [sys.executable, "-c", AS_SYSTEMD, ",".join(map(str, above))]
        with (many.home / "serve.log").open("ab") as log:
            service = subprocess.Popen(argv, env=many.env, stderr=log, pass_fds=above)
        many.services.append(service)
        for number in above:
            os.close(number)
        port = tcp.getsockname()[1]
        assert port != many.port
        wait_until(lambda: all(asked(many)), "the first polls")
        assert set(document(many)) == {a.email for a in many.api.accounts}

        assert metrics(port)[0] == 200
        assert metrics(port, Host="evil.example")[0] == 421
        assert metrics(port, Origin="https://evil.example")[0] == 403
        with socket.socket(socket.AF_UNIX) as page:
            page.settimeout(10)
            page.connect(many.socket)
            page.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert page.recv(1) == b""

        assert ended_within(service) <= ENDED_SECS
        assert Path(many.socket).is_socket()  # it is the manager's


def test_a_service_that_is_interrupted_says_so_by_its_exit_code(many: Crowd) -> None:
    service = many.serve()
    many.wait_for_leader()
    service.send_signal(signal.SIGINT)
    assert service.wait(10) == 130
    assert written(many).rstrip().endswith("stopped")


# Started where little works


def test_a_service_starts_without_keyring_bus_network_port_and_state_folder_and_stays(
    many: Crowd,
) -> None:
    many.settings.write_text(
        many.settings.read_text().replace(many.api.url, f"http://127.0.0.1:{free_port()}")
        + '[[accounts]]\nname = "web"\norg_id = "org-9"\nauth_method = "session_key"\n'
    )
    state = Path(state_folder(many.env))
    state.parent.mkdir(parents=True)
    state.write_text("no folder")
    with socket.create_server(("127.0.0.1", many.port)):
        service = many.serve()
        many.wait_for_leader()
        wait_until(lambda: all(a["failure"] for a in document(many).values()), "three failures")
        details = [account["failure"]["detail"] for account in document(many).values()]
        unknown = "it cannot be asked now whose the new login is"
        assert all(detail.startswith(unknown) for detail in details[:2])
        assert "keyring" in details[2]
        assert "the port is in use by another program" in written(many)
        assert "tried again until it works" in written(many)
    wait_until(lambda: serves(many.port), "the metrics", 8)
    page = metrics(many.port)[1]
    assert 'claude_usage_up{account="web"} 0.0' in page
    assert "Traceback" not in written(many)
    assert ended_within(service) <= ENDED_SECS


def serves(port: int) -> bool:
    try:
        return metrics(port)[0] == 200
    except OSError:
        return False


def test_a_damaged_state_database_is_set_aside_and_named(many: Crowd) -> None:
    state = Path(state_folder(many.env))
    state.mkdir(parents=True)
    damaged = state_db(many.env)
    damaged.write_bytes(b"\xff not what it was \x00" * 500)
    many.serve()
    wait_until(lambda: asked(many) == [1, 1], "the first polls")
    wait_until(lambda: {a["status"] for a in document(many).values()} == {"live"}, "figures")
    assert "Traceback" not in written(many)
    (aside,) = list_set_aside(damaged)
    assert aside.read_bytes().startswith(b"\xff not what it was")
    assert aside.name in written(many)


# One poller, whoever it is


def test_commands_without_a_monitor_cost_one_poll_whatever_their_number(many: Crowd) -> None:
    two = [
        subprocess.Popen([*MONITOR, "status"], env=many.env, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [one.wait(30) for one in two] == [0, 0]
    assert asked(many) == [1, 1]
    for _ in range(10):
        assert {a["status"] for a in document(many).values()} == {"live"}
    assert asked(many) == [1, 1]


def test_a_restart_shows_what_was_known_and_keeps_to_what_the_server_wants(many: Crowd) -> None:
    throttled = many.api.accounts[1]
    throttled.fault = lambda _: rate_limited("300")
    first = many.table()
    first.wait_for("10%")
    first.wait_for("Limited to")
    before = document(many)
    first.keys("q")
    assert first.wait_for_exit() == 0
    for account in many.api.accounts:
        account.fault = lambda _: Fault(delay=60)  # nobody says anything new
    service = many.serve()
    many.wait_for_leader()
    after = document(many)
    name = throttled.email
    assert after[name]["failure"] == before[name]["failure"]
    assert retry_at(after[name]) > datetime.now().astimezone()
    assert windows(after) == windows(before)
    assert windows(after)[many.api.accounts[0].email][0] == 0.1
    wait_until(lambda: serves(many.port), "the metrics")
    page = metrics(many.port)[1]
    for account in many.api.accounts:
        line = f'claude_usage_requests_last_hour{{account="{account.email}"}} 1.0'
        assert line in page
    time.sleep(1.5)  # some ticks of the poller
    assert asked(many) == [1, 1]
    assert ended_within(service) <= ENDED_SECS


def retry_at(account: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(account["failure"]["retry_at"])


def windows(accounts: dict[str, Any]) -> dict[str, list[float]]:
    return {
        name: [window["utilization"] for window in account["windows"]]
        for name, account in accounts.items()
    }


# Leaders and followers


def test_a_service_that_stands_by_takes_over_from_one_that_dies_and_from_one_that_stops(
    many: Crowd,
) -> None:
    first = many.serve("first.log")
    assert many.wait_for_leader() == first.pid
    wait_until(lambda: asked(many) == [1, 1], "the first polls")
    second = many.serve("second.log")
    wait_until(lambda: "is polling; standing by" in written(many, "second.log"), "its line")
    assert f"monitor (pid {first.pid}) is polling" in written(many, "second.log")
    table = many.table()
    table.wait_for(f"attached to monitor (pid {first.pid})")
    table.keys("j")
    table.keys("e")
    table.wait_for("Edit the account")
    table.keys("typed")

    assert many.kill_leader() <= TAKEN_OVER_SECS
    third = many.serve("third.log") if many.leader == second.pid else None
    if third is not None:
        wait_until(lambda: "is polling; standing by" in written(many, "third.log"), "its line")
        assert "took over polling" in written(many, "second.log")
        table.wait_for(f"attached to monitor (pid {second.pid})")
        began = time.monotonic()
        assert ended_within(second) <= ENDED_SECS
        wait_until(lambda: many.leader not in (None, second.pid), "another leader")
        assert time.monotonic() - began <= ENDED_SECS + TAKEN_OVER_SECS
    many.wait_for_leader()
    screen = table.wait_for("user-1@example.comtyped")
    assert "Edit the account" in screen
    assert asked(many) == [1, 1]


def test_a_table_says_which_of_its_options_have_to_wait(many: Crowd) -> None:
    service = many.serve()
    many.wait_for_leader()
    table = many.table("--listen", f"127.0.0.1:{free_port()}", "--no-notify")
    table.wait_for("; --listen and --no-notify: only in the polling process")
    service.kill()
    wait_until(lambda: many.leader == table.process.pid, "the table as leader")
    table.wait_until_gone("only in the polling process")
    assert many.table("--listen", "nowhere").wait_for_exit() == 2


def test_a_stopped_leader_is_said_to_be_silent_and_nobody_polls_in_its_place(many: Crowd) -> None:
    service = many.serve()
    many.wait_for_leader()
    wait_until(lambda: asked(many) == [1, 1], "the first polls")
    table = many.table()
    table.wait_for("attached to")
    service.send_signal(signal.SIGSTOP)
    try:
        table.wait_for(f"monitor (pid {service.pid}) does not answer", 10)
        done = many.run("status")
        assert done.returncode == 0
        assert "10%" in done.stdout
        assert "does not answer" in done.stderr
        table.keys("r")
        table.wait_for("no monitor polls at this moment")
        assert many.leader == service.pid
    finally:
        service.send_signal(signal.SIGCONT)
    table.wait_for("attached to", 10)
    assert {a["status"] for a in document(many).values()} == {"live"}
    assert asked(many) == [1, 1]


def test_what_is_typed_in_one_follower_is_done_by_the_leader_and_seen_in_the_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "keyring").mkdir()
    (tmp_path / "crowd").mkdir()
    with (
        secret_service(tmp_path / "keyring") as (bus, _),
        crowd(tmp_path / "crowd", accounts=3) as many,
    ):
        many.env["DBUS_SESSION_BUS_ADDRESS"] = bus.address
        many.settings.write_text(many.settings.read_text().replace("= 30", "= 300"))
        many.serve()
        pid = many.wait_for_leader()
        wait_until(lambda: asked(many) == [1, 1, 1], "the first polls")
        mine, other = many.table(), many.table()
        for table in (mine, other):
            table.wait_for(f"attached to monitor (pid {pid})")
            table.wait_for("user-2@example.com")
        refreshes(mine)
        adds(many, mine, other)
        uses_second(many, mine)
        mutes(mine, other)
        renames(many, mine, other)
        deletes(many, mine, other)
        wait_until(lambda: asked(many)[0] == 2, "the poll that was asked for", 20)
        mine.keys("g")
        mine.wait_for("2 of about 28 this hour")
        many.kill_leader()
        many.wait_for_leader()
        other.keys("g")
        other.wait_for("2 of about 28 this hour")
        line = f'claude_usage_requests_last_hour{{account="{many.api.accounts[0].email}"}} 2.0'
        wait_until(lambda: serves(many.port), "the metrics")
        assert line in metrics(many.port)[1]


def refreshes(mine: Terminal) -> None:
    """It is too early for another request: the answer says when it will be sent."""
    mine.keys("R")
    mine.wait_for("user-0@example.com: next refresh in")


def adds(many: Crowd, mine: Terminal, other: Terminal) -> None:
    key = canary("sid01")
    many.api.accounts[2].session_keys.add(key)
    mine.keys("a")
    mine.wait_for("Add an account")
    mine.keys(f"web\t{key}\torg-2\r")
    mine.wait_for("added web")
    wait_until(lambda: "12%" in row(other, " web "), "the figures of the new account")


def row(table: Terminal, word: str) -> str:
    """The line of the table in which this stands, as it is now."""
    while table.read(0.05):
        pass
    return next((line for line in table.lines if word in line), "")


def uses_second(many: Crowd, mine: Terminal) -> None:
    mine.keys("js")
    mine.wait_for("user-1@example.com is the active account")
    wait_until(lambda: document(many)["user-1@example.com"]["active"], "the active account")


def mutes(mine: Terminal, other: Terminal) -> None:
    mine.keys("m")
    other.wait_for("muted")
    mine.keys("m")
    other.wait_until_gone("muted")


def renames(many: Crowd, mine: Terminal, other: Terminal) -> None:
    mine.keys("e")
    mine.wait_for("Edit the account")
    mine.keys("\x15renamed\r")
    mine.wait_for("saved renamed")
    other.wait_for("renamed")
    assert 'name = "renamed"' in many.settings.read_text()


def deletes(many: Crowd, mine: Terminal, other: Terminal) -> None:
    mine.keys("d")
    mine.wait_for("renamed is no longer watched")
    mine.keys("y")
    mine.wait_for("removed renamed")
    other.wait_until_gone("renamed")
    assert "renamed" not in document(many)


# Settings that cannot be read at a take-over


def test_a_table_that_cannot_take_over_says_why_and_does_once_it_can(many: Crowd) -> None:
    good = many.settings.read_text()
    service = many.serve()
    many.wait_for_leader()
    table = many.table()
    table.wait_for("attached to")
    many.settings.write_text("[settings\n")
    service.kill()
    table.wait_for("cannot take over")
    assert ask(many.socket, {"type": "Who"}) is None
    many.settings.write_text(good)
    assert many.wait_for_leader() == table.process.pid


def test_a_service_that_takes_over_goes_on_with_the_settings_that_were_right(many: Crowd) -> None:
    many.serve("first.log")
    many.wait_for_leader()
    second = many.serve("second.log")
    wait_until(lambda: "is polling; standing by" in written(many, "second.log"), "its line")
    good = many.settings.read_text()
    many.settings.write_text("[settings\n")
    many.kill_leader()
    assert many.wait_for_leader() == second.pid
    assert f"still using the previous ones: {many.settings}:1: " in written(many, "second.log")
    assert ask(many.socket, {"type": "Who"}) is not None
    many.settings.write_text(good)
    assert many.run("reload").returncode == 0


def test_settings_that_are_wrong_at_the_start_end_it(many: Crowd) -> None:
    many.settings.write_text("[settings\n")
    for started in (many.serve(), many.table().process):
        assert started.wait(20) == 2
