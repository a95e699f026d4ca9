"""Checks of the settings file: is it there, does it say something, and who else may read or write it."""

import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitor.core.errors import SettingsError
from monitor.doctor.check import Check, Question, command
from monitor.settings import Settings, load

SETTINGS: Final = Question(
    "settings", "accounts, alerts and channels are named there; nothing runs while it is wrong"
)
ACCESS: Final = Question(
    "settings-access", "it names programs that are run as you, and it names your accounts"
)
INTERVAL: Final = Question(
    "interval", "an account that asks more than some 28 times an hour is throttled for an hour"
)

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True, slots=True)
class SettingsFacts:
    """What there is. `settings` are the defaults without a file, and None where it cannot be used.

    `unreadable` is the system's reason, `wrong` the first line of the error, without what the file says.
    """

    path: Path
    settings: Settings | None = None
    exists: bool = True
    unreadable: str | None = None
    wrong: str | None = None
    mode: int | None = None


def settings_facts(path: Path) -> SettingsFacts:
    """Reads the file; never raises."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except FileNotFoundError:
        return SettingsFacts(path, Settings(path), exists=False)
    except OSError as error:
        return SettingsFacts(path, unreadable=error.strerror or "unknown error")
    shown = None if sys.platform == "win32" else stat.S_IMODE(mode)
    try:
        return SettingsFacts(path, load(path), mode=shown)
    except SettingsError as error:
        wrong = _without_values(str(error).partition("\n")[0], content.decode(errors="replace"))
        return SettingsFacts(path, wrong=wrong, mode=shown)


def _without_values(line: str, text: str) -> str:
    """An error that repeats nothing of what the file has in quotes: it may be a secret in the wrong place."""

    def shown(found: re.Match[str]) -> str:
        piece = found[0]
        return f"{piece[0]}…{piece[-1]}" if piece[1:-1] in text or "\\" in piece else piece

    return re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", shown, line)


def settings_checks(facts: SettingsFacts) -> list[Check]:
    """One to three answers, the file itself first."""
    checks = [_file(facts)]
    if facts.exists and facts.mode is not None:
        checks.append(_access(facts.path, facts.mode))
    if facts.settings is not None:
        checks.append(_interval(facts.settings))
    return checks


def _file(facts: SettingsFacts) -> Check:
    path = str(facts.path)
    if facts.unreadable:
        fix = f"{command('ls', '-ld', path)} says what it is; {command('chmod', 'u+r', path)}"
        return SETTINGS.fail(f"{path} cannot be read: {facts.unreadable}", fix)
    if facts.wrong or facts.settings is None:
        fix = "edit that line; nothing else in the file needs to change"
        return SETTINGS.fail(facts.wrong or f"{path} cannot be used", fix)
    if not facts.exists:
        return SETTINGS.ok(f"{path} is not there: the defaults hold")
    count = len(facts.settings.accounts)
    return SETTINGS.ok(f"{path}: {count} account{'' if count == 1 else 's'}")


def _access(path: Path, mode: int) -> Check:
    fix = command("chmod", "600", str(path))
    if mode & _OTHERS_WRITE:
        return ACCESS.fail(f"others may change it (mode {mode:04o})", fix)
    if mode & _OTHERS_READ:
        return ACCESS.warn(f"others may read it (mode {mode:04o})", fix)
    return ACCESS.ok(f"it is yours alone (mode {mode:04o})")


def _interval(settings: Settings) -> Check:
    if settings.warnings:
        return INTERVAL.warn("; ".join(settings.warnings), "poll_interval_secs = 180")
    return INTERVAL.ok(f"each account is asked every {settings.poll_interval_secs} s")
