"""Completion in the shells themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.completion.shells import START, Session, ShellRig, rig, session
from tests.real.need import need
from tests.real.pty import terminal

NAMES = [
    "user@example.com",
    "user@example.com (Organization)",
    "two  words",
    'o\'brien "x" $HOME `id` \\n;&',
    "=a:b@c",
    "ünï*?[x]",
    "~tilde #1 {a,b} !x",
]


@pytest.fixture(params=["bash", "fish"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ShellRig:
    need(request.param)
    return rig(request.param, tmp_path_factory.mktemp("home"), "a b", "user@example.com")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("monitor st", ["status"]),
        ("monitor acc", ["accounts"]),
        ("monitor accounts i", ["import"]),
        ("monitor accounts --config /x/y i", ["import"]),
        ("monitor accounts --config=/x/y i", ["import"]),
        ("monitor service ", ["install", "status", "uninstall"]),
        ("monitor service install --f", ["--force"]),
        ("monitor serve --log-format ", ["json", "plain"]),
        ("monitor serve --log-format j", ["json"]),
        ("monitor serve --log-level w", ["warning"]),
        ("monitor completion f", ["fish"]),
        ("monitor completion fish ", []),
        ("monitor status --wa", ["--watch"]),
        ("monitor mute ", []),
        ("monitor serve --listen ", []),
        ("monitor nonsense ", []),
        ("monitor accounts use u", ["user@example.com"]),
        ("monitor accounts remove --yes u", ["user@example.com"]),
        ("monitor accounts edit user u", []),
        ("monitor guard --account u", ["user@example.com"]),
        ("monitor history u", ["user@example.com"]),
        ("monitor history i", ["import"]),
    ],
)
def test_what_is_offered(asked: ShellRig, line: str, offered: list[str]) -> None:
    assert sorted(asked.offered(line)) == offered


def test_what_the_help_hides_is_not_offered(asked: ShellRig) -> None:
    assert "--accounts" not in asked.offered("monitor completion --")


def test_files_are_offered_where_one_is_meant(asked: ShellRig) -> None:
    (asked.home / "own folder").mkdir()
    (asked.home / "own.toml").touch()
    files = [
        word.replace("\\ ", " ").rstrip("/") for word in asked.offered("monitor tui --config ow")
    ]
    assert sorted(files) == ["own folder", "own.toml"]
    assert asked.offered("monitor tui ow") == []
    (folder,) = asked.offered("monitor accounts import --config-dir ow")
    assert folder.replace("\\ ", " ").rstrip("/") == "own folder"


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    need(request.param)
    with session(request.param, tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("monitor accou\tim\t--config-d\t", ["accounts", "import", "--config-dir"]),
        ("monitor serve --log-format j\t", ["serve", "--log-format", "json"]),
        ("monitor serve --log-format=j\t", ["serve", "--log-format=json"]),
        ("monitor tui --config=own\t", ["tui", "--config=own settings.toml"]),
        ("monitor tui --config own\t", ["tui", "--config", "own settings.toml"]),
        ("monitor service inst\t--fo\t", ["service", "install", "--force"]),
    ],
)
def test_words_are_completed_as_they_are_typed(
    opened: Session, line: str, arguments: list[str]
) -> None:
    (opened.rig.home / "own settings.toml").touch()
    assert opened.typed(line) == arguments


@pytest.mark.parametrize("name", NAMES)
def test_any_account_name_becomes_one_argument(opened: Session, name: str) -> None:
    opened.rig.know(name)
    assert opened.typed("monitor accounts use \t") == ["accounts", "use", name]


@pytest.mark.parametrize(
    ("begun", "name"),
    [
        ("user@ex", "user@example.com"),
        ("user@", "user@example.com"),
        ('"user@ex', "user@example.com"),
        ("'user@ex", "user@example.com"),
        ("two\\ ", "two  words"),
        ('"two ', "two  words"),
        ("'two ", "two  words"),
        ('"q', 'q "$HOME" `x` \\ end'),
        ("'o", "o'brien's"),
        ("a:b", "a:b=c"),
    ],
)
def test_a_name_is_completed_however_it_was_begun(opened: Session, begun: str, name: str) -> None:
    opened.rig.know(name, "zzz")
    assert opened.typed(f"monitor guard --account {begun}\t") == ["guard", "--account", name]


@pytest.mark.parametrize(
    ("begun", "name"), [("user@ex", "user@example.com"), ("'o", "o'brien's"), ("", "a:b = c")]
)
def test_a_name_is_completed_after_an_equals_sign(opened: Session, begun: str, name: str) -> None:
    opened.rig.know(name)
    assert opened.typed(f"monitor guard --account={begun}\t") == ["guard", f"--account={name}"]


def test_zsh_loads_it_from_a_folder_too(tmp_path: Path) -> None:
    need("zsh")
    there = rig("zsh", tmp_path)
    (tmp_path / "functions").mkdir()
    (tmp_path / "script").rename(tmp_path / "functions" / "_monitor")
    setup = "fpath=(~/functions $fpath); autoload -Uz compinit && compinit -u -d ~/dump"
    with terminal(START["zsh"], there.environ, width=250) as shown:
        assert Session(there, shown, setup).typed("monitor tu\t") == ["tui"]
