"""Writes invented metrics of 14 days as OpenMetrics, for `promtool tsdb create-blocks-from openmetrics`.

The same arguments always give the same file: the data ends at a fixed moment, on a Thursday afternoon in mid-work.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import TextIO

END = datetime(2026, 11, 26, 15, 12, tzinfo=UTC)
SPAN = timedelta(days=14)
STEP = 240
"""Seconds between two samples: less than the 5 minutes for which Prometheus takes a sample as current."""

HOUR = 3600
DAY = 24 * HOUR
LENGTHS = {"5h": 5 * HOUR, "7d": 7 * DAY, "7d_opus": 7 * DAY}
SEED = 528
"""Chosen for the looks of the last hour: the account in use is in the middle of its window, and climbing."""

WEEK_COST = 0.1
REASONS = (
    "auth", "blocked", "challenge", "connection", "credentials", "rate_limited", "refused", "schema", "scope", "server",
    "timeout",
)  # fmt: skip
NAMES = (
    "work", "home", "client", "research", "spare", "ada", "ben", "carla", "dana", "emil", "finn", "greta", "hugo",
    "ines", "jon", "kira", "lars", "mona", "nils", "olga", "paul", "quinn", "rosa", "sven", "tara", "uwe", "vera",
    "wim", "xenia", "zoe",
)  # fmt: skip
SUFFIXES = {"counter": "_total", "info": "_info"}
PLACE = ("instance", "job")
"""Labels that Prometheus adds, and a page has not."""
MACHINES = ("atlas", "boreas", "cygnus")

Value = float | None
Samples = list[Value]


@dataclass
class Window:
    """A limit over time; None where it is not exported."""

    utilization: Samples = field(default_factory=list)
    resets_at: Samples = field(default_factory=list)


@dataclass
class Account:
    name: str
    instance: str
    windows: dict[str, Window] = field(
        default_factory=lambda: {key: Window() for key in ("5h", "7d", "7d_opus")}
    )
    logged_in: Samples = field(default_factory=list)


@dataclass(frozen=True)
class Family:
    name: str
    type: str
    help: str


def write_openmetrics(path: Path, accounts: int) -> None:
    """Write the samples of a setup with this many accounts (1 to 30)."""
    world = World(accounts)
    with path.open("w", encoding="utf-8") as file:
        for family, series in world.families():
            _write_family(file, family, series, world.times)
        file.write("# EOF\n")


def _write_family(
    file: TextIO,
    family: Family,
    series: Iterable[tuple[dict[str, str], Samples]],
    times: Sequence[int],
) -> None:
    sample = family.name + SUFFIXES.get(family.type, "")
    file.write(f"# TYPE {family.name} {family.type}\n# HELP {family.name} {family.help}\n")
    for labels, values in series:
        head = f"{sample}{{{','.join(f'{key}={_quote(labels[key])}' for key in labels)}}}"
        file.write(
            "".join(
                f"{head} {value:.10g} {at}\n"
                for at, value in zip(times, values, strict=True)
                if value is not None
            )
        )


def sample_text(world: "World", rename: Callable[[str], str]) -> str:
    """The last sample of every series, as a monitor's page has it; `rename` is given the names of accounts."""
    lines = []
    for family, series in world.families():
        if not family.name.startswith("claude_usage_"):
            continue
        sample = family.name + SUFFIXES.get(family.type, "")
        for labels, values in series:
            if values[-1] is None:
                continue
            own = {
                k: rename(v) if k == "account" else v for k, v in labels.items() if k not in PLACE
            }
            pairs = ",".join(f"{name}={_quote(value)}" for name, value in own.items())
            lines.append(f"{sample}{{{pairs}}} {values[-1]:.10g}\n")
    return "".join(lines)


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class World:
    """A number of people who work through their accounts, one after the other."""

    def __init__(self, accounts: int) -> None:
        self.random = Random(accounts)
        end = int(END.timestamp())
        self.times = range(end - int(SPAN.total_seconds()), end + 1, STEP)
        machines = MACHINES[: 1 + (accounts > 5) * 2]
        self.accounts = [
            Account(name, machines[index % len(machines)])
            for index, name in enumerate(NAMES[:accounts])
        ]
        self.machines = machines
        self._simulate()

    def _simulate(self) -> None:
        """Advance everybody step by step; each person uses the first of their accounts that has room."""
        people = min(10, -(-len(self.accounts) // 3))
        state = {
            account.name: _Live(self.random, self.times[0], index)
            for index, account in enumerate(self.accounts)
        }
        groups = [self.accounts[i::people] for i in range(people)]
        rhythms = [_Rhythm(Random(SEED + i), shift=(i % 3 - 1) * HOUR) for i in range(len(groups))]
        current = [group[0] for group in groups]
        for at in self.times:
            for index, (group, rhythm) in enumerate(zip(groups, rhythms, strict=True)):
                for account in group:
                    state[account.name].reset(at)
                if not state[current[index].name].has_room:
                    free = [a for a in group if state[a.name].has_room]
                    current[index] = free[at // STEP % len(free)] if free else current[index]
                state[current[index].name].use(at, rhythm.amount(at))
            in_use = {account.name for account in current[: len(self.machines)]}
            for account in self.accounts:
                state[account.name].record(account, float(account.name in in_use))

    def lost(self, account: Account) -> int | None:
        """The step at which the account's login ended, None where it did not."""
        is_lost = len(self.accounts) >= 5 and account is self.accounts[-1]
        return len(self.times) - 1 - 3 * HOUR // STEP if is_lost else None

    def is_limited(self, account: Account) -> bool:
        """True of the account that is backing off at the end."""
        return len(self.accounts) > 5 and account is self.accounts[7]

    def families(self) -> Iterator[tuple[Family, list[tuple[dict[str, str], Samples]]]]:
        """Every metric that the dashboards and rules read, with its series."""
        yield from self._windows()
        yield from self._forecasts()
        yield from self._accounts()
        yield from self._counters()
        yield from self._machines()
        yield from self._alerts()

    def _windows(self) -> Iterator[tuple[Family, list[tuple[dict[str, str], Samples]]]]:
        utilization, resets, countdowns = [], [], []
        for account in self.accounts:
            gone = self.lost(account)
            for key, window in account.windows.items():
                labels = self._labels(account, window=key)
                shown = [gone is None or i <= gone + 4 for i in range(len(self.times))]
                used = [v if s else None for v, s in zip(window.utilization, shown, strict=True)]
                until = [v if s else None for v, s in zip(window.resets_at, shown, strict=True)]
                left = [
                    None if v is None else max(0.0, v - t)
                    for v, t in zip(until, self.times, strict=True)
                ]
                utilization.append((labels, used))
                resets.append((labels, until))
                countdowns.append((labels, left))
        durations = [
            ({"instance": m, "job": "claude-tracker", "window": key}, self._constant(length))
            for m in self.machines
            for key, length in LENGTHS.items()
        ]
        yield _gauge("utilization_ratio"), utilization
        yield _gauge("reset_timestamp_seconds"), resets
        yield _gauge("reset_seconds"), countdowns
        yield _gauge("window_duration_seconds"), durations

    def _forecasts(self) -> Iterator[tuple[Family, list[tuple[dict[str, str], Samples]]]]:
        probability, full = [], []
        for account in self.accounts:
            for key in ("5h", "7d"):
                chances: Samples = []
                times: dict[str, Samples] = {"10": [], "50": [], "90": []}
                gone = self.lost(account)
                for index, at in enumerate(self.times):
                    is_known = gone is None or index <= gone + 4
                    forecast = (
                        self._forecast(account.windows[key], key, index, at) if is_known else None
                    )
                    chances.append(forecast[0] if forecast else None)
                    for percentile, column in times.items():
                        column.append(forecast[1].get(percentile) if forecast else None)
                labels = self._labels(account, window=key)
                probability.append((labels, chances))
                full += [({**labels, "percentile": p}, column) for p, column in times.items()]
        yield _gauge("run_out_probability_ratio"), probability
        yield _gauge("full_timestamp_seconds"), full
        if (count := len(self.accounts)) > 1:
            shares = {
                "0h": (0.6, 0.6, 0.6),
                "1h": (0.4, 0.6, 0.6),
                "3h": (0.2, 0.4, 0.8),
                "8h": (0.0, 0.4, 1.0),
            }
            yield (
                _gauge("accounts_free"),
                [
                    (
                        {
                            "instance": machine,
                            "job": "claude-tracker",
                            "horizon": horizon,
                            "percentile": p,
                        },
                        self._constant(round(share * count)),
                    )
                    for machine in self.machines
                    for horizon, spread in shares.items()
                    for p, share in zip(("10", "50", "90"), spread, strict=True)
                ],
            )

    def _forecast(
        self, window: Window, key: str, index: int, at: int
    ) -> tuple[float, dict[str, float]] | None:
        """The probability and, where it is most likely, the times at which the window is full."""
        used, until = window.utilization[index], window.resets_at[index]
        back = index - (HOUR if key == "5h" else DAY) // STEP
        if used is None or until is None or back < 0:
            return None
        if used >= 1:
            return 1.0, {}
        before = window.utilization[back] or 0.0
        span = min((index - back) * STEP, LENGTHS[key] - (until - at))
        pace = max(0.0, used - (before if before <= used else 0.0)) / max(span, 900)
        expected = used + pace * max(0.0, until - at)
        chance = 1 / (1 + math.exp(-(expected - 1) / 0.12))
        if chance < 0.5 or pace == 0:
            return round(chance, 2), {}
        eta = (1 - used) / pace
        return round(chance, 2), {
            "10": at + eta * 0.72,
            "50": at + eta,
            "90": at + eta * 1.5,
        }

    def _accounts(self) -> Iterator[tuple[Family, list[tuple[dict[str, str], Samples]]]]:
        def each(
            name: str, values: Callable[[Account], Samples]
        ) -> tuple[Family, list[tuple[dict[str, str], Samples]]]:
            return _gauge(name), [(self._labels(a), values(a)) for a in self.accounts]

        end = self.times[-1]
        yield each("up", lambda a: self._flag(a, lost=0.0, else_=1.0, limited=0.0))
        yield each("login_required", lambda a: self._flag(a, lost=1.0, else_=0.0, limited=0.0))
        yield each("logged_in", lambda a: a.logged_in)
        yield each("last_success_timestamp_seconds", self._last_success)
        yield each(
            "token_expiry_timestamp_seconds",
            lambda _: self._each_step(lambda at: at - at % (8 * HOUR) + 8 * HOUR),
        )
        yield each(
            "login_expiry_timestamp_seconds",
            lambda a: self._constant(end + (3 + 11 * (_index(a) % 27)) * DAY),
        )
        yield each(
            "backoff_until_timestamp_seconds",
            lambda a: [
                end + 25 * 60.0 if self.is_limited(a) and at > end - HOUR // 2 else None
                for at in self.times
            ],
        )
        yield each(
            "requests_last_hour",
            lambda a: self._each_step(lambda at: 17 + (at // 977 + 3 * _index(a)) % 6),
        )
        yield each("poll_interval_seconds", lambda a: self._flag(a, 180, 180, 1800))
        yield each(
            "poll_duration_seconds",
            lambda _: [0.18 + 0.3 * self.random.random() ** 4 for _ in self.times],
        )
        yield each("week_cost_ratio", lambda a: self._constant(WEEK_COST + 0.001 * _index(a)))
        yield (
            Family("claude_usage_account", "info", "Invented."),
            [
                (
                    self._labels(
                        a,
                        org_id=f"65f10de7-{_index(a):04}",
                        plan=("max_20x", "pro", "team")[_index(a) % 3],
                    ),
                    self._constant(1),
                )
                for a in self.accounts
            ],
        )
        used = [round(21.5 + 40 * i / len(self.times), 2) for i in range(len(self.times))]
        money = [(self._labels(self.accounts[0], currency="USD"), list[Value](used))]
        limit = [(self._labels(self.accounts[0], currency="USD"), self._constant(100))]
        yield _gauge("extra_used_amount"), money
        yield _gauge("extra_limit_amount"), limit

    def _counters(self) -> Iterator[tuple[Family, list[tuple[dict[str, str], Samples]]]]:
        polls, failures = [], []
        for account in self.accounts:
            polls.append(
                (self._labels(account), self._each_step(lambda at: (at - self.times[0]) / 180))
            )
            for reason in REASONS:
                failures.append(
                    (self._labels(account, reason=reason), self._failures(account, reason))
                )
        yield Family("claude_usage_polls", "counter", "Invented."), polls
        yield Family("claude_usage_poll_failures", "counter", "Invented."), failures
        sent, failed, last = [], [], []
        for index, machine in enumerate(self.machines):
            for channel, every in (("desktop", 5 * HOUR), ("webhook", 9 * HOUR)):
                labels = {"channel": channel, "instance": machine, "job": "claude-tracker"}
                for kind in ("threshold", "reset", "login"):
                    pace = every * (20 if kind == "login" else 1)
                    sent.append(
                        (
                            {**labels, "kind": kind},
                            self._each_step(
                                lambda at, p=pace, o=index: (
                                    (at - self.times[0] + (2 + 7 * o) * HOUR // 2) // p
                                )  # type: ignore[misc]
                            ),
                        )
                    )
                for reason in ("timeout", "refused"):
                    rare = DAY * 4 if (channel, reason) == ("webhook", "timeout") else DAY * 99
                    failed.append(
                        (
                            {**labels, "reason": reason},
                            self._each_step(
                                lambda at, p=rare: (at - self.times[0] + p // 3) // p  # type: ignore[misc]
                            ),
                        )
                    )
                last.append((labels, self._each_step(lambda at, p=every: at - at % p)))  # type: ignore[misc]
        yield Family("claude_usage_notifications", "counter", "Invented."), sent
        yield Family("claude_usage_notification_failures", "counter", "Invented."), failed
        yield _gauge("notification_last_success_timestamp_seconds"), last

    def _machines(self) -> Iterator[tuple[Family, list[tuple[dict[str, str], Samples]]]]:
        def each(
            name: str,
            values: Callable[[], Samples],
            prefix: str = "claude_usage_",
            kind: str = "gauge",
        ) -> tuple[Family, list[tuple[dict[str, str], Samples]]]:
            place = ({"instance": m, "job": "claude-tracker"} for m in self.machines)
            return Family(prefix + name, kind, "Invented."), [(p, values()) for p in place]

        noise = self.random.random
        start = self.times[0]
        yield each("config_last_reload_successful", lambda: self._constant(1))
        yield each(
            "config_last_reload_success_timestamp_seconds", lambda: self._constant(start + 2 * DAY)
        )
        yield each(
            "event_loop_lag_seconds", lambda: [0.0007 + 0.004 * noise() ** 6 for _ in self.times]
        )
        yield each(
            "alerts_muted_until_timestamp_seconds",
            lambda: [
                at - at % (5 * DAY) + HOUR if at % (5 * DAY) < HOUR else None for at in self.times
            ],
        )
        version = {"version": "1.4.0", "revision": "79db69c", "pythonversion": "3.11.7"}
        yield (
            Family("claude_usage_build", "info", "Invented."),
            [
                ({"instance": m, "job": "claude-tracker", **version}, self._constant(1))
                for m in self.machines
            ],
        )
        yield each("up", lambda: self._constant(1), "")
        yield each(
            "scrape_duration_seconds", lambda: [0.003 + 0.002 * noise() for _ in self.times], ""
        )
        yield each(
            "scrape_samples_scraped", lambda: self._constant(60 + 48 * len(self.accounts)), ""
        )
        yield each(
            "process_cpu_seconds",
            lambda: self._sum([STEP * (0.0015 + 0.0012 * noise()) for _ in self.times]),
            "",
            "counter",
        )
        yield each(
            "process_resident_memory_bytes",
            lambda: [44e6 + 2e6 * noise() + 3e5 * len(self.accounts) for _ in self.times],
            "",
        )
        yield each("process_open_fds", lambda: [21 + noise() // 0.3 for _ in self.times], "")
        yield each("process_start_time_seconds", lambda: self._constant(start - DAY), "")

    def _alerts(self) -> Iterator[tuple[Family, list[tuple[dict[str, str], Samples]]]]:
        """The series that Prometheus makes of alerts, as the rules would have made them."""
        series: list[tuple[dict[str, str], Samples]] = []

        def fires(name: str, severity: str, labels: dict[str, str], when: Sequence[bool]) -> None:
            named = {"alertname": name, "alertstate": "firing", "severity": severity, **labels}
            if any(when):
                series.append((named, [1.0 if is_on else None for is_on in when]))

        for account in self.accounts:
            gone = self.lost(account)
            for key, window in account.windows.items():
                labels = {"account": account.name, "window": key}
                used = [
                    (v or 0) if gone is None or i <= gone else 0
                    for i, v in enumerate(window.utilization)
                ]
                fires("AccountExhausted", "warning", labels, [v >= 1 for v in used])
                fires("NearLimit", "info", labels, [0.9 <= v < 1 for v in used])
            for name in ("LoginRequired", "AccountUnreadable"):
                on = [gone is not None and i > gone + 3 for i in range(len(self.times))]
                fires(name, "warning", {"account": account.name}, on)
            limited = [
                self.is_limited(account) and at > self.times[-1] - HOUR // 2 for at in self.times
            ]
            fires("RateLimited", "warning", {"account": account.name}, limited)
        yield Family("ALERTS", "gauge", "Invented."), series
        since: list[tuple[dict[str, str], Samples]] = []
        for labels, values in series:
            column: Samples = []
            for at, value in zip(self.times, values, strict=True):
                held = column[-1] if column and column[-1] is not None else float(at)
                column.append(held if value is not None else None)
            since.append(({k: v for k, v in labels.items() if k != "alertstate"}, column))
        yield Family("ALERTS_FOR_STATE", "gauge", "Invented."), since

    def _labels(self, account: Account, **others: str) -> dict[str, str]:
        place = {"instance": account.instance, "job": "claude-tracker"}
        return {"account": account.name, **place, **others}

    def _sum(self, amounts: list[float]) -> Samples:
        return list(accumulate(amounts))

    def _constant(self, value: float) -> Samples:
        return [value] * len(self.times)

    def _each_step(self, value: Callable[[int], float]) -> Samples:
        return [value(at) for at in self.times]

    def _flag(self, account: Account, lost: float, else_: float, limited: float) -> Samples:
        gone = self.lost(account)
        late = self.times[-1] - HOUR // 2
        return [
            lost
            if gone is not None and i > gone
            else limited
            if self.is_limited(account) and at > late
            else else_
            for i, at in enumerate(self.times)
        ]

    def _last_success(self, account: Account) -> Samples:
        gone = self.lost(account)
        last = self.times[-1] if gone is None else self.times[gone]
        last -= HOUR // 2 if self.is_limited(account) else 0
        return [min(at - (at + 48 + 37 * _index(account)) % 180, last) for at in self.times]

    def _failures(self, account: Account, reason: str) -> Samples:
        gone = self.lost(account)
        if reason == "auth" and gone is not None:
            return [max(0, i - gone) for i in range(len(self.times))]
        often = {"timeout": 0.004, "connection": 0.003, "server": 0.002, "rate_limited": 0.0004}
        random, count, column = Random(f"{account.name} {reason}"), 0, list[Value]()
        for index, _ in enumerate(self.times):
            outage = reason == "server" and 4200 < index < 4216
            count += random.random() < (0.8 if outage else often.get(reason, 0))
            column.append(count)
        return column


class _Live:
    """One account as the simulation advances it."""

    def __init__(self, random: Random, start: int, index: int) -> None:
        self.random = random
        self.used = {"5h": 0.0, "7d": 0.1 + 0.05 * (index % 7), "7d_opus": 0.04 * (index % 5)}
        self.resets: dict[str, int | None] = {
            "5h": None,
            "7d": start + (1 + index * 5 % 7) * DAY + index % 9 * HOUR,
            "7d_opus": start + (1 + index * 5 % 7) * DAY + index % 9 * HOUR,
        }

    @property
    def has_room(self) -> bool:
        return self.used["5h"] < 1 and self.used["7d"] < 1

    def reset(self, at: int) -> None:
        for key, until in self.resets.items():
            if until is not None and at >= until:
                self.used[key] = 0.0
                self.resets[key] = None if key == "5h" else until + 7 * DAY

    def use(self, at: int, amount: float) -> None:
        if amount <= 0 or not self.has_room:
            return
        if self.resets["5h"] is None:
            self.resets["5h"] = at - at % 600 + LENGTHS["5h"]
        self.used["5h"] = min(1.0, self.used["5h"] + amount)
        self.used["7d"] = min(1.0, self.used["7d"] + amount * WEEK_COST)
        self.used["7d_opus"] = min(1.0, self.used["7d_opus"] + amount * WEEK_COST * 0.6)

    def record(self, account: Account, logged_in: float) -> None:
        for key, window in account.windows.items():
            window.utilization.append(math.floor(self.used[key] * 100) / 100)
            until = self.resets[key]
            window.resets_at.append(None if until is None else float(until))
        account.logged_in.append(logged_in)


class _Rhythm:
    """How hard a person works at a moment: office hours, some evenings, little at weekends, with pauses."""

    def __init__(self, random: Random, shift: int) -> None:
        self.random, self.shift = random, shift
        self.is_busy = False

    def amount(self, at: int) -> float:
        """The part of a 5-hour window that is used in one step."""
        moment = datetime.fromtimestamp(at + self.shift, UTC)
        hour = moment.hour + moment.minute / 60
        day = 0.18 if moment.weekday() >= 5 else 1.0
        office = math.exp(-(((hour - 10.6) / 1.9) ** 2)) + math.exp(-(((hour - 15.6) / 2.1) ** 2))
        evening = 0.25 * math.exp(-(((hour - 21.5) / 1.2) ** 2))
        wish = min(1.0, day * (office + evening))
        keep = 0.9 if self.is_busy else 0.75
        if self.random.random() > keep:
            self.is_busy = self.random.random() < wish
        return STEP / (1.9 * HOUR) * self.random.uniform(0.5, 1.6) * wish if self.is_busy else 0.0


def _gauge(name: str) -> Family:
    return Family("claude_usage_" + name, "gauge", "Invented.")


def _index(account: Account) -> int:
    return NAMES.index(account.name)
