"""README and docs are true: flags, fields, settings, recipes and paths exist."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporters.template import ACCOUNT_FIELDS, WINDOW_FIELDS, parse_format
from monitor.arguments import EXAMPLES
from monitor.cli import main
from monitor.core.model import AuthMethod, Storage
from monitor.settings.model import ACCOUNT, FILE, REMOTE_CHANNELS
from monitor.settings.reader import parse, state_db
from monitor.settings.schema import Table

ROOT = Path(__file__).parents[1]
DOCS = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND_PAGE, STATUS_LINES = DOCS["commands"], DOCS["status-lines"]
ALL = "\n".join((README, *(text for name, text in DOCS.items() if name != "teams")))
TOML = r"```toml\n(.*?)```"

COMMANDS = tuple(words for words in EXAMPLES if " " not in words)
VERBS = {
    command: tuple(words.split()[1] for words in EXAMPLES if words.startswith(f"{command} "))
    for command in COMMANDS
}


def test_a_person_reads_it_to_the_end() -> None:
    assert len(README.encode()) <= 8_000


def test_the_settings_are_accepted_as_they_stand_there() -> None:
    usual, stored = re.findall(TOML, DOCS["configuration"], re.DOTALL)
    [tuned] = re.findall(TOML, DOCS["alerts"], re.DOTALL)
    [minimal] = re.findall(TOML, README, re.DOTALL)
    assert parse(minimal.encode(), Path("config.toml")).accounts[0].label == "work"
    loaded = parse(usual.encode(), Path("config.toml"))
    assert loaded.accounts[0].label == "work"
    asked = parse(usual.replace("# storage", "storage").encode(), Path("config.toml"))
    assert asked.storage is Storage.LINKED
    work, client = parse(stored.encode(), Path("config.toml")).accounts
    assert work.storage is Storage.LINKED
    assert work.auth_method is client.auth_method is AuthMethod.OAUTH
    assert client.token_command == ("pass", "show", "claude/client")
    loaded = parse(tuned.encode(), Path("config.toml"))
    assert all(getattr(loaded.channels, name) for name in REMOTE_CHANNELS)


def test_every_declared_setting_is_documented() -> None:
    """Of rules, and of channels, any one may show a key that several have."""
    blocks = re.findall(TOML, DOCS["configuration"] + DOCS["alerts"], re.DOTALL)
    loaded = [tomllib.loads(re.sub(r"(?m)^# (?=\w+ = )", "", block)) for block in blocks]
    shown = {path for document in loaded for path in keys_in(document)}
    assert (declared(FILE) | declared(ACCOUNT, "accounts.")) - shown == set()


def declared(table: Table[Any], above: str = "") -> set[str]:
    paths: set[str] = set()
    for name, parser in table.keys.items():
        path = above + ("*" if above in ANY_OF else name)
        paths |= declared(parser, f"{path}.") if isinstance(parser, Table) else {path}
    return paths - {"accounts"}


def keys_in(document: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in document.items():
        path = above + ("*" if above in ANY_OF else name)
        if isinstance(value, dict):
            yield from keys_in(value, f"{path}.")
        elif path == "accounts":
            for account in value:
                yield from keys_in(account, "accounts.")
        else:
            yield path


ANY_OF = ("notifications.rules.", "channels.")


def helped(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as done:
        main([*words, "--help"])
    assert done.value.code == 0
    return capsys.readouterr().out


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--help"}


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    known = re.findall(r"^    (?! )([a-z-]+)", helped([], capsys), re.MULTILINE)
    assert sorted(known) == sorted(COMMANDS)
    assert [command for command in COMMANDS if f"| `monitor {command}" not in COMMAND_PAGE] == []
    for command, verbs in VERBS.items():
        row = re.findall(rf"`monitor {command}[ `].*", COMMAND_PAGE)
        assert [verb for verb in verbs if verb not in "\n".join(row)] == []


@pytest.mark.parametrize(
    "words",
    [[c] for c in COMMANDS] + [[c, verb] for c, verbs in VERBS.items() for verb in verbs],
    ids=" ".join,
)
def test_every_flag_of_a_command_is_documented(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert flags_in(helped(words, capsys)) - flags_in(COMMAND_PAGE) == set()


def code(text: str) -> Iterator[str]:
    """What may be typed or copied: code blocks, and code within a line."""
    yield from re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


def test_no_flag_is_spoken_of_that_a_command_does_not_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = {
        command: flags_in(
            "".join(
                helped([command, *verb], capsys) for verb in ([], *map(list, verbs_of(command)))
            )
        )
        for command in COMMANDS
    }
    used = [
        (command, flag)
        for piece in code(ALL)
        for command, rest in re.findall(r"\bmonitor ([a-z-]+)([^#\n]*(?:#\[[^#\n]*)?)", piece)
        if command in known
        for flag in flags_in(rest)
    ]
    assert len(used) > 40
    assert [(command, flag) for command, flag in used if flag not in known[command]] == []


def verbs_of(command: str) -> list[tuple[str]]:
    return [(verb,) for verb in VERBS.get(command, ())]


def test_every_field_of_a_format_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| `\{(\S+?)\}` \|", STATUS_LINES, re.MULTILINE)
    windows = [name.removeprefix("5h.") for name in rows if name.startswith("5h.")]
    assert [name for name in rows if not name.startswith("5h.")] == list(ACCOUNT_FIELDS)
    assert sorted(windows) == sorted(WINDOW_FIELDS)
    assert len(set(windows)) == len(windows)


def test_the_formats_of_the_recipes_are_understood() -> None:
    formats = [found[2] for text in recipes() for found in FORMAT.finditer(text)]
    assert len(formats) >= 10
    for form in formats:
        assert parse_format(form)


FORMAT = re.compile(r"--format (['\"])(.+?)\1")


def recipes() -> Iterator[str]:
    """The code blocks; of one in JSON the strings that it stands for."""
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", ALL, re.DOTALL | re.MULTILINE):
        if kind == "json":
            yield from strings_in(json.loads(block if block.startswith("{") else f"{{{block}}}"))
        else:
            yield block


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings_in(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize(
    "form", [f"{{{name}}}" for name in re.findall(r"`\{(\S+?)\}`", STATUS_LINES)]
)
def test_whatever_stands_in_braces_is_a_field(form: str) -> None:
    assert parse_format(form)


def test_what_is_kept_is_named() -> None:
    names = [state_db({}).name, "monitor.log"]
    assert [name for name in names if f"`{name}`" not in DOCS["privacy"]] == []


@pytest.mark.parametrize(
    "page", ["README.md", "SECURITY.md", *(f"docs/{name}.md" for name in sorted(DOCS))]
)
def test_the_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", text):
        there = (ROOT / page).parent / target
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text(encoding="utf-8"))
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in anchors(text)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def test_the_architecture_names_every_file_of_the_program_in_its_room() -> None:
    rows = [row for row in DOCS["architecture"].splitlines() if row.startswith("| `")]
    modules = [
        path.relative_to(ROOT)
        for package in ("monitor", "exporters")
        for path in (ROOT / package).rglob("*.py")
        if path.stem != "__init__"
    ]

    def is_named(module: Path) -> bool:
        room = f"`{'/'.join(module.parts[:-1][:2])}/`"
        names = {name for row in rows if room in row or room == "`monitor/`" for name in named(row)}
        return module.stem in names

    assert [str(module) for module in modules if not is_named(module)] == []


def named(row: str) -> set[str]:
    """The names of modules that stand in backquotes, with or without their folder and `.py`."""
    return {Path(name).stem for name in re.findall(r"`(\S+)`", row)}
