"""Edits of the settings file: what they change, what they leave alone, and that nothing is ever lost."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import AlertKind, Override
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.model import Account, AuthMethod, Storage
from monitor.settings import (
    SettingsFile,
    load,
)
from monitor.system.files import lock_file

NEW = Account("new@example.com", "org-n", AuthMethod.OAUTH)

COMMENTED = """\
# my settings
[settings]
poll_interval_secs = 60   # often
active_account = 1 # the second

# at home
[[accounts]]  # first
name = 'a'
"org_id" = "org-a"
auth_method = "o_auth"
# label = "x"

# at work
[[accounts]]
    name = "b"
    auth_method = "session_key"

[exporter]
listen = "off"
# the end
"""

Edit = Callable[[SettingsFile], None]


def add(account: Account = NEW) -> Edit:
    return lambda file: file.add_account(account)


def change(name: str, account: Account) -> Edit:
    return lambda file: file.replace_account(name, account)


def remove(name: str) -> Edit:
    return lambda file: file.remove_account(name)


def activate(name: str) -> Edit:
    return lambda file: file.set_active(name)


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    return SettingsFile(tmp_path / "claude-tracker" / "config.toml")


def write(file: SettingsFile, content: bytes) -> None:
    file.path.parent.mkdir(exist_ok=True)
    file.path.write_bytes(content)


ADDED_BELOW_B = COMMENTED.replace(
    '"session_key"\n',
    '"session_key"\n\n[[accounts]]\nname = "new@example.com"\norg_id = "org-n"\nauth_method = "oauth"\n',
)

EDITS: dict[str, tuple[str, Edit, str]] = {
    "an account is added below the others": (COMMENTED, add(), ADDED_BELOW_B),
    "an account is added to an empty file, without keys that it has not": (
        "",
        add(Account("x", "", AuthMethod.SESSION_KEY)),
        '[[accounts]]\nname = "x"\nauth_method = "session_key"\n',
    ),
    "an account is added at the end, after a blank line": (
        "[settings]\nactive_account = 0",
        add(Account("x", "o", AuthMethod.OAUTH, "lab")),
        "[settings]\nactive_account = 0\n\n"
        '[[accounts]]\nname = "x"\norg_id = "o"\nauth_method = "oauth"\nlabel = "lab"\n',
    ),
    "an account is added below the comments of the last one": (
        '[[accounts]]\nname = "a"\n# org_id = "?"\n[api]\ntimeout_secs = 1\n',
        add(Account("x", "", AuthMethod.OAUTH)),
        '[[accounts]]\nname = "a"\n# org_id = "?"\n\n'
        '[[accounts]]\nname = "x"\nauth_method = "oauth"\n\n[api]\ntimeout_secs = 1\n',
    ),
    "a name is quoted as it needs to be": (
        "",
        add(Account('a "b" \\ ü 😀', "", AuthMethod.OAUTH)),
        '[[accounts]]\nname = "a \\"b\\" \\\\ ü 😀"\nauth_method = "oauth"\n',
    ),
    "windows line ends are kept": (
        '[[accounts]]\r\nname = "a"\r\n',
        add(Account("x", "", AuthMethod.OAUTH)),
        '[[accounts]]\r\nname = "a"\r\n\r\n[[accounts]]\r\nname = "x"\r\nauth_method = "oauth"\r\n',
    ),
    "a byte order mark is kept": (
        '\ufeff[[accounts]]\nname = "a"\n',
        activate("a"),
        '\ufeff[[accounts]]\nname = "a"\n',
    ),
    "an account is added with where its token is had from": (
        "",
        add(
            Account(
                "x", "", AuthMethod.OAUTH, None, Storage.COMMAND, "~/.c/", ("pass", 'a "b"', "ü")
            )
        ),
        '[[accounts]]\nname = "x"\nauth_method = "oauth"\nstorage = "command"\nconfig_dir = "~/.c/"\n'
        'token_command = ["pass", "a \\"b\\"", "ü"]\n',
    ),
    "a command for the token gives way to the keyring, comments stay": (
        '[[accounts]]\nname = "a"\nauth_method = "oauth"\n# how\ntoken_command = [\n  "pass", # it\n  "x",\n]\n# end\n',
        change("a", Account("a", "", AuthMethod.OAUTH, None, Storage.KEYRING)),
        '[[accounts]]\nname = "a"\nauth_method = "oauth"\n# how\nstorage = "keyring"\n# end\n',
    ),
    "an account whose command says where its token is had from is renamed only": (
        '[[accounts]]\nname = "a"\ntoken_command = ["pass",\n"x"]\n',
        change(
            "a",
            Account(
                "b",
                token_command=("pass", "x"),
                storage=Storage.COMMAND,
                auth_method=AuthMethod.SESSION_KEY,
            ),
        ),
        '[[accounts]]\nname = "b"\ntoken_command = ["pass",\n"x"]\n',
    ),
    "a folder and a place are added to an account": (
        COMMENTED,
        change("a", Account("a", "org-a", AuthMethod.OAUTH, None, Storage.LINKED, "~/.claude")),
        COMMENTED.replace('"o_auth"\n', '"o_auth"\nstorage = "linked"\nconfig_dir = "~/.claude"\n'),
    ),
    "a rename changes the name only": (
        COMMENTED,
        change("a", Account("aa", "org-a", AuthMethod.OAUTH)),
        COMMENTED.replace("'a'", '"aa"'),
    ),
    "a new organization is put into its place": (
        COMMENTED,
        change("a", Account("a", "org-z", AuthMethod.OAUTH)),
        COMMENTED.replace("org-a", "org-z"),
    ),
    "a key that was absent is added with the others' indentation": (
        COMMENTED,
        change("b", Account("b", "org-b", AuthMethod.OAUTH)),
        COMMENTED.replace(
            '    auth_method = "session_key"\n',
            '    auth_method = "oauth"\n    org_id = "org-b"\n',
        ),
    ),
    "a label that is taken away goes with its line": (
        '[[accounts]]\nname = "a"\nlabel = "l" # x\norg_id = "o"',
        change("a", Account("a", "o", AuthMethod.SESSION_KEY)),
        '[[accounts]]\nname = "a"\norg_id = "o"',
    ),
    "an account that did not change is not written": (
        COMMENTED,
        change("a", Account("a", "org-a", AuthMethod.OAUTH)),
        COMMENTED,
    ),
    "the first account is removed with its heading, other comments stay, the active one is followed": (
        COMMENTED,
        remove("a"),
        """\
# my settings
[settings]
poll_interval_secs = 60   # often
active_account = 0 # the second

# label = "x"

# at work
[[accounts]]
    name = "b"
    auth_method = "session_key"

[exporter]
listen = "off"
# the end
""",
    ),
    "the last account is removed, and was the active one": (
        COMMENTED,
        remove("b"),
        COMMENTED.replace("active_account = 1", "active_account = 0").replace(
            '# at work\n[[accounts]]\n    name = "b"\n    auth_method = "session_key"\n\n', ""
        ),
    ),
    "a heading of several lines goes, and what stands apart from it stays": (
        "# all\r\n\r\n# b\r\n#  at work\r\n[[accounts]]\r\nname = 'b'\r\n",
        remove("b"),
        "# all\r\n\r\n",
    ),
    "a comment that may end another table stays": (
        "[[accounts]]\nname = 'a'\n# of a or b\n[[accounts]]\nname = 'b'\n",
        remove("b"),
        "[[accounts]]\nname = 'a'\n# of a or b\n",
    ),
    "a comment that begins the file stays": (
        "# mine\n[[accounts]]\nname = 'a'\n",
        remove("a"),
        "# mine\n",
    ),
    "an only account is removed, and no key is made": (
        '[[accounts]]\nname = "a"\n\n[exporter]\n',
        remove("a"),
        "[exporter]\n",
    ),
    "an account between two others is removed with one blank line": (
        '[[accounts]]\nname = "a"\n\n[[accounts]]\nname = "b"\n\n[[accounts]]\nname = "c"\n',
        remove("b"),
        '[[accounts]]\nname = "a"\n\n[[accounts]]\nname = "c"\n',
    ),
    "accounts that stand apart stay where they are": (
        '[[accounts]]\nname = "a"\n[exporter]\n# c\n[[accounts]]\nname = "b"\n[api]\n',
        remove("b"),
        '[[accounts]]\nname = "a"\n[exporter]\n# c\n[api]\n',
    ),
    "the active account is changed in its place": (
        COMMENTED,
        activate("a"),
        COMMENTED.replace("active_account = 1", "active_account = 0"),
    ),
    "the active account is added to the settings above their comments": (
        "[settings]\npoll_interval_secs = 60 # c\n# d\n\n[[accounts]]\nname='a'\n[[accounts]]\nname='b'",
        activate("b"),
        "[settings]\npoll_interval_secs = 60 # c\nactive_account = 1\n# d\n\n"
        "[[accounts]]\nname='a'\n[[accounts]]\nname='b'",
    ),
    "the active account is added with its table": (
        "[[accounts]]\nname='a'\n[[accounts]]\nname='b'",
        activate("b"),
        "[[accounts]]\nname='a'\n[[accounts]]\nname='b'\n\n[settings]\nactive_account = 1\n",
    ),
    "the active account is changed in a dotted key": (
        "settings.active_account = 1\n[[accounts]]\nname='a'\n[[accounts]]\nname='b'\n",
        activate("a"),
        "settings.active_account = 0\n[[accounts]]\nname='a'\n[[accounts]]\nname='b'\n",
    ),
    "a new key is added to an inline table": (
        "settings = {}  # none\naccounts = [{name='a'}, {name='b'}]\n",
        activate("b"),
        "settings = {active_account = 1}  # none\naccounts = [{name='a'}, {name='b'}]\n",
    ),
    "an account of an inline list can be renamed": (
        "accounts = [ {name='a', auth_method='oauth'}, # c\n]\n",
        change("a", Account("z", "", AuthMethod.OAUTH)),
        "accounts = [ {name=\"z\", auth_method='oauth'}, # c\n]\n",
    ),
}


@pytest.mark.parametrize(("before", "edit", "after"), EDITS.values(), ids=EDITS)
def test_an_edit(file: SettingsFile, before: str, edit: Edit, after: str) -> None:
    write(file, before.encode())
    edit(file)
    assert file.path.read_bytes().decode() == after


REFUSED: dict[str, tuple[str, Edit, str]] = {
    "a name that is taken": (COMMENTED, add(Account("a")), "'a' already"),
    "a name that is taken by another, in an edit": (COMMENTED, change("b", Account("a")), "'a' a"),
    "a label that is another's name": (COMMENTED, add(Account("x", label="a")), "metrics call"),
    "an empty name": (COMMENTED, add(Account(" ")), "empty"),
    "a control character": (COMMENTED, change("a", Account("a\x1b")), "control character"),
    "an odd organization": (COMMENTED, add(Account("x", "a/b")), "letters, digits"),
    "an account that is not there": (COMMENTED, remove("x"), "no account 'x'"),
    "an account to edit that is not there": (COMMENTED, change("x", NEW), "no account 'x'"),
    "an active account that is not there": (COMMENTED, activate("x"), "no account 'x'"),
    "a file with an unknown key": ("[settings]\nx = 1\n", add(), "config.toml:2: settings.x"),
    "a file that is no TOML": ("[settings\n", add(), "config.toml:1: "),
    "a file that is not UTF-8": ("\udcff", add(), "not UTF-8"),
    "an addition to an inline list": ("accounts = []\n", add(), "[[accounts]]"),
    "a removal from an inline list": (
        "accounts = [{name='a'}, {name='b'}]\n",
        remove("a"),
        "[[accounts]]",
    ),
}


@pytest.mark.parametrize(("before", "edit", "words"), REFUSED.values(), ids=REFUSED)
def test_an_edit_that_is_refused_leaves_the_file_as_it_was(
    file: SettingsFile, before: str, edit: Edit, words: str
) -> None:
    content = before.encode(errors="surrogateescape")
    write(file, content)
    with pytest.raises(SettingsError) as caught:
        edit(file)
    assert words in str(caught.value)
    assert file.path.read_bytes() == content


WITH_RULES = """\
[[accounts]]
name = "a"
thresholds = [50, 90]  # mine
silent = ["pace"]

[[accounts]]
name = "b"

[channels.webhook]
url = "https://ntfy.sh/x"
token = "hook"

[notifications.rules.pace]
accounts = [
  "b",
  'a', # that one
]
"""


@pytest.fixture
def with_rules(tmp_path: Path) -> SettingsFile:
    (tmp_path / "config.toml").write_text(WITH_RULES)
    return SettingsFile(tmp_path / "config.toml")


def test_an_edit_of_an_account_keeps_its_exceptions(with_rules: SettingsFile) -> None:
    with_rules.replace_account("a", Account("a", "org", AuthMethod.OAUTH))
    assert with_rules.read().overrides == {"a": Override((0.5, 0.9), frozenset({AlertKind.PACE}))}
    assert "thresholds = [50, 90]  # mine\n" in with_rules.path.read_text()


def test_what_is_different_for_an_accounts_alerts_is_written(with_rules: SettingsFile) -> None:
    own = Override((0.8, 0.975), frozenset({AlertKind.RESET, AlertKind.PACE}))
    with_rules.replace_account("a", Account("z", "", AuthMethod.SESSION_KEY), own)
    assert with_rules.read().overrides == {"z": own}
    text = with_rules.path.read_text()
    assert "thresholds = [80, 97.5]  # mine" in text
    assert 'silent = ["pace", "reset"]' in text
    with_rules.replace_account("z", Account("z", "", AuthMethod.SESSION_KEY), Override())
    with_rules.replace_account("b", Account("b", "", AuthMethod.SESSION_KEY), Override(()))
    assert with_rules.read().overrides == {"b": Override(())}
    assert "silent" not in with_rules.path.read_text()


def test_a_renamed_account_is_renamed_wherever_rules_name_it(with_rules: SettingsFile) -> None:
    with_rules.replace_account("a", Account("z", "", AuthMethod.SESSION_KEY))
    assert with_rules.path.read_text() == WITH_RULES.replace('name = "a"', 'name = "z"').replace(
        "'a',", '"z",'
    )
    assert list(with_rules.read().overrides) == ["z"]


def test_a_removed_account_takes_its_exceptions_along(with_rules: SettingsFile) -> None:
    with_rules.remove_account("a")
    assert with_rules.read().overrides == {}
    assert "mine" not in with_rules.path.read_text()


def test_edits_of_other_accounts_leave_exceptions_alone(with_rules: SettingsFile) -> None:
    before = with_rules.read().overrides
    with_rules.add_account(Account("c"))
    with_rules.set_active("b")
    with_rules.remove_account("b")
    assert with_rules.read().overrides == before


@pytest.mark.parametrize(
    "edit",
    [
        lambda file: file.add_account(Account("hook")),
        lambda file: file.replace_account("b", Account("hook")),
    ],
    ids=["added", "renamed"],
)
def test_no_account_takes_the_name_of_a_channels_keyring_entry(
    with_rules: SettingsFile, edit: Callable[[SettingsFile], None]
) -> None:
    with pytest.raises(SettingsError, match="uses the keyring entry 'hook'"):
        edit(with_rules)
    assert with_rules.path.read_text() == WITH_RULES


def test_a_missing_file_is_made_privately(file: SettingsFile) -> None:
    file.add_account(NEW)
    assert file.read().accounts == (NEW,)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o700])
def test_an_edited_file_is_private_whatever_it_was(file: SettingsFile, mode: int) -> None:
    """It names accounts, and programs that are run."""
    write(file, COMMENTED.encode())
    file.path.chmod(mode)
    file.add_account(NEW)
    assert file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o400, 0o444])
def test_a_read_only_file_is_left_alone(file: SettingsFile, mode: int) -> None:
    write(file, COMMENTED.encode())
    file.path.chmod(mode)
    with pytest.raises(TrackerError, match=r"config\.toml: is read-only: chmod u\+w /"):
        file.add_account(NEW)
    assert file.path.read_text() == COMMENTED
    assert file.path.stat().st_mode & 0o777 == mode


def test_nothing_is_left_beside_the_target_of_a_symlink(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "c.toml"
    target.parent.mkdir()
    target.touch()
    (tmp_path / "config.toml").symlink_to(target)
    SettingsFile(tmp_path / "config.toml").add_account(NEW)
    assert [entry.name for entry in target.parent.iterdir()] == ["c.toml"]


def test_a_symlink_to_the_file_stays_one(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.toml"
    target.write_text(COMMENTED)
    link = tmp_path / "config.toml"
    link.symlink_to(target)
    SettingsFile(link).add_account(NEW)
    assert link.is_symlink()
    assert target.read_text() == ADDED_BELOW_B


def test_a_file_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "config.toml"
    with pytest.raises(TrackerError, match=r"config\.toml: cannot be changed: Not a directory"):
        SettingsFile(path).add_account(NEW)


def test_a_file_that_stays_locked_is_an_error_of_one_line(file: SettingsFile) -> None:
    write(file, COMMENTED.encode())
    words = r"config\.toml: cannot be changed: another program keeps it locked$"
    with lock_file(file.path), pytest.raises(TrackerError, match=words):
        SettingsFile(file.path, lock_secs=0.05).add_account(NEW)
    assert file.path.read_text() == COMMENTED


def test_a_device_is_not_replaced_by_a_settings_file() -> None:
    assert not Path("/dev/null").is_file()
    with pytest.raises(TrackerError):
        SettingsFile(Path("/dev/null")).add_account(NEW)
    assert not Path("/dev/null").is_file()


def edit_many_times(path: Path, letter: str) -> None:
    file = SettingsFile(path)
    for number in range(12):
        file.add_account(Account(f"{letter}{number}"))
        file.set_active(f"{letter}{number}")
        file.replace_account(
            f"{letter}{number}", Account(f"{letter}{number}", label=f"{letter}-{number}")
        )
        if number % 3 == 2:
            file.remove_account(f"{letter}{number}")


def test_processes_that_edit_at_the_same_time_lose_nothing(file: SettingsFile) -> None:
    write(file, COMMENTED.encode())
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=edit_many_times, args=(file.path, x)) for x in "xyz"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    kept = {f"{x}{n}" for x in "xyz" for n in range(12) if n % 3 != 2}
    accounts = load(file.path).accounts
    assert {account.name for account in accounts} == {"a", "b"} | kept
    assert {account.label for account in accounts} == {None} | {f"{n[0]}-{n[1:]}" for n in kept}
    assert "# at home" in file.path.read_text()
    left = {entry.name for entry in file.path.parent.iterdir()}
    assert left == {"config.toml"}


names = st.sampled_from(["a", "b", "new", 'q"\\', "é 😀", "c#]", "x = 1"])

accounts = st.builds(
    Account,
    names,
    st.sampled_from(["", "o"]),
    st.sampled_from(AuthMethod),
    st.sampled_from([None, "l1", "l2"]),
)

edits = st.lists(
    st.one_of(
        st.builds(add, accounts),
        st.builds(change, names, accounts),
        st.builds(remove, names),
        st.builds(activate, names),
    ),
    max_size=8,
)


APART = """\
[[accounts]]
name = "a"
[exporter]
# the end
[notifications.rules]
pace.accounts = ["a", "b"]
[[accounts]]
name = 'b'"""


@given(edits, st.sampled_from(["", COMMENTED, COMMENTED.replace("\n", "\r\n"), APART]))
def test_no_edits_lose_a_comment_or_another_account(
    tmp_path_factory: pytest.TempPathFactory, edits: list[Edit], text: str
) -> None:
    file = SettingsFile(tmp_path_factory.mktemp("settings") / "config.toml")
    file.path.write_bytes(text.encode())
    for edit in edits:
        before = file.read()
        try:
            edit(file)
        except SettingsError:
            assert file.read() == before
        assert len({*before.accounts} - {*file.read().accounts}) <= 1
    after = file.path.read_bytes().decode()
    comments = ["# my settings", "# often", '# label = "x"', "# the end"]  # but for the headings
    assert all(comment in after for comment in comments if comment in text)
    assert (after.count("\r\n") == after.count("\n")) or "\r\n" not in text
