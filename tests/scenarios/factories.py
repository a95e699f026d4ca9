"""What the days have in common: the machine and its API, the words of a table, and what is expected of them."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from monitor.credentials.claude_code import Discovery
from monitor.credentials.stores import SecretStore
from monitor.demo.server import SimulatedApi
from tests.scenarios.claude import Person
from tests.scenarios.clock import DayClock
from tests.scenarios.program import Machine

START = datetime(2026, 11, 22, tzinfo=UTC)


class KeyringInMemory:
    """A back end of the keyring library."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        _ = service
        return self.kept.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        _ = service
        self.kept[username] = password

    def delete_password(self, service: str, username: str) -> None:
        _ = service
        del self.kept[username]


@asynccontextmanager
async def living(
    home: Path,
    clock: DayClock,
    people: Sequence[Person],
    settings: str,
    keyring: SecretStore,
    discover: Callable[[], Discovery],
) -> AsyncIterator[tuple[Machine, SimulatedApi]]:
    """The machine of this home, and the API that knows these people; `settings` begin the settings file."""
    api = SimulatedApi([person.simulated for person in people], clock.now)
    config = home / "config.toml"
    async with api as url:
        config.write_text(f'{settings}[api]\nurl = "{url}"\nweb_url = "{url}"\n')
        yield Machine(config, {"HOME": str(home)}, clock, keyring, discover), api


def statuses(table: str) -> Iterator[tuple[str, str]]:
    """Each account's name and status, in brief."""
    for name, words in re.findall(r"^ [ >]\d+ \| (\S+).* \| (.*)$", table, re.MULTILINE):
        yield name, in_brief(words)


def in_brief(words: str) -> str:
    """A status without its age; what was fetched within the hour is live."""
    words = re.sub(r", \S+( old)?$| \d+m$", "", words.strip())
    return "Live" if re.fullmatch(r"\d+m ago", words) else words


def hours(*parts: tuple[int, str]) -> list[str]:
    """What the table says at half past each hour, until each of these hours is over."""
    said: list[str] = []
    for end, words in parts:
        said += [words] * (end - len(said))
    return said
