"""What strangers may see of a check, and the page and the document that checks become."""

import asyncio
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.errors import Cause, Failure, Reason, Source
from monitor.core.model import Account
from monitor.doctor.files import settings_checks
from monitor.doctor.report import (
    Check,
    Fix,
    Outcome,
    Privacy,
    exit_code,
    mask,
    render_json,
    render_text,
    start_claude,
    title,
)
from tests.builders import before
from tests.doctor.factories import Machine, advice, login_text

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
    assert mask(name) == shown
    assert title(2, Account(name)) == f"account 2 ({shown})"


async def test_why_an_account_fails_is_told_without_its_name(machine: Machine) -> None:
    failure = Failure(Reason.CREDENTIALS, Cause.ABSENT, Source.SYSTEMD, "Ann")
    machine.settings("[[accounts]]\nname = 'Ann'\nauth_method = 'oauth'\nstorage = 'systemd'\n")
    machine.set(failures=lambda: {"Ann": failure})
    check = await machine.answer("account")
    assert check.found.endswith(": there is no systemd credential 'A…'")
    assert "LoadCredentialEncrypted=A…:" in advice(check)


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
        usable, (check, *_) = settings_checks(path)
        assert usable is None and CANARY not in check.found
        assert check.found.startswith(f"{path}:")


@settings(max_examples=12)
@given(SECRETS, st.booleans(), st.booleans())
def test_no_secret_of_any_source_gets_into_a_page(
    secret: str, is_dead: bool, is_whole: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = armed(Path(folder), secret, is_dead=is_dead, is_whole=is_whole)
        checks = asyncio.run(machine())
        page = render_text(checks, 80) + render_json(checks, "1")
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


CHECKS = [
    Check("settings", Outcome.OK, "~/.config/claude-tracker/config.toml: 3 accounts", "accounts"),
    Check(
        "login",
        Outcome.WARN,
        "~/.claude-work: the token expired 3h ago, at 2026-11-22 09:00 UTC; the login is valid until 2026-12-12",
        "tokens last about 8 h; only Claude Code can renew them",
        Fix("`CLAUDE_CONFIG_DIR=~/.claude-work claude`: it renews the token when it starts"),
    ),
    Check(
        "port",
        Outcome.FAIL,
        "another program has 127.0.0.1:15707",
        "Prometheus and the status page find the figures there",
        Fix(
            "`ss -ltnp 'sport = :15707'` says which; another port in the settings, "
            'exporter.listen = "127.0.0.1:15708", or "off"'
        ),
    ),
    Check("clock", Outcome.SKIP, "clock not checked", "countdowns"),
]


@pytest.mark.parametrize("columns", [80, 40])
def test_the_page_at_a_width(columns: int, golden: Callable[[str, str], None]) -> None:
    golden(f"doctor_{columns}.txt", render_text(CHECKS, columns))


def login(number: int, fix: Fix, outcome: Outcome = Outcome.WARN) -> Check:
    return Check("login", outcome, f"~/.claude-{number}: expired", "tokens last about 8 h", fix)


def test_problems_come_first_and_what_is_fine_is_a_line() -> None:
    fine = [Check("login", Outcome.OK, f"~/{n}", "x") for n in range(20)]
    page = render_text([*fine, Check("interval", Outcome.OK, "180 s", "x"), *CHECKS], 200)
    lines = page.splitlines()
    assert lines[0].startswith("fail  port: ")
    assert lines[3].startswith("warn  login: ")
    assert lines[6:8] == ["ok    20 logins, interval, settings", "skip  clock"]
    assert lines[-1] == (
        "25 checks: 22 ok, 1 warning, 1 failure, 1 skipped; `monitor doctor -v` shows each"
    )
    each = render_text([*fine, *CHECKS], 200, verbose=True)
    assert each.count("\nok    login: ~/") == 20


IN_A, IN_B, IN_C = (start_claude(place, ", then /login") for place in ("/a", "/b", "/c d"))
FIXES = {
    (Fix("import a", "import all"), Fix("import b", "import all")): "import all",
    (IN_A, IN_A): IN_A.text,
    (IN_B, IN_C): "`for d in /b '/c d'; do CLAUDE_CONFIG_DIR=$d claude; done`, then /login",
    (IN_B, start_claude("/b", ": it renews")): None,
    (Fix("`rm a`", "`rm {}`", "a"), Fix("`rm b`", "`rm {}`", "b")): "`rm a b`",
    (Fix("wait"), Fix("wait")): "wait",
    (Fix("wait"), Fix("go")): None,
    (start_claude("", ", then /login"), IN_B): None,
}


@pytest.mark.parametrize(("fixes", "one"), FIXES.items())
def test_one_command_fixes_many(fixes: tuple[Fix, ...], one: str | None) -> None:
    page = render_text([login(n, fix) for n, fix in enumerate(fixes)], 200)
    assert page.count("fix: ") == (2 if one is None else 1)
    assert one is None or f"fix: {one}\n" in page


def test_of_many_with_one_fix_a_few_are_named() -> None:
    many = [login(n, Fix(f"import ~/{n}", "import all")) for n in range(12)]
    assert "login: 12 of them: ~/.claude-0: expired; " in render_text(many, 300)
    assert "~/.claude-3: expired; 8 more\n" in render_text(many, 300)
    assert "~/.claude-11: expired\n" in render_text(many, 600, verbose=True)


def test_colours_are_all_that_colours_add() -> None:
    coloured = render_text(CHECKS, 80, colours=True)
    assert coloured != (plain := render_text(CHECKS, 80))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b" not in plain


def test_the_document_has_every_check_with_what_mends_it() -> None:
    document = json.loads(render_json(CHECKS, "1.2.3"))
    assert document["version"] == "1.2.3"
    assert [list(entry) for entry in document["checks"]] == 4 * [
        ["check", "outcome", "found", "why", "fix"]
    ]
    assert [entry["outcome"] for entry in document["checks"]] == ["ok", "warn", "fail", "skip"]
    assert document["checks"][0]["fix"] is None


@pytest.mark.parametrize("places, code", [([0, 3], 0), ([0, 1, 3], 0), ([0, 2], 1), ([], 0)])
def test_only_a_failure_is_one(places: list[int], code: int) -> None:
    assert exit_code([CHECKS[place] for place in places]) == code


WORDS = st.lists(st.text("abc ", min_size=1, max_size=12), max_size=12).map(" ".join)


@given(st.lists(st.builds(Check, st.just("x"), st.sampled_from(Outcome), WORDS, WORDS, WORDS.map(Fix))),
       st.integers(1, 120))  # fmt: skip
def test_no_line_is_wider_than_the_screen(checks: list[Check], columns: int) -> None:
    page = render_text(checks, columns)
    assert max(map(len, page.split("\n"))) <= max(columns, 20)
