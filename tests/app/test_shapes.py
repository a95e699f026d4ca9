"""The table of odd answers, `tests/samples/shapes.jsonl`: what table, JSON, metrics, guard and alerts make of each.

Every line is one shape that an account really got, with invented values. `limits` (or `reason` and `words`) were
written by hand; `made` is what the program makes of it in an account that was at 70 % and 40 % three minutes before:
`--golden` writes it anew, to be read as a diff.
"""

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporters.status_json import status_document
from monitor.api import wire
from monitor.core.errors import Failure, FailureError, Reason, TrackerError, describe
from monitor.core.events import Event, FiguresSeen, PollFailed, PollSucceeded
from monitor.core.limits import is_window_key, parse_rate_limits
from monitor.core.model import AuthMethod, Login, Usage
from monitor.core.ranking import judge_room
from monitor.core.state import State
from monitor.core.update import update
from monitor.credentials.tokens import parse_login
from monitor.terminal.table import render_plain
from tests.builders import NOW, live, state, usage, window
from tests.exporters.factories import render

NAME = "a@example.com"
FILE = Path(__file__).parents[1] / "samples" / "shapes.jsonl"
BEFORE = NOW - timedelta(minutes=3)
KINDS = {"usage": 60, "refusal": 30, "status line": 10, "credentials": 10}
"""Of each kind there are at least so many."""

Shape = dict[str, Any]
SHAPES: list[Shape] = [json.loads(line) for line in FILE.read_text().splitlines()]


def read(shape: Shape) -> Usage | Failure | Login | str | None:
    """What the readers make of the shape; a text is a complaint of the status line's."""
    given = shape["given"]
    try:
        match shape["kind"]:
            case "usage":
                return wire.parse_usage(json.dumps(given).encode(), NOW)
            case "status line":
                return parse_rate_limits({"rate_limits": given}, NOW)
            case "credentials":
                return parse_login(given, "~/.claude/.credentials.json")
        body, headers = given.get("body", ""), given.get("headers", {})
        body = body if isinstance(body, str) else json.dumps(body)
        auth_method = AuthMethod(given.get("auth_method", "oauth"))
        return wire.refusal(given["status"], headers, body.encode(), NOW, auth_method).failure
    except FailureError as error:
        return error.failure
    except TrackerError as error:
        return str(error)


def made(shape: Shape) -> dict[str, Any]:
    """What the program shows, serves and tells of it."""
    match read(shape):
        case Usage() as found if shape["kind"] == "status line":
            return seen(FiguresSeen(NOW, NAME, found), found.left_out)
        case Usage() as found:
            return seen(PollSucceeded(NOW, NAME, found, timedelta(seconds=1)), found.left_out)
        case Failure() as failure:
            return seen(PollFailed(NOW, NAME, failure, timedelta(seconds=1)))
        case Login() as login:
            return {
                "token_until": instant(login.credential.expires_at),
                "login_until": instant(login.login_expires_at),
                "plan": login.plan,
                "is_setup_token": login.is_setup_token,
            }
        case complaint:
            return {"complaint": complaint}


def instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def seen(event: Event, left_out: tuple[str, ...] = ()) -> dict[str, Any]:
    was = usage(
        window("5h", 70, timedelta(hours=2)), window("7d", 40, timedelta(days=3)), at=BEFORE
    )
    known, _ = update(state(live(NAME)), PollSucceeded(BEFORE, NAME, was, timedelta(0)))
    now, effects = update(known, event)
    document = status_document(now, NOW)["accounts"][0]
    failure = document["failure"]
    header, row = (line.split(" | ") for line in render_plain(now, NOW, 300).splitlines()[:2])
    cells = dict(zip(map(str.strip, header), map(str.strip, row), strict=True))
    return {
        "table": {name: cells[name] for name in ("5h %", "7d %", "Status")},
        "json": {
            "status": document["status"],
            **({"reason": failure["reason"], "detail": failure["detail"]} if failure else {}),
            "windows": {w["window"]: w["utilization"] for w in document["windows"]},
        },
        "metrics": metrics(now),
        "guard": int(judge_room(now, NOW, NAME, None, 0.9)),
        "alerts": [f"{e.rule} {e.window}".strip() for e in effects],
        **({"left_out": list(left_out)} if left_out else {}),
    }


def metrics(now: State) -> dict[str, Any]:
    text = render(now, NOW, "")[0].decode()
    pattern = r'^claude_usage_(\w+)\{account="[^"]*"(?:,window="([^"]*)")?\} (\S+)$'
    found = re.findall(pattern, text, re.MULTILINE)
    ratios = {key: float(value) for name, key, value in found if name == "utilization_ratio"}
    flags = {name: int(float(v)) for name, _, v in found if name in ("up", "login_required")}
    return {**flags, "utilization_ratio": ratios}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape['kind']}: {shape['name']}")
def test_a_shape_is_read_as_it_is_meant(shape: Shape) -> None:
    found = read(shape)
    if "limits" in shape:
        assert isinstance(found, Usage | None)
        windows = found.windows if found else ()
        figures = {w.key: round(w.utilization * 100, 6) for w in windows}
        assert figures == shape["limits"]
        assert all(is_window_key(key) or "_" not in key for key in figures)
    if "reason" in shape:
        assert isinstance(found, Failure)
        words = describe(found)
        assert (found.reason, shape["words"] in words) == (shape["reason"], True), words
        assert "\n" not in words and "sk-ant" not in words and len(found.detail) < 200
        is_of_login = found.reason in (Reason.AUTH, Reason.SCOPE) or shape["kind"] == "credentials"
        assert is_of_login or "claude`" not in words, "no login is advised where none helps"


def test_what_is_made_of_each_shape(request: pytest.FixtureRequest) -> None:
    found = [{**shape, "made": made(shape)} for shape in SHAPES]
    if request.config.getoption("--golden"):
        FILE.write_text("".join(json.dumps(shape, ensure_ascii=True) + "\n" for shape in found))
    for shape, was in zip(found, SHAPES, strict=True):
        assert shape["made"] == was["made"], shape["name"]


def test_no_shape_of_an_answer_is_a_login_that_is_needed_where_none_is() -> None:
    for shape in SHAPES:
        needed = shape["made"].get("metrics", {}).get("login_required", 0)
        assert needed == (shape.get("reason") in ("auth", "scope")), shape["name"]


def test_there_are_shapes_of_every_kind_and_no_two_of_one_name() -> None:
    counted = Counter(shape["kind"] for shape in SHAPES)
    assert all(counted[kind] >= least for kind, least in KINDS.items()), counted
    assert len({(shape["kind"], shape["name"]) for shape in SHAPES}) == len(SHAPES) >= 60
