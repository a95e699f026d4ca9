"""Figures without any request: what Claude Code has kept in `.claude.json`, and what it gives to its status line."""

from collections import defaultdict
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
from monitor.credentials.claude_code import ClaudeFacts, LoginSource, place_name
from monitor.credentials.watcher import LoginWatcher
from monitor.store import Store
from monitor.system.aio import DaemonThreads
from monitor.system.clock import Clock

LOOK_EVERY: Final = 10.0
DISK_SECS: Final = 5.0
"""So long the disks may take to say which files have changed."""

READ_EVERY: Final = timedelta(seconds=30)
"""The file changes with each prompt, its figures seldom."""

AHEAD: Final = timedelta(minutes=1)
"""Figures that are dated further ahead than this are ignored: their date is wrong."""

SESSIONS: Final = 200
"""Of so many sessions of Claude Code the last status line is remembered."""

Parse = Callable[[bytes, datetime], Usage]
"""From an answer of the usage API, and when it came, to usage. Raises ApiError."""


@dataclass(slots=True)
class _Reading:
    """The facts that were read last in one `.claude.json`, when that was, and the file's stamp then.

    `taken` is the usage that was brought into the state last.
    """

    stamp: Hashable = None
    at: datetime | None = None
    facts: ClaudeFacts | None = None
    taken: Hashable = None


class LocalUsage:
    """Brings these figures into the state, each for the account that it is proven to be of."""

    def __init__(
        self, watcher: LoginWatcher, cache: AccountCache, store: Store, clock: Clock, parse: Parse
    ) -> None:
        self._watcher = watcher
        self._registry = watcher.registry
        self._cache = cache
        self._store = store
        self._clock = clock
        self._parse = parse
        self._readings: defaultdict[str, _Reading] = defaultdict(_Reading)
        self._limits_of: dict[str, object] = {}
        self._threads = DaemonThreads(DISK_SECS)

    async def run(self) -> None:
        """Look until cancelled; the first look is at once."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Bring what is new in any `.claude.json` into the state."""
        await self._watcher.find_places_once()  # later the watcher finds what is new
        places = self._registry.places
        for key in self._readings.keys() - places.keys():
            del self._readings[key]
        sources = [place.source for place in places.values()]
        stamps = await self._peek(sources)
        for source in sources:
            facts = await self._facts(source, stamps.get(source.key))
            if facts is not None:
                self._take(source, facts)

    async def _peek(self, sources: Sequence[LoginSource]) -> dict[str, Hashable]:
        """The stamps of all files by one thread; nothing while a disk is silent."""
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
        """Say whether the session has not said so before: an idle terminal repeats its last answer for hours."""
        session, limits = document.get("session_id"), document["rate_limits"]
        if not isinstance(session, str):
            return True
        before = self._limits_of.pop(session, None)
        self._limits_of[session] = limits
        if len(self._limits_of) > SESSIONS:
            del self._limits_of[next(iter(self._limits_of))]
        return bool(before != limits)

    def _take(self, source: LoginSource, facts: ClaudeFacts) -> None:
        """Bring the usage into the state. It names no organization: that is the one of the login beside it."""
        identity, cached, now = facts.identity, facts.cached, self._clock.now()
        if identity is None or cached is None or cached.account_uuid != identity.account_uuid:
            return
        name, usage_key = self._account_of(identity), (identity, cached.at, cached.body)
        reading = self._readings[source.key]
        if name is None or reading.taken == usage_key or cached.at > now + AHEAD:
            return
        reading.taken = usage_key
        try:
            usage = self._parse(cached.body, min(cached.at, now))
        except ApiError:  # of a version that this one does not know: a poll will tell
            return
        self._store.dispatch(AnswerSeen(now, name, usage))

    def _account_of(self, identity: Identity) -> str | None:
        """Return the name of the account that is proven to have this identity."""
        found, names = self._cache.accounts_of(identity), self._store.state.accounts
        return next((name for name in names if name in found), None) if found else None

    async def _facts(self, source: LoginSource, stamp: Hashable) -> ClaudeFacts | None:
        """Read what `.claude.json` says, or said a moment ago; None where it says nothing that can be read."""
        if source.facts is None:
            return None
        now, reading = self._clock.now(), self._readings[source.key]
        if reading.at is None or (stamp != reading.stamp and now - reading.at >= READ_EVERY):
            found = None
            with suppress(CredentialError):
                found = await source.facts.read()
            # Kept only now: who asks meanwhile reads it too, and does not go without.
            reading.at, reading.stamp = now, stamp if found else None
            reading.facts = found or reading.facts
        return reading.facts

    # Whose status line it is

    async def _account_at(self, config_dir: str | None) -> str:
        places = await self._registry.places_at(config_dir or "")
        if not places:
            await self._watcher.find_places()
            places = await self._registry.places_at(config_dir or "")
        if not places:
            raise TrackerError(f"nothing is known of Claude Code in {config_dir or '~/.claude'}")
        source = places[0].source
        facts = await self._facts(source, (await self._peek([source])).get(source.key))
        identity, owner = facts.identity if facts else None, places[0].owner
        if owner is None and source.folder is not None:  # as it was when we last ran
            owner = min(self._cache.accounts_in(source.folder), default=None)
        accounts = self._store.state.accounts
        if identity is not None and owner not in accounts:
            owner = self._account_of(identity)
        if owner is None or owner not in accounts:
            raise TrackerError(
                f"the login in {place_name(source)} is none of the accounts: import it first"
            )
        if identity is not None and not self._agrees(owner, identity):
            raise TrackerError(
                f"{place_name(source)} contains the login of {owner}, but .claude.json names another one: "
                f"run `{command(source.folder)}` once"
            )
        return owner

    def _agrees(self, name: str, identity: Identity) -> bool:
        """Say whether the identity may be this account's, as far as either is known."""
        known = self._cache[name].identity
        if known is None or identity.org_uuid:
            return known in (None, identity)
        return known.account_uuid == identity.account_uuid
