"""`monitor alerts`: active and recent alerts, a replay of stored history, and why each rule has or has not fired."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from monitor.commands.queries import settings_of
from monitor.core.alerts.conditions import firing_alerts
from monitor.core.alerts.explain import explain, explain_all, replay
from monitor.core.alerts.rules import Alert, AlertKind, RuleBook
from monitor.core.alerts.text import headline
from monitor.core.errors import TrackerError
from monitor.core.format import clock, exact_percent, iso
from monitor.core.model import Usage
from monitor.core.ranking import find_account
from monitor.core.sanitize import one_line
from monitor.core.state import Policy, State
from monitor.paths import config_path, instance_key
from monitor.settings import parse_since, rule_book, state_db
from monitor.storage import cache, deliveries, samples
from monitor.storage.cache import Cached, true_now
from monitor.storage.db import Connection, read_only
from monitor.storage.deliveries import Stage, StoredAlert

DEFAULT_SINCE: Final = "1d"
DEMO_DEFAULT_SINCE: Final = "1h"

DEMO_STEP: Final = timedelta(seconds=5)
WARM_UP: Final = timedelta(days=8)
"""A replay begins so much earlier, without output, so that it has seen each window from its start."""

_EVALUATES: Final = "run `monitor tui` or `monitor serve`"

Verb = Callable[[Namespace, datetime], None]


def alerts(arguments: Namespace) -> int:
    """Run one verb; without one, list."""
    _VERBS[arguments.verb or "list"](arguments, true_now(state_db(os.environ)))
    return 0


def _list(arguments: Namespace, now: datetime) -> None:
    left, entries = _load(arguments, parse_since(arguments.since or DEFAULT_SINCE, now))
    policy = Policy(alerts=_rules(arguments))
    firing = firing_alerts(State(policy, left.accounts, conditions=left.conditions), now)
    if arguments.json:
        _print_json(
            generated_at=iso(now),
            firing=[_document(alert) for alert in firing],
            alerts=[
                {
                    **_document(entry.alert),
                    "stage": str(entry.stage),
                    "attempts": entry.attempts,
                    "outcome": entry.outcome,
                }
                for entry in entries
            ],
        )
        return
    by_height = sorted(firing, key=lambda alert: 1 if alert.threshold is None else alert.threshold)
    highest = {_subject(alert): alert for alert in by_height}
    print("active alerts" if firing else "no alert is active")
    for alert in sorted(highest.values(), key=lambda alert: alert.at, reverse=True):
        print(f"  {_row(alert, now)}  since {clock(alert.at, now, seconds=True)}")
    print("recent alerts" if entries else "no recent alerts")
    for entry, lower in _by_window(entries):
        steps = [f"{exact_percent(a.threshold)} {clock(a.at, now)}" for a in lower if a.threshold]
        before = f" ({', '.join(steps)})" if steps else ""
        time = clock(entry.alert.at, now, seconds=True)
        print(f"  {time}  {_row(entry.alert, now)}{before}  {_outcome(entry)}")


def _by_window(entries: Sequence[StoredAlert]) -> list[tuple[StoredAlert, list[Alert]]]:
    """Return the newest first, each with the alerts of lower thresholds of its window in the same period."""
    found: dict[tuple[str, ...], tuple[StoredAlert, list[Alert]]] = {}
    for number, entry in enumerate(entries):
        subject = _subject(entry.alert) if entry.alert.period else (str(number),)
        before = found.pop(subject, None)
        found[subject] = entry, [before[0].alert, *before[1]] if before else []
    return list(reversed(found.values()))


def _subject(alert: Alert) -> tuple[str, ...]:
    """Return a key that all thresholds of one window in one period share."""
    kind = AlertKind.THRESHOLD if alert.kind is AlertKind.LIMIT else alert.kind
    return kind, alert.account, alert.window, alert.period


def _replay(arguments: Namespace, now: datetime) -> None:
    usual = DEMO_DEFAULT_SINCE if arguments.demo else DEFAULT_SINCE
    since = parse_since(arguments.since or usual, now)
    if arguments.demo:
        polls, rules = list(_demo_samples(since, now)), RuleBook()
    else:
        settings_key = _settings_key(arguments)
        polls = samples.usages(state_db(os.environ), settings_key, since - WARM_UP, now)
        rules = _rules(arguments)
    fired = [alert for alert in replay(polls, rules) if alert.at >= since]
    if arguments.json:
        alerts = [_document(alert) for alert in fired]
        _print_json(since=iso(since), until=iso(now), alerts=alerts)
        return
    print(
        f"{len(fired) or 'no'} alert{'' if len(fired) == 1 else 's'} since {clock(since, now, seconds=True)}"
    )
    for alert in fired:
        print(f"  {clock(alert.at, now, seconds=True)}  {_row(alert, now)}")
    print("samples contain no logins, failures or forecasts: pace goes by the slope of 5h")


def _explain(arguments: Namespace, now: datetime) -> None:
    rules, (left, entries) = _rules(arguments), _load(arguments, now - WARM_UP)
    log = [deliveries.log_entry(entry) for entry in entries]
    # Only a running monitor evaluates rules: an account that only commands have polled has none.
    judged = {name: one for name, one in left.accounts.items() if one.alerts or one.conditions}
    blocks = [
        explain(judged[name], rules, now, log, window=arguments.window)
        for name in _chosen(arguments, list(judged))
    ]
    if not any(blocks):
        where = f" for a window {arguments.window}" if arguments.window else ""
        raise TrackerError(f"no rule was evaluated{where} yet: {_EVALUATES}")
    if arguments.account is None and arguments.window is None:
        blocks.append(explain_all(left.conditions, rules, now))
    print("\n\n".join("\n".join(block) for block in blocks if block))


def _chosen(arguments: Namespace, names: list[str]) -> list[str]:
    """Return the names to explain. Raises SettingsError for an account that does not exist."""
    if arguments.account is None or arguments.account in names:
        return [arguments.account] if arguments.account else names
    name = find_account(arguments.account, settings_of(arguments).accounts).name
    if name not in names:
        raise TrackerError(f"no rule was evaluated for {name} yet: {_EVALUATES}")
    return [name]


def _rules(arguments: Namespace) -> RuleBook:
    return rule_book(settings_of(arguments))


def _settings_key(arguments: Namespace) -> str:
    return instance_key(os.environ, config_path(os.environ, arguments.config))


def _load(arguments: Namespace, since: datetime) -> tuple[Cached, list[StoredAlert]]:
    """Load the saved accounts, and the alerts that fired since then or are still to be sent."""
    key = _settings_key(arguments)

    def work(database: Connection) -> tuple[Cached, list[StoredAlert]]:
        return cache.load(database, key), deliveries.since(database, key, since)

    nothing: tuple[Cached, list[StoredAlert]] = Cached(), []
    return read_only(state_db(os.environ), work, nothing)


def _demo_samples(since: datetime, until: datetime) -> Iterator[tuple[str, Usage]]:
    """Yield the samples that polls of the demo's accounts would have returned."""
    from monitor.api.wire import parse_usage  # only the demo reads the API's own format here
    from monitor.demo.scenario import demo_accounts
    from monitor.demo.server import usage_body

    accounts, at = demo_accounts(since), since
    while at <= until:
        for account in accounts:
            if account.fault(at) is None:
                body = json.dumps(usage_body(account.limits(at))).encode()
                yield account.email, parse_usage(body, at)
        at += DEMO_STEP


def _row(alert: Alert, now: datetime) -> str:
    """Return the account and the headline of an alert."""
    return "  ".join(filter(None, (one_line(alert.account), headline(alert, now))))


def _outcome(entry: StoredAlert) -> str:
    tries = f", {entry.attempts} tries" if entry.attempts > 1 else ""
    if entry.stage is Stage.SENT:
        return f"{entry.outcome}{tries}"  # such as `sent (desktop)`
    words = f": {entry.outcome}" if entry.outcome else ""
    return f"{'given up' if entry.stage is Stage.DROPPED else 'not sent yet'}{words}{tries}"


def _document(alert: Alert) -> dict[str, Any]:
    return {
        "at": iso(alert.at),
        "account": alert.account or None,
        "window": alert.window or None,
        "rule": alert.rule,
        "kind": str(alert.kind),
        "utilization": alert.utilization if alert.window else None,
        "threshold": alert.threshold,
        "resets_at": alert.resets_at and iso(alert.resets_at),
    }


def _print_json(**document: Any) -> None:
    sys.stdout.write(f"{json.dumps(document, indent=2, allow_nan=False)}\n")


_VERBS: Final[dict[str, Verb]] = {"list": _list, "replay": _replay, "explain": _explain}
