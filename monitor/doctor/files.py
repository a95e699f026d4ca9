"""Checks the settings file and the state folder: are they there, can they be used, and who else may use them."""

import os
import re
import shlex
import stat
import tempfile
from pathlib import Path
from typing import Final

from monitor.core.errors import SettingsError
from monitor.doctor.report import Check, Fix, Question, shell
from monitor.settings import Settings, load
from monitor.storage.db import StorageError, check, list_set_aside
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


def settings_checks(path: Path) -> tuple[Settings | None, list[Check]]:
    """Read the file: its settings, None where it cannot be used, and one to three checks, that of the file first.

    Without a file the settings are the defaults. Never raises.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = read_regular(path)
    except FileNotFoundError:
        settings = Settings(path)
        file = SETTINGS.ok(f"{path} does not exist; using defaults")
        return settings, [file, _interval(settings)]
    except OSError as error:
        fix = f"{shell('ls', '-ld', str(path))} says what it is; {shell('chmod', 'u+r', str(path))}"
        why = error.strerror or "unknown error"
        return None, [SETTINGS.fail(f"{path} cannot be read: {why}", fix)]
    access, fix = (
        ACCESS.ok(f"it is yours alone (mode {mode:04o})"),
        shell("chmod", "600", str(path)),
    )
    if mode & _OTHERS_WRITE:
        access = ACCESS.fail(f"others may change it (mode {mode:04o})", fix)
    elif mode & _OTHERS_READ:
        access = ACCESS.warn(f"others may read it (mode {mode:04o})", fix)
    try:
        settings = load(path)
    except SettingsError as error:
        wrong = _without_values(error.problem, content.decode(errors="replace"))
        fix = "edit that line; nothing else in the file needs to change"
        return None, [SETTINGS.fail(wrong, fix), access]
    count = len(settings.accounts)
    file = SETTINGS.ok(f"{path}: {count} account{'' if count == 1 else 's'}")
    return settings, [file, access, _interval(settings)]


def _interval(settings: Settings) -> Check:
    if settings.warnings:
        return INTERVAL.warn("; ".join(settings.warnings), "poll_interval_secs = 180")
    return INTERVAL.ok(f"each account is polled every {settings.poll_interval_secs} s")


def _without_values(line: str, text: str) -> str:
    """Hide in an error whatever the file has in quotes: it may be a secret in the wrong place."""

    def hide(found: re.Match[str]) -> str:
        piece = found[0]
        return f"{piece[0]}…{piece[-1]}" if piece[1:-1] in text or "\\" in piece else piece

    return re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", hide, line)


STATE: Final = Question(
    "state",
    "back-off deadlines and sent alerts are kept there: without it a restart polls and alerts again",
)

_PROBE_BYTES: Final = 16384
"""More than some file systems keep in the directory entry itself."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def folder_check(folder: Path) -> Check:
    """Write a file to the folder that is removed at once. Raises OSError where not even looking is allowed."""
    existing = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    found, there = existing.stat(), str(existing)
    if not stat.S_ISDIR(found.st_mode):
        return STATE.fail(
            f"{there} is in the way: it is no folder", shell("mv", there, f"{there}.old")
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        fix = f"{shell('ls', '-ld', there)} says whose it is; {shell('chmod', 'u+rwx', there)}"
        return STATE.fail(f"{there} cannot be written", fix)
    if existing != folder:
        return STATE.ok(f"{folder} is not there yet, and can be made")
    try:  # only writing shows that a disk is full, and on some file systems only the fsync
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor.", buffering=0) as file:
            file.write(bytes(_PROBE_BYTES))
            os.fsync(file.fileno())
    except OSError as error:
        why = error.strerror or "unknown error"
        return STATE.fail(f"nothing can be written to {folder}: {why}", shell("df", there))
    if found.st_uid != os.getuid():
        fix = f'`sudo chown -R "$USER" {shlex.quote(there)}`'
        return STATE.fail(f"{folder} belongs to another user", fix)
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS:
        words = f"others may look into {folder} (mode {mode:04o})"
        return STATE.warn(words, shell("chmod", "700", there))
    return STATE.ok(f"{folder} is yours alone, and can be written")


def database_checks(path: Path) -> list[Check]:
    """Return what is wrong with the state database, and a warning for each that was set aside; mostly nothing."""
    checks = []
    try:
        check(path)
    except StorageError as error:
        if error.is_damage:
            words = f"{error}; it is set aside, and a new one begun, when a monitor starts"
            checks.append(STATE.warn(words, shell("monitor", "serve")))
        else:
            look = (
                f"{shell('ls', '-l', str(path))} says whose it is and who may use it, "
                f"{shell('fuser', str(path))} which programs do"
            )
            checks.append(STATE.fail(f"{error}", look))
    for aside in list_set_aside(path):
        words = (
            f"{path.name} could not be used once: it was set aside as {aside}, and a new one begun"
        )
        remove = ["rm", "-r"] if aside.is_dir() else ["rm"]
        fix = Fix(shell(*remove, f"{aside}"), f"`{' '.join(remove)} {{}}`", shlex.quote(f"{aside}"))
        checks.append(STATE.warn(words, fix))
    return checks
