"""Figures without any request: what Claude Code has kept in `.claude.json`, and what it gives to its status line."""

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from monitor.core.errors import ApiError, CredentialError, TrackerError, command
from monitor.core.events import AnswerSeen, FiguresSeen
from monitor.core.limits import parse_rate_limits
from monitor.core.model import Identity, Usage
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.claude_code import LoginSource, place_name
from monitor.credentials.claude_files import ClaudeFacts
from monitor.credentials.registry import LoginRegistry
from monitor.credentials.watcher import Sources
from monitor.store import Store
from monitor.system.aio import DaemonThreads
from monitor.system.clock import Clock

LOOK_EVERY: Final = 10.0
READ_EVERY: Final = timedelta(seconds=30)
"""The file changes with each prompt, its figures seldom."""

DISK_SECS: Final = 5.0
"""How long the disks may take to say which files have changed."""

AHEAD: Final = timedelta(minutes=1)
"""A date further ahead than this is wrong, and tells nothing of what is older."""

SESSIONS: Final = 200
"""Of so many sessions of Claude Code it is remembered what they said last."""

Parse = Callable[[bytes, datetime], Usage]
"""From an answer of the usage API, and when it came, to usage. Raises ApiError."""


@dataclass(slots=True)
class _Noted:
    """What was read of one `.claude.json`, when, and what it looked like; `told` is the usage that was dealt with."""

    stamp: Hashable
    at: datetime
    facts: ClaudeFacts | None
    told: Hashable = None


class LocalUsage:
    """Brings such figures into the state, each under the account that it is proven to be of."""

    def __init__(
        self,
        sources: Sources,
        cache: AccountCache,
        registry: LoginRegistry,
        store: Store,
        clock: Clock,
        parse: Parse,
    ) -> None:
        self._sources = sources
        self._cache = cache
        self._registry = registry
        self._store = store
        self._clock = clock
        self._parse = parse
        self._noted: dict[str, _Noted] = {}
        self._known: Sequence[LoginSource] = ()
        self._said: dict[str, object] = {}
        self._threads = DaemonThreads(DISK_SECS)

    async def run(self) -> None:
        """Look until cancelled; the first look is at once."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Take what is new in any `.claude.json`."""
        self._known = await self._sources()
        self._noted = {s.key: n for s in self._known if (n := self._noted.get(s.key)) is not None}
        stamps = await self._peek(self._known)
        for source in self._known:
            facts = await self._facts(source, stamps.get(source.key))
            if facts is not None:
                self._take(source, facts)

    async def _peek(self, sources: Sequence[LoginSource]) -> dict[str, Hashable]:
        """What each file looks like, of all at once; nothing while a disk is silent."""
        with suppress(TimeoutError):
            return await self._threads.run(
                lambda: {s.key: s.facts.peek() for s in sources if s.facts is not None}
            )
        return {}

    async def ingest(self, document: Mapping[str, Any], config_dir: str | None) -> str:
        """Take what Claude Code has said to the status line of this folder (None is `~/.claude`).

        Answers with the account's name. Raises TrackerError where it is nobody's, or cannot be true.
        """
        now = self._clock.now()
        usage = parse_rate_limits(document, now)
        name = await self._account_at(config_dir)
        if usage is not None and self._is_news(document):
            self._store.dispatch(FiguresSeen(now, name, usage))
        return name

    def _is_news(self, document: Mapping[str, Any]) -> bool:
        """Whether the session has not said so before: an idle terminal repeats its last answer for hours."""
        session, limits = document.get("session_id"), document["rate_limits"]
        if not isinstance(session, str):
            return True
        before = self._said.pop(session, None)
        self._said[session] = limits
        if len(self._said) > SESSIONS:
            del self._said[next(iter(self._said))]
        return bool(before != limits)

    def _take(self, source: LoginSource, facts: ClaudeFacts) -> None:
        """The kept usage has an account's uuid alone: its organization is that of the login beside it."""
        identity, cached, now = facts.identity, facts.cached, self._clock.now()
        if identity is None or cached is None or cached.account_uuid != identity.account_uuid:
            return
        name, told = self._named(identity), (identity, cached.at, cached.body)
        noted = self._noted[source.key]
        if name is None or noted.told == told or cached.at > now + AHEAD:
            return
        noted.told = told
        try:
            usage = self._parse(cached.body, min(cached.at, now))
        except ApiError:  # of a version that this one does not know: a poll will tell
            return
        self._store.dispatch(AnswerSeen(now, name, usage))

    def _named(self, identity: Identity) -> str | None:
        """The account that is proven to have this identity."""
        return min(self._cache.being(identity) & self._store.state.accounts.keys(), default=None)

    async def _facts(self, source: LoginSource, stamp: Hashable) -> ClaudeFacts | None:
        """What `.claude.json` says, or said a moment ago; None where it says nothing that can be read."""
        if source.facts is None:
            return None
        now, old = self._clock.now(), self._noted.get(source.key)
        if old is not None and (old.stamp == stamp or now - old.at < READ_EVERY):
            return old.facts
        told = old.told if old else None
        try:
            facts = await source.facts.read()
        except CredentialError:
            self._noted[source.key] = _Noted(None, now, old.facts if old else None, told)
        else:
            self._noted[source.key] = _Noted(stamp, now, facts, told)
        return self._noted[source.key].facts

    # Whose status line it is

    async def _account_at(self, config_dir: str | None) -> str:
        source = await self._source_at(config_dir)
        if source is None:
            raise TrackerError(f"nothing is known of Claude Code in {config_dir or '~/.claude'}")
        stamp = (await self._peek([source])).get(source.key)
        facts, owner = await self._facts(source, stamp), self._owner(source)
        identity = facts.identity if facts else None
        name = owner or (self._named(identity) if identity else None)
        if name is None:
            raise TrackerError(
                f"the login in {place_name(source)} is none of the accounts: import it first"
            )
        if identity is not None and not self._agrees(name, identity):
            raise TrackerError(
                f"{place_name(source)} holds the login of {name}, but .claude.json names another one: "
                f"run `{command(source.folder)}` once"
            )
        return name

    def _agrees(self, name: str, identity: Identity) -> bool:
        """Whether it may be this account's, as far as either is known."""
        known = self._cache[name].identity
        if known is None or identity.org_uuid:
            return known in (None, identity)
        return known.account_uuid == identity.account_uuid

    def _owner(self, source: LoginSource) -> str | None:
        """By its token if that was seen, else as it was when we last ran."""
        place, folder = self._registry.places.get(source.key), source.folder
        names = set() if folder is None else self._cache.living_in(folder)
        name = (place.owner if place else None) or min(names, default=None)
        return name if name in self._store.state.accounts else None

    async def _source_at(self, config_dir: str | None) -> LoginSource | None:
        """The place of this folder, however it is spelled; looked for anew where it is not known yet."""
        found = _at(self._known, config_dir)
        if found is None:
            self._known = await self._sources()
            found = _at(self._known, config_dir)
        return found


def _at(sources: Sequence[LoginSource], config_dir: str | None) -> LoginSource | None:
    if not config_dir:
        return next((source for source in sources if source.folder == ""), None)
    key = os.path.realpath(config_dir)
    return next((source for source in sources if source.key == key), None)
