"""SECURITY.md names tests that exist; and what it says beyond them is shown here."""

import asyncio
import base64
import json
import re
import shlex
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from exporters.template import parse_format, render_line
from monitor.api.client import ApiHosts, Client
from monitor.core.errors import ApiError, ChannelError
from monitor.core.model import Account, Credential, Secret
from monitor.notify.channels.webhook import post
from monitor.settings import SettingsFile
from monitor.system.clock import ServerClock
from tests.builders import NOW, live, state, window
from tests.credentials.factories import AccountsRig, FakeLogin
from tests.end_to_end.crowd import Crowd, crowd
from tests.end_to_end.world import canary
from tests.fakes import FakeClock
from tests.real.bus import wait_until
from tests.real.need import need
from tests.real.pty import Terminal, terminal

ROOT = Path(__file__).parents[1]
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)
ROWS = re.findall(r"^\| (?!---|cannot|can )(.+) \| (.+) \|$", SECURITY, re.MULTILINE)


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)), ids="::".join)
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^(?:async )?def {test}\(", source, re.MULTILINE)


def test_each_claim_names_its_test() -> None:
    assert len(NAMED) > 80
    assert [claim for claim, shown in ROWS if "::" not in shown] == []


@pytest.mark.parametrize(
    ("email", "organization"),
    [("me\x1b]0;owned\x07@example.com", "Org"), ("me@example.com", "\x1b[2JOrg"), ("x\ny", "Org")],
)
async def test_an_account_whose_name_could_drive_a_terminal_is_not_imported(
    tmp_path: Path, email: str, organization: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[[accounts]]\nname = "me@example.com"\norg_id = "other"\n')
    before = path.read_bytes()
    rig = AccountsRig()
    rig.logins = [FakeLogin(token="token")]
    rig.file = SettingsFile(path)  # type: ignore[assignment] # the real one, which refuses names
    rig.start()
    rig.knows("token", email, organization)
    imports = await rig.book.import_all(rig.logins)
    (failed,) = imports.failed
    assert "invisible control character" in failed.words
    assert failed.words.isprintable()
    assert imports.imported == ()
    assert path.read_bytes() == before
    assert rig.keyring.kept == {}


async def test_nobody_whose_certificate_is_not_trusted_gets_a_token(tmp_path: Path) -> None:
    need("openssl")
    key, chain = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {chain} -days 1 -subj /CN=localhost"
    named = [*made.split(), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    await asyncio.to_thread(subprocess.run, named, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with client(url) as asking:
            with pytest.raises(ApiError, match="certificate not trusted"):
                await asking.profile(Secret("token"))
            with pytest.raises(ApiError, match="certificate not trusted"):
                await asking.usage(Account("a", "org"), Credential(Secret("token")))
        with pytest.raises(ChannelError, match="certificate not trusted"):
            await post(url, b"", {}, Secret("token"), pause=0)
    assert heard == b""


def client(url: str) -> Client:
    return Client(ApiHosts(url, url, 10, "test"), ServerClock(FakeClock()))


def test_tmux_runs_nothing_that_a_name_says(tmp_path: Path) -> None:
    """It expands formats in what a program prints, and so would restyle; but it starts no program of it."""
    need("tmux")
    trap, line, runs = (tmp_path / name for name in ("trap", "line", "runs"))
    name = f"Org #(touch {trap})##(touch {trap}) #[fg=red]red"
    whole = state(live(name, window("5h", 42), account=Account(name)))
    line.write_text(render_line(parse_format("{name} {5h.used}"), whole, name, NOW))
    config = tmp_path / "tmux.conf"
    config.write_text(
        "set -g status-interval 1\nset -g status-right-length 200\n"
        f"set -g status-right '#(echo >> {runs})#(cat {line})'\n"
    )
    server = ["tmux", "-S", str(tmp_path / "socket")]
    shown = [*server, "-f", str(config), "new-session", "cat"]
    try:
        with terminal(shown, width=200) as running:
            running.wait_for("red 42%")
            wait_until(lambda: has_run_twice(running, runs), "a second drawing")
            assert not trap.exists()
    finally:
        subprocess.run([*server, "kill-server"], capture_output=True)


def has_run_twice(running: Terminal, runs: Path) -> bool:
    running.read(0.05)
    return len(runs.read_bytes()) > 1


def test_what_is_written_is_private_and_holds_no_secret_wherever_tokens_live(
    tmp_path: Path,
) -> None:
    """Linked, from systemd and by a command; a real keyring has its own test, with a desktop and Prometheus."""
    with crowd(tmp_path, accounts=3) as user:
        secrets = secrets_of(user)
        given_elsewhere(user)
        user.serve()
        user.wait_for_leader()
        wait_until(lambda: len(live_accounts(user)) == 3, "three accounts that are live", 30)
        shown = {
            "metrics": urlopen(f"http://127.0.0.1:{user.port}/metrics").read(),
            "processes": processes(user),
            **{words: user.run(*shlex.split(words)).stdout.encode() for words in SAID},
        }
        shown |= {str(file): file.read_bytes() for file in written(user)}
    assert b"user-1@example.com" in shown["metrics"]
    assert b"HOME=" in shown["processes"]
    assert b"HOME=" in shown[str(user.home / "child")], "what the token command was given"
    assert any(name.endswith("state.db") for name in shown)
    leaks = [
        name for name, text in shown.items() if any(f in text for s in secrets for f in forms(s))
    ]
    assert leaks == []


SAID = (
    "status",
    "status --json",
    "next --json",
    "accounts list",
    "doctor --json",
    "alerts",
    "history",
    "history --json",
)


def secrets_of(user: Crowd) -> list[str]:
    logins = [json.loads(file.read_text()) for file in user.home.glob(".claude-*/.cred*")]
    entries = [login["claudeAiOauth"] for login in logins]
    return [entry[key] for entry in entries for key in ("accessToken", "refreshToken")]


def given_elsewhere(user: Crowd) -> None:
    """The second account's token is systemd's credential from now on, the third one's is printed by a program."""
    _, second, third = (
        json.loads((user.home / f".claude-{n}" / ".credentials.json").read_text()) for n in range(3)
    )
    given = user.home / "given"
    given.mkdir()
    (given / "user-1@example.com").write_text(second["claudeAiOauth"]["accessToken"])
    user.env["CREDENTIALS_DIRECTORY"] = str(given)
    (given / "third").write_text(third["claudeAiOauth"]["accessToken"])
    program = user.home / "print"
    program.write_text(
        f"#!/bin/sh\nenv > {user.home}/child\ntr '\\0' ' ' < /proc/$$/cmdline >> {user.home}/child\n"
        f"cat {given}/third\n"
    )
    program.chmod(0o700)
    file = user.home / ".config" / "claude-tracker" / "config.toml"
    old = 'storage = "linked"\nconfig_dir = "{home}/.claude-{number}"\n'
    text = file.read_text()
    for number, new in ((1, 'storage = "systemd"\n'), (2, f'token_command = ["{program}"]\n')):
        text = text.replace(old.format(home=user.home, number=number), new)
        (user.home / f".claude-{number}" / ".credentials.json").unlink()
    file.write_text(text)
    file.chmod(0o600)


def live_accounts(user: Crowd) -> list[str]:
    done = user.run("status", "--json")
    found = json.loads(done.stdout)["accounts"] if done.returncode == 0 else []
    return [account["name"] for account in found if account["status"] == "live"]


def written(user: Crowd) -> Iterator[Path]:
    """What the program has written, each of it checked for being private; and what was set up beside it."""
    for folder in (user.home / ".local" / "state" / "claude-tracker", user.runtime):
        for path in (folder, *folder.rglob("*")):
            assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
            if path.is_file():
                yield path
    for name in ("serve.log", "child", ".config/claude-tracker/config.toml"):
        yield user.home / name


def processes(user: Crowd) -> bytes:
    """Arguments and environments of every process of the user's."""
    found = b""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            if str(user.home).encode() in environment:
                found += environment + (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
    return found


def forms(secret: str) -> list[bytes]:
    """As it is, its tail, in hex, and in base64 at each of the three offsets."""
    text = secret.encode()
    encoded = [base64.b64encode(b"x" * offset + text)[4:-4] for offset in range(3)]
    return [text, text[-20:], text.hex().encode(), *encoded]


def test_a_secret_is_found_in_any_form() -> None:
    """The search above would find what it looks for."""
    secret = canary("oat01")
    for text in (secret, f"cut {secret[8:]}", secret.encode().hex()):
        assert any(form in text.encode() for form in forms(secret))
    for before in range(3):
        encoded = base64.b64encode(b"?" * before + secret.encode() + b" and more")
        assert any(form in encoded for form in forms(secret))
