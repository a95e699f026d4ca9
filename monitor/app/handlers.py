"""Answers those who ask over the socket: views of the state, and orders to the controls."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from exporters.template import parse_format
from monitor.app.execute import Controls
from monitor.app.queries import Answer, is_view, lines, lines_of, view
from monitor.core.codec_v1 import Json, render_change, render_state
from monitor.core.errors import SettingsError
from monitor.core.model import Secret
from monitor.ipc.broadcast import Stream
from monitor.ipc.state_view import View
from monitor.system.clock import Clock


class Executor(Protocol):
    """Who holds the office that the desk stands in."""

    @property
    def controls(self) -> Controls: ...

    def who(self) -> Mapping[str, Any]:
        """What the process is."""


class Handler:
    """One for each owner; everybody who may open the socket is the user."""

    def __init__(self, holder: Executor, outlook: View, clock: Clock) -> None:
        self._holder = holder
        self._outlook = outlook
        self._clock = clock

    def stream(self, request: Mapping[str, Any]) -> Stream | None:
        """The whole state for those who draw it, or lines in somebody's format."""
        match request:
            case {"ask": "watch", "changes": True}:
                step = StateDelta(self._outlook).step
                return Stream("changes", self._document, self._outlook.changed, step)
            case {"ask": "watch"}:
                return Stream("watch", self._document, self._outlook.changed)
            case {
                "ask": "lines",
                "format": str() | None as form,
                "account": str() | None as account,
            }:
                return self._lines(request, form, account)
        return None

    def _lines(self, request: Mapping[str, Any], form: str | None, account: str | None) -> Stream:
        """Countdowns move with the seconds, so that is when lines are made anew; documents, with what they tell."""
        is_json = request.get("form") == "json"

        def render() -> str:
            return lines(self._outlook.state, self._clock.now(), request)

        def render_while_there() -> str:
            try:
                return render()
            except SettingsError:  # the account has been removed, or has another name now
                return ""

        render()  # a wrong name is told at once
        changed = self._outlook.changed if is_json else self._next_second
        return Stream(("lines", is_json, form, account), render_while_there, changed)

    def _document(self) -> str:
        return _json(render_state(self._outlook.state))

    async def _next_second(self) -> None:
        await self._clock.sleep(1 - self._clock.now().microsecond / 1_000_000)

    async def answer(self, request: Mapping[str, Any]) -> Answer:
        """Raises TrackerError where it cannot be done, and SettingsError where it cannot be understood."""
        if is_view(request):
            return view(self._outlook.state, self._clock.now(), request)
        return Answer(0, await self._done(request))

    async def _done(self, request: Mapping[str, Any]) -> str:
        match request:
            case {"ask": "who"}:
                return json.dumps(self._holder.who())
            case {"ask": "state"}:
                return self._document()
            case {"ask": "ingest", "document": dict(said), "config_dir": str() | None as folder}:
                return await self._ingested(said, folder, request.get("format"))
        return f"{await self._carried_out(request)}\n"

    async def _ingested(self, said: Mapping[str, Any], folder: str | None, form: object) -> str:
        """What the account's status line is to show; in no format of its own, its name."""
        parsed = parse_format(form if isinstance(form, str) else "{name}")
        name = await self._holder.controls.ingest(said, folder)
        return lines_of(self._outlook.state, self._clock.now(), parsed, name)

    async def _carried_out(self, request: Mapping[str, Any]) -> str:
        controls = self._holder.controls
        match request:
            case {"ask": "refresh", "account": str() | None as account}:
                return await controls.refresh(account)
            case {"ask": "mute"}:
                return await controls.mute()
            case {"ask": "import", "sources": "all", "brief": True}:
                return await controls.import_logins()
            case {"ask": "import", "sources": str(sources)}:
                return await controls.import_from(sources)
            case {"ask": "add", "name": str(name), "session_key": str(key), "org_id": str(org_id)}:
                return await controls.add(name, Secret(key), org_id)
            case {
                "ask": "edit",
                "name": str(name),
                "new_name": str(new_name),
                "session_key": str() | None as key,
                "org_id": str(org_id),
            } if isinstance(label := request.get("label"), str | None):
                secret = Secret(key) if key else None
                return await controls.edit(name, new_name, secret, org_id, label)
            case {"ask": "remove", "name": str(name)}:
                return await controls.remove(name)
            case {"ask": "use", "name": str(name)}:
                return await controls.use(name)
            case {"ask": "reload"}:
                return await controls.reload()
        raise SettingsError(f"the running monitor does not know how to {request.get('ask')!r}")


class StateDelta:
    """What has become of the state, bit by bit: a poll of one account is told without all the others."""

    def __init__(self, outlook: View) -> None:
        self._outlook = outlook
        self._told = outlook.state

    def step(self) -> str:
        """What has changed since the last call, empty where nothing has."""
        before, self._told = self._told, self._outlook.state
        return "" if self._told is before else _json(render_change(before, self._told))


def _json(document: Json) -> str:
    return json.dumps(document, separators=(",", ":"))
