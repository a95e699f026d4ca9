"""What a page must not hold that may be pasted into a public report: tokens, names, the home folder."""

import asyncio
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.errors import Cause, Failure, Reason, Source
from monitor.core.model import Account
from monitor.doctor import Failed, render_document, render_text
from monitor.doctor.privacy import Privacy, masked, title
from monitor.doctor.settings_file import settings_facts
from tests.builders import before
from tests.doctor.factories import Machine, login_text

CANARY = "Zq7Xk"
SECRETS = st.text("abcdefghijkmnopqrstuvwyz0123456789-_", min_size=1, max_size=60).map(
    lambda text: f"{CANARY}{text}"
)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("of user@example.com in /home/u/x", "of u…@example.com in ~/x"),
        ("/home/u", "~"),
        ("/home/user2 and /mnt/home/u/x", "/home/user2 and /mnt/home/u/x"),
        ("`chmod 600 '/home/u/a b'`", "`chmod 600 ~/'a b'`"),
        ("an account 'Ann Smith' already", "an account 'A…' already"),
        ("Bearer sk-ant-oat01-abc!", "Bearer …!"),
        ("\x1b[31mred\nline", " [31mred line"),
    ],
)
def test_what_is_hidden(text: str, shown: str) -> None:
    assert Privacy("/home/u", ["Ann Smith"]).text(text) == shown


def test_a_home_at_the_root_hides_nothing() -> None:
    assert Privacy("/").text("/etc/x") == "/etc/x"


@pytest.mark.parametrize(
    "name, shown",
    [
        ("user@example.com", "u…@example.com"),
        ("user@example.com (Organization)", "u…@example.com (O…)"),
        ("work", "w…"),
    ],
)
def test_how_a_name_is_masked(name: str, shown: str) -> None:
    assert masked(name) == shown
    assert title(2, Account(name)) == f"account 2 ({shown})"


async def test_why_an_account_fails_is_told_without_its_name(machine: Machine) -> None:
    failed = Failed(Failure(Reason.CREDENTIALS, Cause.ABSENT, Source.SYSTEMD, "Ann"))
    machine.settings("[[accounts]]\nname = 'Ann'\nauth_method = 'oauth'\nstorage = 'systemd'\n")
    machine.set(failures=lambda: {"Ann": failed})
    check = await machine.answer("account")
    assert check.found.endswith(": there is no systemd credential 'A…'")
    assert "LoadCredentialEncrypted=A…:" in (check.fix or "")


def test_a_label_is_what_the_user_has_made_public() -> None:
    assert title(1, Account("user@example.com", label="work")) == "account 1 (work)"


MISPLACED = [
    "[notifications]\nchannels = ['{}']\n",
    "[[accounts]]\nname = 'a'\nauth_method = '{}'\n",
    "[[accounts]]\nname = 'a'\ntoken_command = 'echo {}'\n",
    "[[accounts]]\nname = 'a'\nsession_key = '{}'\n",
    "[[accounts]]\nname = 'a'\nstorage = '{}'\n",
    "[[accounts]]\nname = '{0}'\n[[accounts]]\nname = '{0}'\n",
    "[[accounts]]\nname = 'a'\nlabel = {}\n",
    "[channels.webhook]\nurl = '{}'\n",
    "[api]\nurl = 'https://u:{}@example.com'\n",
]


@given(st.sampled_from(MISPLACED), SECRETS)
def test_a_secret_in_the_wrong_place_of_the_settings_is_not_repeated(
    form: str, secret: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_text(form.format(secret))
        facts = settings_facts(path)
        assert facts.wrong is not None and CANARY not in facts.wrong
        assert facts.wrong.startswith(f"{path}:")


@settings(max_examples=12)
@given(SECRETS, st.booleans(), st.booleans())
def test_no_secret_of_any_source_gets_into_a_page(
    secret: str, is_dead: bool, is_whole: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = armed(Path(folder), secret, is_dead=is_dead, is_whole=is_whole)
        checks = asyncio.run(machine())
        page = render_text(checks, 80) + render_document(checks, "1")
        assert len(checks) > 15
        assert CANARY not in page
        assert "alice@" not in page and folder not in page


def armed(folder: Path, secret: str, *, is_dead: bool, is_whole: bool):  # type: ignore[no-untyped-def]
    """A machine on which every source holds the secret: in good order, or each in some disorder."""
    machine = Machine(folder)
    text = login_text(secret, refresh=f"{secret}r", expires=before(days=1) if is_dead else None)
    both = json.loads(text) | {"mcpOAuth": {"x": {"accessToken": secret}}}
    for place in (".claude", ".claude-work", ".claude-mcp"):
        machine.login(place).write_text(json.dumps(both) if is_whole else text[:-9])
    (machine.home / ".claude-mcp/.credentials.json").write_text(
        json.dumps({"mcpOAuth": both["mcpOAuth"]})
    )
    (machine.home / "alice@example.com").write_text(secret if is_whole else f"{secret} {secret}")
    machine.box.entries.update(
        {"alice@example.com": text, "hook": f"{secret} x", "b": f"{{{secret}"}
    )
    machine.set(
        environ={
            "CLAUDE_CODE_OAUTH_TOKEN": secret,
            "ANTHROPIC_API_KEY": secret,
            "HTTPS_PROXY": f"http://u:{secret}@proxy.example:1",
            "CREDENTIALS_DIRECTORY": str(machine.home),
        }
    )
    end = "" if is_whole else "; exit 3"
    machine.settings(
        f"""
[[accounts]]
name = "alice@example.com"
auth_method = "oauth"
[[accounts]]
name = "b"
storage = "keyring"
[[accounts]]
name = "c"
token_command = ["sh", "-c", "echo {secret} x {secret}; echo {secret} >&2{end}"]
[[accounts]]
name = "d"
auth_method = "oauth"
storage = "linked"
config_dir = "{machine.home}/.claude-work"
[notifications]
channels = ["webhook", "command", "desktop"]
[channels.webhook]
url = "https://ntfy.example/{secret}"
token = "hook"
[channels.command]
argv = ["cat", "{secret}"]
"""
    )
    return machine.examined
