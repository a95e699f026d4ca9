"""`monitor accounts` as a process, on a machine with several logins of Claude Code and without a keyring."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.demo.server import SimulatedAccount
from monitor.ipc.client import ask
from monitor.paths import instance
from tests.end_to_end.world import MONITOR, canary, simulated
from tests.real.bus import wait_until

ME, WORK = "me@example.com", "work@example.com"


class Machine:
    """A home folder, and an API that knows two accounts; no keyring answers."""

    def __init__(self, home: Path, url: str, accounts: list[SimulatedAccount]) -> None:
        self.home = home
        self.accounts = accounts
        self.secrets: list[str] = []
        (home / "bin").mkdir()
        self.env = {
            "HOME": str(home),
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        }
        self.settings = home / "config.toml"
        self.settings.write_text(f'[exporter]\nlisten = "off"\n[api]\nurl = "{url}"\n')

    def login(self, folder: str, account: SimulatedAccount | None = None, **changes: object) -> str:
        """Claude Code's file; without an account it is one that the API does not know."""
        secrets = canary("oat01"), canary("ort01")
        self.secrets += secrets
        if account is not None:
            account.tokens.add(secrets[0])
        ends = int((time.time() + 8 * 3600) * 1000)
        entry = {
            "accessToken": secrets[0],
            "refreshToken": secrets[1],
            "expiresAt": ends,
            **changes,
        }
        place = self.home / folder
        place.mkdir(exist_ok=True)
        (place / ".credentials.json").write_text(json.dumps({"claudeAiOauth": entry}))
        return secrets[0]

    def owner(self) -> int | None:
        """The process that answers, if one does."""
        reply = ask(instance(self.env, self.settings)[1], {"type": "Who"})
        return None if reply is None else int(json.loads(reply[1])["pid"])

    def status(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MONITOR, "status", "--config", str(self.settings), *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MONITOR, "accounts", *words, "--config", str(self.settings)],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Machine]:
    accounts = [SimulatedAccount(ME, "acc-1", "org-1"), SimulatedAccount(WORK, "acc-2", "org-2")]
    with simulated(accounts) as api:
        yield Machine(tmp_path, api.url, accounts)


def test_every_login_of_the_machine_is_imported_with_a_line_for_each(user: Machine) -> None:
    mine, work = user.accounts
    user.login(".claude", mine)
    user.login(".claude-work", work)
    user.login(".claude-ci", scopes=["user:inference"])
    user.login(".claude-old", expiresAt=int((time.time() - 3600) * 1000))
    (user.home / ".claude-empty").mkdir()
    (user.home / ".claude-empty" / ".claude.json").write_text("{}")
    done = user.run("import", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    home = user.home
    assert sorted(done.stdout.splitlines()) == sorted(
        [
            f"{ME}: imported, read live from Claude Code",
            f"{WORK}: imported, read live from Claude Code",
            f"{home}/.claude-ci: the token may not read usage (a setup-token cannot): log in by `claude` /login",
            f"{home}/.claude-empty: not logged in",
            f"{home}/.claude-old: the token there has expired: "
            f"run `CLAUDE_CONFIG_DIR={home}/.claude-old claude`, then import again",
        ]
    )
    assert user.run("list").stdout.splitlines() == [
        "#    Name              Auth   Organization  Token   Folders",
        f"1 *  {ME}    oauth  org-1         linked  ~/.claude",
        f"2    {WORK}  oauth  org-2         linked  ~/.claude-work",
    ]
    written = [f for f in home.rglob("*") if f.is_file() and f.name != ".credentials.json"]
    assert {f.name for f in written} >= {"config.toml", "state.db"}
    for file in written:
        assert not any(secret.encode() in file.read_bytes() for secret in user.secrets)


def test_the_login_of_the_default_place_is_imported_without_a_folder(user: Machine) -> None:
    """On macOS its folder spelled out is another login."""
    user.login(".claude", user.accounts[0])
    assert user.run("import").stdout == f"{ME}: imported, read live from Claude Code\n"
    assert "config_dir" not in user.settings.read_text()
    assert user.run("list").stdout.splitlines()[1:] == [
        f"1 *  {ME}  oauth  org-1         linked  ~/.claude"
    ]


def test_a_running_monitor_is_told_which_place_this_shell_means(user: Machine) -> None:
    mine, work = user.accounts
    user.login(".claude", mine)
    user.login(".claude-work", work)
    user.env["CLAUDE_CONFIG_DIR"] = f"{user.home}/.claude-work"
    with serving(user) as monitor:
        wait_until(lambda: user.owner() == monitor.pid, "a monitor that answers")
        del user.env["CLAUDE_CONFIG_DIR"]
        assert user.run("import").stdout == f"{ME}: imported, read live from Claude Code\n"
    assert "config_dir" not in user.settings.read_text()


def test_one_login_is_imported_by_its_folder(user: Machine) -> None:
    user.login("elsewhere", user.accounts[1])
    done = user.run("import", "--config-dir", str(user.home / "elsewhere"))
    assert done.stdout == f"{WORK}: imported, read live from Claude Code\n"
    assert "  ~/elsewhere" in user.run("list").stdout


def test_where_nothing_can_be_imported_it_fails_and_says_of_each_place_why(user: Machine) -> None:
    user.login(".claude", scopes=["user:inference"])
    done = user.run("import", "--all")
    assert done.returncode == 1
    told = (
        "~/.claude: the token may not read usage (a setup-token cannot): log in by `claude` /login"
    )
    assert done.stderr == f"monitor: nothing was imported; {told}\n"


def test_a_running_monitor_does_it_and_knows_at_once(user: Machine) -> None:
    mine, work = user.accounts
    user.login(".claude", mine)
    user.login(".claude-work", work)
    with serving(user) as monitor:
        wait_until(lambda: user.owner() == monitor.pid, "a monitor that answers")
        assert f"{WORK}: imported" in user.run("import", "--all").stdout
        assert user.run("use", WORK).stdout == f"{WORK} is the active account\n"
        shown = user.status().stdout
        assert f"{WORK} *" in shown
        assert ME in shown
        assert user.run("remove", ME, "--yes").stdout == f"removed {ME}\n"
        assert ME not in user.status().stdout


@contextmanager
def serving(user: Machine) -> Iterator[subprocess.Popen[bytes]]:
    """A monitor that runs."""
    argv = [*MONITOR, "serve", "--config", str(user.settings)]
    process = subprocess.Popen(argv, env=user.env, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_accounts_of_claude_swap_are_added_and_find_their_logins(user: Machine) -> None:
    user.login(".claude-work", user.accounts[1])
    rows = [
        {"email": WORK, "organizationUuid": "org-2", "organizationName": "Work"},
        {
            "email": "far@example.com",
            "organizationUuid": "org-9",
            "organizationName": "Far",
            "loginExpiresAt": "2027-01-20T10:00:00Z",
        },
    ]
    listed = json.dumps({"schemaVersion": 1, "accounts": rows})
    program = user.home / "bin" / "cswap"
    program.write_text(f"#!/bin/sh\necho '{listed}'\n")
    program.chmod(0o755)
    done = user.run("import", "--from-cswap")
    assert (done.stdout, done.stderr) == (
        f"{WORK}: added, without a token\nfar@example.com: added, without a token\n",
        "",
    )
    assert user.run("list").stdout.splitlines() == [
        "#    Name              Auth   Organization  Token      Folders         Login ends",
        f"1 *  {WORK}  oauth  org-2         automatic  ~/.claude-work",
        "2    far@example.com   oauth  org-9         automatic                  2027-01-20",
    ]
    nothing = "nothing new: all of claude-swap's accounts are already added\n"
    assert user.run("import", "--from-cswap").stdout == nothing


def test_without_claude_swap_that_is_said(user: Machine) -> None:
    done = user.run("import", "--from-cswap")
    assert done.returncode == 1
    assert "cswap is not on the PATH" in done.stderr


def test_a_folder_and_all_folders_are_not_asked_for_at_once(user: Machine) -> None:
    done = user.run("import", "--all", "--config-dir", "x")
    assert done.returncode == 2
    assert "not allowed with" in done.stderr


LABELLED = '[[accounts]]\nname = "{}"\norg_id = "org-1"\nauth_method = "oauth"\nlabel = "{}"\n'


def test_an_account_is_called_by_its_label_where_it_is_not_anothers_name(user: Machine) -> None:
    with user.settings.open("a") as file:
        file.write(LABELLED.format(ME, "work") + LABELLED.format("other", "third"))
    assert user.run("use", "third").stdout == "other is the active account\n"
    assert user.run("edit", "work", "--label", "third").returncode == 2  # metrics know it already
    assert user.run("edit", "work", "--label", "other").stdout == f"saved {ME}\n"
    assert user.run("edit", ME, "--label", "").stdout == f"saved {ME}\n"
    assert user.run("remove", "other", "--yes").stdout == "removed other\n"


def test_the_accounts_as_a_document(user: Machine) -> None:
    with user.settings.open("a") as file:
        file.write(LABELLED.format(ME, "work"))
    assert json.loads(user.run("list", "--json").stdout) == {
        "accounts": [
            {
                "name": ME,
                "label": "work",
                "active": True,
                "auth_method": "oauth",
                "org_id": "org-1",
                "storage": "automatic",
                "folders": [],
                "login_expires_at": None,
            }
        ]
    }
    assert user.run("list").stdout.splitlines() == [
        "#    Name            Label  Auth   Organization  Token",
        f"1 *  {ME}  work   oauth  org-1         automatic",
    ]


@pytest.mark.parametrize("words", [["use"], ["remove", "--yes"], ["edit", "--label", "x"]])
def test_an_account_that_is_not_there_is_wrong_usage(user: Machine, words: list[str]) -> None:
    with user.settings.open("a") as file:
        file.write(LABELLED.format(ME, "work"))
    verb, *rest = words
    done = user.run(verb, "wrok", *rest)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("monitor: there is no account 'wrok'")


def test_what_is_different_for_an_accounts_alerts_is_edited(user: Machine) -> None:
    with user.settings.open("a") as file:
        file.write(LABELLED.format(ME, "work"))
    assert user.run("edit", ME, "--thresholds", "90, 97.5", "--silent", "pace").returncode == 0
    assert user.run("edit", ME, "--reserve", "15").returncode == 0
    assert "reserve = 0.15" in user.settings.read_text()
    ratio = user.run("edit", ME, "--reserve", "0.3")
    assert (ratio.returncode, "30 or 0.3%?" in ratio.stderr) == (2, True)
    assert "reserve = 0.15" in user.settings.read_text()
    assert "thresholds = [90, 97.5]" in user.settings.read_text()
    assert user.run("edit", ME, "--thresholds", "").returncode == 0
    assert "thresholds" not in user.settings.read_text()
    assert 'silent = ["pace"]' in user.settings.read_text()
    wrong = user.run("edit", ME, "--silent", "pase")
    assert (wrong.returncode, "pase is not a rule" in wrong.stderr) == (2, True)


def test_an_edit_of_nothing_is_wrong_usage(user: Machine) -> None:
    with user.settings.open("a") as file:
        file.write(LABELLED.format(ME, "work"))
    assert user.run("edit", ME).returncode == 2


def test_a_running_monitor_takes_a_label_over(user: Machine) -> None:
    user.login(".claude", user.accounts[0])
    with user.settings.open("a") as file:
        file.write(LABELLED.format(ME, "work"))
    with serving(user) as monitor:
        wait_until(lambda: user.owner() == monitor.pid, "a monitor that answers")
        assert user.run("edit", "work", "--label", "home").stdout == f"saved {ME}\n"
        assert " home " in user.status("--account", "home").stdout
