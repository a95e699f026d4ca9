"""Answers queries about a state in text, for the leader's followers and for commands on saved figures. Pure.

Light on purpose: of what it imports, nothing loads a server, a client or a keyring.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from exporters.status_json import render_json
from exporters.template import DEFAULT, Format, parse_format, render_line
from monitor.core import format
from monitor.core.commands import CURRENT, Guard, Next, Reply, Run, StateQuery, Status
from monitor.core.errors import SettingsError
from monitor.core.format import iso
from monitor.core.limits import LONGEST_WORD, window_word
from monitor.core.planning import LONGEST_PLAN, Action, plan
from monitor.core.ranking import (
    APPLICABLE,
    Candidate,
    Choice,
    Confidence,
    Verdict,
    all_limits,
    choose,
    current_account,
    find_account_state,
    judge_room,
    judge_task,
)
from monitor.core.sanitize import clean
from monitor.core.state import State
from monitor.credentials.folders import config_dir
from monitor.settings import parse_duration
from monitor.terminal.table import render_plain
from monitor.terminal.text import pad, width, wrap

_WIDEST: Final = 1000
_USUAL_CONFIDENCE: Final = 0.8
_LEAST_REASON: Final = 16
"""Cells of a plan's last column; where there are fewer, reasons stand below."""

HOUR: Final = timedelta(hours=1)
_NO_PLACE: Final = (
    "no folder of Claude Code is known for {}: `monitor accounts import --config-dir DIR`"
)


def answer_query(state: State, now: datetime, query: StateQuery) -> Reply:
    """Answer `status`, `next`, `guard` and `run` from the state. Raises SettingsError for wrong usage."""
    match query:
        case Status():
            return _status(state, now, query)
        case Next(form, model, duration):
            model = _word(model)
            if duration is None:
                return _next(state, now, form, model)
            return _plan(state, now, parse_duration(duration), replace(query, model=model))
        case Guard(account, window, most, need, confidence):
            window = _word(window, 4 * LONGEST_WORD)
            if need is not None:
                probability = _USUAL_CONFIDENCE if confidence is None else confidence
                return Reply(judge_task(state, now, account, window, need, probability))
            if confidence is not None:
                raise SettingsError("--confidence is for --need: guard --need 15 --confidence 90")
            return Reply(judge_room(state, now, account, window, most))
        case Run():
            return _run(state, now, query)


def _word(name: str | None, longest: int = LONGEST_WORD) -> str | None:
    """Spell the name of a model or a window as keys do. Raises SettingsError."""
    word = name and window_word(name, longest)
    if word == "":
        raise SettingsError(f"there is no model or window {name!r}")
    return word


def render_watched(state: State, now: datetime, query: Status) -> str:
    """Make what a stream of lines shows: one of JSON, or one in a format for each account. Raises SettingsError."""
    if query.form == "json":
        return f"{render_json(_narrow(state, query.account), now, indent=None)}\n"
    return lines_of(state, now, parse_format(query.format or DEFAULT), query.account)


def lines_of(state: State, now: datetime, form: Format, account: str | None = None) -> str:
    """Render the lines of all accounts or of one, each with a newline at its end."""
    names = _narrow(state, account).accounts
    return "".join(f"{render_line(form, state, name, now)}\n" for name in names)


def _status(state: State, now: datetime, query: Status) -> Reply:
    if query.format is not None:
        return Reply(0, lines_of(state, now, parse_format(query.format), query.account))
    shown = _narrow(state, query.account)
    match query.form:
        case "json":
            return Reply(0, f"{render_json(shown, now)}\n")
        case "textfile":
            from exporters.prometheus import render_textfile  # loads what no other answer needs

            return Reply(0, render_textfile(shown, now))
        case "table":
            columns = min(max(query.columns, 1), _WIDEST)
            return Reply(0, render_plain(state, now, columns, list(shown.accounts)))
    raise SettingsError(f"not understood: form = {query.form!r}")


def _narrow(state: State, account: str | None) -> State:
    """Return the state with this account alone; `active` still says whether it is the active one."""
    if account is None:
        return state
    one = current_account(state) if account == CURRENT else find_account_state(state, account)
    if one is None:
        return replace(state, accounts={}, active=-1)
    name = one.account.name
    return replace(state, accounts={name: one}, active=0 if name == state.active_account else -1)


def _next(state: State, now: datetime, form: str, model: str | None) -> Reply:
    choice, pool = choose(state, now, model), state.fresh_pool(now)
    later = ""
    if pool is not None and pool.later(now) and model is None:
        later = f"\nfree: {choice.free} of {len(choice.ranking)} now, {pool.words(now)}"
    match form:
        case "words":
            reasons = "; ".join(choice.reasons)
            return _describe(choice, lambda name: f"{clean(name)}: {reasons}{later}")
        case "all":
            return _ranking(choice, now, later)
        case "json":
            return Reply(0, f"{json.dumps(_choice_document(state, choice, now), indent=2)}\n")
        case "name":
            return _describe(choice, lambda name: name)
        case "config-dir":  # an empty line is Claude Code's default place, as in its own variable
            choice = _choose_with_folder(state, now, model)
            return _describe(choice, lambda name: config_dir(state.accounts[name]) or "")
    raise SettingsError(f"not understood: form = {form!r}")


def _plan(state: State, now: datetime, duration: timedelta, query: Next) -> Reply:
    """Give a line for each piece of advice, or all of them as JSON. Raises SettingsError."""
    if duration > LONGEST_PLAN:
        raise SettingsError(f"--plan: too long: {LONGEST_PLAN // HOUR}h is the most")
    if query.form not in ("words", "json"):
        raise SettingsError(f"--plan has no form --{query.form}")
    limits = all_limits(state, now)
    if not limits:
        return _describe(choose(state, now), clean)
    weights = {one.name: one.plan_weight for one in limits}
    known = [
        (forecast, weights[name])
        for name, account in state.accounts.items()
        if name in weights and (forecast := account.forecast) is not None and forecast.hourly
    ]
    if not state.policy.keeps_history:
        return Reply(1, "no plan without a history: the settings have [history] enabled = false")
    if not known:
        is_due = any(account.forecast_is_due for account in state.accounts.values())
        why = "forecasts are being computed" if is_due else "two days of history are needed"
        return Reply(1, f"no plan yet: {why}")

    def points_per_hour(at: datetime) -> float:
        hours = ((one.hourly, int((at - one.at) / HOUR), weight) for one, weight in known)
        return sum(each[hour] * weight for each, hour, weight in hours if 0 <= hour < len(each))

    lines = plan(limits, now, duration, points_per_hour, state.in_use(now), query.model)
    if query.form == "json":
        documents = [
            {
                "at": iso(line.at),
                "until": line.until and iso(line.until),
                "action": line.action,
                "account": line.account,
                "reason": line.reason,
            }
            for line in lines
        ]
        return Reply(0, f"{json.dumps(documents, indent=2)}\n")
    rows, said = list[tuple[str, str, str, str]](), False
    for line in lines:
        when, why = format.clock(line.at, now), line.reason
        if line.until is not None:
            until = format.clock(line.until, now)
            if line.action is Action.OPEN:
                why, said = f"early too, ends {until}" if said else f"{why}, {until}", True
            else:
                when = f"{when} – {until}"
        rows.append((when, line.action, clean(line.account or ""), why))
    cells = [max((width(row[place]) for row in rows), default=0) for place in range(3)]
    beside = sum(cells) + 3 * 2
    indent = beside if query.columns - beside >= _LEAST_REASON else 4
    shown = list[str]()
    for *row, why in rows:
        start = "".join(f"{pad(*each)}  " for each in zip(row, cells, strict=True))
        first, *more = wrap(why, query.columns - indent)
        shown += [f"{start}{first}"] if indent == beside else [start.rstrip(), f"    {first}"]
        shown += [f"{'':{indent}}{part}" for part in more]
    return Reply(0, "".join(f"{line}\n" for line in shown))


def _ranking(choice: Choice, now: datetime, later: str) -> Reply:
    """Give a line for each account, the best first; an arrow stands before the one to use now. `later` is the end."""
    if not choice.ranking:
        return _describe(choice, clean)
    names = [clean(candidate.account) for candidate in choice.ranking]
    cells = max(map(width, names))
    lines = [
        f"{'→' if choice.usable and place == 0 else ' '} {pad(name, cells)}  {_room_words(candidate, now)}"
        for place, (name, candidate) in enumerate(zip(names, choice.ranking, strict=True))
    ]
    return Reply(0, "\n".join(lines) + f"{later}\n")


def _room_words(candidate: Candidate, now: datetime) -> str:
    """Say what is left of it, or when it is free, and what is to be known of that."""
    if candidate.confidence is Confidence.FULL:
        free = candidate.free_at
        until = f"free in {format.duration(free - now)}" if free else "free at an unknown time"
        lack = "full" if candidate.is_full else "no room"
        return "; ".join((lack, until, *candidate.reasons))
    left = "room unknown" if candidate.room is None else f"{candidate.percent_left}% left"
    window = candidate.window
    resets_in = window.resets_in(now) if window else None
    when = (
        f" of its {window.key}, which resets in {format.duration(resets_in)}"
        if window and resets_in
        else ""
    )
    return "; ".join((f"{left}{when}", *candidate.reasons))


def _run(state: State, now: datetime, query: Run) -> Reply:
    """Name the account to run a command as, and Claude Code's folder of it; code 4 where it has no room."""
    if query.account is None:
        choice = _choose_with_folder(state, now)
        if choice.account is None:
            return _no_account(choice)
        roomy = (
            candidate.account
            for candidate in choice.ranking
            if candidate.confidence <= Confidence.OLD
            and judge_room(state, now, candidate.account, None, query.max_utilization)
            is not Verdict.REACHED
        )
        # The one in use is kept to its last percent, in which nothing is to be begun.
        account = state.accounts[next(roomy, choice.account)]
    else:
        account = find_account_state(state, query.account)
    name, folder = account.account.name, config_dir(account)
    if folder is None:
        return Reply(1, _NO_PLACE.format(clean(name)))
    verdict = judge_room(state, now, name, None, query.max_utilization)
    if verdict is Verdict.REACHED and not query.force:
        used = [
            f"{w.key} {format.percent(w.utilization, confirmed=w.confirmed)}"
            + (f", resets in {format.duration(left)}" if (left := w.resets_in(now)) else "")
            for w in account.windows(now)
            if w.key in APPLICABLE
        ]
        others = "" if query.account else "no account has room: "
        return Reply(4, f"{others}{clean(name)} is at {'; '.join(used)}: not run (see --force)")
    return Reply(0, json.dumps({"account": name, "config_dir": folder}))


def _describe(choice: Choice, what: Callable[[str], str]) -> Reply:
    """Describe the chosen account, or give one line that says why none is."""
    if not choice.usable or choice.account is None:
        return _no_account(choice)
    return Reply(0, f"{what(choice.account)}\n")


def _choose_with_folder(state: State, now: datetime, model: str | None = None) -> Choice:
    """Choose among the accounts of which a folder of Claude Code is known."""
    placed = {name: one for name, one in state.accounts.items() if config_dir(one) is not None}
    if state.accounts and not placed:
        return Choice(None, False, (_NO_PLACE.format("any account"),))
    return choose(replace(state, accounts=placed), now, model)


def _choice_document(state: State, choice: Choice, now: datetime) -> Mapping[str, Any]:
    chosen = state.accounts.get(choice.account or "")
    pool = state.fresh_pool(now)
    return {
        "generated_at": iso(now),
        "account": choice.account,
        "usable": choice.usable,
        "config_dir": config_dir(chosen) if chosen else None,
        "free_at": choice.free_at and iso(choice.free_at),
        "reasons": choice.reasons,
        "pool": pool
        and {
            "at": iso(pool.at),
            "free": [
                {"at": iso(free.at), "p10": free.low, "p50": free.likely, "p90": free.high}
                for free in pool.free
            ],
            "exhausted_probability": round(pool.exhausted_probability, 4),
            "exhausted_at": pool.exhausted_at and iso(pool.exhausted_at),
        },
        "ranking": [
            {
                "account": candidate.account,
                "standing": candidate.confidence.name.lower(),
                "logged_in": candidate.logged_in,
                "room": None if candidate.room is None else round(candidate.room, 6),
                "urgency": round(candidate.urgency, 4),
                "window": candidate.window and candidate.window.key,
                "resets_at": candidate.window
                and candidate.window.resets_at
                and iso(candidate.window.resets_at),
                "free_at": candidate.free_at and iso(candidate.free_at),
                "reasons": candidate.reasons,
            }
            for candidate in choice.ranking
        ],
    }


def _no_account(choice: Choice) -> Reply:
    words = "; ".join(choice.reasons)
    return Reply(1, f"no account to use now: {words}" if choice.ranking else words)
