"""A machine to be examined: a home folder of its own, a keyring in memory, no desktop, no network."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.api.client import Reached
from monitor.core.errors import CredentialError
from monitor.doctor.channels import ScreenFacts
from monitor.doctor.examine import World, examine
from monitor.doctor.report import Check
from tests.builders import NOW, after
from tests.fakes import FakeClock
from tests.storage.factories import keep_facts

TOKEN = "sk-ant-oat01-first"
REFRESH = "sk-ant-ort01-first"

QUIET = "[exporter]\nlisten = 'off'\n"
"""Settings under which no port is looked at."""

ALONE = "[api]\nenabled = false\n"
"""Settings by which nobody is asked."""


class Box:
    """A keyring back end that keeps its entries in memory, or fails."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.written = False
        self.failure: CredentialError | None = None

    def __call__(self) -> "Box":
        if self.failure is not None:
            raise self.failure
        return self

    def get_password(self, service: str, username: str) -> str | None:
        assert service == "claude-tracker"
        return self.entries.get(username)

    def set_password(self, *_: str) -> None:
        self.written = True

    def delete_password(self, *_: str) -> None:
        self.written = True


class Sender:
    """A desktop that can show notifications, or drops them all."""

    def __init__(self, *capabilities: str) -> None:
        self.capabilities = capabilities

    async def request_authorisation(self) -> bool:
        raise AssertionError("the doctor asks nobody for permission")

    async def get_capabilities(self) -> Any:
        return frozenset(self.capabilities)

    async def send(self, *_: Any, **__: Any) -> str:
        raise AssertionError("the doctor sends nothing")


async def answering(*_: object) -> Reached:
    """In the place of the API: it answers, and its clock agrees."""
    return Reached(200, NOW, is_challenge=False)


class Machine:
    """Change what is on it, then `examined()`. Nothing leaves it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.config = self.home / "config.toml"
        self.box = Box()
        self.world = World(
            self.config,
            {"HOME": str(self.home), "PATH": os.environ["PATH"], "USER": "alice"},
            FakeClock(),
            lambda: None,
            ScreenFacts(None, "UTF-8"),
            platform="linux",
            backend=self.box,
            security_secs=0.4,
            sender=lambda: Sender("title"),
            reach=answering,
        )

    def set(self, *, environ: Mapping[str, str] | None = None, **changes: Any) -> None:
        both = {**self.world.environ, **(environ or {})}
        self.world = replace(self.world, environ=both, **changes)

    def settings(self, text: str) -> None:
        self.config.write_text(QUIET + text)
        self.config.chmod(0o600)

    @property
    def state(self) -> Path:
        """The program's own folder, made private."""
        folder = self.home / ".local/state/claude-tracker"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def learns(self, name: str, **facts: object) -> None:
        """What an earlier run has learnt of an account."""
        keep_facts(self.world.environ, self.config, {name: facts})

    def login(self, folder: str = ".claude", **changes: Any) -> Path:
        """A login of Claude Code, good for two hours."""
        path = self.home / folder / ".credentials.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(login_text(**changes))
        return path

    async def examined(self) -> Sequence[Check]:
        return await examine(self.world)

    async def answers(self, name: str) -> list[Check]:
        return [check for check in await self.examined() if check.name == name]

    async def answer(self, name: str) -> Check:
        (check,) = await self.answers(name)
        return check


def advice(check: Check) -> str:
    return check.fix.text if check.fix else ""


def login_text(
    token: str = TOKEN,
    *,
    expires: datetime | None = None,
    ends: datetime | None = None,
    scopes: Sequence[str] = ("user:inference", "user:profile"),
    refresh: str = REFRESH,
) -> str:
    entry = {
        "accessToken": token,
        "refreshToken": refresh,
        "expiresAt": milliseconds(expires or after(hours=2)),
        "refreshTokenExpiresAt": milliseconds(ends or after(days=20)),
        "scopes": list(scopes),
        "subscriptionType": "max",
        "rateLimitTier": "default_claude_max_20x",
    }
    return json.dumps({"claudeAiOauth": entry})


def milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


Edit = Callable[[Machine], object]
