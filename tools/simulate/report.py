"""What a run of the simulation comes to: sums over machines, a table to read, and one line of JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tools.simulate.judge import Finding, Verdict, judge
from tools.simulate.machine import Month
from tools.simulate.record import MINUTE, Entry, Log, Seen
from tools.simulate.weeks import judge_weeks

FAULTS = ("false", "missed", "double")
WEEK_COUNTS = ("told", "owed", *FAULTS)
SHOWN_BEFORE = 6
SHOWN_AFTER = 3


@dataclass(slots=True)
class Tally:
    """The verdicts on one rule, summed."""

    counts: Counter[str] = field(default_factory=Counter)
    max_delay: int = 0
    max_delay_seconds: float = 0.0

    def add(self, verdict: Verdict) -> None:
        for fault in FAULTS:
            self.counts[fault] += verdict.count(fault)
        self.counts["told"] += verdict.told
        self.counts["owed"] += verdict.owed
        self.counts["old news"] += verdict.old_news
        self._delayed(verdict.max_delay, verdict.max_delay_seconds)

    def merge(self, other: "Tally") -> None:
        self.counts.update(other.counts)
        self._delayed(other.max_delay, other.max_delay_seconds)

    def _delayed(self, polls: int, seconds: float) -> None:
        self.max_delay = max(self.max_delay, polls)
        self.max_delay_seconds = max(self.max_delay_seconds, seconds)

    def summary(self) -> dict[str, int]:
        faults = {fault: self.counts[fault] for fault in FAULTS}
        return {**faults, "max_delay_intervals": self.max_delay}

    @property
    def is_clean(self) -> bool:
        return not any(self.counts[fault] for fault in FAULTS) and self.max_delay <= 1


@dataclass(slots=True)
class Report:
    """Both rules over some account-months. `excerpts` show what went wrong with ours."""

    account_months: int = 0
    answers: int = 0
    ours: Tally = field(default_factory=Tally)
    naive: Tally = field(default_factory=Tally)
    rounding: Tally = field(default_factory=Tally)
    weeks: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    excerpts: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return self.ours.is_clean and not any(self.weeks[fault] for fault in FAULTS)

    def merge(self, other: "Report") -> None:
        self.account_months += other.account_months
        self.answers += other.answers
        self.ours.merge(other.ours)
        self.naive.merge(other.naive)
        self.rounding.merge(other.rounding)
        self.weeks.update(other.weeks)
        self.faults.update(other.faults)
        self.excerpts += other.excerpts


def judged(month: Month, name: str) -> Report:
    """The report on one machine's month; `name` is how excerpts call it."""
    report = Report(account_months=len(month.accounts), faults=month.faults)
    for number, (account, log) in enumerate(zip(month.accounts, month.logs, strict=True)):
        ours = judge(account, log, log.ours, month.thresholds)
        report.ours.add(ours)
        report.naive.add(judge(account, log, log.naive, month.thresholds))
        report.rounding.add(judge(account, log, log.rounding, month.thresholds))
        report.weeks.update(judge_weeks(account, log))
        report.answers += len(log.entries)
        report.excerpts += [
            render_excerpt(f"{name}, account {number}", log, finding) for finding in ours.findings
        ]
    return report


def render_excerpt(where: str, log: Log, finding: Finding) -> str:
    """The answers around a finding, as a table of samples."""
    what = "reset" if finding.threshold is None else f"{finding.threshold:g} %"
    head = f"{finding.fault}: {finding.window} {what}, {finding.why} ({where})"
    return "\n".join([head, *_lines(log, finding)])


def _lines(log: Log, finding: Finding) -> Iterator[str]:
    around = [n for n, entry in enumerate(log.entries) if finding.window in entry.seen]
    before = [n for n in around if n <= finding.entry][-SHOWN_BEFORE:]
    after = [n for n in around if n > finding.entry][:SHOWN_AFTER]
    for n in (*before, *after):
        entry = log.entries[n]
        told = [
            a.threshold or "reset" for p, a in log.ours if p == n and a.window == finding.window
        ]
        mark = ">" if n == finding.entry else " "
        yield f"  {mark} {_sample(entry, entry.seen[finding.window])} {told or ''}".rstrip()


def _sample(entry: Entry, seen: Seen) -> str:
    end = "none open" if seen.end is None else f"ends {seen.end / MINUTE:.0f}"
    notes = [f"place {seen.place}", *(["late"] if entry.late else [])]
    notes += [] if seen.honest else ["not honest"]
    off = entry.at - entry.t
    return f"minute {entry.t / MINUTE:9.2f} (clock {off:+.0f} s) {seen.percent:5.1f} % {end} {', '.join(notes)}"


def render_report(report: Report) -> str:
    """The table, and as its last line the JSON."""
    rows = [
        ("", "false", "double", "missed", "max delay", "", "told"),
        _row("ours", report.ours),
        _row("naive", report.naive),
        _row("naive, end rounded", report.rounding),
    ]
    table = [
        f"{report.account_months:,} account-months, {report.answers:,} answers, "
        f"{report.ours.counts['owed']:,} alerts owed",
        "",
        *("{:20}{:>10}{:>10}{:>10}{:>12}{:>10}{:>12}".format(*row) for row in rows),
        "",
        "The delay is in polls of the account after the one that showed the fact (for an early reset:",
        f"that confirmed it). {report.ours.counts['old news']} of ours told of an early reset "
        "of more than 15 minutes ago, which no answer",
        "had shown until then: their instant cannot be known.",
        "",
        "weeks that ended: " + ", ".join(f"{report.weeks[kind]:,} {kind}" for kind in WEEK_COUNTS),
        "",
        "faults seen by the program:",
        *(
            f"{count:>10,}  {kind}"
            for kind, count in sorted(report.faults.items(), key=_most_first)
        ),
    ]
    return "\n".join([*report.excerpts, *table, _json(report)])


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    counts = (f"{tally.counts[fault]:,}" for fault in ("false", "double", "missed"))
    delay = (f"{tally.max_delay} polls", f"{tally.max_delay_seconds:.0f} s")
    return name, *counts, *delay, f"{tally.counts['told']:,}"


def _json(report: Report) -> str:
    summary = {
        "account_months": report.account_months,
        **report.ours.summary(),
        "weeks": {kind: report.weeks[kind] for kind in WEEK_COUNTS},
        "naive": report.naive.summary(),
        "naive_rounded": report.rounding.summary(),
    }
    return json.dumps(summary)


def merged(reports: Iterable[Report]) -> Report:
    total = Report()
    for report in reports:
        total.merge(report)
    return total
