"""The one file that makes a service. It bears a stamp, so that an edited one is told from one that we wrote."""

import hashlib
import re
from pathlib import Path
from typing import Final

from monitor.core.errors import TrackerError
from monitor.system.files import write_private

NOTE: Final = (
    "Written by `monitor service install`, which replaces it only while it is unedited. stamp:"
)
_STAMP: Final = re.compile(r"(?<=stamp:)[0-9a-f]{16}")
_BLANK: Final = "0" * 16


def stamped(text: str) -> str:
    """The text, in which `NOTE` stands followed by sixteen zeros, with its own digest instead of these."""
    return _STAMP.sub(_digest(text), text, count=1)


def is_unedited(text: str) -> bool:
    """Whether the text is as `stamped` returned it."""
    found = _STAMP.search(text)
    return found is not None and found[0] == _digest(_STAMP.sub(_BLANK, text, count=1))


def note() -> str:
    """What the comment at the head says, before the text is stamped."""
    return NOTE + _BLANK


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[: len(_BLANK)]


class ServiceFile:
    """A file that is written for a service supervisor, for the user alone to read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.exists() or self.path.is_symlink()

    def check(self, *, force: bool) -> None:
        """Raises TrackerError where the file holds what somebody wrote by hand, unless that may be lost."""
        if self.exists() and not force and not is_unedited(self._text()):
            raise TrackerError(
                f"{self.path}: this file was edited: pass --force to replace it by a new one"
            )

    def write(self, text: str) -> None:
        """Raises TrackerError where it cannot be written."""
        try:
            write_private(self.path, stamped(text).encode())
        except OSError as error:
            raise TrackerError(f"{self.path}: cannot be written: {error.strerror}") from None

    def remove(self) -> bool:
        """Whether there was a file. Raises TrackerError where it cannot be removed."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TrackerError(f"{self.path}: cannot be removed: {error.strerror}") from None
        return True

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
