"""What is asked over the socket reaches the control that it means, and nothing else does."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from monitor.app.execute import Controls
from monitor.app.handlers import Handler
from monitor.core.codec_v1 import parse_state
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.model import Secret
from monitor.core.state import State
from tests.builders import live, state, window
from tests.fakes import FakeClock

KEY = "sk-ant-sid01-never-to-be-shown"
SHOWN = state(live("a@example.com", window("5h", 42)), live("b@example.com"))


class Noting(Controls):
    """Notes what it is told to do, and does nothing."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    def _note(self, *order: object) -> str:
        self.done.append(order)
        return f"{order[0]}: done"

    async def refresh(self, account: str | None) -> str:
        if account == "nobody":
            raise TrackerError("there is no account 'nobody'")
        return self._note("refresh", account)

    async def mute(self) -> str:
        return self._note("mute")

    async def import_logins(self) -> str:
        return self._note("import")

    async def import_from(self, where: str) -> str:
        return self._note("import from", where)

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        return self._note("add", name, session_key.reveal(), org_id)

    async def edit(self, name: str, new_name: str, key: Secret | None, *rest: str | None) -> str:
        return self._note("edit", name, new_name, key and key.reveal(), *rest)

    async def remove(self, name: str) -> str:
        return self._note("remove", name)

    async def use(self, name: str) -> str:
        return self._note("use", name)

    async def ingest(self, document: Mapping[str, Any], config_dir: str | None) -> str:
        self._note("ingest", document, config_dir)
        return "a@example.com"

    async def reload(self) -> str:
        raise SettingsError("/home/user/config.toml:2: no such key")


class Holder:
    def __init__(self) -> None:
        self.noting = Noting()

    @property
    def controls(self) -> Controls:
        return self.noting

    def who(self) -> Mapping[str, Any]:
        return {"pid": 42}


class Still:
    """A state that does not change."""

    state = SHOWN

    async def changed(self) -> State:
        raise NotImplementedError


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def desk(holder: Holder) -> Handler:
    return Handler(holder, Still(), FakeClock())


@pytest.mark.parametrize(
    ("request_", "order"),
    [
        ({"ask": "refresh", "account": None}, ("refresh", None)),
        ({"ask": "refresh", "account": "a@example.com"}, ("refresh", "a@example.com")),
        ({"ask": "mute"}, ("mute",)),
        ({"ask": "import", "sources": "all", "brief": True}, ("import",)),
        ({"ask": "import", "sources": "all"}, ("import from", "all")),
        ({"ask": "import", "sources": "default"}, ("import from", "default")),
        ({"ask": "import", "sources": "/home/user/.claude"}, ("import from", "/home/user/.claude")),
        ({"ask": "add", "name": "n", "session_key": KEY, "org_id": "o"}, ("add", "n", KEY, "o")),
        (
            {"ask": "edit", "name": "n", "new_name": "m", "session_key": None, "org_id": "o"},
            ("edit", "n", "m", None, "o", None),
        ),
        (
            {
                "ask": "edit",
                "name": "n",
                "new_name": "m",
                "session_key": KEY,
                "org_id": "o",
                "label": "",
            },
            ("edit", "n", "m", KEY, "o", ""),
        ),
        ({"ask": "remove", "name": "n"}, ("remove", "n")),
        ({"ask": "use", "name": "n"}, ("use", "n")),
    ],
)
async def test_each_order_is_carried_out(
    desk: Handler, holder: Holder, request_: Mapping[str, Any], order: tuple[object, ...]
) -> None:
    assert await desk.answer({"v": 1, **request_}) == (0, f"{order[0]}: done\n")
    assert holder.noting.done == [order]


@pytest.mark.parametrize(
    "request_",
    [
        {"ask": "dance"},
        {"ask": "refresh"},
        {"ask": "refresh", "account": 3},
        {"ask": "import", "sources": None},
        {"ask": "add", "name": "n", "session_key": None, "org_id": "o"},
        {"ask": "add", "name": ["n"], "session_key": KEY, "org_id": "o"},
        {"ask": "edit", "name": "n", "new_name": "m", "session_key": KEY},
        {
            "ask": "edit",
            "name": "n",
            "new_name": "m",
            "session_key": None,
            "org_id": "o",
            "label": 1,
        },
        {"ask": "remove"},
        {"ask": "use", "name": {}},
        {"ask": "ingest", "document": "text", "config_dir": None},
        {"ask": "ingest", "document": {}, "config_dir": 1},
        {"ask": "status", "form": "rtf"},
        {"ask": "status", "columns": "wide"},
        {"ask": "next", "form": 7},
        {"ask": "guard", "account": None, "window": None, "max": "much"},
        {"ask": "guard", "account": 1, "window": None, "max": 80},
    ],
)
async def test_what_is_not_understood_is_wrong_usage_and_repeats_no_secret(
    desk: Handler, holder: Holder, request_: Mapping[str, Any]
) -> None:
    with pytest.raises(SettingsError) as raised:
        await desk.answer({"v": 1, **request_})
    assert raised.value.exit_code == 2
    assert KEY not in str(raised.value)
    assert holder.noting.done == []


async def test_what_a_control_raises_is_the_answer(desk: Handler) -> None:
    with pytest.raises(TrackerError, match="no account 'nobody'"):
        await desk.answer({"ask": "refresh", "account": "nobody"})
    with pytest.raises(SettingsError, match=r"config\.toml:2"):
        await desk.answer({"ask": "reload"})


async def test_figures_of_a_status_line_are_taken_over_and_shown_in_its_format(
    desk: Handler, holder: Holder
) -> None:
    said: Mapping[str, Any] = {"rate_limits": {}}
    request = {"ask": "ingest", "document": said, "config_dir": None}
    assert await desk.answer(request) == (0, "a@example.com\n")
    assert await desk.answer({**request, "format": "{5h.percent}%"}) == (0, "42%\n")
    assert holder.noting.done == [("ingest", said, None)] * 2


async def test_who_is_asked_and_the_whole_state(desk: Handler) -> None:
    assert json.loads((await desk.answer({"ask": "who"})).text) == {"pid": 42}
    document = json.loads((await desk.answer({"ask": "state"})).text)
    assert list(parse_state(document).accounts) == ["a@example.com", "b@example.com"]


async def test_views_are_answered(desk: Handler) -> None:
    lines = await desk.answer({"ask": "status", "form": "line", "format": "{name} {5h.percent}"})
    assert lines.text.startswith("a@example.com 42\n")
    assert (await desk.answer({"ask": "next", "form": "name"})).code == 0
    guard = {"ask": "guard", "account": "a@example.com", "window": "5h", "max": 40}
    assert await desk.answer(guard) == (4, "")


def test_a_stream_shows_the_whole_state_or_lines(desk: Handler) -> None:
    watch = desk.stream({"ask": "watch"})
    assert watch is not None
    assert set(parse_state(json.loads(watch.render())).accounts) == set(SHOWN.accounts)
    lines = desk.stream({"ask": "lines", "format": "{name}", "account": "b@example.com"})
    assert lines is not None
    assert lines.render() == "b@example.com\n"
    assert desk.stream({"ask": "status"}) is None


def test_a_stream_of_changes_tells_each_once() -> None:
    view = Still()
    steps = Handler(Holder(), view, FakeClock()).stream({"ask": "watch", "changes": True})
    assert steps is not None
    assert steps.step is not None
    assert set(parse_state(json.loads(steps.render())).accounts) == set(SHOWN.accounts)
    assert steps.step() == ""
    view.state = replace(SHOWN, active=1)
    assert json.loads(steps.step())["active"] == 1
    assert steps.step() == ""


@pytest.mark.parametrize(
    "request_",
    [
        {"ask": "lines", "format": "{nmae}", "account": None},
        {"ask": "lines", "format": None, "account": "nobody"},
    ],
)
def test_a_stream_of_what_there_is_not_is_refused_at_once(
    desk: Handler, request_: Mapping[str, Any]
) -> None:
    with pytest.raises(SettingsError):
        desk.stream(request_)


def test_a_stream_of_an_account_that_is_removed_goes_on_without_lines() -> None:
    view = Still()
    desk = Handler(Holder(), view, FakeClock())
    lines = desk.stream({"ask": "lines", "format": "{name}", "account": "b@example.com"})
    view.state = state(live("a@example.com"))
    assert lines is not None
    assert lines.render() == ""
