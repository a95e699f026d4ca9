"""The four servers that `make bench-scrape` asks for the same page, each in a process of its own.

`python -m tools.bench.servers KIND ACCOUNTS` prints its port, then answers until its standard input ends; from the
first line there on it measures stalls of its loop, and answers each line by the longest since the last.
"""

import asyncio
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Final

from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporters.server import Site
from exporters.web_config import SiteConfig
from monitor.core.model import Account, AccountState, Usage, Window
from monitor.core.state import State
from tests.exporters.factories import healthy, render
from tests.real.bus import wait_until
from tests.real.prometheus import free_port

APART: Final = timedelta(seconds=15)
POLLED_EVERY: Final = timedelta(seconds=180)


class World:
    """Accounts that are polled every three minutes, of the clock or of their own time.

    Without `step` that is the clock's; with one, so much time passes between two scrapes.
    """

    def __init__(self, accounts: int, step: timedelta | None = None) -> None:
        self.now = datetime.now(UTC)
        sample = healthy(self.now)
        self._names = [f"user{number:04}@example.com" for number in range(accounts)]
        self._state = State(
            accounts={
                name: replace(sample, account=Account(name, org_id=f"org-{name}"))
                for name in self._names
            },
            logged_in=self._names[0],
        )
        self._step = step
        self._due = 0.0
        self._next = 0

    def state(self) -> State:
        """The state at the next scrape: who was to be polled since the last one has been."""
        before = self.now
        self.now = datetime.now(UTC) if self._step is None else before + self._step
        self._due += len(self._names) * ((self.now - before) / POLLED_EVERY)
        polled, self._due = int(self._due), self._due % 1
        if polled:
            accounts = dict(self._state.accounts)
            for _ in range(polled):
                name = self._names[self._next]
                self._next = (self._next + 1) % len(self._names)
                accounts[name] = _polled(accounts[name], self.now)
            self._state = replace(self._state, accounts=accounts)
        return self._state

    def page(self) -> bytes:
        """The page of the state as it is, in Prometheus' text."""
        return render(self._state, self.now, "")[0]


def _polled(account: AccountState, now: datetime) -> AccountState:
    assert account.usage is not None
    windows = tuple(_moved(window, now) for window in account.usage.windows)
    forecast = account.forecast
    return replace(
        account,
        usage=Usage(now, windows, account.usage.extra_usage),
        last_success_at=now,
        next_poll_at=now + POLLED_EVERY,
        polls=account.polls + 1,
        requests=(*account.requests[-19:], now),
        forecast=replace(forecast, at=now) if forecast else None,
    )


def _moved(window: Window, now: datetime) -> Window:
    resets_at = window.resets_at
    while resets_at is not None and resets_at <= now:
        resets_at += timedelta(hours=5)
    return replace(window, utilization=(window.utilization + 0.01) % 1, resets_at=resets_at)


class Remade(Collector):
    """What the library is given for each scrape: metrics that are made anew, as its documents have it."""

    def __init__(self, made: Callable[[], list[Metric]]) -> None:
        self._made = made

    def collect(self) -> Iterator[Metric]:
        yield from self._made()


@asynccontextmanager
async def _ours(world: World) -> AsyncIterator[int]:
    async with Site(world.state, lambda: world.now, SiteConfig(port=0)) as site:
        yield site.port


@asynccontextmanager
async def _library(world: World) -> AsyncIterator[int]:
    """The library's own rendering on aiohttp, of metrics with the samples of the page."""
    metrics = list(text_string_to_metric_families(world.page().decode()))

    def made() -> list[Metric]:
        world.state()
        anew = []
        for metric in metrics:
            copy = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            for sample in metric.samples:
                copy.add_sample(sample.name, sample.labels, sample.value)
            anew.append(copy)
        return anew

    async def answer(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(Remade(made)), headers={"Content-Type": content_type})
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async with _aiohttp(answer) as port:
        yield port


@asynccontextmanager
async def _static(world: World) -> AsyncIterator[int]:
    """The same bytes again and again: as fast as aiohttp is."""
    body = world.page()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async with _aiohttp(answer) as port:
        yield port


@asynccontextmanager
async def _aiohttp(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_get("/metrics", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


PUSHGATEWAY: Final = "prometheus-pushgateway"
KINDS: Final = {"ours": _ours, "ours_apart": _ours, "library": _library, "static": _static}
"""Scrapes of `ours_apart` are as far from each other, by the clock of its accounts, as a Prometheus' mostly are."""


class Stalls:
    """The longest of the loop: by the clock, and in processor time of its thread, which does not grow with load."""

    EVERY: Final = 0.001

    def __init__(self) -> None:
        self._longest = (0.0, 0.0)

    async def measure(self) -> None:
        """Measure until cancelled."""
        while True:
            due, busy = time.perf_counter() + self.EVERY, time.thread_time()
            await asyncio.sleep(self.EVERY)
            late, took = time.perf_counter() - due, time.thread_time() - busy
            self._longest = (max(self._longest[0], late), max(self._longest[1], took))

    def taken(self) -> str:
        """Both in milliseconds, since the last time."""
        (late, took), self._longest = self._longest, (0.0, 0.0)
        return f"{late * 1000:.3f} {took * 1000:.3f}"


async def serve(kind: str, accounts: int) -> None:
    loop, stalls, ended = asyncio.get_running_loop(), Stalls(), asyncio.Event()
    measuring: list[asyncio.Task[None]] = []

    def answer() -> None:
        """Tell the stalls since the last line; at the first one, begin to measure them."""
        if not sys.stdin.readline():
            ended.set()
            return
        if not measuring:
            measuring.append(loop.create_task(stalls.measure()))
        print(stalls.taken(), flush=True)

    async with KINDS[kind](World(accounts, APART if kind == "ours_apart" else None)) as port:
        print(port, flush=True)
        loop.add_reader(sys.stdin, answer)
        await ended.wait()
        for task in measuring:
            task.cancel()


@dataclass(frozen=True)
class Server:
    port: int
    process: "Popen[str]"

    def stalls(self) -> tuple[float, float]:
        """The longest since the last time, in milliseconds: by the clock, and in processor time.

        They are measured from the first time on, which takes some of the processor.
        """
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        late, took = self.process.stdout.readline().split()
        return float(late), float(took)


@contextmanager
def python(kind: str, accounts: int) -> Iterator[Server]:
    """One of `KINDS`."""
    argv = [sys.executable, "-m", "tools.bench.servers", kind, str(accounts)]
    with Popen(argv, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Server(int(process.stdout.readline()), process)
        finally:
            process.terminate()


@contextmanager
def go(accounts: int) -> Iterator[Server]:
    """Debian's Pushgateway: the Go client, holding the series of the page."""
    port = free_port()
    with TemporaryDirectory() as folder:
        argv = [PUSHGATEWAY, f"--web.listen-address=127.0.0.1:{port}"]
        with Popen(argv, cwd=Path(folder), stderr=DEVNULL, text=True) as process:
            try:
                url = f"http://127.0.0.1:{port}"
                wait_until(lambda: _is_ready(f"{url}/-/ready"), "the Pushgateway is ready")
                push = urllib.request.Request(
                    f"{url}/metrics/job/bench", World(accounts).page(), method="PUT"
                )
                urllib.request.urlopen(push, timeout=60).close()
                yield Server(port, process)
            finally:
                process.terminate()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status) == 200
    except OSError:
        return False


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
