"""A running monitor's socket over a fixed state, for commands that ask it: the real server, views and paths."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.app.queries import answer_query, render_watched
from monitor.core.commands import (
    Guard,
    Next,
    Reply,
    Request,
    Run,
    Status,
    WatchState,
    decode_request,
)
from monitor.core.state import State
from monitor.ipc.lock import own_folder
from monitor.ipc.mirror import encode_delta
from monitor.ipc.protocol import render_lines
from monitor.ipc.server import Server, Stream
from monitor.paths import config_path, instance
from tests.exporters.fakes import loop_in_thread


@dataclass
class StandIn:
    """Answers views of its state; of all else it keeps what was asked. `changed` makes a stream look again."""

    state: State
    asked: list[Request] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None

    async def answer(self, plain: Mapping[str, Any]) -> Reply | Stream:
        request = decode_request(plain)
        match request:
            case Status(watch=True):
                return self._lines(request)
            case WatchState():
                return Stream(
                    lambda: render_lines(encode_delta(None, self.state)), asyncio.Event().wait
                )
            case Status() | Next() | Guard() | Run():
                self.asked.append(request)
                return answer_query(self.state, datetime.now(UTC), request)
        self.asked.append(request)
        return Reply(0, f"{type(request).__name__}: done\n")

    def _lines(self, request: Status) -> Stream:
        async def changed() -> None: ...

        def news() -> bytes:
            return render_lines(render_watched(self.state, datetime.now(UTC), request))

        return Stream(news, changed)


def socket_of(env: Mapping[str, str]) -> str:
    """Where the monitor of this environment listens."""
    return instance(env, config_path(env))[1]


@contextmanager
def leader(env: Mapping[str, str], state: State) -> Iterator[StandIn]:
    """A stand-in that listens for the time of the block, or until its `stop`."""
    stand_in = StandIn(state)
    path = socket_of(env)
    own_folder(str(Path(path).parent))
    with loop_in_thread() as run:
        server = Server(stand_in.answer, path)
        run(server.start())
        ended: list[bool] = []

        def stop() -> None:
            if not ended:
                ended.append(True)
                run(server.stop())

        stand_in.stop = stop
        try:
            yield stand_in
        finally:
            stop()
