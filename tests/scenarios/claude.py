"""A simulated Claude Code in folders of a home: it logs in and out, and renews tokens, each of which dies with that.

It writes what the real one does, the way the real one does; the simulated API knows its tokens, and no others.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from monitor.demo.server import Limit, Limits, SimulatedAccount, usage_body
from monitor.system.clock import Clock

LIFE = timedelta(hours=8)
LOGIN_LIFE = timedelta(days=28)
FIVE_HOURS = timedelta(hours=5)

SCOPES = ("user:inference", "user:profile")
SETUP_SCOPES = ("user:inference",)


@dataclass(frozen=True, eq=False)
class Person:
    """One account. Its 7d percentage says whose figures they are, the 5h one in which hour they were asked for."""

    name: str
    number: int
    start: datetime
    simulated: SimulatedAccount = field(init=False)

    def __post_init__(self) -> None:
        account = SimulatedAccount(
            self.name, f"acc-{self.number}", f"org-{self.number}", limits=self.limits
        )
        object.__setattr__(self, "simulated", account)

    @property
    def week(self) -> int:
        return 8 * self.number + 2

    def hour(self, now: datetime) -> int:
        return (now - self.start) // timedelta(hours=1) + 1

    def limits(self, now: datetime) -> Limits:
        """5h windows follow one another without a gap; the week ends in four days."""
        ends = self.start + FIVE_HOURS * ((now - self.start) // FIVE_HOURS + 1)
        week_ends = self.start + timedelta(days=4)
        return Limits(Limit(self.hour(now), ends), Limit(self.week, week_ends))


@dataclass(frozen=True)
class Token:
    """An access token, and when it ends of itself. `scopes` are those that it was given."""

    text: str
    person: Person
    ends: datetime
    login_ends: datetime | None
    scopes: tuple[str, ...] = SCOPES


class Tokens:
    """Whose each token is. A token that has ended is unknown to the API from that moment on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._valid: list[Token] = []
        self._count = 0

    def issue(self, person: Person, life: timedelta = LIFE, **more: Any) -> Token:
        self._count += 1
        now = self._clock.now()
        text = f"sk-ant-oat01-{self._count:03}-{person.number:032}"
        token = Token(text, person, now + life, **{"login_ends": now + LOGIN_LIFE, **more})
        self._valid.append(token)
        if token.scopes == SCOPES:
            person.simulated.tokens.add(text)
        return token

    def end(self, tokens: Iterable[Token]) -> None:
        for token in tokens:
            token.person.simulated.tokens.discard(token.text)

    def end_in_time(self) -> None:
        """Those whose time has come are dead."""
        now = self._clock.now()
        self.end(token for token in self._valid if token.ends <= now)
        self._valid = [token for token in self._valid if token.ends > now]


class Place(Protocol):
    """Where one folder's login is kept: a file, or an item of the Keychain."""

    def write(self, text: str) -> None: ...
    def clear(self) -> None: ...


@dataclass
class RenamedFile:
    """Replaced in one step."""

    folder: Path

    def write(self, text: str) -> None:
        new = self.folder / ".credentials.json.new"
        new.write_text(text)
        new.replace(self.folder / ".credentials.json")

    def clear(self) -> None:
        (self.folder / ".credentials.json").unlink()


@dataclass
class RewrittenFile(RenamedFile):
    """Written over where it is."""

    def write(self, text: str) -> None:
        with (self.folder / ".credentials.json").open("w") as file:
            file.write(text)


P = TypeVar("P", bound=Place)


@dataclass
class ClaudeFolder(Generic[P]):
    """Claude Code in one configuration folder; `json` is its `.claude.json`, with the usage that it has seen last."""

    tokens: Tokens
    clock: Clock
    json: Path
    place: P
    token: Token | None = None

    def log_in(self, person: Person, life: timedelta = LIFE) -> None:
        """`/login`: whoever was logged in here before keeps a token that works until its end."""
        self.token = self.tokens.issue(person, life)
        self._write_login()
        self._write_json()

    def renew(self) -> None:
        """The former token is dead before the new one is written."""
        self._renewed()
        self._write_login()

    def begin_to_renew(self) -> None:
        """Half of the new login is written so far; `go_on` writes all of it."""
        self._renewed()
        text = self._login()
        self.place.write(text[: len(text) // 2])

    def go_on(self) -> None:
        self._write_login()

    def switch(self, person: Person) -> None:
        """`/login` as another one, of which `.claude.json` learns later, by `note`."""
        self.token = self.tokens.issue(person)
        self._write_login()

    def note(self) -> None:
        """Claude Code writes `.claude.json` at each prompt."""
        self._write_json()

    def log_out(self) -> None:
        self.token = None
        self.place.clear()
        self._write_json()

    def hold_setup_token(self, person: Person) -> None:
        """Somebody put the token of `claude setup-token` here: for a year, for work alone, and never renewed."""
        year = timedelta(days=365)
        self.token = self.tokens.issue(person, year, login_ends=None, scopes=SETUP_SCOPES)
        self._write_login()

    def _renewed(self) -> None:
        assert self.token is not None
        self.tokens.end([self.token])
        self.token = self.tokens.issue(self.token.person, login_ends=self.token.login_ends)

    def _write_login(self) -> None:
        self.place.write(self._login())

    def _login(self) -> str:
        assert self.token is not None
        login: dict[str, Any] = {
            "accessToken": self.token.text,
            "expiresAt": milliseconds(self.token.ends),
            "scopes": self.token.scopes,
            "subscriptionType": "max",
            "rateLimitTier": "default_claude_max_20x",
        }
        if self.token.login_ends is not None:
            login["refreshToken"] = self.token.text.replace("oat01", "ort01")
            login["refreshTokenExpiresAt"] = milliseconds(self.token.login_ends)
        return json.dumps({"claudeAiOauth": login, "mcpOAuth": {"tool": {"accessToken": "other"}}})

    def _write_json(self) -> None:
        self.json.write_text(json.dumps({"numStartups": 1, **self._facts()}))

    def _facts(self) -> dict[str, Any]:
        if self.token is None:
            return {}
        person, now = self.token.person, self.clock.now()
        account = {
            "accountUuid": person.simulated.account_uuid,
            "organizationUuid": person.simulated.org_uuid,
            "emailAddress": person.name,
            "organizationName": person.simulated.org_name,
        }
        cached = {
            "fetchedAtMs": milliseconds(now),
            "accountUuid": person.simulated.account_uuid,
            "utilization": usage_body(person.limits(now)),
        }
        return {"oauthAccount": account, "cachedUsageUtilization": cached}


def milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
