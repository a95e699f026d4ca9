"""A Keychain whose question nobody answers, or that is locked, over half a night: how often it is asked."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source
from monitor.credentials.claude_code import ClaudeCode, LoginSource
from monitor.credentials.keychain import Security
from monitor.system.clock import Clock
from tests.credentials.factories import AccountsRig

NIGHT = timedelta(hours=4)
LOOK_SECS = 5


class Asked(Security):
    """Shows its items' dates at once, and none of their secrets: it hangs, or ends with this code."""

    def __init__(self, clock: Clock, code: int | None) -> None:
        super().__init__(clock=clock)
        self.code = code
        self.secrets = self.dates = 0

    async def ask(self, *arguments: str, max_bytes: int = 0) -> tuple[int, bytes]:
        _ = max_bytes
        if "-w" not in arguments:
            self.dates += 1
            return 0, b'"mdat"<timedate>=0x32  "20261122120000Z\000"'
        self.secrets += 1
        if self.code is None:
            raise CredentialError(Failure(Reason.CREDENTIALS, Cause.SILENT, Source.KEYCHAIN))
        return self.code, b""


@pytest.mark.parametrize(
    ("code", "most"),
    [
        pytest.param(None, 14, id="a question that hangs comes up seldom, and ever more so"),
        pytest.param(51, 1, id="who said no is not asked again"),
        pytest.param(128, 1, id="who cancelled is not asked again"),
        pytest.param(36, 250, id="a locked one asks nobody, and may be looked at each minute"),
    ],
)
async def test_the_secret_is_not_asked_for_all_night(code: int | None, most: int) -> None:
    rig = AccountsRig()
    security = Asked(rig.clock, code)
    item = ClaudeCode(item="Claude Code-credentials", security=security)

    async def sources(_: Sequence[str]) -> Sequence[LoginSource]:
        return [item]

    rig.start(sources)
    watcher = rig.watcher
    for _ in range(NIGHT // timedelta(seconds=LOOK_SECS)):
        await watcher.look()
        await rig.clock.advance(LOOK_SECS, tick=LOOK_SECS)
    assert 1 <= security.secrets <= most
    assert security.dates > 2500, "its date is looked at all the time, which asks nobody"
