"""The whole examination on machines with one thing wrong: each is told from the others, with what mends it."""

import asyncio
import json
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from monitor import __version__
from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source, TrackerError
from monitor.credentials.keychain import services
from monitor.doctor.report import Check, Outcome, exit_code
from monitor.settings import model, state_db
from monitor.storage.db import BUSY_SECS
from tests.builders import after, before
from tests.credentials.fake_security import FakeSecurity
from tests.doctor.factories import ALONE, Edit, Machine, Sender, advice, login_text
from tests.storage.factories import Stalls, held_from_a_thread

OK, WARN, FAIL, SKIP = Outcome

ACCOUNT = "[[accounts]]\nname = 'user@example.com'\nauth_method = 'oauth'\n"


def assert_says(check: Check, outcome: Outcome, found: str, fix: str) -> None:
    assert check.outcome is outcome and found in check.found and fix in advice(check), check


async def test_on_a_machine_in_order_nothing_is_to_be_mended(machine: Machine) -> None:
    machine.settings(ACCOUNT)
    machine.box.entries["user@example.com"] = "sk-ant-oat01-first"
    machine.login()
    checks = await machine.examined()
    assert {check.outcome for check in checks} == {OK, SKIP}
    assert all(check.why and check.fix is None for check in checks)
    assert exit_code(checks) == 0
    assert not machine.box.written


async def test_a_machine_without_anything_is_examined_too(machine: Machine) -> None:
    machine.settings("")
    checks = await machine.examined()
    assert exit_code(checks) == 0
    assert not any(machine.home.glob(".*"))


LOGINS: dict[str, tuple[Edit, Outcome, str, str]] = {
    "good": (lambda m: m.login(), OK, "logged in (max_20x), token for 2h 00m", ""),
    "nobody": (lambda _: None, WARN, "no login", "`claude`, then /login"),
    "expired": (
        lambda m: m.login(expires=before(hours=3)),
        WARN,
        "the token expired 3h ago, at 2026-11-22 09:00 UTC; the login is valid until 2026-12-12",
        "`claude`: it renews",
    ),
    "ended": (
        lambda m: m.login(expires=before(days=2), ends=before(days=1)),
        FAIL,
        "the login ended on 2026-11-21",
        "`claude`, then /login",
    ),
    "ends soon": (
        lambda m: m.login(ends=after(days=2)),
        WARN,
        "the login ends in 2d 00h, on 2026-11-24",
        "`claude`, then /login",
    ),
    "setup-token": (
        lambda m: m.login(scopes=["user:inference"]),
        FAIL,
        "a setup-token, without the scope user:profile",
        "`claude`, then /login",
    ),
    "expired for good": (
        lambda m: m.login(expires=before(hours=3), refresh=""),
        WARN,
        "the token expired 3h ago",
        "nothing to renew it with",
    ),
    "only mcp": (
        lambda m: m.login().write_text('{"mcpOAuth": {"x": {"accessToken": "sk-mcp"}}}'),
        WARN,
        "logins of MCP servers, and none of Claude",
        "/login",
    ),
    "half-written": (
        lambda m: m.login().write_text(login_text()[:-20]),
        WARN,
        "half-written or damaged",
        "try again in a moment",
    ),
    "unreadable": (
        lambda m: (m.home / ".claude/.credentials.json").mkdir(parents=True),
        FAIL,
        "~/.claude: cannot be read (Is a directory",
        "`ls -l ~/.claude/.credentials.json`",
    ),
}


@pytest.mark.parametrize("case", LOGINS)
async def test_what_is_said_of_a_login_in_a_file(machine: Machine, case: str) -> None:
    machine.settings("")
    edit, outcome, found, fix = LOGINS[case]
    edit(machine)
    check = await machine.answer("login")
    assert_says(check, outcome, found, fix)
    assert check.found.startswith("~/.claude")


async def test_every_login_is_told_with_how_to_start_claude_code_there(machine: Machine) -> None:
    machine.settings("")
    machine.login()
    machine.login(".claude-work", expires=before(hours=1))
    first, second = await machine.answers("login")
    assert first.outcome is OK
    assert (second.outcome, second.found[:15]) == (WARN, "~/.claude-work:")
    assert "`CLAUDE_CONFIG_DIR=~/.claude-work claude`" in advice(second)


async def test_a_variable_that_overrides_the_login_is_named_without_its_value(
    machine: Machine,
) -> None:
    machine.settings("")
    machine.set(environ={"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-setup"})
    check = await machine.answer("environment")
    assert check.outcome is WARN and "setup-token" in check.found
    assert advice(check).startswith("`unset CLAUDE_CODE_OAUTH_TOKEN`")


async def test_another_api_of_claude_code_is_named(machine: Machine) -> None:
    machine.settings("")
    machine.set(environ={"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BASE_URL": "https://gw.corp"})
    check = await machine.answer("environment")
    assert check.outcome is WARN and "gw.corp" not in check.found
    assert advice(check) == "`unset ANTHROPIC_BASE_URL CLAUDE_CODE_USE_BEDROCK`"


async def test_settings_of_claude_code_that_override_its_login_are_named(machine: Machine) -> None:
    machine.settings("")
    machine.login()
    machine.login(".claude-work")
    settings = {"apiKeyHelper": "secret.sh", "env": {"ANTHROPIC_AUTH_TOKEN": "sk-ant-x", "A": "b"}}
    file = machine.home / ".claude-work" / "settings.json"
    file.write_text("\ufeff" + json.dumps(settings))
    (machine.home / ".claude" / "settings.json").write_text('{"env": [')
    variables, found = await machine.answers("environment")
    assert (variables.outcome, found.outcome) == (OK, WARN)
    assert "~/.claude-work/settings.json sets apiKeyHelper, env.ANTHROPIC_AUTH_TOKEN" in found.found


SERVICE = "Claude Code-credentials"
KEYCHAINS: dict[str, tuple[dict[str, object], Outcome, str, str]] = {
    "good": ({}, OK, "logged in (max_20x)", ""),
    "locked": ({"exit": 36}, FAIL, "the Keychain is locked, as it is over ssh", "unlock-keychain"),
    "denied": ({"exit": 51}, FAIL, "the Keychain refuses access", "Keychain Access"),
    "cancelled": ({"exit": 128}, FAIL, "the Keychain's question was cancelled", "Always Allow"),
    "no keychain": ({"exit": 50}, FAIL, "no login Keychain in this session", "from the desktop"),
    "hangs": ({"hang": True}, FAIL, "the Keychain is silent", "answer the question"),
    "odd": ({"exit": 7}, FAIL, "exit code 7", "`security list-keychains`"),
}


@pytest.mark.parametrize("case", KEYCHAINS)
async def test_what_is_said_of_a_login_in_the_keychain(machine: Machine, case: str) -> None:
    behaviour, outcome, found, fix = KEYCHAINS[case]
    fake = mac(machine)
    fake.put(SERVICE, login_text(), account="alice", at=after())
    fake.behave(SERVICE, **behaviour)
    check = await machine.answer("login")
    assert_says(check, outcome, found, fix)


async def test_an_absent_item_is_told_from_one_of_mcp_servers_only(machine: Machine) -> None:
    fake = mac(machine)
    assert "no login" in (await machine.answer("login")).found
    fake.put(SERVICE, '{"mcpOAuth": {}}', account="alice", at=after())
    assert "logins of MCP servers" in (await machine.answer("login")).found


async def test_a_lone_item_says_whose_folder_it_is_or_that_nobody_knows(machine: Machine) -> None:
    fake = mac(machine)
    fake.put(SERVICE, login_text())
    spelled = services(f"{machine.home}/.claude/")[0]
    for item in (f"{SERVICE}-00000001", spelled):
        fake.put(item, login_text(expires=before(hours=1)))
    _, *lone = await machine.answers("login")
    told = {check.found.partition(": ")[0]: advice(check) for check in lone}
    assert told == {
        f"the Keychain item '{spelled}' of ~/.claude/": "`CLAUDE_CONFIG_DIR=~/.claude/ claude`: it renews the token "
        "when it starts",
        f"the Keychain item '{SERVICE}-00000001'": "`claude` with the CLAUDE_CONFIG_DIR of this login, which is not "
        "known here: it renews the token when it starts",
    }


async def test_many_questions_that_hang_do_not_hold_up_the_page(machine: Machine) -> None:
    fake = mac(machine)
    fake.set(dump={"hang": True})
    fake.put(SERVICE, login_text(), account="alice", at=after())
    fake.behave(SERVICE, hang=True)
    machine.login(".claude-work")
    started = monotonic()
    first, second = await machine.answers("login")
    assert (first.outcome, second.outcome) == (FAIL, OK)
    assert monotonic() - started < 5
    assert not fake.running()


READ_BY_NOBODY = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA locking_mode = EXCLUSIVE")
database.execute("CREATE TABLE IF NOT EXISTS probe (x)")
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_database_that_cannot_be_read_holds_up_no_other_check(machine: Machine) -> None:
    machine.settings("")
    file = state_db(machine.world.environ)
    file.parent.mkdir(parents=True, mode=0o700)
    await machine.examined()  # what is imported for the first time takes its time
    async with held_from_a_thread(file, READ_BY_NOBODY):
        stalls, started = Stalls(), monotonic()
        watch = asyncio.create_task(stalls.watch())
        await machine.examined()
        watch.cancel()
    assert monotonic() - started > BUSY_SECS, "it was waited for"
    assert stalls.longest < BUSY_SECS / 2


def mac(machine: Machine) -> FakeSecurity:
    folder = machine.home.parent / "mac"
    folder.mkdir()
    fake = FakeSecurity(folder)
    machine.settings("")
    machine.set(
        platform="darwin", security=fake.program, environ={"SSH_CONNECTION": "1.2.3.4 1 5.6.7.8 22"}
    )
    return fake


KEYRINGS: dict[str, tuple[CredentialError, str, str]] = {
    "absent": (
        CredentialError(Failure(Reason.CREDENTIALS, Cause.NO_KEYRING)),
        "no keyring answers here",
        "$DBUS_SESSION_BUS_ADDRESS",
    ),
    "locked": (
        CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED)),
        "your keyring is locked",
        "manager",
    ),
    "plaintext": (
        CredentialError(
            Failure(
                Reason.CREDENTIALS,
                Cause.MISCONFIGURED,
                Source.KEYRING,
                "keyrings.alt.file.PlaintextKeyring",
            )
        ),
        "PlaintextKeyring is configured, but only the system's own",
        "`unset PYTHON_KEYRING_BACKEND`",
    ),
}


@pytest.mark.parametrize("case", KEYRINGS)
async def test_what_is_said_of_a_keyring_that_cannot_be_used(machine: Machine, case: str) -> None:
    error, found, fix = KEYRINGS[case]
    machine.settings("[[accounts]]\nname = 'a'\nauth_method = 'session_key'\n")
    machine.box.failure = error
    check = await machine.answer("keyring")
    assert check.outcome is FAIL and found in check.found
    assert fix in advice(check)
    assert (await machine.answer("account")).outcome is SKIP


async def test_no_keyring_is_a_warning_where_nothing_has_to_be_in_it(machine: Machine) -> None:
    machine.settings(ACCOUNT + "storage = 'linked'\n")
    machine.box.failure = CredentialError(Failure(Reason.CREDENTIALS, Cause.NO_KEYRING))
    assert (await machine.answer("keyring")).outcome is WARN


ACCOUNTS: dict[str, tuple[str, Edit, Outcome, str, str]] = {
    "in the keyring": (
        "",
        lambda m: m.box.entries.update({"user@example.com": "sk-ant-oat01-a"}),
        OK,
        "account 1 (u…@example.com): the keyring has its token",
        "",
    ),
    "in nothing": (
        "storage = 'keyring'",
        lambda _: None,
        FAIL,
        "no login found yet",
        "run `claude` and use /login",
    ),
    "expired in the keyring": (
        "storage = 'keyring'",
        lambda m: m.box.entries.update({"user@example.com": login_text(expires=before(hours=2))}),
        WARN,
        "the keyring: expired 2h ago, at 2026-11-22 10:00 UTC (logged out)",
        "run `claude` and use /login",
    ),
    "damaged in the keyring": (
        "",
        lambda m: m.box.entries.update({"user@example.com": "{"}),
        FAIL,
        "the entry in the keyring is not a token",
        "import or enter it again",
    ),
    "with a label": (
        "label = 'work'",
        lambda m: m.box.entries.update({"user@example.com": "sk-ant-oat01-a"}),
        OK,
        "account 1 (work): the keyring",
        "",
    ),
    "given by systemd": (
        "storage = 'systemd'",
        lambda _: None,
        SKIP,
        "only the service itself",
        "",
    ),
    "missing in systemd": (
        "storage = 'systemd'",
        lambda m: m.set(environ={"CREDENTIALS_DIRECTORY": str(m.home)}),
        FAIL,
        "there is no systemd credential",
        "LoadCredentialEncrypted",
    ),
    "by a command": (
        'token_command = ["echo", "a-token"]',
        lambda _: None,
        OK,
        "its token_command has its token",
        "",
    ),
    "by a command that fails": (
        'token_command = ["false", "a-secret"]',
        lambda _: None,
        FAIL,
        "the token command false",
        "by hand",
    ),
    "by a command that is missing": (
        'token_command = ["no-such-program"]',
        lambda _: None,
        FAIL,
        "no-such-program is not on the PATH",
        "install",
    ),
}


@pytest.mark.parametrize("case", ACCOUNTS)
async def test_what_is_said_of_an_account(machine: Machine, case: str) -> None:
    text, edit, outcome, found, fix = ACCOUNTS[case]
    machine.settings(ACCOUNT + text)
    edit(machine)
    check = await machine.answer("account")
    assert_says(check, outcome, found, fix)


@pytest.mark.parametrize(
    "changes, outcome, found",
    [
        ({}, OK, "~/.claude-work, has its token"),
        ({"expires": before(hours=1)}, WARN, "waiting for Claude Code"),
        ({"scopes": ["user:inference"]}, FAIL, "a setup-token"),
    ],
)
async def test_what_is_said_of_an_account_that_is_linked(
    machine: Machine, changes: dict[str, object], outcome: Outcome, found: str
) -> None:
    folder = machine.login(".claude-work", **changes).parent
    identify(machine, folder)
    machine.settings(f"{ACCOUNT}storage = 'linked'\nconfig_dir = '{folder}'\n")
    check = await machine.answer("account")
    assert check.outcome is outcome and found in check.found


def identify(machine: Machine, folder: Path) -> None:
    """An earlier run has learnt whose the folder's login is, and Claude Code says the same."""
    identity = {"account_uuid": "a", "org_uuid": "o"}
    machine.learns("user@example.com", identity=identity, folders=[str(folder)])
    noted = {"accountUuid": "a", "organizationUuid": "o", "emailAddress": "user@example.com"}
    (folder / ".claude.json").write_text(json.dumps({"oauthAccount": noted}))


async def test_whose_a_login_is_that_nobody_knows_is_left_to_the_api(machine: Machine) -> None:
    folder = machine.login(".claude-work").parent
    machine.settings(f"{ACCOUNT}storage = 'linked'\nconfig_dir = '{folder}'\n")
    check = await machine.answer("account")
    assert check.outcome is SKIP and "only the API knows whose" in check.found


async def test_a_login_at_hand_needs_no_keyring(machine: Machine) -> None:
    folder = machine.login(".claude-work").parent
    identify(machine, folder)
    machine.settings(ACCOUNT)
    machine.box.failure = CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED))
    check = await machine.answer("account")
    assert check.outcome is OK and "Claude Code's own place, ~/.claude-work" in check.found


async def test_without_an_api_no_token_matters(machine: Machine) -> None:
    machine.login(scopes=["user:inference"])
    machine.settings(f"{ALONE}{ACCOUNT}storage = 'keyring'\n")
    machine.box.failure = CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED))
    assert "setup-token, which is not sent" in (await machine.answer("login")).found
    check = await machine.answer("account")
    assert (check.outcome, advice(check)) == (WARN, "`monitor accounts import --all`")
    machine.learns("user@example.com", identity={"account_uuid": "a", "org_uuid": "o"})
    checks = await machine.examined()
    assert exit_code(checks) == 0
    assert [c.found for c in checks if c.name == "account"] == [
        "account 1 (u…@example.com): it needs no token (api.enabled = false)"
    ]
    machine.settings(f"{ALONE}[[accounts]]\nname = 'a'\nauth_method = 'session_key'\n")
    assert "of no use" in (await machine.answer("account")).found


def fails(failure: Failure, *, is_running: bool = True) -> Edit:
    """A token_command's account that the polls cannot read."""
    who = {"pid": 7, "version": __version__} if is_running else None
    return lambda m: m.set(failures=lambda: {"user@example.com": failure}, who=lambda: who)


EXPIRED = {"user@example.com": login_text(expires=before(hours=2))}

NO_SCOPE = Failure(Reason.SCOPE, Cause.NO_SCOPE)
REFUSED = Failure(Reason.AUTH, Cause.REFUSED)

FAILING: dict[str, tuple[str, Edit, Outcome, str, str]] = {
    "a setup-token of a command": (
        'token_command = ["echo", "a-token"]',
        fails(NO_SCOPE),
        FAIL,
        "account 1 (u…@example.com): it cannot be read (scope): the token may not read usage",
        "let the command print the token of a login",
    ),
    "a setup-token of systemd": (
        "storage = 'systemd'",
        fails(NO_SCOPE),
        FAIL,
        "it cannot be read (scope)",
        "encrypt the token of a login",
    ),
    "a setup-token in the keyring": (
        "",
        fails(NO_SCOPE),
        FAIL,
        "it cannot be read (scope)",
        "`claude`, then /login; and then `monitor accounts import`",
    ),
    "one that is refused": (
        "",
        fails(REFUSED),
        FAIL,
        "(auth): the API refused the login",
        "`claude`, then /login",
    ),
    "a login that cannot be identified": (
        "",
        fails(Failure(Reason.CREDENTIALS, Cause.UNIDENTIFIED, detail="HTTP 500")),
        FAIL,
        "whose the new login is (HTTP 500)",
        "`monitor accounts import`",
    ),
    "one that says itself what to do": (
        "",
        fails(
            Failure(Reason.CREDENTIALS, Cause.OTHER_LOGIN, folder="/w", owner="user@example.com")
        ),
        FAIL,
        "(credentials): /w contains the login of 'u…@example.com'",
        "run `CLAUDE_CONFIG_DIR=/w claude`",
    ),
    "one that waits": (
        "",
        fails(Failure(Reason.RATE_LIMITED)),
        WARN,
        "(rate_limited): rate limited by the API",
        "`monitor status`",
    ),
    "an answer that is not understood": (
        "",
        fails(Failure(Reason.SCHEMA, detail="no known window")),
        FAIL,
        "(schema): no known window",
        "install the newest version",
    ),
    "an answer that is not the API's": (
        "",
        fails(Failure(Reason.BLOCKED, Cause.ALIEN, detail="HTTP 403, a web page")),
        WARN,
        "(blocked): something on the way answered instead of the API (HTTP 403, a web page)",
        "look at the proxy",
    ),
    "an organization that does not allow it": (
        "",
        fails(Failure(Reason.REFUSED, Cause.FORBIDDEN, detail="Organization disabled")),
        FAIL,
        "(refused): the API does not allow it (Organization disabled)",
        "ask the organization's administrator",
    ),
    "an answer without any figure": (
        "",
        fails(Failure(Reason.SCHEMA, Cause.NO_LIMITS)),
        FAIL,
        "(schema): the answer contains no figures",
        "wait",
    ),
    "an answer with an odd figure": (
        "",
        fails(Failure(Reason.SCHEMA, Cause.LEFT_OUT, detail="7d: utilization is no number")),
        WARN,
        "account 1 (u…@example.com): some of its figures could not be read (7d: utilization",
        "install the newest version",
    ),
    "one of the last run": (
        "",
        fails(REFUSED, is_running=False),
        FAIL,
        "it could not be read when it was asked last (auth)",
        "/login",
    ),
    "one that waits for Claude Code": (
        "storage = 'keyring'",
        lambda m: (fails(Failure(Reason.AUTH, Cause.WAITING))(m), m.box.entries.update(EXPIRED)),
        WARN,
        "expired 2h ago",
        "run `claude`",
    ),
    "one whose new login cannot be identified": (
        "storage = 'keyring'",
        lambda m: (
            fails(Failure(Reason.CREDENTIALS, detail="whose is it"))(m),
            m.box.entries.update(EXPIRED),
        ),
        FAIL,
        "(credentials): whose is it",
        "`monitor accounts import`",
    ),
    "one whose token is known to be missing": (
        "storage = 'keyring'",
        lambda m: (fails(REFUSED)(m), m.box.entries.popitem()),
        FAIL,
        "no login found yet",
        "run `claude` and use /login",
    ),
}


@pytest.mark.parametrize("case", FAILING)
async def test_what_the_polls_know_is_said_of_an_account(machine: Machine, case: str) -> None:
    text, edit, outcome, found, fix = FAILING[case]
    machine.box.entries["user@example.com"] = "sk-ant-oat01-a"
    machine.settings(ACCOUNT + text)
    edit(machine)
    check = await machine.answer("account")
    assert_says(check, outcome, found, fix)


async def test_a_monitor_that_does_not_say_it_hides_no_account(machine: Machine) -> None:
    def failures() -> dict[str, Failure]:
        raise TrackerError("the running monitor does not answer within 2 s")

    machine.box.entries["user@example.com"] = "sk-ant-oat01-a"
    machine.settings(ACCOUNT)
    machine.set(failures=failures)
    assert (await machine.answer("account")).outcome is OK


async def test_a_linked_account_without_a_login_is_a_failure(machine: Machine) -> None:
    machine.settings(ACCOUNT + "storage = 'linked'\n")
    check = await machine.answer("account")
    assert check.outcome is FAIL and "no login found yet" in check.found
    assert "or name its folder: config_dir" in advice(check)
    machine.settings(f"{ACCOUNT}storage = 'linked'\nconfig_dir = '{machine.home}/gone'\n")
    check = await machine.answer("account")
    assert (
        check.outcome is FAIL
        and advice(check) == "run `CLAUDE_CONFIG_DIR=~/gone claude` and use /login"
    )


async def test_wrong_settings_are_told_by_their_line_and_hide_nothing_else(
    machine: Machine,
) -> None:
    machine.settings("[[accounts]]\nname = 'user@example.com'\n" * 2)
    checks = await machine.examined()
    assert checks[0].outcome is FAIL
    assert checks[0].found.startswith("~/config.toml:6: accounts[1].name: there is an account")
    assert "user@" not in checks[0].found
    assert {"keyring", "login", "state"} <= {check.name for check in checks}
    assert not {"account", "port", "interval"} & {check.name for check in checks}


async def test_an_interval_over_the_budget_is_a_warning(machine: Machine) -> None:
    machine.settings("[settings]\npoll_interval_secs = 60\n")
    check = await machine.answer("interval")
    assert check.outcome is WARN and check.found.startswith(
        "~/config.toml:4: poll_interval_secs = 60"
    )


@pytest.mark.parametrize(
    "mode, outcome", [(0o600, OK), (0o644, WARN), (0o660, FAIL), (0o602, FAIL)]
)
async def test_who_else_may_use_the_settings(machine: Machine, mode: int, outcome: Outcome) -> None:
    machine.settings("")
    machine.config.chmod(mode)
    check = await machine.answer("settings-access")
    assert check.outcome is outcome
    assert advice(check) == ("" if outcome is OK else "`chmod 600 ~/config.toml`")


async def test_settings_that_cannot_be_read_are_told_from_wrong_ones(machine: Machine) -> None:
    machine.set(config=machine.home, environ={"XDG_STATE_HOME": str(machine.home / "s")})
    check = (await machine.examined())[0]
    assert (check.outcome, check.found) == (FAIL, "~ cannot be read: Is a directory")


async def test_a_running_instance_is_named(machine: Machine) -> None:
    machine.settings("")
    machine.set(who=lambda: {"pid": 7, "version": "0.0.1", "metrics": None})
    check = await machine.answer("instance")
    assert check.outcome is WARN and "polling: pid 7, version 0.0.1" in check.found


async def test_an_instance_that_does_not_answer_is_a_failure(machine: Machine) -> None:
    def who() -> None:
        raise TrackerError("the running monitor does not answer within 2 s")

    machine.settings("")
    machine.set(who=who)
    assert (await machine.answer("instance")).outcome is FAIL


@pytest.mark.parametrize("capabilities", [(), ("title",)])
async def test_notifications_that_vanish_are_told(
    machine: Machine, capabilities: tuple[str, ...]
) -> None:
    machine.settings("")
    machine.set(sender=lambda: Sender(*capabilities))
    channel = await machine.answer("channel")
    assert channel.outcome is (OK if capabilities else WARN)
    assert ("vanish" in channel.found) is not bool(capabilities)
    assert (await machine.answer("notifications")).outcome is channel.outcome


async def test_a_check_that_breaks_hides_no_other(machine: Machine) -> None:
    class Broken(Sender):
        async def get_capabilities(self) -> object:
            raise SystemError("sk-ant-oat01-x")

    def who() -> None:
        raise KeyError("sk-ant-oat01-x")

    machine.settings("")
    machine.set(who=who, sender=Broken)
    checks = await machine.examined()
    assert "this check itself has failed (KeyError)" in {c.found for c in checks}
    assert "locale" in {check.name for check in checks}


CHANNELS: dict[str, tuple[str, Edit, Outcome, str]] = {
    "a webhook without token": ("", lambda _: None, OK, "needs no token"),
    "a webhook with its token": (
        "token = 'hook'",
        lambda m: m.box.entries.update({"hook": "s3cret"}),
        OK,
        "its keyring entry is there",
    ),
    "a webhook without its token": ("token = 'hook'", lambda _: None, WARN, "entry is missing"),
    "a webhook without a keyring": (
        "token = 'hook'",
        lambda m: setattr(
            m.box, "failure", CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED))
        ),
        WARN,
        "cannot be read",
    ),
}


@pytest.mark.parametrize("case", CHANNELS)
async def test_what_a_webhook_needs(machine: Machine, case: str) -> None:
    text, edit, outcome, found = CHANNELS[case]
    machine.settings(
        "[notifications]\nchannels = ['webhook']\n"
        f"[channels.webhook]\nurl = 'https://ntfy.example/a-secret-topic'\n{text}\n"
    )
    edit(machine)
    check = await machine.answer("channel")
    assert check.outcome is outcome and found in check.found
    assert "topic" not in str(await machine.examined())


@pytest.mark.parametrize("program, outcome", [("cat", OK), ("no-such-program", WARN)])
async def test_what_a_command_channel_needs(
    machine: Machine, program: str, outcome: Outcome
) -> None:
    machine.settings(
        f"[notifications]\nchannels = ['command']\n[channels.command]\nargv = ['{program}', 's3cret']\n"
    )
    check = await machine.answer("channel")
    assert check.outcome is outcome and program in check.found and "s3cret" not in check.found


_SET_UP: Final = {
    "command": "argv = ['cat']",
    "webhook": "url = 'https://ntfy.example/topic'",
    "alertmanager": "url = 'http://127.0.0.1:9093'",
    "apprise": "urls = 'apprise'",
}


@pytest.mark.parametrize("name", model.CHANNELS)
async def test_each_channel_is_checked_by_its_name(machine: Machine, name: str) -> None:
    table = f"[channels.{name}]\n{_SET_UP[name]}\n" if name in _SET_UP else ""
    machine.settings(f"[notifications]\nchannels = ['{name}']\n{table}")
    check = await machine.answer("channel")
    assert check.found.startswith(f"{name}: ")
    assert name == "bell" or "a line at the top of an open `monitor tui`" not in check.found


async def test_alerts_that_are_switched_off_are_no_fault(machine: Machine) -> None:
    machine.settings("[notifications]\nenabled = false\n")
    assert (await machine.answer("notifications")).outcome is SKIP


async def test_a_state_folder_that_others_look_into_is_a_warning(machine: Machine) -> None:
    machine.settings("")
    folder = machine.home / ".local/state/claude-tracker"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    check = await machine.answer("state")
    assert (check.outcome, advice(check)) == (WARN, "`chmod 700 ~/.local/state/claude-tracker`")
    folder.chmod(0o700)
    assert (await machine.answer("state")).outcome is OK
    folder.rmdir()
    folder.touch()
    assert "is in the way" in (await machine.answer("state")).found
