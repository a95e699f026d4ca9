"""`monitor mute`: no alerts for a while; a running instance notices within seconds."""

import os
from argparse import Namespace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.errors import SettingsError
from monitor.settings import parse_duration, state_db
from monitor.storage import cache
from monitor.storage.db import StateFile, read_only
from monitor.storage.mute import holding, mute_words
from monitor.storage.writer import run_now

BUSY_SECS: Final = 5.0


def mute(arguments: Namespace) -> int:
    """Mute for the duration, end the mute by `off`, or without either print the present one."""
    path = state_db(os.environ)
    now = cache.true_now(path)
    if arguments.duration is not None:
        until = _until(arguments.duration, now)
        file = StateFile(path, busy_secs=BUSY_SECS)
        run_now(file, lambda database: cache.put_mute(database, until))
    print(mute_words(holding(read_only(path, cache.muted_until, None), now), now))
    return 0


def _until(text: str, now: datetime) -> datetime | None:
    if text == "off":
        return None
    duration = parse_duration(text)
    if duration == timedelta(0):
        raise SettingsError("the duration is zero: `monitor mute off` ends a mute")
    return now + duration
