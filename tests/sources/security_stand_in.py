"""A stand-in for macOS's `security`, as it behaves in recordings. Run as a program, beside an `items.json`.

An item has a service, an account, a secret and a date; or an exit code, or it hangs, when its secret is wanted.
Each call's arguments are noted in `calls.jsonl`.
"""

import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
NOT_FOUND = 44


def main(arguments: list[str]) -> int:
    with (HERE / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    verb, *options = arguments
    assert verb == "find-generic-password"
    wants_secret = "-w" in options
    options = [option for option in options if option != "-w"]
    asked = dict(zip(options[::2], options[1::2], strict=True))
    for item in json.loads((HERE / "items.json").read_text()):
        if asked["-s"] == item["service"] and asked.get("-a") in (None, item["account"]):
            return shown(item) if wants_secret else described(item)
    sys.stderr.write("security: SecKeychainSearchCopyNext: The specified item could not be found\n")
    return NOT_FOUND


def shown(item: dict[str, str]) -> int:
    """The secret as it is, or in hex where it holds anything that is not printable."""
    if "hangs" in item:
        time.sleep(60)
    if "exit" in item:
        return int(item["exit"])
    secret = item["secret"]
    sys.stdout.write((secret if secret.isprintable() else secret.encode().hex()) + "\n")
    return 0


def described(item: dict[str, str]) -> int:
    sys.stdout.write(
        'keychain: "/Users/alice/Library/Keychains/login.keychain-db"\n'
        'class: "genp"\nattributes:\n'
        f'    "acct"<blob>="{item["account"]}"\n'
        f'    "mdat"<timedate>=0x00  "{item.get("modified", "20261122120000Z")}\\000"\n'
        f'    "svce"<blob>="{item["service"]}"\n'
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
