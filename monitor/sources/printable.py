"""Text that other programs tell us, made safe to be shown."""

from typing import Final

_LONGEST: Final = 254


def printable(value: object) -> str:
    """A line of ordinary characters as it is; empty for anything that could do more than be read."""
    if isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST:
        return value
    return ""
