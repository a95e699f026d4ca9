"""Hundreds of logins of which nobody knows yet whose they are: found out soon, while the monitor goes on answering."""

import asyncio
import json
import re
import socket
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from aiohttp import web

from monitor.demo.server import SimulatedApi
from tests.end_to_end.crowd import Crowd, crowd
from tests.real.bus import wait_until

ACCOUNTS = 400
API_SECS = 0.3
"""How long the real API takes to say whose a token is."""

MOST_SECS = 90.0
"""At two a second it would be 200."""


def test_hundreds_of_logins_are_identified_while_the_loop_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = SimulatedApi._profile

    async def slow(self: SimulatedApi, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(API_SECS)
        return await answer(self, request)

    monkeypatch.setattr(SimulatedApi, "_profile", slow)
    with crowd(tmp_path, accounts=ACCOUNTS) as many:
        text = many.settings.read_text().replace("_secs = 30", "_secs = 180")
        many.settings.write_text(re.sub(r"config_dir = .*\n", "", text))
        many.serve()
        many.wait_for_leader()
        wait_until(lambda: listens(many), "the metrics")
        waits: list[float] = []

        def is_over() -> bool:
            waits.append(wait(many))
            return sum(seen.path.endswith("profile") for seen in many.api.seen) == ACCOUNTS

        wait_until(is_over, "everybody's identity", MOST_SECS)
        assert max(waits) < 1, "the loop stands still"
        document = json.loads(many.run("status", "--json").stdout)
        failures = {str(account["failure"]) for account in document["accounts"]}
        assert failures == {"None"}, "nobody is told to log in"


def listens(many: Crowd) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", many.port)) == 0


def wait(many: Crowd) -> float:
    """The seconds that the page of health takes."""
    began = time.monotonic()
    connection = HTTPConnection("127.0.0.1", many.port, timeout=30)
    connection.request("GET", "/-/healthy")
    connection.getresponse().read()
    connection.close()
    return time.monotonic() - began
