"""Answers those who ask over the socket: views of the state, and commands that are executed."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from monitor.app.execute import Execute
from monitor.app.queries import Answer, answer_query, render_watched
from monitor.core.commands import Guard, Next, Status, WatchLines, WatchState, Who, decode_request
from monitor.core.errors import SettingsError
from monitor.ipc.broadcast import Stream
from monitor.ipc.mirror import View, encode_change, encode_state
from monitor.system.clock import Clock


class RequestHandler:
    """Knows what each request means; everybody who may open the socket is the user.

    `who` says which process it is, as JSON values.
    """

    def __init__(
        self, execute: Execute, who: Callable[[], Mapping[str, Any]], view: View, clock: Clock
    ) -> None:
        self._execute = execute
        self._who = who
        self._view = view
        self._clock = clock

    async def answer(self, plain: Mapping[str, Any]) -> Answer | Stream:
        """Answer one request. Raises TrackerError: a SettingsError where it cannot be understood."""
        try:
            request = decode_request(plain)
        except ValueError as error:
            raise SettingsError(
                f"the running monitor does not know this request: {error}"
            ) from None
        match request:
            case Status() | Next() | Guard():
                return answer_query(self._view.state, self._clock.now(), request)
            case WatchState():
                return self._states()
            case WatchLines():
                return self._lines(request)
            case Who():
                return Answer(0, json.dumps(self._who()))
            case command:
                return Answer(0, f"{await self._execute(command)}\n")

    def _states(self) -> Stream:
        """Send the whole state first, then what has changed: a poll of one account is sent without all the others."""
        sent = self._view.state

        def changes() -> str:
            nonlocal sent
            before, sent = sent, self._view.state
            return "" if sent is before else encode_change(before, sent)

        return Stream("states", lambda: encode_state(self._view.state), self._view.changed, changes)

    def _lines(self, request: WatchLines) -> Stream:
        """Make lines anew every second, for countdowns move with it; documents, with what they tell."""

        def render() -> str:
            return render_watched(self._view.state, self._clock.now(), request)

        def render_while_there() -> str:
            try:
                return render()
            except SettingsError:  # the account has been removed, or has another name now
                return ""

        render()  # a wrong name is refused at once
        changed = self._view.changed if request.form == "json" else self._next_second
        return Stream(request, render_while_there, changed)

    async def _next_second(self) -> None:
        await self._clock.sleep(1 - self._clock.now().microsecond / 1_000_000)
