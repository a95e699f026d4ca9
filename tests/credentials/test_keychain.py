"""The Keychain in its moods, as recorded: locked, denied, silent, absent, half-written, and in hex."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitor.core.errors import Cause, CredentialError
from monitor.core.model import Secret
from monitor.credentials.keychain import Keychain, Security
from tests.credentials.fake_security import FakeSecurity
from tests.fakes import FakeClock

SERVICE = "Claude Code-credentials"
OTHER = f"{SERVICE}-00000001"
WRITTEN = json.dumps({"claudeAiOauth": {"accessToken": "token", "refreshToken": "r"}})
HOUR = timedelta(hours=1)
MCP_ONLY = '{"mcpOAuth":{"x":{"accessToken":"t"}}}'


class Mac:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.fake = FakeSecurity(folder)
        self.security = Security(self.fake.program, self.clock, limit_secs=10)

    def hang(self, *services: str, dates_too: bool = False) -> None:
        """The items' question is waited for a second, and no longer."""
        for service in services or (SERVICE,):
            self.fake.put(service, WRITTEN)
            self.fake.behave(service, hang="all" if dates_too else True)
        self.security = Security(self.fake.program, self.clock, limit_secs=1)

    def keychain(self, *services: str) -> Keychain:
        names = services or (SERVICE,)
        return Keychain(names, "alice", self.security)


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path)


async def cause(keychain: Keychain) -> Cause | None:
    with pytest.raises(CredentialError) as caught:
        await keychain.login()
    return caught.value.cause


TROUBLES = [
    (36, Cause.LOCKED),
    (37, Cause.NO_KEYRING),
    (44, Cause.ABSENT),
    (50, Cause.NO_KEYRING),
    (51, Cause.DENIED),
    (128, Cause.CANCELLED),
    (1, Cause.FAILED),
]


@pytest.mark.parametrize(("code", "expected"), TROUBLES)
async def test_each_exit_code_is_a_trouble_of_its_own(mac: Mac, code: int, expected: Cause) -> None:
    mac.fake.put(SERVICE, WRITTEN, exit=code)
    assert await cause(mac.keychain()) is expected


async def test_a_locked_keychain_still_shows_its_dates(mac: Mac) -> None:
    mac.fake.put(SERVICE, WRITTEN)
    mac.fake.set(locked=True)
    keychain = mac.keychain()
    before = await keychain.stamp()
    assert await cause(keychain) is Cause.LOCKED
    mac.fake.put(SERVICE, WRITTEN, at=mac.clock.now().replace(year=2027))
    assert await keychain.stamp() != before


@pytest.mark.parametrize("as_hex", [False, True])
async def test_a_printable_login_is_read_in_either_form(mac: Mac, as_hex: bool) -> None:
    mac.fake.put(SERVICE, WRITTEN, hex=as_hex)
    assert (await mac.keychain().login()).credential.secret == Secret("token")


async def test_an_item_without_an_account_is_found(mac: Mac) -> None:
    mac.fake.put(SERVICE, WRITTEN, account=None)
    assert (await mac.keychain().login()).credential.secret == Secret("token")


@pytest.mark.parametrize("data", [WRITTEN[:40], MCP_ONLY])
async def test_an_item_of_no_use_is_passed_over_for_another(mac: Mac, data: str) -> None:
    mac.fake.put(SERVICE, data)
    mac.fake.put(OTHER, WRITTEN)
    login = await mac.keychain(SERVICE, OTHER).login()
    assert login.credential.secret == Secret("token")


@pytest.mark.parametrize("order", [(SERVICE, OTHER), (OTHER, SERVICE)])
async def test_half_a_login_says_more_than_one_of_mcp_servers(
    mac: Mac, order: tuple[str, str]
) -> None:
    mac.fake.put(SERVICE, WRITTEN[:40])
    mac.fake.put(OTHER, MCP_ONLY)
    assert await cause(mac.keychain(*order)) is Cause.DAMAGED
    mac.fake.remove(SERVICE)
    assert await cause(mac.keychain(*order)) is Cause.MCP_ONLY


async def test_a_question_that_hangs_is_asked_once_however_many_want_to_know(mac: Mac) -> None:
    mac.hang()
    keychain = mac.keychain()
    troubles = await asyncio.gather(*(cause(keychain) for _ in range(5)))
    assert set(troubles) == {Cause.SILENT}
    assert len(secrets_asked(mac)) == 1 and mac.fake.running() == []


async def test_questions_for_several_items_wait_for_their_turn(mac: Mac) -> None:
    services = [f"{SERVICE}-0000000{number}" for number in range(3)]
    mac.hang(*services)
    readers = [asyncio.create_task(cause(mac.keychain(service))) for service in services]
    most = 0
    while not all(reader.done() for reader in readers):
        most = max(most, len(mac.fake.running()))
        await asyncio.wait(readers, timeout=0.02)
    assert most == 1 and len(secrets_asked(mac)) == 3
    assert {reader.result() for reader in readers} == {Cause.SILENT}


async def test_after_a_minute_of_quiet_whoever_reads_asks_again(mac: Mac) -> None:
    mac.hang()
    keychain = mac.keychain()
    assert await cause(keychain) is Cause.SILENT
    mac.fake.behave(SERVICE)
    await mac.clock.advance(59, tick=59)
    assert await cause(keychain) is Cause.SILENT
    assert len(secrets_asked(mac)) == 1
    await mac.clock.advance(1)
    assert (await keychain.login()).credential.secret == Secret("token")


async def test_while_it_does_not_answer_nothing_is_known_to_have_changed(mac: Mac) -> None:
    mac.hang()
    keychain = mac.keychain()
    before = await keychain.stamp()
    for _ in range(2):
        assert await cause(keychain) is Cause.SILENT
        assert await keychain.stamp() == before
        await mac.clock.advance(61, tick=61)
        assert await keychain.stamp() == before
    mac.fake.put(SERVICE, WRITTEN, at=mac.clock.now())
    assert await keychain.stamp() != before


async def test_dates_that_hang_are_left_alone_too(mac: Mac) -> None:
    mac.hang(dates_too=True)
    keychain = mac.keychain()
    for _ in range(3):
        await keychain.stamp()
    assert len(mac.fake.calls()) == 1 and mac.fake.running() == []


async def test_an_item_of_absurd_size_is_not_taken(mac: Mac) -> None:
    mac.fake.put(SERVICE, "x" * (5 * 1024 * 1024))
    assert await cause(mac.keychain()) is Cause.TOO_LARGE


def written(token: str, ends: datetime) -> str:
    entry = {"accessToken": token, "expiresAt": round(ends.timestamp() * 1000)}
    return json.dumps({"claudeAiOauth": entry})


async def token(keychain: Keychain) -> str:
    return (await keychain.login()).credential.secret.reveal()


def secrets_asked(mac: Mac) -> Sequence[list[str]]:
    return [call for call in mac.fake.calls() if "-w" in call]


@pytest.mark.parametrize("account", ["alice", None, "somebody"])
@pytest.mark.parametrize("order", [(SERVICE, OTHER), (OTHER, SERVICE)])
async def test_a_login_that_has_ended_is_passed_over_for_one_under_another_spelling(
    mac: Mac, order: tuple[str, str], account: str | None
) -> None:
    now = mac.clock.now()
    mac.fake.put(SERVICE, written("stale", now - HOUR), account=account)
    mac.fake.put(OTHER, written("fresh", now + HOUR), account=account)
    assert await token(mac.keychain(*order)) == "fresh"


@pytest.mark.parametrize("account", [None, "somebody"])
async def test_a_login_that_has_ended_is_passed_over_for_one_under_another_account(
    mac: Mac, account: str | None
) -> None:
    now = mac.clock.now()
    mac.fake.put(SERVICE, written("fresh", now + HOUR), account=account)
    mac.fake.put(SERVICE, written("stale", now - HOUR))
    keychain = mac.keychain()
    assert await token(keychain) == "fresh"
    assert len(secrets_asked(mac)) == 2
    mac.fake.forget_calls()
    assert await token(keychain) == "fresh"
    assert len(mac.fake.calls()) == 1, "from then on it is the first to be asked"


async def test_of_logins_that_have_all_ended_it_is_the_one_that_ended_last(mac: Mac) -> None:
    now = mac.clock.now()
    third = f"{SERVICE}-00000002"
    for hours, service in ((3, SERVICE), (1, OTHER), (2, third)):
        mac.fake.put(service, written(f"ended-{hours}", now - hours * HOUR))
    assert await token(mac.keychain(SERVICE, OTHER, third)) == "ended-1"


@pytest.mark.parametrize("account", ["alice", None])
async def test_no_item_is_asked_twice_for_its_secret(mac: Mac, account: str | None) -> None:
    mac.fake.put(SERVICE, written("stale", mac.clock.now() - HOUR), account=account)
    keychain = mac.keychain()
    for _ in range(2):
        mac.fake.forget_calls()
        assert await token(keychain) == "stale"
        found = [call for call in secrets_asked(mac) if account or "-a" not in call]
        assert len(found) == 1


@pytest.mark.parametrize("mood", [{"hang": True}, {"exit": 36}, {"exit": 51}, {"exit": 128}])
async def test_after_a_question_that_failed_no_other_one_is_asked(
    mac: Mac, mood: dict[str, object]
) -> None:
    services = [f"{SERVICE}-0000000{number}" for number in range(3)]
    for service in services:
        mac.fake.put(service, written("stale", mac.clock.now() - HOUR))
    if "hang" in mood:
        mac.hang(services[1])
    else:
        mac.fake.behave(services[1], **mood)
    assert await token(mac.keychain(*services)) == "stale"
    assert len(secrets_asked(mac)) == 2 and mac.fake.running() == []


async def test_while_a_login_is_good_its_own_date_is_the_only_question(mac: Mac) -> None:
    mac.fake.put(SERVICE, written("good", mac.clock.now() + HOUR))
    mac.fake.put(OTHER, written("other", mac.clock.now() + HOUR))
    keychain = mac.keychain(SERVICE, OTHER)
    before = await keychain.stamp()
    assert await token(keychain) == "good"
    mac.fake.forget_calls()
    assert await keychain.stamp() == before, "a read changes nothing"
    assert len(mac.fake.calls()) == 1


async def test_that_the_login_has_ended_is_a_change_where_another_may_be_better(mac: Mac) -> None:
    now = mac.clock.now()
    mac.fake.put(SERVICE, written("first", now + HOUR))
    mac.fake.put(OTHER, written("second", now + 2 * HOUR))
    keychain = mac.keychain(SERVICE, OTHER)
    before = await keychain.stamp()
    assert await token(keychain) == "first"
    await mac.clock.advance(3600, tick=3600)
    after = await keychain.stamp()
    assert after != before
    assert await token(keychain) == "second"
    assert await keychain.stamp() == after, "one change is one look"


async def test_the_end_of_the_only_login_is_no_change(mac: Mac) -> None:
    mac.fake.put(SERVICE, written("only", mac.clock.now() + HOUR))
    keychain = mac.keychain(SERVICE, OTHER)
    before = await keychain.stamp()
    await keychain.login()
    await mac.clock.advance(7200, tick=7200)
    assert await keychain.stamp() == before


@pytest.mark.parametrize("account", ["alice", None])
async def test_once_the_login_has_ended_the_stamp_covers_every_item(
    mac: Mac, account: str | None
) -> None:
    now = mac.clock.now()
    mac.fake.put(OTHER, written("a", now - HOUR), account=account)
    mac.fake.put(SERVICE, written("b", now - 2 * HOUR))
    keychain = mac.keychain(SERVICE, OTHER)
    await keychain.stamp()
    await keychain.login()
    stamps = [await keychain.stamp()]
    for service, whose in ((OTHER, account), (SERVICE, "alice")):
        await mac.clock.advance(5, tick=5)
        mac.fake.put(service, written("c", now - HOUR), account=whose, at=mac.clock.now())
        stamps.append(await keychain.stamp())
    assert len(set(stamps)) == 3


async def test_a_new_item_is_found_within_a_minute_beside_one_that_has_ended(mac: Mac) -> None:
    now = mac.clock.now()
    mac.fake.put(SERVICE, written("stale", now - HOUR))
    keychain = mac.keychain(SERVICE, OTHER)
    await keychain.stamp()
    await keychain.login()
    before = await keychain.stamp()
    mac.fake.put(OTHER, written("fresh", now + HOUR))
    await mac.clock.advance(60, tick=60)
    assert await keychain.stamp() != before
    assert await token(keychain) == "fresh"


async def test_a_logout_is_a_change_and_so_is_the_next_login(mac: Mac) -> None:
    mac.fake.put(SERVICE, written("first", mac.clock.now() + HOUR))
    keychain = mac.keychain(SERVICE, OTHER)
    stamps = [await keychain.stamp()]
    await keychain.login()
    mac.fake.remove(SERVICE)
    stamps.append(await keychain.stamp())
    assert await cause(keychain) is Cause.ABSENT
    mac.fake.put(OTHER, written("second", mac.clock.now() + HOUR))
    stamps.append(await keychain.stamp())
    assert await token(keychain) == "second"
    assert len(set(stamps)) == 3


@pytest.mark.parametrize("code", [36, 51, 128])
async def test_that_a_renewed_login_is_denied_is_no_change_of_another_item(
    mac: Mac, code: int
) -> None:
    now = mac.clock.now()
    mac.fake.put(SERVICE, written("first", now + HOUR))
    mac.fake.put(OTHER, written("other", now + 2 * HOUR))
    keychain = mac.keychain(SERVICE, OTHER)
    await keychain.stamp()
    await keychain.login()
    await mac.clock.advance(65, tick=65)
    mac.fake.put(SERVICE, written("second", now + 3 * HOUR), at=mac.clock.now())
    mac.fake.behave(SERVICE, exit=code)
    renewed = await keychain.stamp()
    await cause(keychain)
    await mac.clock.advance(65, tick=65)
    assert await keychain.stamp() == renewed, "else the user is asked again at once"


async def test_who_reads_finds_a_new_item_at_once_beside_one_that_has_ended(mac: Mac) -> None:
    now = mac.clock.now()
    mac.fake.put(SERVICE, written("stale", now - HOUR))
    keychain = mac.keychain(SERVICE, OTHER)
    await keychain.stamp()
    assert await token(keychain) == "stale"
    mac.fake.put(OTHER, written("fresh", now + HOUR))
    assert await token(keychain) == "fresh"
