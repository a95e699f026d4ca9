from collections.abc import Sequence

import pytest

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert, AlertKind
from monitor.core.notify import ChannelError
from monitor.notify import Channel
from monitor.notify.channels.build import Make, channels_for
from monitor.notify.channels.command import Command
from monitor.notify.channels.webhook import Form, Webhook
from tests.builders import NOW


def ignore(_: bytes) -> None: ...


def names(wanted: Sequence[str], platform: str, *, has_terminal: bool) -> list[str]:
    write = ignore if has_terminal else None
    channels: Sequence[Channel] = channels_for(wanted, platform=platform, write=write, environ={})
    return [channel.name for channel in channels]


@pytest.mark.parametrize(
    ("wanted", "platform", "has_terminal", "chain"),
    [
        (["desktop"], "linux", False, ["desktop"]),
        (["desktop"], "linux", True, ["desktop", "terminal", "bell"]),
        (["desktop"], "win32", False, ["desktop"]),
        (["desktop"], "darwin", False, ["desktop", "terminal-notifier", "osascript"]),
        (
            ["desktop"],
            "darwin",
            True,
            ["desktop", "terminal-notifier", "osascript", "terminal", "bell"],
        ),
        (["bell", "desktop"], "linux", True, ["bell", "desktop", "terminal"]),
        (
            ["terminal", "desktop", "bell"],
            "darwin",
            False,
            ["terminal", "desktop", "terminal-notifier", "osascript", "bell"],
        ),
        (["terminal"], "linux", True, ["terminal"]),
        (["terminal", "bell"], "linux", False, ["terminal", "bell"]),
        ([], "linux", True, []),
    ],
)
def test_names_mean_a_chain_of_channels(
    wanted: list[str], platform: str, has_terminal: bool, chain: list[str]
) -> None:
    assert names(wanted, platform, has_terminal=has_terminal) == chain


def test_channels_with_settings_of_their_own_stand_where_they_are_named() -> None:
    more: dict[str, Make] = {
        "webhook": lambda words: Webhook("https://ntfy.sh/x", Form.NTFY, words),
        "command": lambda words: Command(["true"], words),
    }
    channels = channels_for(
        ["webhook", "bell", "command"], platform="linux", write=None, environ={}, more=more
    )
    assert [channel.name for channel in channels] == ["webhook", "bell", "command"]


async def test_a_wish_that_cannot_be_met_is_reported_and_not_dropped() -> None:
    (bell,) = channels_for(["bell"], platform="linux", write=None, environ={})
    with pytest.raises(ChannelError, match="there is no terminal here"):
        await bell.tell([Alert(AlertKind.TEST, "", "", NOW)], Urgency.NORMAL)
