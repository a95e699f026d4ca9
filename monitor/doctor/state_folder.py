"""The check of the state folder: history, the alert ledger and back-off deadlines have to be written, by us alone."""

import os
import shlex
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitor.doctor.check import Check, Question, command

STATE: Final = Question(
    "state",
    "back-off deadlines and told alerts are kept there: without it a restart asks and tells again",
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
        moved = command("mv", existing, f"{existing}.old")
        return STATE.fail(f"{existing} is in the way: it is no folder", moved)
    if not facts.is_writable:
        fix = f"{command('ls', '-ld', existing)} says whose it is; {command('chmod', 'u+rwx', existing)}"
        return STATE.fail(f"{existing} cannot be written", fix)
    if facts.cause is not None:
        return STATE.fail(f"nothing can be written to {path}: {facts.cause}", command("df", path))
    if facts.existing != facts.path:
        return STATE.ok(f"{path} is not there yet, and can be made")
    if facts.is_ours is False:
        return STATE.fail(
            f"{path} belongs to another user", f'`sudo chown -R "$USER" {shlex.quote(path)}`'
        )
    if facts.mode is not None and facts.mode & _OTHERS:
        found = f"others may look into {path} (mode {facts.mode:04o})"
        return STATE.warn(found, command("chmod", "700", path))
    return STATE.ok(f"{path} is yours alone, and can be written")
