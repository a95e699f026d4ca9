"""How argparse behaves here: help that fits the terminal, and errors on one line; light, as the grammar is."""

import sys
from argparse import (
    Action,
    ArgumentError,
    ArgumentParser,
    ArgumentTypeError,
    HelpFormatter,
    _SubParsersAction,
)
from collections.abc import Sequence

from monitor.system.stdio import complain, redact, terminal_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_COLUMNS = 80


class _Formatter(HelpFormatter):
    """The formatter of argparse, which makes one for each option and imports shutil to learn how wide it may be."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=terminal_columns(_COLUMNS) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Keep the lines of an epilog apart, so that an example can be copied."""
        fill = super()._fill_text
        return "\n".join(fill(line, width, indent) for line in text.splitlines())


class Parser(ArgumentParser):
    """argparse, with short errors that say what may have been meant."""

    def __init__(self, prog: str, **options: str | bool) -> None:
        super().__init__(prog, formatter_class=_Formatter, **options)  # type: ignore[arg-type]

    def _check_value(self, action: Action, value: str) -> None:
        """Argparse would answer a misspelt command with a list of all."""
        if action.choices is None or value in action.choices:
            return
        from difflib import get_close_matches

        near = get_close_matches(value, list(action.choices), n=1)
        instead = f"did you mean {near[0]!r}?" if near else f"see `{self.prog} --help`"
        if isinstance(action, _SubParsersAction):
            raise ArgumentError(None, f"there is no command {value!r}: {instead}")
        known = ", ".join(map(str, action.choices))
        raise ArgumentError(action, f"{value!r} is none of {known}")

    def refuse(self, rest: Sequence[str]) -> "NoReturn":
        """End with wrong usage: nobody knows these arguments."""
        from difflib import get_close_matches

        known = list(self._option_string_actions)
        words = (word.partition("=")[0] for word in rest)
        near = [match for word in words for match in get_close_matches(word, known, 1)]
        meant = f": did you mean {' '.join(near)}?" if near else ""
        self.error(f"unrecognized arguments: {' '.join(rest)}{meant}")

    def _print_message(self, message: str, file: object = None) -> None:
        """Errors may quote a token that was typed in a wrong place, and standard error may be gone."""
        if file is None or file is sys.stderr:
            complain(message)
        else:
            super()._print_message(message, file)  # type: ignore[arg-type]


def public(text: str) -> str:
    """Take a name that the answer repeats. Raises ArgumentTypeError for a session key or token."""
    if redact(text) != text:
        raise ArgumentTypeError("this is a session key or token, and the answer would repeat it")
    return text
