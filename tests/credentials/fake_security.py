"""A stand-in for macOS's `security`: the program itself, and `FakeSecurity`, by which a test moves it.

    fake = FakeSecurity(folder)                      # writes the executable `folder/security`
    fake.put("Claude Code-credentials", secret, account="alice", at=clock.now())    # as Claude Code's -U does
    ClaudeCode(platform="darwin", security=Security(fake.program, clock), ...)
    fake.behave("Claude Code-credentials", exit=51)  # denied; {} behaves well again
    fake.set(locked=True, dump={"hang": True})
    fake.calls("dump-keychain"), fake.running()

What it does is in `keychain` beside it, replaced in one step, so that it may change while the program runs:

    {"locked": false,                 every secret ends with 36, attributes are shown: a login over ssh
     "dump": {"hang": false, "exit": 0},
     "items": [{"service": …, "account": … or null, "mdat": "20261122120000Z", "data": the secret,
                "exit": the code with which its secret is denied (51 denied, 128 cancelled, 36 locked),
                "hang": true: its secret opens a question that nobody answers; "all": the attributes too,
                "hex": true: in hex although it is printable (macOS 26)}]}

As the real one it knows `find-generic-password [-a ACCOUNT] [-w] -s SERVICE` (exit 44 where there is none; a
secret with anything unprintable is printed in hex) and `dump-keychain`, which shows attributes alone. Each
call is a line in `calls`: its process id, then its arguments, tabs between them. A call takes some 12 ms.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

TYPE_CHECKING = False  # `typing` or `json` would double the time that a call takes
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path
    from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would take its time too
NOT_FOUND = 44
LOCKED = 36
MDAT = "20261122120000Z"


def main(arguments: list[str]) -> int:
    with open(os.path.join(HERE, "calls"), "a") as calls:  # noqa: PTH118, PTH123 - as above
        calls.write("\t".join([str(os.getpid()), *arguments]) + "\n")
    with open(os.path.join(HERE, "keychain"), "rb") as file:  # noqa: PTH118, PTH123 - as above
        keychain = marshal.load(file)  # noqa: S302 - our own
    verb, *options = arguments
    if verb == "dump-keychain" and not options:
        return dumped(keychain)
    if verb == "find-generic-password":
        return found(keychain, options)
    sys.stderr.write("Usage: security [-hilqv] [-p prompt] [command] [opt ...]\n")
    return 2


def dumped(keychain: dict[str, Any]) -> int:
    behaviour = keychain.get("dump", {})
    if behaviour.get("hang"):
        time.sleep(600)
    for item in keychain["items"]:
        sys.stdout.write(described(item))
    return int(behaviour.get("exit", 0))


def found(keychain: dict[str, Any], options: list[str]) -> int:
    wants_secret = "-w" in options
    options = [option for option in options if option != "-w"]
    asked = dict(zip(options[::2], options[1::2], strict=True))
    for item in keychain["items"]:
        if asked["-s"] == item["service"] and asked.get("-a") in (None, item["account"]):
            return told(item, wants_secret, keychain.get("locked", False))
    sys.stderr.write(
        "security: SecKeychainSearchCopyNext: The specified item could not be found in the keychain.\n"
    )
    return NOT_FOUND


def told(item: dict[str, Any], wants_secret: bool, locked: bool) -> int:
    if item.get("hang") == "all" or (item.get("hang") and wants_secret):
        time.sleep(600)
    if not wants_secret:
        sys.stdout.write(described(item))
        return 0
    code = int(item.get("exit", 0)) or (LOCKED if locked else 0)
    if code == 0:
        sys.stdout.write(shown(item) + "\n")
    return code


def shown(item: dict[str, Any]) -> str:
    """The secret as it is, or in hex where it holds anything that is not printable."""
    data = str(item["data"])
    return data if data.isprintable() and not item.get("hex") else data.encode().hex()


def described(item: dict[str, Any]) -> str:
    """An item's attributes in the form of macOS 14 to 26."""
    mdat = item.get("mdat", MDAT)
    date = f'0x{mdat.encode().hex().upper()}00  "{mdat}\\000"'
    account = "<NULL>" if item["account"] is None else f'"{item["account"]}"'
    return (
        'keychain: "/Users/alice/Library/Keychains/login.keychain-db"\n'
        'version: 512\nclass: "genp"\nattributes:\n'
        f'    0x00000007 <blob>="{item["service"]}"\n'
        "    0x00000008 <blob>=<NULL>\n"
        f'    "acct"<blob>={account}\n'
        f'    "cdat"<timedate>={date}\n'
        '    "crtr"<uint32>=<NULL>\n    "cusi"<sint32>=<NULL>\n    "desc"<blob>=<NULL>\n'
        '    "gena"<blob>=<NULL>\n    "icmt"<blob>=<NULL>\n    "invi"<sint32>=<NULL>\n'
        f'    "mdat"<timedate>={date}\n'
        '    "nega"<sint32>=<NULL>\n    "prot"<blob>=<NULL>\n    "scrp"<sint32>=<NULL>\n'
        f'    "svce"<blob>="{item["service"]}"\n'
        '    "type"<uint32>=<NULL>\n'
    )


class FakeSecurity:
    """A Keychain of its own in a folder, and what was asked of it. `program` is the path to be run."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._keychain: dict[str, Any] = {"items": []}
        self.program = str(folder / "security")
        with open(__file__) as file:  # noqa: PTH123 - as above
            body = file.read()
        (folder / "security").write_text(f"#!{sys.executable} -ISE\n{body}")
        (folder / "security").chmod(0o700)
        self._write()

    def put(
        self,
        service: str,
        data: str,
        *,
        account: str | None = "alice",
        at: datetime | None = None,
        **behaviour: Any,
    ) -> None:
        """Add the item, or write it anew; a new date shows as a change of it."""
        mdat = MDAT if at is None else at.strftime("%Y%m%d%H%M%SZ")
        item = {"service": service, "account": account, "mdat": mdat, "data": data, **behaviour}
        self._keychain["items"] = [*self._others(service, account), item]
        self._write()

    def remove(self, service: str) -> None:
        """As a logout does."""
        items = self._keychain["items"]
        self._keychain["items"] = [item for item in items if item["service"] != service]
        self._write()

    def behave(self, service: str, **behaviour: Any) -> None:
        """From now on its items behave like this, and in no other way."""
        for item in self._keychain["items"]:
            if item["service"] == service:
                for key in ("exit", "hang", "hex"):
                    item.pop(key, None)
                item.update(behaviour)
        self._write()

    def set(self, **whole: Any) -> None:
        """`locked` or `dump`, of the whole Keychain."""
        self._keychain.update(whole)
        self._write()

    def calls(self, verb: str | None = None) -> list[list[str]]:
        """The arguments of each call so far, or of each with this verb."""
        argv = [argv for _, argv in self._log()]
        return [call for call in argv if verb in (None, call[0])]

    def forget_calls(self) -> None:
        (self._folder / "calls").unlink(missing_ok=True)

    def running(self) -> list[int]:
        """The calls that have not ended, by process id."""
        return [pid for pid, _ in self._log() if _is_alive(pid)]

    def _others(self, service: str, account: str | None) -> list[Mapping[str, Any]]:
        items: list[Mapping[str, Any]] = self._keychain["items"]
        return [i for i in items if (i["service"], i["account"]) != (service, account)]

    def _log(self) -> list[tuple[int, list[str]]]:
        log = self._folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(int(pid), argv) for pid, *argv in (line.split("\t") for line in lines)]

    def _write(self) -> None:
        new = self._folder / "keychain.new"
        new.write_bytes(marshal.dumps(self._keychain))
        new.replace(self._folder / "keychain")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
