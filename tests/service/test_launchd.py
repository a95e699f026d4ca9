"""The launchd agent: its property list, and its file and state by a stand-in."""

import plistlib
import re
import stat
from pathlib import Path

import pytest

from monitor.core.errors import TrackerError
from monitor.service import LaunchAgent, Start, render_agent, stamp
from tests.service.fakes import LAUNCHCTL, ODD, StandIn

START = Start(("/Users/u/.local/bin/monitor", "serve"))

PLIST = "Library/LaunchAgents/claude-tracker.plist"

TARGET = "gui/501/claude-tracker"


def test_the_agent_is_a_property_list_that_starts_this_program() -> None:
    text = stamp(render_agent(ODD, Path("/Users/u/state & more/service.log"), "/opt/brew/bin"))
    agent = plistlib.loads(text.encode())
    assert agent["ProgramArguments"] == list(ODD.argv)
    assert agent["EnvironmentVariables"] == {"PATH": "/opt/brew/bin", **ODD.variables}
    assert agent["StandardErrorPath"] == "/Users/u/state & more/service.log"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert (agent["RunAtLoad"], agent["ProcessType"]) == (True, "Background")


@pytest.fixture
def mac(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path, "launchctl", LAUNCHCTL)


def agent_of(mac: StandIn) -> LaunchAgent:
    state = mac.home / ".local/state/claude-tracker"
    return LaunchAgent(mac.home, state, 501, mac.environ)


def test_installing_writes_and_loads_the_agent(mac: StandIn) -> None:
    lines = agent_of(mac).install(START, force=False)
    file = mac.home / PLIST
    assert mac.calls() == [f"print {TARGET}", f"enable {TARGET}", f"bootstrap gui/501 {file}"]
    assert plistlib.loads(file.read_bytes())["ProgramArguments"] == list(START.argv)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    log = Path(plistlib.loads(file.read_bytes())["StandardErrorPath"])
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    assert str(log) in lines[-1]
    assert agent_of(mac).status() == "the service is installed, enabled, running"


def test_installing_again_waits_until_launchd_has_let_go(mac: StandIn) -> None:
    agent_of(mac).install(START, force=False)
    mac.calls()
    agent_of(mac).install(Start(("/new/monitor", "serve")), force=False)
    assert mac.calls()[:4] == [f"print {TARGET}", f"bootout {TARGET}"] + [f"print {TARGET}"] * 2
    assert b"/new/monitor" in (mac.home / PLIST).read_bytes()
    assert mac.has("loaded")


def test_uninstalling_leaves_nothing_behind_and_may_be_done_again(mac: StandIn) -> None:
    agent = agent_of(mac)
    assert agent.uninstall() == ["there was no service to remove"]
    (mac.home / PLIST).parent.mkdir(parents=True)
    (mac.home / ".local/state/claude-tracker").mkdir(parents=True)
    before = mac.files()
    agent.install(START, force=False)
    (mac.home / ".local/state/claude-tracker/service.log").write_text("a line\n")
    assert agent.uninstall() == ["the service is removed"]
    assert mac.files() == before
    assert not mac.has("loaded")
    assert agent.uninstall() == ["there was no service to remove"]


def test_an_edited_agent_is_replaced_only_by_force(mac: StandIn) -> None:
    agent_of(mac).install(START, force=False)
    file = mac.home / PLIST
    edited = file.read_text().replace("Background", "Standard")
    file.write_text(edited)
    with pytest.raises(TrackerError, match="edited: pass --force"):
        agent_of(mac).install(START, force=False)
    assert file.read_text() == edited
    agent_of(mac).install(START, force=True)
    assert "Background" in file.read_text()


def test_without_a_session_on_the_screen_launchd_s_own_words_are_told(mac: StandIn) -> None:
    mac.note("no-session")
    with pytest.raises(TrackerError, match=r"bootstrap .* failed: Bootstrap failed: 125: Domain"):
        agent_of(mac).install(START, force=False)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("waiting", "enabled, not running (waiting)"),
        (None, "not enabled, not running (not loaded)"),
    ],
)
def test_an_agent_that_does_not_run_is_said(mac: StandIn, state: str | None, words: str) -> None:
    agent_of(mac).install(START, force=False)
    if state is None:
        mac.forget("loaded")
    else:
        mac.note("loaded", state)
    with pytest.raises(TrackerError, match=re.escape(f"installed, {words}")):
        agent_of(mac).status()


def test_without_launchd_it_is_one_clear_line(tmp_path: Path) -> None:
    agent = LaunchAgent(tmp_path, tmp_path / "s", 501, {"PATH": str(tmp_path)})
    with pytest.raises(TrackerError, match="launchctl"):
        agent.install(START, force=False)
    assert list(tmp_path.iterdir()) == []
