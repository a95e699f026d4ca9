"""A running monitor's socket over a fixed state, for commands that ask it: the real server, views and paths."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.app.queries import is_view, lines, view
from monitor.core.codec_v1 import render_state
from monitor.core.state import State
from monitor.ipc.broadcast import Stream
from monitor.ipc.permissions import own_folder
from monitor.ipc.server import Server
from monitor.paths import config_path, instance
from tests.exporters.fakes import loop_in_thread


@dataclass
class StandIn:
    """Answers views of its state; of all else it keeps what was asked. `changed` makes a stream look again."""

    state: State
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None

    def stream(self, request: Mapping[str, Any]) -> Stream | None:
        if request["ask"] != "lines":
            return None

        def render() -> str:
            return lines(self.state, datetime.now(UTC), request)

        async def changed() -> None: ...

        return Stream(json.dumps(request), render, changed)

    async def answer(self, request: Mapping[str, Any]) -> tuple[int, str]:
        self.asked.append(request)
        if is_view(request):
            return view(self.state, datetime.now(UTC), request)
        if request["ask"] == "state":
            return 0, json.dumps(render_state(self.state))
        return 0, f"{request['ask']}: done\n"


def socket_of(env: Mapping[str, str]) -> str:
    """Where the monitor of this environment listens."""
    return instance(env, config_path(env))[1]


@contextmanager
def owner(env: Mapping[str, str], state: State) -> Iterator[StandIn]:
    """A stand-in that listens for the time of the block, or until its `stop`."""
    desk = StandIn(state)
    path = socket_of(env)
    own_folder(str(Path(path).parent))
    with loop_in_thread() as run:
        server = Server(desk, path)
        run(server.start())
        ended: list[bool] = []

        def stop() -> None:
            if not ended:
                ended.append(True)
                run(server.stop())

        desk.stop = stop
        try:
            yield desk
        finally:
            stop()
