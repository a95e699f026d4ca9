"""A login that is no account yet is told with the command that imports it, and no other one is."""

import json
from pathlib import Path

import pytest

from monitor.core.model import Secret
from monitor.credentials.account_cache import digest
from monitor.doctor.report import Outcome
from tests.builders import before
from tests.credentials.fake_security import FakeSecurity
from tests.doctor.factories import TOKEN, Machine, advice, login_text
from tests.storage.factories import keep_facts

ACCOUNT = "[[accounts]]\nname = 'user@example.com'\nauth_method = 'oauth'\norg_id = 'org-1'\n"
NAMED = "[[accounts]]\nname = 'user@example.com'\nauth_method = 'oauth'\n"
SERVICE = "Claude Code-credentials"
KNOWN = {"identity": {"account_uuid": "acc-1", "org_uuid": "org-1"}}


def learn(machine: Machine, **facts: object) -> None:
    """What an earlier run has noted of the account."""
    keep_facts(machine.world.environ, machine.config, {"user@example.com": facts})


def note(folder: Path, account: str = "acc-1", org: str = "org-1", email: str = "") -> None:
    """What Claude Code writes beside a login."""
    entry = {"accountUuid": account, "organizationUuid": org, "emailAddress": email}
    (folder / ".claude.json").write_text(json.dumps({"oauthAccount": entry}))


async def told(machine: Machine) -> list[tuple[str, str]]:
    checks = await machine.answers("unwatched")
    assert {check.outcome for check in checks} <= {Outcome.WARN}
    return [(check.found.partition(": ")[0], advice(check)) for check in checks]


async def test_without_accounts_every_good_login_can_be_imported(machine: Machine) -> None:
    machine.settings("")
    machine.login()
    machine.login(".claude-work")
    machine.login("my claude")
    machine.login(".claude-old", expires=before(hours=1))
    machine.login(".claude-ci", scopes=["user:inference"])
    assert await told(machine) == [
        ("~/.claude", "`monitor accounts import`"),
        ("~/.claude-work", "`monitor accounts import --config-dir ~/.claude-work`"),
        ("~/my claude", "`monitor accounts import --config-dir ~/'my claude'`"),
    ]


async def test_the_default_place_is_imported_with_all_where_the_shell_means_another_one(
    machine: Machine,
) -> None:
    machine.settings("")
    machine.login()
    machine.set(environ={"CLAUDE_CONFIG_DIR": str(machine.home / "now")})
    assert await told(machine) == [("~/.claude", "`monitor accounts import --all`")]


async def test_a_lone_item_is_imported_with_all(machine: Machine, tmp_path: Path) -> None:
    fake = FakeSecurity(tmp_path / "mac")
    fake.put(f"{SERVICE}-00000001", login_text())
    machine.settings("")
    machine.set(platform="darwin", security=fake.program)
    item = f"the Keychain item '{SERVICE}-00000001'"
    assert await told(machine) == [(item, "`monitor accounts import --all`")]


@pytest.mark.parametrize(
    "facts",
    [
        {"token_digest": digest(Secret(TOKEN)), **KNOWN},
        {"folders": [""], **KNOWN},
        {"folders": [""]},
        {},
    ],
)
async def test_a_login_that_may_be_an_account_is_none_to_import(
    machine: Machine, facts: dict[str, object]
) -> None:
    machine.settings(ACCOUNT)
    machine.login()
    learn(machine, **facts)
    assert await told(machine) == []


async def test_the_place_that_the_settings_name_is_an_accounts(machine: Machine) -> None:
    folder = machine.login(".claude-work").parent
    machine.settings(f"{ACCOUNT}config_dir = '{folder}/'\n")
    learn(machine, **KNOWN)
    assert await told(machine) == []


@pytest.mark.parametrize(
    ("noted", "is_known"),
    [
        (("acc-1", "org-1"), True),
        (("acc-1", ""), True),
        (("acc-1", "org-2"), False),
        (("acc-2", "org-1"), False),
    ],
)
async def test_what_claude_code_notes_tells_a_known_account_from_a_new_one(
    machine: Machine, noted: tuple[str, str], is_known: bool
) -> None:
    machine.settings(ACCOUNT)
    note(machine.login(".claude-work").parent, *noted)
    learn(machine, folders=["/elsewhere"], **KNOWN)
    assert bool(await told(machine)) is not is_known


async def test_whose_a_token_was_found_to_be_goes_before_what_is_noted(machine: Machine) -> None:
    machine.settings(ACCOUNT)
    note(machine.login(".claude-work").parent)
    identity = {"account_uuid": "acc-2", "org_uuid": "org-2"}
    profiles = {digest(Secret(TOKEN)): {"identity": identity, "email": "other@example.com"}}
    learn(machine, **KNOWN)
    assert await told(machine) == []
    keep_facts(machine.world.environ, machine.config, {"user@example.com": KNOWN, "": profiles})
    assert len(await told(machine)) == 1


@pytest.mark.parametrize(
    ("settings", "org", "email", "is_known"),
    [
        (ACCOUNT, "org-1", "other@example.com", True),
        (ACCOUNT, "org-2", "user@example.com", False),
        (ACCOUNT, "", "user@example.com", True),
        (NAMED, "org-2", "user@example.com", True),
        (NAMED, "org-2", "other@example.com", False),
    ],
)
async def test_an_account_that_was_never_identified_is_told_by_its_organization_else_by_its_name(
    machine: Machine, settings: str, org: str, email: str, is_known: bool
) -> None:
    machine.settings(settings)
    note(machine.login(".claude-work").parent, "acc-1", org, email)
    assert bool(await told(machine)) is not is_known


async def test_with_settings_that_cannot_be_read_nobody_knows_the_accounts(
    machine: Machine,
) -> None:
    machine.settings("[settings\n")
    machine.login()
    assert await told(machine) == []
