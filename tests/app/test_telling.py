"""How the settings become channels: what each of them may take."""

from pathlib import Path

import pytest

from monitor.app import telling_for
from monitor.channels import apprise
from monitor.notifier import MARGIN_SECS
from monitor.settings import load
from monitor.sources import keyring

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
    assert telling_for(load(file), None).limits[name] == own + MARGIN_SECS
