"""`monitor mute`: no alerts for a while; a running instance notices within seconds."""

import os
from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime, timedelta

from monitor.core.errors import SettingsError
from monitor.settings import MUTE, parse_duration, state_folder
from monitor.storage.mute import MuteFile, mute_words
from monitor.system.clock import SystemClock
from monitor.system.files import JsonFile


def mute(arguments: Namespace) -> int:
    """Mute for the duration, end the mute by `off`, or without either print the present one."""
    file = mute_file(os.environ)
    now = SystemClock().now()
    if arguments.duration is not None:
        file.set(_until(arguments.duration, now))
    print(mute_words(file.muted_until(now), now))
    return 0


def mute_file(environ: Mapping[str, str]) -> MuteFile:
    """The user's own mute."""
    return MuteFile(JsonFile(state_folder(environ) / MUTE))


def _until(text: str, now: datetime) -> datetime | None:
    if text == "off":
        return None
    duration = parse_duration(text)
    if duration == timedelta(0):
        raise SettingsError("the duration is zero: `monitor mute off` ends a mute")
    return now + duration
