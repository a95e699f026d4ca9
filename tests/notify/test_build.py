"""The settings become channels: which, in what order, with what limits, and with secrets that may come later."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from keyring.errors import KeyringLocked

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.errors import ChannelError
from monitor.credentials import keyring
from monitor.credentials.keyring import Keyring
from monitor.notify.channel import Channel, ChannelSet
from monitor.notify.channels import apprise, build_channel_set, build_demo_channel_set
from monitor.settings import load
from tests.builders import NOW
from tests.fakes import FakeClock
from tests.notify.receiver import delivery, receiver
from tools.kill.bench import alert

NOBODY = "json://127.0.0.1:9/x"
HOOK = '[channels.webhook]\nurl = "https://hooks.example.com/x"\ntimeout_secs = 30\n'
COMMAND = '[channels.command]\nargv = ["true"]\ntimeout_secs = 20\n'
SERVICES = '[channels.apprise]\nurls = "services"\n'
MAC = ["desktop", "terminal-notifier", "osascript"]


async def ignore(_: Sequence[Alert], __: bytes) -> None: ...


def channel_set(
    folder: Path,
    names: list[str],
    more: str = "",
    *,
    platform: str = "linux",
    has_terminal: bool = False,
    entries: Keyring | None = None,
) -> ChannelSet:
    file = folder / "config.toml"
    file.write_text(f"[notifications]\nchannels = {names}\n{more}")
    show = ignore if has_terminal else None
    return build_channel_set(load(file), show, FakeClock(), keyring=entries, platform=platform)


@pytest.mark.parametrize(
    ("wanted", "platform", "has_terminal", "chain"),
    [
        (["desktop"], "linux", False, ["desktop"]),
        (["desktop"], "linux", True, ["desktop", "terminal", "bell"]),
        (["desktop"], "darwin", False, MAC),
        (["desktop"], "darwin", True, [*MAC, "terminal", "bell"]),
        (["bell", "desktop"], "linux", True, ["bell", "desktop", "terminal"]),
        (["terminal", "desktop", "bell"], "darwin", False, ["terminal", *MAC, "bell"]),
        (["terminal"], "linux", True, ["terminal"]),
        (["terminal", "bell"], "linux", False, ["terminal", "bell"]),
        ([], "linux", True, []),
    ],
)
def test_names_mean_a_chain_of_channels(
    wanted: list[str], platform: str, has_terminal: bool, chain: list[str], tmp_path: Path
) -> None:
    made = channel_set(tmp_path, wanted, platform=platform, has_terminal=has_terminal)
    assert [channel.name for channel in made.channels] == chain


def test_with_fan_out_the_last_resorts_are_those_of_the_desktop_alone(tmp_path: Path) -> None:
    names = ["desktop", "webhook"]
    made = channel_set(tmp_path, names, f"fan_out = true\n{HOOK}", has_terminal=True)
    chains = {name: [channel.name for channel in chain] for name, chain in made.chains.items()}
    assert chains == {"desktop": ["desktop", "terminal", "bell"], "webhook": ["webhook"]}


def test_channels_with_settings_of_their_own_stand_where_they_are_named(tmp_path: Path) -> None:
    made = channel_set(tmp_path, ["webhook", "bell", "command"], HOOK + COMMAND)
    assert [channel.name for channel in made.channels] == ["webhook", "bell", "command"]


def test_the_demo_uses_its_terminal_and_nothing_else() -> None:
    assert [channel.name for channel in build_demo_channel_set(ignore).channels] == [
        "terminal",
        "bell",
    ]


async def test_a_wish_that_cannot_be_met_is_reported_and_not_dropped(tmp_path: Path) -> None:
    (bell,) = channel_set(tmp_path, ["bell"]).channels
    with pytest.raises(ChannelError, match="there is no terminal here"):
        await bell.send(*delivery(Alert(AlertKind.TEST, "", "", NOW)))


@pytest.mark.parametrize(
    ("name", "table", "own"),
    [
        ("command", COMMAND, 20),
        ("webhook", HOOK, 30),
        ("webhook", f'{HOOK}token = "hook"\n', 30 + keyring.LIMIT_SECS),
        ("apprise", SERVICES, apprise.LIMIT_SECS + keyring.LIMIT_SECS),
    ],
)
def test_a_channel_has_the_time_that_it_and_its_secret_may_take(
    name: str, table: str, own: float, tmp_path: Path
) -> None:
    (channel,) = channel_set(tmp_path, [name], table).channels
    assert channel.limit_secs == own


class Entries:
    """A back end of the keyring that holds one text under each name, or raises."""

    def __init__(self, text: str | Exception | None) -> None:
        self.text = text

    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002
        if isinstance(self.text, Exception):
            raise self.text
        return self.text

    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise's own matter
async def test_apprise_is_given_all_the_lines_of_its_entry(tmp_path: Path) -> None:
    entries = Entries(f"{NOBODY}\n\n{NOBODY}\nnonsense://third\n")
    made = channel_set(tmp_path, ["apprise"], SERVICES, entries=Keyring(lambda: entries))
    (channel,) = made.channels
    with pytest.raises(ChannelError, match="URL 3 is not known to Apprise"):
        await channel.send(*delivery(alert("a")))


def hook(folder: Path, url: str, entries: Entries) -> Channel:
    table = f'[channels.webhook]\nurl = "{url}"\ntoken = "hook"\n'
    (channel,) = channel_set(folder, ["webhook"], table, entries=Keyring(lambda: entries)).channels
    return channel


async def test_the_secret_is_the_one_of_the_keyring_at_each_alert(tmp_path: Path) -> None:
    entries = Entries("tk_1\n")
    async with receiver() as server:
        channel = hook(tmp_path, server.url, entries)
        await channel.send(*delivery(alert("a")))
        entries.text = "tk_2"
        await channel.send(*delivery(alert("a")))
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Bearer tk_1", "Bearer tk_2"]


@pytest.mark.parametrize(
    ("held", "words"), [(None, "no entry 'hook'"), (KeyringLocked(), "your keyring is locked")]
)
async def test_without_a_secret_now_there_may_be_one_later(
    held: Exception | None, words: str, tmp_path: Path
) -> None:
    entries = Entries(held)
    async with receiver() as server:
        channel = hook(tmp_path, server.url, entries)
        with pytest.raises(ChannelError, match=words) as failure:
            await channel.send(*delivery(alert("a")))
        assert failure.value.reason == "unavailable"
        entries.text = "tk_1"
        await channel.send(*delivery(alert("a")))
    assert len(server.requests) == 1
