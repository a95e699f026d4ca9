"""Where logins are looked for: folders by their files, Keychain items by their names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.credentials.claude_code import (
    MAX_LOOKS,
    MAX_NESTS,
    ClaudeCode,
    Discovery,
    has_signs,
    siblings,
)
from monitor.credentials.keychain import Security, parse_services, services
from tests.credentials.fake_security import FakeSecurity
from tests.fakes import FakeClock

SERVICE = "Claude Code-credentials"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "alice"
    (folder / ".claude").mkdir(parents=True)
    (folder / ".claude.json").write_text("{}")
    return folder


def used(folder: Path, sign: str = ".claude.json") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / sign).write_text("{}")
    return str(folder)


def on_linux(home: Path, **environ: str) -> Discovery:
    return Discovery(environ={"HOME": str(home), **environ}, platform="linux")


async def keys(discovery: Discovery, *given: str) -> list[str]:
    return [source.key for source in await discovery.discover(given)]


async def test_one_login_is_the_default_one(home: Path) -> None:
    (source,) = await on_linux(home).discover()
    assert (source.folder, source.key) == ("", str(home / ".claude"))


async def test_nobody_logged_in_anywhere_is_still_a_place_to_watch(home: Path) -> None:
    (home / ".claude").rmdir()
    assert await keys(on_linux(home)) == [str(home / ".claude")]


async def test_the_order_is_in_use_default_known_and_then_those_beside_them(home: Path) -> None:
    beside = [used(home / name) for name in (".claude-b", "z-claude", "other")]
    known = [str(home.parent / "known2"), str(home.parent / "known1")]
    far = used(home.parent / "far")
    current = str(home / "now" / "c")
    found = await keys(on_linux(home, CLAUDE_CONFIG_DIR=current), *known)
    assert found == [current, str(home / ".claude"), *known, *beside, far]


@pytest.mark.parametrize("sign", [".claude.json", ".credentials.json"])
async def test_a_folder_is_a_login_by_either_of_its_files(home: Path, sign: str) -> None:
    (home / "plain").mkdir()
    (home / "plain" / "settings.json").write_text("{}")
    assert await keys(on_linux(home)) == [str(home / ".claude")]
    work = used(home / "work", sign)
    assert await keys(on_linux(home)) == [str(home / ".claude"), work]


async def test_the_store_alone_may_be_elsewhere(home: Path) -> None:
    store, config = str(home / "store"), str(home / "config")
    environ = {"CLAUDE_SECURESTORAGE_CONFIG_DIR": store, "CLAUDE_CONFIG_DIR": config}
    assert (await keys(on_linux(home, **environ)))[0] == store


async def test_a_place_is_found_once_under_the_spelling_it_came_with_first(home: Path) -> None:
    real = used(home / "work")
    (home / "link").symlink_to(real)
    found = await on_linux(home).discover([f"{home}/link", f"{real}/", real])
    assert [source.folder for source in found] == ["", f"{home}/link"]
    assert found[1].key == real


async def test_the_default_folder_by_any_name_is_the_default_one(home: Path) -> None:
    (home / "dot").symlink_to(home / ".claude")
    found = await on_linux(home).discover([f"{home}/.claude/", f"{home}/dot"])
    assert [source.folder for source in found] == [""]


async def test_the_default_folder_named_by_the_environment_is_the_one_in_use(home: Path) -> None:
    spelling = f"{home}/.claude/"
    (source,) = await on_linux(home, CLAUDE_CONFIG_DIR=spelling).discover()
    assert source.folder == spelling


async def test_the_home_folder_is_none_though_it_holds_the_defaults_file(home: Path) -> None:
    known = used(home.parent / "shared")
    assert await keys(on_linux(home), known) == [str(home / ".claude"), known]


async def test_only_folders_right_beside_are_looked_at(home: Path) -> None:
    used(home / "a" / "b")
    used(home.parent / "not-a-parent-of-ours")
    assert await keys(on_linux(home)) == [str(home / ".claude")]


@pytest.mark.parametrize("end", ["", "/", "//", "/.", "/./", "/.//."])
async def test_beside_a_folder_is_looked_however_its_spelling_ends(home: Path, end: str) -> None:
    known, beside, below = (home.parent / name for name in ("known", "beside", "known/below"))
    for folder in (known, beside, below):
        used(folder)
    assert await keys(on_linux(home), f"{known}{end}") == [
        str(folder) for folder in (home / ".claude", known, beside)
    ]


@pytest.mark.parametrize("name", [b"caf\xe9", b"claude-\x1b[2J", b"two\nlines"])
async def test_a_folder_whose_name_cannot_be_shown_is_passed_over(home: Path, name: bytes) -> None:
    used(home / os.fsdecode(name))
    assert await keys(on_linux(home)) == [str(home / ".claude")]


async def test_a_known_folder_that_cannot_be_is_passed_over(home: Path) -> None:
    odd = os.fsdecode(b"/caf\xe9")
    assert await keys(on_linux(home), "/a\0b", odd) == [str(home / ".claude"), odd]


async def test_a_folder_that_cannot_be_looked_into_is_passed_over(home: Path) -> None:
    (home / "loop").symlink_to(home / "loop")
    (home / "gone").symlink_to("/nowhere")
    known = str(home / "no" / "such" / "folder")
    assert await keys(on_linux(home), known) == [str(home / ".claude"), known]


def test_a_folder_that_somebody_else_has_put_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = used(tmp_path / "work")
    assert siblings([tmp_path], has_signs) == [work]
    assert siblings([tmp_path], has_signs, {work}) == []
    somebody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    assert siblings([tmp_path], has_signs) == []


def test_names_that_speak_of_claude_are_looked_at_before_there_are_too_many(
    tmp_path: Path,
) -> None:
    for number in range(MAX_LOOKS + 50):
        (tmp_path / f"a{number:03}").mkdir()
    looked: list[str] = []

    def note(folder: str) -> bool:
        looked.append(Path(folder).name)
        return False

    used(tmp_path / "my-Claude")
    siblings([tmp_path], note)
    assert looked[0] == "my-Claude" and len(looked) == MAX_LOOKS


async def test_the_same_objects_are_found_again(home: Path) -> None:
    used(home / "work")
    discovery = on_linux(home)
    assert await discovery.discover() == await discovery.discover()


class Mac:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FakeClock()
        self.fake = FakeSecurity(home / "usr-bin")

    def discovery(self, limit_secs: float = 5.0, **environ: str) -> Discovery:
        return Discovery(
            environ={"HOME": str(self.home), "USER": "alice", **environ},
            platform="darwin",
            security=Security(self.fake.program, self.clock, limit_secs),
        )


@pytest.fixture
def mac(home: Path) -> Mac:
    return Mac(home)


async def test_items_of_unknown_folders_are_places_of_their_own(mac: Mac) -> None:
    work = used(mac.home / "work")
    mac.fake.put(SERVICE, "{}")
    mac.fake.put(services(work)[0], "{}")
    for service in (f"{SERVICE}-00000001", "Claude Code", f"{SERVICE}-0000000", "other"):
        mac.fake.put(service, "{}")
    found = await mac.discovery().discover()
    assert [source.key for source in found] == [
        str(mac.home / ".claude"),
        work,
        f"keychain:{SERVICE}-00000001",
    ]
    assert found[-1].folder is None and found[-1].facts is None
    assert mac.fake.calls() == [["dump-keychain"]]


async def test_a_folder_without_files_is_known_by_the_hash_of_its_name(mac: Mac) -> None:
    (mac.home / "empty").mkdir()
    mac.fake.put(services(f"{mac.home}/empty/")[0], "{}")
    found = await mac.discovery().discover()
    assert [source.folder for source in found] == ["", f"{mac.home}/empty"]


@pytest.mark.parametrize("spelling", ["{home}/.claude", "{home}/.claude/", "{home}/link/"])
async def test_a_lone_item_is_of_the_known_folder_whose_spelling_its_name_hashes(
    mac: Mac, spelling: str
) -> None:
    folder = spelling.format(home=mac.home)
    (mac.home / "link").symlink_to(used(mac.home / "work"))
    service = services(folder)[0]
    mac.fake.put(service, "{}")
    *_, lone = await mac.discovery().discover([f"{mac.home}/work", f"{mac.home}/link"])
    assert (lone.key, lone.folder) == (f"keychain:{service}", folder)
    assert lone.facts is not None


async def test_the_item_without_a_suffix_is_the_default_ones(mac: Mac) -> None:
    mac.fake.put(SERVICE, "{}")
    *_, lone = await mac.discovery(CLAUDE_CONFIG_DIR=f"{mac.home}/.claude").discover()
    assert (lone.key, lone.folder) == (f"keychain:{SERVICE}", "")


async def test_a_lone_item_is_read_and_stamped(mac: Mac) -> None:
    service = f"{SERVICE}-00000001"
    mac.fake.put(service, '{"claudeAiOauth":{"accessToken":"t","refreshToken":"r"}}')
    lone = (await mac.discovery().discover())[-1]
    before = await lone.stamp()
    assert (await lone.read()).credential.secret.reveal() == "t"
    mac.fake.put(service, "{}", at=mac.clock.now().replace(year=2027))
    assert await lone.stamp() != before


async def test_the_default_item_beside_a_default_folder_in_use_by_name(mac: Mac) -> None:
    mac.fake.put(SERVICE, "{}")
    mac.fake.put(services(f"{mac.home}/.claude")[0], "{}")
    found = await mac.discovery(CLAUDE_CONFIG_DIR=f"{mac.home}/.claude").discover()
    assert [source.key for source in found] == [f"{mac.home}/.claude", f"keychain:{SERVICE}"]


async def test_the_keychain_is_listed_every_ten_minutes(mac: Mac) -> None:
    discovery = mac.discovery()
    for _ in range(3):
        await discovery.discover()
    mac.fake.put(f"{SERVICE}-00000001", "{}")
    await mac.clock.advance(599, tick=599)
    assert len(await discovery.discover()) == 1
    await mac.clock.advance(1)
    assert len(await discovery.discover()) == 2
    assert len(mac.fake.calls()) == 2


Break = Callable[[FakeSecurity], None]


@pytest.mark.parametrize(
    "breaks", [lambda fake: fake.set(dump={"hang": True}), lambda fake: fake.set(dump={"exit": 1})]
)
async def test_a_listing_that_fails_leaves_what_was_known(mac: Mac, breaks: Break) -> None:
    mac.fake.put(f"{SERVICE}-00000001", "{}")
    discovery = mac.discovery(limit_secs=0.5)
    before = await discovery.discover()
    breaks(mac.fake)
    await mac.clock.advance(600, tick=600)
    assert await discovery.discover() == before
    assert await discovery.discover() == before
    assert len(mac.fake.calls()) == 2 and mac.fake.running() == []


def test_a_listing_is_of_whole_lines() -> None:
    odd = f'    "icmt"<blob>="\\"svce\\"<blob>=\\"{SERVICE}\\""\n    "svce"<blob>="{SERVICE}x"\n'
    assert parse_services(odd.encode()) == ()
    assert parse_services(b"\xff\x00") == ()


def test_a_login_has_one_key_however_it_is_spelled(home: Path) -> None:
    work = used(home / "work")
    (home / "link").symlink_to(work)
    spellings = (work, f"{work}/", f"{home}/link", f"{home}/x/../work")
    environ = {"HOME": str(home)}
    assert {ClaudeCode(s, environ=environ, platform="linux").key for s in spellings} == {work}


async def test_logins_of_programs_that_keep_several_are_found(home: Path) -> None:
    folders = [
        used(home / ".config" / "claude"),
        used(home / ".config" / "claude-work"),
        used(home / ".ccs" / "instances" / "a", ".credentials.json"),
        used(home / ".claude-accounts" / "b"),
        used(home / ".claude" / "accounts" / "c"),
    ]
    used(home / ".config" / "claude-work" / "deep" / "deeper")
    assert set(await keys(on_linux(home))) == {str(home / ".claude"), *folders}


async def test_very_many_folders_of_programs_are_looked_through_to_a_bound(home: Path) -> None:
    for number in range(100):
        used(home / f".claude-{number:03}" / "x")
    assert 2 < len(await keys(on_linux(home))) <= 1 + MAX_NESTS
