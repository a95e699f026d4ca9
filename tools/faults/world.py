"""One user's monitor while something is wrong: what is injected, what is seen of it, and the verdict."""

import json
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from monitor.core.commands import Refresh, encode_request
from monitor.demo.server import SimulatedAccount
from monitor.ipc.client import ask
from tests.end_to_end.crowd import INTERVAL_SECS, Crowd, crowd, uses

ACCOUNTS: Final = 2
POLL_SECS: Final = 180
START_SECS: Final = 30.0
NOTICED_SECS: Final = 50.0
MENDED_SECS: Final = 80.0
ANSWER_SECS: Final = 3.0
"""A probe that is answered later than this hangs, on a machine that has much else to do."""

BEFORE: Final = 0.10
AFTER: Final = 0.97

Inject = Callable[["World"], AbstractContextManager[None]]
Seen = Callable[["World"], object]


@dataclass(frozen=True)
class Fault:
    """One row of the matrix. `how` is how it is `injected`; `seen` is waited for while it lasts, with it in `words`.

    `starts` prepares the home before the monitor starts. While one is `still` it can answer nobody.
    """

    area: str
    name: str
    how: str
    words: str
    inject: Inject
    seen: Seen = lambda _: True
    starts: Callable[["World"], None] = lambda _: None
    still: bool = False


@dataclass
class World:
    """The user's machine; `first` is the account that the fault is about, `begun` what was so before the start."""

    many: Crowd
    probes: list[float] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    begun: ExitStack = field(default_factory=ExitStack)

    @property
    def first(self) -> SimulatedAccount:
        return self.many.api.accounts[0]

    @property
    def service(self) -> "subprocess.Popen[bytes]":
        """The newest service."""
        return self.many.services[-1]

    @property
    def database(self) -> Path:
        return next(self.many.home.rglob("state.db"))

    def serve(self, **env: str) -> None:
        self.many.serve(**self.env, **env)

    def stop(self, name: signal.Signals = signal.SIGKILL) -> None:
        """End the newest service, and wait for it."""
        self.service.send_signal(name)
        self.service.wait(20)

    def healthy(self) -> bool:
        try:
            connection = HTTPConnection("127.0.0.1", self.many.port, timeout=20)
            connection.request("GET", "/-/healthy")
            status = connection.getresponse().status
            connection.close()
        except OSError:
            return False
        return status == 200

    def accounts(self) -> dict[str, dict[str, Any]]:
        """The accounts by name, as `status --json` of the running monitor has them; none while nobody answers."""
        request = {"type": "Status", "form": "json"}
        try:
            reply = ask(self.many.socket, request, 5)
        except Exception:  # noqa: BLE001 - of whatever a broken socket may bring
            return {}
        document = json.loads(reply[1]) if reply and not reply[0] else {"accounts": []}
        return {account["name"]: account for account in document["accounts"]}

    def figures(self) -> dict[str, float]:
        """The utilization of each account's 5-hour window, of those that have one."""
        return {
            name: window["utilization"]
            for name, account in self.accounts().items()
            for window in account["windows"]
            if window["window"] == "5h"
        }

    def reason(self) -> str | None:
        """Why the first account cannot be read."""
        failure = self.accounts().get(self.first.email, {}).get("failure")
        return failure["reason"] if failure else None

    def refresh(self) -> None:
        """As often as somebody presses the key; polls follow as the budget allows."""
        try:
            ask(self.many.socket, encode_request(Refresh()), 5)
        except Exception:  # noqa: BLE001 - as above
            return

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Poll a condition, with a refresh each second, for at most so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            self.refresh()
            self.many.read()
            time.sleep(1)
        return bool(condition())


@dataclass(frozen=True)
class Row:
    """What became of a fault: it `recovers`, `dies`, `hangs`, `lies`, `loses`, or was `unseen`."""

    fault: Fault
    verdict: str
    why: str = ""


def judge(fault: Fault) -> Row:
    """Inject the fault into a world of its own, take it away, and look what is left."""
    with (
        tempfile.TemporaryDirectory(prefix="fault-") as folder,
        crowd(Path(folder), ACCOUNTS) as many,
    ):
        world = World(many)
        _settle_settings(many)
        fault.starts(world)
        return _judged(fault, world)


def _settle_settings(many: Crowd) -> None:
    text = many.settings.read_text()
    assert f"poll_interval_secs = {INTERVAL_SECS}" in text
    text = text.replace(f"= {INTERVAL_SECS}\n", f"= {POLL_SECS}\n", 1)
    many.settings.write_text(text.replace("[api]\n", "[api]\ntimeout_secs = 3\n", 1))


def _judged(fault: Fault, world: World) -> Row:
    first, others = world.first.email, [a.email for a in world.many.api.accounts[1:]]
    world.serve()
    ok = world.until(lambda: len(world.figures()) == ACCOUNTS, START_SECS)
    if not ok:
        return Row(fault, "dies", "no figures after the start")
    known = world.figures()
    with _probing(world) if not fault.still else nullcontext():
        with fault.inject(world):
            if not world.until(lambda: fault.seen(world), NOTICED_SECS):
                return Row(fault, "unseen", f"{world.reason()}, {world.figures()}")
            shown = world.figures()
            for name, figure in shown.items():
                if figure != known[name]:
                    return Row(fault, "lies", f"{name} at {figure} while it lasted")
            if world.service.poll() is not None and not world.many.living:
                return Row(fault, "dies", f"exit code {world.service.returncode}")
        uses(world.first, 100 * AFTER)
        mended = world.until(lambda: _is_mended(world, first, others, known), MENDED_SECS)
    slowest = max(world.probes, default=0.0)
    if not world.many.living:
        return Row(fault, "dies", f"exit code {world.service.returncode}")
    if not mended:
        verdict = "loses" if world.figures().get(first) == AFTER else "hangs"
        return Row(fault, verdict, f"{world.reason()}, {world.figures()}, {world.many.told()}")
    if slowest > ANSWER_SECS:
        return Row(fault, "hangs", f"a probe waited for {slowest:.1f} s")
    world.service.terminate()
    try:
        code = world.service.wait(15)
    except subprocess.TimeoutExpired:
        return Row(fault, "hangs", "SIGTERM does not end it")
    told = world.many.told()
    if told != [(first, "5h", "threshold_95")]:
        return Row(fault, "loses", f"the alerts were {told}")
    return Row(fault, "recovers") if code == 0 else Row(fault, "dies", f"exit code {code}")


def _is_mended(world: World, first: str, others: list[str], known: dict[str, float]) -> bool:
    figures = world.figures()
    return (
        figures.get(first) == AFTER
        and all(figures.get(name) == known[name] for name in others)
        and world.reason() is None
        and bool(world.many.told())
    )


@contextmanager
def _probing(world: World) -> Iterator[None]:
    """Ask in a thread, again and again, whether the monitor is well; how long that takes is noted."""
    ended = threading.Event()

    def probe() -> None:
        while not ended.wait(0.25):
            began = time.monotonic()
            if world.healthy() or time.monotonic() - began > ANSWER_SECS:
                world.probes.append(time.monotonic() - began)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
