"""What systemd hands over: which names are looked for, and what may be in a file."""

import json
from pathlib import Path

import pytest

from monitor.core.errors import Cause, CredentialError
from monitor.core.model import Secret
from monitor.credentials.stores import CredentialsDirectory

TOKEN = "sk-ant-oat01-abc"
NAME = "user@example.com"


def handed_over(folder: Path, **files: str) -> CredentialsDirectory:
    for name, text in files.items():
        (folder / name).write_text(text)
    return CredentialsDirectory({"CREDENTIALS_DIRECTORY": str(folder)})


async def test_a_token_is_found_under_the_accounts_name(tmp_path: Path) -> None:
    source = handed_over(tmp_path, **{NAME: f"{TOKEN}\n", "work": "other"})
    credential = await source.read(NAME, "work")
    assert credential is not None and credential.secret == Secret(TOKEN)


async def test_a_token_is_found_under_its_label(tmp_path: Path) -> None:
    credential = await handed_over(tmp_path, work=TOKEN).read(NAME, "work")
    assert credential is not None and credential.secret == Secret(TOKEN)


async def test_what_claude_code_writes_is_taken_too(tmp_path: Path) -> None:
    entry = {"accessToken": TOKEN, "refreshToken": "r", "expiresAt": 1_800_000_000_000}
    source = handed_over(tmp_path, work=json.dumps({"claudeAiOauth": entry}))
    credential = await source.read("work")
    assert credential is not None and credential.secret == Secret(TOKEN)
    assert credential.expires_at is not None and credential.expires_at.year == 2027


async def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert await handed_over(tmp_path).read(NAME, "work") is None
    assert await CredentialsDirectory({}).read(NAME, "work") is None
    assert await CredentialsDirectory({"CREDENTIALS_DIRECTORY": ""}).read("etc") is None


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/out", ".hidden", "", ".", "a\0b"])
async def test_a_name_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    for path in (tmp_path / "out", inside / ".hidden"):
        path.write_text(TOKEN)
    assert await handed_over(inside).read(name, name) is None


@pytest.mark.parametrize("text", ["", "two words", "{", '{"claudeAiOauth":{}}', "tok\x00en"])
async def test_what_is_no_token_is_said_without_a_word_of_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(CredentialError, match=r"'work' in \$CREDENTIALS_DIRECTORY is no") as told:
        await handed_over(tmp_path, work=text).read("work")
    assert told.value.cause is Cause.DAMAGED
    assert not text or text not in str(told.value)


async def test_a_folder_instead_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with pytest.raises(CredentialError, match="Is a directory"):
        await handed_over(tmp_path).read("work")
