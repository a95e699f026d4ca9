"""Follows Claude Code's own logins: who is logged in, and which token it has renewed. It only ever reads them."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.accounts.book import AccountBook
from monitor.accounts.credentials import Credentials
from monitor.accounts.seams import LoginSource, ProfileSource
from monitor.clock import Clock
from monitor.core.errors import ApiError, CredentialError, NotLoggedInError
from monitor.core.events import LoginSeen
from monitor.core.model import LOGIN_REASONS, Login, Profile
from monitor.store import Store

LOOK_EVERY: Final = 5.0
ASK_AGAIN: Final = timedelta(minutes=1)
ASK_AGAIN_MOST: Final = timedelta(minutes=30)


@dataclass(slots=True)
class _Followed:
    """Where we are with one source: `seen` is what was dealt with last, the login and the accounts of that time."""

    source: LoginSource
    seen: Hashable = None
    failures: int = 0
    not_before: datetime | None = None


class LoginWatcher:
    """Looks at each source every few seconds, and reads one only when it has changed."""

    def __init__(
        self,
        *,
        sources: Callable[[], Sequence[LoginSource]],
        credentials: Credentials,
        book: AccountBook,
        api: ProfileSource,
        store: Store,
        clock: Clock,
    ) -> None:
        self._sources = sources
        self._credentials = credentials
        self._book = book
        self._api = api
        self._store = store
        self._clock = clock
        self._followed: dict[str | None, _Followed] = {}

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Deal with every source that has changed since the last look; the first one is where Claude Code looks."""
        for place, source in enumerate(self._sources()):
            followed = self._followed.setdefault(source.folder, _Followed(source))
            if followed.not_before is None or followed.not_before <= self._clock.now():
                await self._look_at(followed, is_current=place == 0)

    async def _look_at(self, followed: _Followed, *, is_current: bool) -> None:
        # The stamp is taken first: a login that is rewritten while we read it is then read once more.
        seen = (await followed.source.stamp(), tuple(self._store.state.accounts))
        if seen == followed.seen:
            return
        try:
            name = await self._account_of(followed.source)
        except (ApiError, CredentialError):
            self._ask_again(followed)
            return
        followed.seen, followed.failures, followed.not_before = seen, 0, None
        if is_current:
            self._store.dispatch(LoginSeen(self._clock.now(), name))

    async def _account_of(self, source: LoginSource) -> str | None:
        """The account that the source's login belongs to; its token is taken over where it is a new one."""
        try:
            login = await source.read()
        except NotLoggedInError:
            return None
        await self._credentials.warm(a.account for a in self._store.state.accounts.values())
        owner = self._credentials.owner_of(login.credential.secret)
        if owner is not None:
            self._book.note_login(owner, login, source.folder)
            return owner
        if login.credential.is_dead(self._clock.now()):
            return None
        profile = await self._profile(login)
        return None if profile is None else await self._take_over(source, login, profile)

    async def _profile(self, login: Login) -> Profile | None:
        """Whose login it is; None where the API refuses the token, which asking again would not change."""
        try:
            return await self._api.profile(login.credential.secret)
        except ApiError as error:
            if error.reason in LOGIN_REASONS:
                return None
            raise

    async def _take_over(self, source: LoginSource, login: Login, profile: Profile) -> str | None:
        account = await self._book.account_of(profile)
        if account is None:
            return None
        await self._book.take_over(account.name, login, profile, source.folder)
        return account.name

    def _ask_again(self, followed: _Followed) -> None:
        wait = min(ASK_AGAIN * (1 << min(followed.failures, 10)), ASK_AGAIN_MOST)
        followed.failures += 1
        followed.not_before = self._clock.now() + wait
