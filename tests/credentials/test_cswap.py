"""What is taken over from claude-swap, and what is said where that cannot be."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.core.errors import Cause, CredentialError
from monitor.credentials.programs import SwapAccount, list_swap_accounts, parse_list

LIST: dict[str, Any] = {
    "schemaVersion": 1,
    "activeAccountNumber": 2,
    "accounts": [
        {
            "number": 1,
            "email": "user@example.com",
            "organizationName": "Example GmbH",
            "organizationUuid": "22222222-bbbb",
            "isOrganization": True,
            "active": False,
            "usageStatus": "token_expired",
            "usage": None,
            "alias": "work",
            "disabled": True,
            "loginExpiresAt": "2026-07-20T10:00:00Z",
        },
        {
            "number": 2,
            "email": "user@example.com",
            "organizationName": "",
            "organizationUuid": "",
            "isOrganization": False,
            "active": True,
            "usageStatus": "ok",
            "usage": {"fiveHour": {"pct": 25.0, "resetsAt": "2026-06-22T23:29:59Z"}},
            "usageFetchedAt": "2026-06-22T20:00:00Z",
        },
        {"number": 3, "email": "key@example.com", "usageStatus": "api_key", "usage": None},
    ],
}


def program(folder: Path, script: str) -> str:
    path = folder / "cswap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


async def test_its_accounts_are_taken_over_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(json.dumps(LIST, indent=2))
    script = f'[ "$*" = "list --json" ] && echo notice >&2 && cat {tmp_path}/list'
    assert await list_swap_accounts(program(tmp_path, script)) == [
        SwapAccount(
            "user@example.com",
            "22222222-bbbb",
            "Example GmbH",
            login_expires_at=datetime(2026, 7, 20, 10, tzinfo=UTC),
        ),
        SwapAccount("user@example.com"),
    ]


def test_rows_that_make_no_sense_are_passed_over() -> None:
    rows = [5, {}, {"email": "\x1b[2J"}, {"email": "a@b", "organizationUuid": 1}]
    document = {"schemaVersion": 1, "accounts": rows}
    assert parse_list(json.dumps(document).encode()) == [SwapAccount("a@b")]


@pytest.mark.parametrize("ends", [None, 0, "soon", "0001-01-01T00:00:00+14:00", ["2026-07-20"]])
def test_a_date_that_makes_no_sense_is_unknown(ends: object) -> None:
    rows = [{"email": "a@b", "loginExpiresAt": ends}]
    document = {"schemaVersion": 1, "accounts": rows}
    assert parse_list(json.dumps(document).encode()) == [SwapAccount("a@b")]


NOT_UNDERSTOOD = [b"", b"Accounts:\n", b"[]", b"{}", b'{"schemaVersion":1}', b"[" * 100_000]


@pytest.mark.parametrize("output", [*NOT_UNDERSTOOD, b'{"schemaVersion":2,"accounts":[]}'])
def test_another_form_is_not_understood(output: bytes) -> None:
    with pytest.raises(CredentialError, match="prints what is not understood") as told:
        parse_list(output)
    assert told.value.cause is Cause.DAMAGED and told.value.__context__ is None


async def test_its_own_failure_is_named_without_its_words(tmp_path: Path) -> None:
    error = '{"schemaVersion":1,"error":{"type":"LockError","message":"hush"}}'
    with pytest.raises(CredentialError) as told:
        await list_swap_accounts(program(tmp_path, f"echo '{error}'; exit 1"))
    assert str(told.value).endswith(
        "failed with exit code 1 (LockError): run it by hand to see why"
    )
    assert told.value.cause is Cause.FAILED


async def test_it_may_be_missing() -> None:
    with pytest.raises(CredentialError, match="cswap-x is not on the PATH: install") as told:
        await list_swap_accounts("cswap-x")
    assert told.value.cause is Cause.MISSING


async def test_it_is_ended_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=r"took longer than 0\.2 s") as told:
        await list_swap_accounts(program(tmp_path, "sleep 60"), limit_secs=0.2)
    assert told.value.cause is Cause.SILENT


async def test_it_may_print_too_much_or_not_start(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="not understood"):
        await list_swap_accounts(program(tmp_path, "yes"))
    (tmp_path / "cswap").write_text("#!/no/such/interpreter\n")
    with pytest.raises(CredentialError, match="cannot be started"):
        await list_swap_accounts(str(tmp_path / "cswap"))
