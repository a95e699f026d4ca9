"""What may follow what on the command line: commands, flags and kinds of values, out of an argparse parser. Pure.

argparse has no public way to look inside; the attributes used here have been the same since Python 2.7.
"""

from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    _StoreTrueAction,
    _SubParsersAction,
)
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

FILE: Final = "file"
FOLDER: Final = "folder"
ACCOUNT: Final = "account"
WORDS: Final = "words"
TEXT: Final = "text"

_KINDS: Final = {"PATH": FILE, "DIR": FOLDER}


@dataclass(frozen=True, slots=True)
class Value:
    """What stands for a value: one of `words`, or else something that only its kind is known of."""

    name: str
    kind: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag by all its names, with the value that it takes, if any."""

    names: tuple[str, ...]
    help: str
    value: Value | None


@dataclass(frozen=True, slots=True)
class Command:
    """A command, named by all the words that lead to it, from `monitor` on."""

    path: tuple[str, ...]
    help: str
    flags: tuple[Flag, ...]
    values: tuple[Value, ...]
    commands: tuple["Command", ...]

    @property
    def name(self) -> str:
        return self.path[-1]

    def all(self) -> Iterator["Command"]:
        """This command and all below it."""
        yield self
        for command in self.commands:
            yield from command.all()


def tree_of(
    parser: ArgumentParser, path: Sequence[str] = ("monitor",), help_text: str = ""
) -> Command:
    """The parser and all below it, without what its help does not show either."""
    shown = [action for action in parser._actions if action.help != SUPPRESS]
    below = [action for action in shown if isinstance(action, _SubParsersAction)]
    return Command(
        tuple(path),
        help_text,
        flags=tuple(_flag(action) for action in shown if action.option_strings),
        values=tuple(
            _value(action) for action in shown if not action.option_strings and action not in below
        ),
        commands=tuple(command for action in below for command in _commands(action, path)),
    )


def _commands(
    action: "_SubParsersAction[ArgumentParser]", path: Sequence[str]
) -> Iterator[Command]:
    helps = {choice.dest: choice.help for choice in action._choices_actions}
    for name, parser in action.choices.items():
        if name in helps:
            yield tree_of(parser, (*path, name), _help(helps[name]))


def _flag(action: Action) -> Flag:
    takes_none = isinstance(action, _StoreTrueAction) or action.nargs == 0
    value = None if takes_none else _value(action)
    return Flag(tuple(action.option_strings), _help(action.help), value)


def _value(action: Action) -> Value:
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    if action.choices is not None:
        return Value(name, WORDS, tuple(map(str, action.choices)))
    kind = ACCOUNT if action.dest == "account" else _KINDS.get(name, TEXT)
    return Value(name, kind)


def _help(text: str | None) -> str:
    return (text or "").replace("%%", "%")
