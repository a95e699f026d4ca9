"""What is picked out of `.claude.json`, and that nothing else is."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.core.errors import Cause, CredentialError, NotLoggedInError
from monitor.core.model import Identity
from monitor.credentials.claude_code import (
    CachedUsage,
    ClaudeCode,
    ClaudeFacts,
    ClaudeJson,
    json_places,
)

ACCOUNT: dict[str, Any] = {
    "accountUuid": "11111111-aaaa",
    "emailAddress": "user@example.com",
    "organizationUuid": "22222222-bbbb",
    "organizationName": "Example GmbH",
    "displayName": "hush",
}
BODY: dict[str, Any] = {
    "five_hour": {"utilization": 51, "resets_at": "2026-11-22T14:00:00+00:00"},
    "limits": [{"kind": "session", "percent": 51}],
}
CACHED: dict[str, Any] = {
    "fetchedAtMs": 1_795_348_800_000,
    "accountUuid": "11111111-aaaa",
    "utilization": BODY,
}
AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REST = {"mcpServers": {"x": {"env": {"KEY": "hush"}}}, "projects": {"/p": {"history": ["hush"]}}}


def document(account: object = ACCOUNT, cached: object = CACHED) -> dict[str, Any]:
    return {**REST, "oauthAccount": account, "cachedUsageUtilization": cached}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".claude.json"


async def facts(path: Path, text: str) -> ClaudeFacts:
    path.write_text(text)
    return await ClaudeJson(path).read()


async def test_the_account_and_its_last_usage_are_picked_out(path: Path) -> None:
    found = await facts(path, json.dumps(document()))
    assert found == ClaudeFacts(
        Identity("11111111-aaaa", "22222222-bbbb"),
        "user@example.com",
        "Example GmbH",
        CachedUsage(AT, "11111111-aaaa", json.dumps(BODY).encode()),
    )
    assert "hush" not in repr(found)


ODD: list[tuple[object, object, ClaudeFacts]] = [
    (None, None, ClaudeFacts()),
    ([], "x", ClaudeFacts()),
    ({"accountUuid": "a"}, None, ClaudeFacts(Identity("a", ""))),
    ({"accountUuid": "a b", "organizationUuid": "o"}, None, ClaudeFacts()),
    ({"emailAddress": "\x1b[31mred", "organizationName": "a\nb"}, None, ClaudeFacts()),
    ({"emailAddress": "x" * 255, "organizationName": 5}, None, ClaudeFacts()),
    (None, {**CACHED, "fetchedAtMs": "now"}, ClaudeFacts()),
    (None, {**CACHED, "utilization": None}, ClaudeFacts()),
    (
        None,
        {"fetchedAtMs": 1_795_348_800_000, "utilization": {}},
        ClaudeFacts(cached=CachedUsage(AT, "", b"{}")),
    ),
]


@pytest.mark.parametrize(("account", "cached", "expected"), ODD)
async def test_what_makes_no_sense_is_unknown(
    path: Path, account: object, cached: object, expected: ClaudeFacts
) -> None:
    assert await facts(path, json.dumps(document(account, cached))) == expected


@pytest.mark.parametrize("text", [json.dumps(document())[:-9], "", "[]", "[" * 100_000, "\x00"])
async def test_half_a_file_says_so_and_nothing_of_it(path: Path, text: str) -> None:
    with pytest.raises(CredentialError, match="half-written or damaged") as told:
        await facts(path, text)
    error = told.value
    assert error.cause is Cause.DAMAGED and error.__context__ is None
    assert "hush" not in str(error)


async def test_a_file_that_is_far_too_large_is_not_read(path: Path) -> None:
    path.touch()
    os.truncate(path, 33 * 1024 * 1024)
    with pytest.raises(CredentialError, match="too large"):
        await ClaudeJson(path).read()


async def test_no_file_means_that_nobody_is_logged_in(path: Path) -> None:
    with pytest.raises(NotLoggedInError, match=f"there is no {path}: start `claude` once"):
        await ClaudeJson(path.with_name(".config.json"), path).read()


async def test_the_older_name_comes_first(path: Path) -> None:
    older = path.with_name(".config.json")
    source = ClaudeJson(older, path)
    path.write_text(json.dumps(document()))
    before = source.peek()
    assert (await source.read()).email == "user@example.com"
    older.write_text(json.dumps(document({"emailAddress": "old@example.com"})))
    assert (await source.read()).email == "old@example.com"
    assert source.peek() != before


def test_the_default_folders_file_is_beside_it(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    default = (tmp_path / ".claude/.config.json", tmp_path / ".claude.json")
    assert json_places("", environ) == default
    assert json_places("/w", environ) == (Path("/w/.config.json"), Path("/w/.claude.json"))


async def test_a_login_knows_the_facts_of_its_own_folder(tmp_path: Path) -> None:
    for name in ("config", "store"):
        (tmp_path / name).mkdir()
        account = {"emailAddress": f"{name}@example.com"}
        (tmp_path / name / ".claude.json").write_text(json.dumps(document(account)))
    environ = {
        "HOME": str(tmp_path),
        "CLAUDE_CONFIG_DIR": f"{tmp_path}/config",
        "CLAUDE_SECURESTORAGE_CONFIG_DIR": f"{tmp_path}/store",
    }
    emails = []
    for folder in (None, f"{tmp_path}/store"):
        source = ClaudeCode(folder, environ=environ, platform="linux")
        assert source.facts is not None
        emails.append((await source.facts.read()).email)
    assert emails == ["config@example.com", "store@example.com"]
