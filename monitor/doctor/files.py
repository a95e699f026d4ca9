"""The checks of the settings file and of the state folder: are they there, can they be used, and who else may."""

import os
import re
import shlex
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitor.core.errors import SettingsError
from monitor.doctor.report import Check, Question, shell
from monitor.settings import Settings, load
from monitor.storage.db import StorageError, check, set_aside
from monitor.system.files import read_regular

SETTINGS: Final = Question(
    "settings", "accounts, alerts and channels are named there; nothing runs while it is wrong"
)
ACCESS: Final = Question("settings-access", "it can run commands as you and lists your accounts")
INTERVAL: Final = Question(
    "interval", "over about 28 requests an hour an account is rate limited for an hour"
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
        content = read_regular(path)
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
        fix = f"{shell('ls', '-ld', path)} says what it is; {shell('chmod', 'u+r', path)}"
        return SETTINGS.fail(f"{path} cannot be read: {facts.unreadable}", fix)
    if facts.wrong or facts.settings is None:
        fix = "edit that line; nothing else in the file needs to change"
        return SETTINGS.fail(facts.wrong or f"{path} cannot be used", fix)
    if not facts.exists:
        return SETTINGS.ok(f"{path} does not exist; using defaults")
    count = len(facts.settings.accounts)
    return SETTINGS.ok(f"{path}: {count} account{'' if count == 1 else 's'}")


def _access(path: Path, mode: int) -> Check:
    fix = shell("chmod", "600", str(path))
    if mode & _OTHERS_WRITE:
        return ACCESS.fail(f"others may change it (mode {mode:04o})", fix)
    if mode & _OTHERS_READ:
        return ACCESS.warn(f"others may read it (mode {mode:04o})", fix)
    return ACCESS.ok(f"it is yours alone (mode {mode:04o})")


def _interval(settings: Settings) -> Check:
    if settings.warnings:
        return INTERVAL.warn("; ".join(settings.warnings), "poll_interval_secs = 180")
    return INTERVAL.ok(f"each account is polled every {settings.poll_interval_secs} s")


STATE: Final = Question(
    "state",
    "back-off deadlines and sent alerts are kept there: without it a restart polls and alerts again",
)

_PROBE_BYTES: Final = 16384
"""More than fits into the place of a file's own entry."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """`existing` is the folder itself, or the nearest one above it that is there; the rest is said of that.

    `trouble` is the system's reason why nothing can be written there, such as a full disk. `mode` and `is_ours` are
    None where the platform has no such thing.
    """

    path: Path
    existing: Path
    is_folder: bool
    is_writable: bool
    mode: int | None
    is_ours: bool | None
    cause: str | None = None


def folder_facts(path: Path) -> FolderFacts:
    """Looks, and writes a file that is gone at once. Raises OSError where not even looking is allowed."""
    existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    found = existing.stat()
    windows = sys.platform == "win32"
    is_folder = stat.S_ISDIR(found.st_mode)
    is_writable = os.access(existing, os.W_OK | os.X_OK)
    return FolderFacts(
        path,
        existing,
        is_folder=is_folder,
        is_writable=is_writable,
        mode=None if windows else stat.S_IMODE(found.st_mode),
        is_ours=None if windows else found.st_uid == os.getuid(),
        cause=_trouble(path) if is_folder and is_writable and existing == path else None,
    )


def _trouble(folder: Path) -> str | None:
    """A full disk is known by writing alone, and by some file systems not before it is really done."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor.", buffering=0) as file:
            file.write(bytes(_PROBE_BYTES))
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or "unknown error"
    return None


def folder_check(facts: FolderFacts) -> Check:
    path, existing = str(facts.path), str(facts.existing)
    if not facts.is_folder:
        moved = shell("mv", existing, f"{existing}.old")
        return STATE.fail(f"{existing} is in the way: it is no folder", moved)
    if not facts.is_writable:
        fix = (
            f"{shell('ls', '-ld', existing)} says whose it is; {shell('chmod', 'u+rwx', existing)}"
        )
        return STATE.fail(f"{existing} cannot be written", fix)
    if facts.cause is not None:
        return STATE.fail(f"nothing can be written to {path}: {facts.cause}", shell("df", path))
    if facts.existing != facts.path:
        return STATE.ok(f"{path} is not there yet, and can be made")
    if facts.is_ours is False:
        return STATE.fail(
            f"{path} belongs to another user", f'`sudo chown -R "$USER" {shlex.quote(path)}`'
        )
    if facts.mode is not None and facts.mode & _OTHERS:
        found = f"others may look into {path} (mode {facts.mode:04o})"
        return STATE.warn(found, shell("chmod", "700", path))
    return STATE.ok(f"{path} is yours alone, and can be written")


def database_checks(path: Path) -> list[Check]:
    """What is wrong with the state database, and those that were set aside; none where all is well."""
    checks = []
    try:
        check(path)
    except StorageError as error:
        words = f"{error}; it is set aside, and a new one begun, when a monitor starts"
        checks.append(STATE.warn(words, shell("monitor", "serve")))
    for aside in set_aside(path):
        words = (
            f"{path.name} could not be used once: it was set aside as {aside}, and a new one begun"
        )
        checks.append(STATE.warn(words, shell("rm", f"{aside}")))
    return checks
