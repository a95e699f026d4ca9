"""The Keychain in its moods, as recorded: locked, denied, silent, absent, half-written, and in hex."""

import asyncio
import json
from pathlib import Path

import pytest

from monitor.core.errors import CredentialError, Trouble
from monitor.core.model import Secret
from monitor.sources.keychain import Keychain
from monitor.sources.security import Security
from tests.fakes import FakeClock
from tests.sources.fake_security import FakeSecurity

SERVICE = "Claude Code-credentials"
OTHER = f"{SERVICE}-00000001"
WRITTEN = json.dumps({"claudeAiOauth": {"accessToken": "token", "refreshToken": "r"}})
MCP_ONLY = '{"mcpOAuth":{"x":{"accessToken":"t"}}}'


class Mac:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.fake = FakeSecurity(folder)
        self.security = Security(self.fake.program, limit_secs=0.3)

    def keychain(self, *services: str) -> Keychain:
        names = services or (SERVICE,)
        return Keychain(names, "alice", security=self.security, clock=self.clock)


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path)


async def trouble(keychain: Keychain) -> Trouble | None:
    with pytest.raises(CredentialError) as caught:
        await keychain.read()
    return caught.value.trouble


TROUBLES = [
    (36, Trouble.LOCKED),
    (37, Trouble.NO_KEYRING),
    (44, Trouble.ABSENT),
    (50, Trouble.NO_KEYRING),
    (51, Trouble.DENIED),
    (128, Trouble.DENIED),
    (1, Trouble.FAILED),
]


@pytest.mark.parametrize(("code", "expected"), TROUBLES)
async def test_each_exit_code_is_a_trouble_of_its_own(
    mac: Mac, code: int, expected: Trouble
) -> None:
    mac.fake.put(SERVICE, WRITTEN, exit=code)
    assert await trouble(mac.keychain()) is expected


async def test_a_locked_keychain_still_shows_its_dates(mac: Mac) -> None:
    mac.fake.put(SERVICE, WRITTEN)
    mac.fake.set(locked=True)
    keychain = mac.keychain()
    before = await keychain.stamp()
    assert await trouble(keychain) is Trouble.LOCKED
    mac.fake.put(SERVICE, WRITTEN, at=mac.clock.now().replace(year=2027))
    assert await keychain.stamp() != before


@pytest.mark.parametrize("as_hex", [False, True])
async def test_a_printable_login_is_read_in_either_form(mac: Mac, as_hex: bool) -> None:
    mac.fake.put(SERVICE, WRITTEN, hex=as_hex)
    assert (await mac.keychain().read()).credential.secret == Secret("token")


async def test_an_item_without_an_account_is_found(mac: Mac) -> None:
    mac.fake.put(SERVICE, WRITTEN, account=None)
    assert (await mac.keychain().read()).credential.secret == Secret("token")


@pytest.mark.parametrize("data", [WRITTEN[:40], MCP_ONLY])
async def test_an_item_of_no_use_is_passed_over_for_another(mac: Mac, data: str) -> None:
    mac.fake.put(SERVICE, data)
    mac.fake.put(OTHER, WRITTEN)
    login = await mac.keychain(SERVICE, OTHER).read()
    assert login.credential.secret == Secret("token")


@pytest.mark.parametrize("order", [(SERVICE, OTHER), (OTHER, SERVICE)])
async def test_half_a_login_says_more_than_one_of_mcp_servers(
    mac: Mac, order: tuple[str, str]
) -> None:
    mac.fake.put(SERVICE, WRITTEN[:40])
    mac.fake.put(OTHER, MCP_ONLY)
    assert await trouble(mac.keychain(*order)) is Trouble.DAMAGED
    mac.fake.remove(SERVICE)
    assert await trouble(mac.keychain(*order)) is Trouble.MCP_ONLY


async def test_a_question_that_hangs_is_asked_once_however_many_want_to_know(mac: Mac) -> None:
    mac.fake.put(SERVICE, WRITTEN, hang=True)
    keychain = mac.keychain()
    troubles = await asyncio.gather(*(trouble(keychain) for _ in range(5)))
    assert set(troubles) == {Trouble.SILENT}
    assert len(mac.fake.calls()) == 1 and mac.fake.running() == []


async def test_questions_for_several_items_wait_for_their_turn(mac: Mac) -> None:
    services = [f"{SERVICE}-0000000{number}" for number in range(3)]
    for service in services:
        mac.fake.put(service, WRITTEN, hang=True)
    readers = [asyncio.create_task(trouble(mac.keychain(service))) for service in services]
    most = 0
    while not all(reader.done() for reader in readers):
        most = max(most, len(mac.fake.running()))
        await asyncio.wait(readers, timeout=0.02)
    assert most == 1 and len(mac.fake.calls()) == 3
    assert {reader.result() for reader in readers} == {Trouble.SILENT}


async def test_after_a_minute_of_quiet_whoever_reads_asks_again(mac: Mac) -> None:
    mac.fake.put(SERVICE, WRITTEN, hang=True)
    keychain = mac.keychain()
    assert await trouble(keychain) is Trouble.SILENT
    mac.fake.behave(SERVICE)
    await mac.clock.advance(59, tick=59)
    assert await trouble(keychain) is Trouble.SILENT
    assert len(mac.fake.calls()) == 1
    await mac.clock.advance(1)
    assert (await keychain.read()).credential.secret == Secret("token")


async def test_while_it_does_not_answer_nothing_is_known_to_have_changed(mac: Mac) -> None:
    mac.fake.put(SERVICE, WRITTEN, hang=True)
    keychain = mac.keychain()
    before = await keychain.stamp()
    for _ in range(2):
        assert await trouble(keychain) is Trouble.SILENT
        assert await keychain.stamp() == before
        await mac.clock.advance(61, tick=61)
        assert await keychain.stamp() == before
    mac.fake.put(SERVICE, WRITTEN, at=mac.clock.now())
    assert await keychain.stamp() != before


async def test_dates_that_hang_are_left_alone_too(mac: Mac) -> None:
    mac.fake.put(SERVICE, WRITTEN, hang="all")
    keychain = mac.keychain()
    for _ in range(3):
        await keychain.stamp()
    assert len(mac.fake.calls()) == 1 and mac.fake.running() == []


async def test_an_item_of_absurd_size_is_not_taken(mac: Mac) -> None:
    mac.fake.put(SERVICE, "x" * (5 * 1024 * 1024))
    assert await trouble(mac.keychain()) is Trouble.DAMAGED
