"""The reference of `docs/commands.md` is what the parser says: each command and verb, its options, an example."""

from argparse import SUPPRESS, ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.arguments import parser

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
HEADING = "\n## Reference\n"


def parsers(whole: ArgumentParser) -> Iterator[ArgumentParser]:
    """The parser of each command, followed by those of its verbs."""
    for action in whole._actions:
        if isinstance(action, _SubParsersAction):
            for below in action.choices.values():
                yield below
                yield from parsers(below)


def section(command: ArgumentParser) -> Iterator[str]:
    yield f"\n### {command.prog}\n"
    yield f"{str(command.description)[0].upper()}{str(command.description)[1:]}.\n"
    rows = []
    for action in command._actions:
        if action.help == SUPPRESS or {"--help", "--config"} & {*action.option_strings}:
            continue
        if isinstance(action, _SubParsersAction):
            continue  # its verbs have sections of their own
        value = "|".join(map(str, action.choices)) if action.choices else str(action.metavar or "")
        names = [f"{name} {value}".strip() for name in action.option_strings] or [value]
        shown = ", ".join(f"`{name}`" for name in names).replace("|", "\\|")
        words = command._get_formatter()._expand_help(action).replace("|", "\\|")
        rows.append(f"| {shown} | {words} |")
    if rows:
        yield "\n".join(["| option | does |", "| --- | --- |", *rows]) + "\n"
    yield f"```sh\n{str(command.epilog).removeprefix('example: ')}\n```"


def test_the_reference_is_what_the_parser_says(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--golden` writes it."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line for command in parsers(parser()) for line in section(command)]
    introduction, _, reference = PAGE.read_text(encoding="utf-8").partition(HEADING)
    made = "\n".join(lines) + "\n"
    if request.config.getoption("--golden"):
        PAGE.write_text(f"{introduction}{HEADING}{made}", encoding="utf-8")
        reference = made
    assert reference == made
