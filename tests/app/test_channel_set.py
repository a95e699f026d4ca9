"""How the settings become channels: what each of them may take."""

from pathlib import Path

import pytest

from monitor.app.channel_set import build_channel_set
from monitor.core.alerts.rules import Urgency
from monitor.core.notify import ChannelError
from monitor.credentials import keyring
from monitor.credentials.keyring import Keyring
from monitor.notify import MARGIN_SECS
from monitor.notify.channels import apprise
from monitor.settings import load
from tests.fakes import FakeClock
from tools.kill.bench import alert

NOBODY = "json://127.0.0.1:9/x"
HOOK = '[channels.webhook]\nurl = "https://hooks.example.com/x"\ntimeout_secs = 30\n'


@pytest.mark.parametrize(
    ("name", "table", "own"),
    [
        ("command", '[channels.command]\nargv = ["true"]\ntimeout_secs = 20\n', 20),
        ("webhook", HOOK, 30),
        ("webhook", f'{HOOK}token = "hook"\n', 30 + keyring.LIMIT_SECS),
        (
            "apprise",
            '[channels.apprise]\nurls = "services"\n',
            apprise.LIMIT_SECS + keyring.LIMIT_SECS,
        ),
    ],
)
def test_a_channel_is_given_longer_than_it_and_its_secret_may_take(
    name: str, table: str, own: float, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[notifications]\nchannels = ["{name}"]\n{table}')
    assert build_channel_set(load(file), None, FakeClock()).limits[name] == own + MARGIN_SECS


class Entries:
    """A back end of the keyring that holds one text under each name."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002
        return self.text

    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise's own matter
async def test_apprise_is_given_all_the_lines_of_its_entry(tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="needs the optional extra [apprise]")
    file = tmp_path / "config.toml"
    file.write_text(
        '[notifications]\nchannels = ["apprise"]\n[channels.apprise]\nurls = "services"\n'
    )
    entries = Entries(f"{NOBODY}\n\n{NOBODY}\nnonsense://third\n")
    (channel,) = build_channel_set(load(file), None, FakeClock(), Keyring(lambda: entries)).chains[
        "apprise"
    ]
    with pytest.raises(ChannelError, match="URL 3 is none that Apprise knows"):
        await channel.tell([alert("a")], Urgency.NORMAL)
