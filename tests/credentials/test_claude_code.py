"""Reading Claude Code's login: from its file, from the Keychain by way of `security`, and its version."""

import hashlib
import json
import os
import shutil
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from monitor.core.errors import Cause, CredentialError, NotLoggedInError
from monitor.core.model import Credential, Login, Secret
from monitor.credentials.claude_code import ClaudeCode, installed_version
from monitor.credentials.keychain import Keychain, Security
from tests.credentials.fake_security import FakeSecurity
from tests.fakes import FakeClock
from tests.real.need import unprivileged

SERVICE = "Claude Code-credentials"
EXPIRES_AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
TOKEN = "sk-ant-oat01-abc"
REFRESH = "sk-ant-ort01-refresh"


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def written(token: str = TOKEN, expires_at: datetime = EXPIRES_AT, **more: Any) -> str:
    """What Claude Code writes, with everything that is not ours to read."""
    entry = {
        "accessToken": token,
        "refreshToken": REFRESH,
        "expiresAt": milliseconds(expires_at),
        "refreshTokenExpiresAt": milliseconds(expires_at + timedelta(days=28)),
        "scopes": ["user:profile", "user:inference"],
        "subscriptionType": "max",
        "rateLimitTier": "default_claude_max_20x",
        **more,
    }
    mcp = {"server|1": {"accessToken": "mcp-token", "refreshToken": "mcp-refresh"}}
    return json.dumps({"mcpOAuth": mcp, "claudeAiOauth": entry, "trustedDeviceToken": "device"})


LOGIN = Login(
    Credential(Secret(TOKEN), expires_at=EXPIRES_AT),
    login_expires_at=EXPIRES_AT + timedelta(days=28),
    scopes=("user:profile", "user:inference"),
    plan="max_20x",
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".claude").mkdir()
    return tmp_path


def log_in(folder: Path, text: str | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = text.encode() if isinstance(text, str) else text
    (folder / ".credentials.json").write_bytes(content)


def on_linux(home: Path, folder: str | None = None, **environ: str) -> ClaudeCode:
    return ClaudeCode(folder, environ={"HOME": str(home), **environ}, platform="linux")


async def failure(source: ClaudeCode) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        await source.read()
    error = caught.value
    assert "\n" not in str(error) and not isinstance(error.__context__, ValueError)
    return error


async def test_the_login_is_read_without_its_refresh_token(home: Path) -> None:
    log_in(home / ".claude", written())
    assert await on_linux(home).read() == LOGIN


PLANS: list[tuple[dict[str, Any], str | None]] = [
    ({"rateLimitTier": "default_claude_max_5x"}, "max_5x"),
    ({"subscriptionType": "pro", "rateLimitTier": "default_claude_ai"}, "pro"),
    ({"subscriptionType": "team", "rateLimitTier": "default_claude_max_5x"}, "team"),
    ({"subscriptionType": "max", "rateLimitTier": None}, "max"),
    ({"subscriptionType": None, "rateLimitTier": None}, None),
    ({"subscriptionType": "\x1b[31m", "rateLimitTier": 5}, None),
]


@pytest.mark.parametrize(("entry", "plan"), PLANS)
async def test_the_plan_is_a_short_word(
    home: Path, entry: dict[str, Any], plan: str | None
) -> None:
    log_in(home / ".claude", written(**entry))
    assert (await on_linux(home).read()).plan == plan


async def test_dates_and_scopes_that_make_no_sense_are_unknown(home: Path) -> None:
    odd: dict[str, Any] = {
        "expiresAt": "soon",
        "refreshTokenExpiresAt": -1,
        "scopes": [1, "user:profile"],
    }
    log_in(home / ".claude", written(**odd))
    expected = Login(Credential(Secret(TOKEN)), None, ("user:profile",), "max_20x")
    assert await on_linux(home).read() == expected


SETUP_TOKENS: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"scopes": ["user:inference"]}, True),
    ({"scopes": ["user:profile"], "refreshToken": None}, False),
    ({"scopes": None}, False),
    ({"scopes": None, "refreshToken": None}, True),
    ({"scopes": [], "refreshToken": ""}, True),
]


@pytest.mark.parametrize(("entry", "is_one"), SETUP_TOKENS)
async def test_a_setup_token_is_told_by_its_scopes_else_by_its_lack_of_a_refresh_token(
    home: Path, entry: dict[str, Any], is_one: bool
) -> None:
    log_in(home / ".claude", written(**entry))
    login = await on_linux(home).read()
    assert login.is_setup_token is is_one
    assert REFRESH not in repr(login)


async def test_a_file_that_is_not_ours_to_read_is_denied(home: Path) -> None:
    log_in(home / ".claude", written())
    (home / ".claude" / ".credentials.json").chmod(0)
    with unprivileged():
        assert (await failure(on_linux(home))).cause is Cause.DENIED


FOLDERS = [
    (None, {}, ".claude"),
    (None, {"CLAUDE_CONFIG_DIR": "{home}/work"}, "work"),
    (None, {"CLAUDE_CONFIG_DIR": ""}, ".claude"),
    (
        None,
        {"CLAUDE_CONFIG_DIR": "{home}/work", "CLAUDE_SECURESTORAGE_CONFIG_DIR": "{home}/b"},
        "b",
    ),
    (
        None,
        {"CLAUDE_CONFIG_DIR": "{home}/work", "CLAUDE_SECURESTORAGE_CONFIG_DIR": ""},
        ".claude",
    ),
    ("{home}/work", {"CLAUDE_SECURESTORAGE_CONFIG_DIR": "{home}/b"}, "work"),
    ("{home}/work/", {"CLAUDE_CONFIG_DIR": "{home}/b"}, "work"),
]


@pytest.mark.parametrize(("folder", "environ", "place"), FOLDERS)
async def test_where_the_file_is(
    home: Path, folder: str | None, environ: dict[str, str], place: str
) -> None:
    for name in (".claude", "work", "b"):
        log_in(home / name, written(token=name))
    variables = {key: value.format(home=home) for key, value in environ.items()}
    source = on_linux(home, folder and folder.format(home=home), **variables)
    assert (await source.read()).credential.secret == Secret(place)


async def test_a_relative_folder_is_found_from_anywhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(home / "work", written())
    monkeypatch.chdir(home)
    source = on_linux(home, "work")
    monkeypatch.chdir("/")
    assert source.folder == str(home / "work")
    assert await source.read() == LOGIN


@pytest.mark.parametrize("spelled", ["~/x", "x/", "./x"])
async def test_a_folder_of_the_environment_is_where_claude_code_finds_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, spelled: str
) -> None:
    """It expands no tilde that a shell has left, and takes a relative one from where it is."""
    log_in(home / "now" / spelled, written())
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "now")
    source = on_linux(home, CLAUDE_CONFIG_DIR=spelled)
    monkeypatch.chdir("/")
    assert source.folder == f"{home}/now/{spelled}"
    assert await source.read() == LOGIN
    assert on_linux(home, source.folder).key == source.key


async def test_no_file_means_not_logged_in(home: Path) -> None:
    error = await failure(on_linux(home))
    assert isinstance(error, NotLoggedInError)
    assert str(error) == (
        f"Claude Code is not logged in at {home}/.claude: start `claude` there and use /login"
    )


@pytest.mark.parametrize(
    ("text", "words", "cause"),
    [
        ('{"mcpOAuth":{"x":{"accessToken":"t"}}}', "only logins of MCP servers", Cause.MCP_ONLY),
        ('{"claudeAiOauth":null}', "contains no login", Cause.ABSENT),
        ('{"claudeAiOauth":{"accessToken":""}}', "contains no login", Cause.ABSENT),
        ('{"claudeAiOauth":{"refreshToken":"r"}}', "contains no login", Cause.ABSENT),
        ("{}", "contains no login", Cause.ABSENT),
    ],
)
async def test_a_file_without_a_login(home: Path, text: str, words: str, cause: Cause) -> None:
    log_in(home / ".claude", text)
    error = await failure(on_linux(home))
    assert isinstance(error, NotLoggedInError) and error.cause is cause
    assert words in str(error) and ".credentials.json" in str(error)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (written()[:150].encode(), "half-written or damaged: try again"),
        (b"", "half-written or damaged: try again"),
        (b"\xff\xfe\x00", "half-written or damaged: try again"),
        (b"[1]", "half-written or damaged: try again"),
        (b'{"a":' * 100_000, "half-written or damaged: try again"),
    ],
)
async def test_a_file_that_cannot_be_understood(home: Path, content: bytes, words: str) -> None:
    log_in(home / ".claude", content)
    error = await failure(on_linux(home))
    assert error.cause is Cause.DAMAGED
    assert words in str(error) and REFRESH not in str(error)


async def test_a_file_of_absurd_size_is_not_read(home: Path) -> None:
    log_in(home / ".claude", b" " * (1024 * 1024 + 1))
    error = await failure(on_linux(home))
    assert error.cause is Cause.TOO_LARGE and "look what" in str(error)


async def test_a_file_that_cannot_be_read(home: Path) -> None:
    path = home / ".claude" / ".credentials.json"
    path.mkdir()
    assert "cannot be read (Is a directory" in str(await failure(on_linux(home)))
    path.rmdir()
    os.mkfifo(path)
    assert "cannot be read (Not a regular file" in str(await failure(on_linux(home)))
    path.unlink()
    path.symlink_to(path)
    assert "cannot be read (Too many levels" in str(await failure(on_linux(home)))


async def test_the_stamp_differs_after_each_change(home: Path) -> None:
    source = on_linux(home)
    stamps = [await source.stamp()]
    log_in(home / ".claude", written())
    stamps.append(await source.stamp())
    assert await source.stamp() == stamps[-1]
    replacement = home / ".claude" / "new"
    replacement.write_text(written())
    replacement.rename(home / ".claude" / ".credentials.json")
    stamps.append(await source.stamp())
    shutil.rmtree(home / ".claude")
    stamps.append(await source.stamp())
    assert stamps[0] == stamps[3]
    assert len(set(stamps)) == 3


class Mac:
    """A Mac's `security` in a folder of its own, and what it was asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FakeClock()
        self.fake = FakeSecurity(home / "usr-bin")

    def keep(self, *items: dict[str, Any]) -> None:
        defaults: dict[str, Any] = {"service": SERVICE, "account": "alice", "data": ""}
        self.fake.set(items=[defaults | item for item in items])

    def calls(self) -> list[list[str]]:
        calls = self.fake.calls()
        self.fake.forget_calls()
        return calls

    def secrets(self) -> list[list[str]]:
        """Those of the calls that ask for a secret."""
        return [call for call in self.calls() if "-w" in call]

    def source(self, folder: str | None = None, **environ: str) -> ClaudeCode:
        return ClaudeCode(
            folder,
            environ={"HOME": str(self.home), "USER": "alice", **environ},
            platform="darwin",
            security=Security(self.fake.program, self.clock),
        )

    def keychain(self, services: Sequence[str] = (SERVICE,)) -> Keychain:
        """One that is not waited for as long."""
        return Keychain(services, "alice", Security(self.fake.program, self.clock, limit_secs=1))


@pytest.fixture
def mac(home: Path) -> Mac:
    return Mac(home)


async def test_the_keychains_login_is_read_with_fixed_arguments(mac: Mac) -> None:
    mac.keep({"data": written()})
    assert await mac.source().read() == LOGIN
    assert mac.secrets() == [["find-generic-password", "-a", "alice", "-w", "-s", SERVICE]]


@pytest.mark.parametrize("secret", [written() + "\n", "\x07\x01" + written()])
async def test_a_login_in_hex_is_decoded(mac: Mac, secret: str) -> None:
    mac.keep({"data": secret})
    assert await mac.source().read() == LOGIN


async def test_the_item_is_found_under_whatever_account_it_has(mac: Mac) -> None:
    mac.keep({"account": "NULL", "data": written()})
    assert await mac.source().read() == LOGIN
    assert mac.secrets() == [["find-generic-password", "-w", "-s", SERVICE]]


async def test_an_item_with_only_mcp_logins_is_passed_over(mac: Mac) -> None:
    mac.keep({"account": "unknown", "data": '{"mcpOAuth":{}}'}, {"data": written()})
    assert await mac.source().read() == LOGIN
    mac.keep({"account": "unknown", "data": '{"mcpOAuth":{}}'})
    error = await failure(mac.source())
    assert isinstance(error, NotLoggedInError) and "only logins of MCP servers" in str(error)


def suffixed(spelling: str) -> str:
    digest = hashlib.sha256(unicodedata.normalize("NFC", spelling).encode()).hexdigest()
    return f"{SERVICE}-{digest[:8]}"


async def test_the_suffix_is_the_hash_that_claude_code_makes() -> None:
    assert suffixed("/Users/alice/.claude-work") == f"{SERVICE}-be865d75"
    assert suffixed("/Users/alice/.claude-work/") == f"{SERVICE}-95672096"


SPELLINGS = [
    (None, {"CLAUDE_CONFIG_DIR": "/w"}, "/w"),
    (None, {"CLAUDE_CONFIG_DIR": "/w"}, "/w/"),
    (None, {"CLAUDE_CONFIG_DIR": "/w/"}, "/w"),
    (None, {"CLAUDE_CONFIG_DIR": "/u\u0308"}, "/\u00fc"),
    (None, {"CLAUDE_CONFIG_DIR": "/w", "CLAUDE_SECURESTORAGE_CONFIG_DIR": "/s"}, "/s"),
    ("/w", {}, "/w"),
    ("/w/", {"CLAUDE_CONFIG_DIR": "/x"}, "/w"),
]


@pytest.mark.parametrize(("folder", "environ", "spelling"), SPELLINGS)
async def test_the_item_of_another_folder_is_found_however_that_is_spelled(
    mac: Mac, folder: str | None, environ: dict[str, str], spelling: str
) -> None:
    mac.keep({"data": written("other")}, {"service": suffixed(spelling), "data": written()})
    assert await mac.source(folder, **environ).read() == LOGIN


async def test_a_folder_of_the_environment_never_means_the_default_item(mac: Mac) -> None:
    mac.keep({"data": written()})
    error = await failure(mac.source(CLAUDE_CONFIG_DIR=f"{mac.home}/.claude"))
    assert isinstance(error, NotLoggedInError)


async def test_the_default_folder_by_name_means_the_default_item_too(mac: Mac) -> None:
    mac.keep({"data": written()})
    assert await mac.source(f"{mac.home}/.claude").read() == LOGIN


async def test_the_folder_without_a_name_is_the_default_one_whatever_the_environment_says(
    mac: Mac,
) -> None:
    mac.keep({"data": written()}, {"service": suffixed("/w"), "data": written("other")})
    source = mac.source("", CLAUDE_CONFIG_DIR="/w", CLAUDE_SECURESTORAGE_CONFIG_DIR="/w")
    assert (source.folder, source.services) == ("", (SERVICE,))
    assert await source.read() == LOGIN


async def test_the_defined_but_empty_store_is_the_default_one(mac: Mac) -> None:
    mac.keep({"data": written()})
    source = mac.source(CLAUDE_CONFIG_DIR="/w", CLAUDE_SECURESTORAGE_CONFIG_DIR="")
    assert await source.read() == LOGIN


@pytest.mark.parametrize("user", ["al ice", "ä", "a;b"])
async def test_an_odd_user_name_stands_for_claude_codes_own_account(mac: Mac, user: str) -> None:
    mac.keep({"account": "claude-code-user", "data": written()})
    assert await mac.source(USER=user).read() == LOGIN
    assert len(mac.secrets()) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (36, "the Keychain is locked: run `security unlock-keychain`"),
        (51, "the Keychain refuses access"),
        (128, "was cancelled"),
        (1, "exit code 1"),
    ],
)
async def test_a_keychain_that_cannot_be_used_is_told_apart(
    mac: Mac, code: int, words: str
) -> None:
    mac.keep({"exit": code})
    error = await failure(mac.source())
    assert words in str(error) and not isinstance(error, NotLoggedInError)
    assert len(mac.secrets()) == 1


async def test_no_item_and_no_file_means_not_logged_in(mac: Mac) -> None:
    assert isinstance(await failure(mac.source()), NotLoggedInError)


@pytest.mark.parametrize("item", [[], [{"exit": 36}], [{"exit": 51}]])
async def test_the_file_is_read_where_the_keychain_has_no_login(
    mac: Mac, item: list[dict[str, Any]]
) -> None:
    mac.keep(*item)
    log_in(mac.home / ".claude", written())
    assert await mac.source().read() == LOGIN


@pytest.mark.parametrize(("hours", "token"), [(-1, "keychain"), (0, "keychain"), (1, "file")])
async def test_the_login_that_lasts_longer_is_the_live_one(
    mac: Mac, hours: int, token: str
) -> None:
    mac.keep({"data": written("keychain")})
    log_in(mac.home / ".claude", written("file", EXPIRES_AT + timedelta(hours=hours)))
    assert (await mac.source().read()).credential.secret == Secret(token)


async def test_a_half_written_file_says_more_than_an_absent_item(mac: Mac) -> None:
    log_in(mac.home / ".claude", "{")
    assert "half-written" in str(await failure(mac.source()))


async def test_a_missing_security_program_is_an_error(mac: Mac) -> None:
    Path(mac.fake.program).unlink()
    assert "security cannot be run (No such file" in str(await failure(mac.source()))


async def test_a_hanging_keychain_is_killed_and_left_alone_for_a_minute(mac: Mac) -> None:
    mac.keep({"hang": True})
    keychain = mac.keychain()
    started = monotonic()
    for _ in range(3):
        with pytest.raises(CredentialError, match="is silent"):
            await keychain.login()
    assert monotonic() - started < 5
    await keychain.stamp()
    assert len(mac.secrets()) == 1

    mac.keep({"data": written()})
    await mac.clock.advance(61, tick=61)
    assert await keychain.login() == LOGIN


@pytest.mark.parametrize("code", [36, 128])
async def test_a_failure_is_no_change(mac: Mac, code: int) -> None:
    mac.keep({"exit": code})
    source = mac.source()
    before = await source.stamp()
    await failure(source)
    await mac.clock.advance(3600, tick=3600)
    assert await source.stamp() == before


async def test_the_keychains_stamp_is_its_date_and_never_asks_for_the_secret(mac: Mac) -> None:
    source = mac.source()
    stamps = [await source.stamp()]
    for modified in ("20261122120000Z", "20261122200000Z"):
        mac.keep({"data": written(), "mdat": modified})
        stamps.append(await source.stamp())
    assert len(set(stamps)) == 3
    assert await source.stamp() == stamps[-1]
    calls = mac.calls()
    assert calls and not any("-w" in call for call in calls)


async def test_the_item_that_was_found_is_asked_for_first_from_then_on(mac: Mac) -> None:
    mac.keep({"service": suffixed("/w"), "account": "NULL", "data": written()})
    source = mac.source("/w/")
    await source.read()
    mac.calls()
    await source.read()
    await source.stamp()
    assert len(mac.calls()) == 2


def installed(home: Path, program: str, target: str, package: object = None) -> dict[str, str]:
    """An environment where `program` is a link to `target`, both below home."""
    real = home / target
    real.parent.mkdir(parents=True)
    real.write_text("#!/bin/sh\nexit 1\n")
    real.chmod(0o700)
    if package is not None:
        (real.parent / "package.json").write_text(json.dumps(package))
    link = home / program
    link.parent.mkdir(parents=True, exist_ok=True)
    if link != real:
        link.symlink_to(real)
    return {"HOME": str(home), "PATH": str(home / "bin")}


PACKAGE = {"name": "@anthropic-ai/claude-code", "version": "2.1.270"}
NPM = "lib/node_modules/@anthropic-ai/claude-code/cli.js"
INSTALLS: list[tuple[str, str, object, str | None]] = [
    ("bin/claude", ".local/share/claude/versions/2.1.280", None, "2.1.280"),
    (".local/bin/claude", ".local/share/claude/versions/2.1.280", None, "2.1.280"),
    ("bin/claude", "Caskroom/claude-code/2.1.9/claude", None, "2.1.9"),
    ("bin/claude", NPM, PACKAGE, "2.1.270"),
    ("bin/claude", NPM, {"name": "other", "version": "1.0.0"}, None),
    ("bin/claude", NPM, {**PACKAGE, "version": "2.1\r\nX: y"}, None),
    ("bin/claude", NPM, [], None),
    (
        ".claude/local/node_modules/@anthropic-ai/claude-code/cli.js",
        ".claude/local/node_modules/@anthropic-ai/claude-code/cli.js",
        PACKAGE,
        "2.1.270",
    ),
    ("bin/claude", "somewhere/claude", None, None),
]


@pytest.mark.parametrize(("program", "target", "package", "version"), INSTALLS)
def test_the_installed_version_is_read_from_its_files(
    tmp_path: Path, program: str, target: str, package: object, version: str | None
) -> None:
    assert installed_version(installed(tmp_path, program, target, package)) == version


def test_no_installed_claude_code_has_no_version(tmp_path: Path) -> None:
    assert installed_version({"HOME": str(tmp_path), "PATH": ""}) is None
