"""Edits of a settings text: each returns a new text in which every byte that it is not about is as it was. Pure.

They know tables with a header of their own, as this program writes them. In a text that is written in another
way they may miss; `SettingsFile` therefore compares what came out with what was meant.
"""

import re
from collections.abc import Mapping

from monitor.core.model import Account
from monitor.settings.spans import KeyPath, places_in

Value = str | int | tuple[str, ...]
Values = Mapping[str, Value | None]
"""Keys of one table and their new values; None is for a key that is to go."""


def account_values(account: Account) -> dict[str, Value | None]:
    """What the file says of an account."""
    return {
        "name": account.name,
        "org_id": account.org_id,
        "auth_method": str(account.auth_method),
        "label": account.label,
        "storage": account.storage and str(account.storage),
        "config_dir": account.config_dir,
        "token_command": account.token_command or None,
    }


def with_account(text: str, account: Account) -> str:
    """The account as one more `[[accounts]]` table, below the last of them, else at the end."""
    values = {key: value for key, value in account_values(account).items() if value}
    at = _end_of_accounts(text)
    return _with_block(text, at, _block(text, "[[accounts]]", values))


def without_account(text: str, index: int) -> str:
    """The text without the account's table, and without the comment that is its heading.

    All other comments above and below the table stay: they may be about others.
    """
    place = places_in(text)[("accounts", index)]
    before, after = text[: _line_start(text, place.start)], text[_line_end(text, place.end) :]
    before = _without_heading(before)
    if not before or _ends_blank(before):
        after = re.sub(r"\A(?:[ \t]*\r?\n)+", "", after)
    return before + after


def _without_heading(before: str) -> str:
    """Without the comments at its end, where a blank line stands above them: they are about what follows."""
    lines = re.findall(r"[^\n]*\n", before)
    end = len(lines)
    while end and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    stands_apart = end > 0 and not lines[end - 1].strip()
    return "".join(lines[:end]) if stands_apart else before


def with_values(text: str, table: KeyPath, values: Values) -> str:
    """The text with these values in the table, which is made at the end where it is missing."""
    if table not in places_in(text):
        return _with_block(text, len(text), _block(text, f"[{table[-1]}]", values))
    for key, value in values.items():
        text = (
            _without_key(text, table, key) if value is None else _with_key(text, table, key, value)
        )
    return text


def with_item(text: str, item: KeyPath, value: str) -> str:
    """The text with this value in the place of a list's item; as it was where there is no such item."""
    place = places_in(text).get(item)
    if place is None:
        return text
    return text[: place.value] + _rendered(value) + text[place.end :]


def _with_key(text: str, table: KeyPath, key: str, value: Value) -> str:
    place = places_in(text).get((*table, key))
    if place:
        return text[: place.value] + _rendered(value) + text[place.end :]
    last = places_in(text)[table].end
    indent = text[_line_start(text, last) : last]
    at = _line_end(text, last)
    line = _line(text, key, value)
    return _closed(text, at) + indent[: len(indent) - len(indent.lstrip())] + line + text[at:]


def _without_key(text: str, table: KeyPath, key: str) -> str:
    place = places_in(text).get((*table, key))
    if place is None:
        return text
    return text[: _line_start(text, place.start)] + text[_line_end(text, place.end) :]


def _block(text: str, header: str, values: Values) -> str:
    lines = (_line(text, key, value) for key, value in values.items() if value is not None)
    return header + _newline(text) + "".join(lines)


def _line(text: str, key: str, value: Value) -> str:
    return f"{key} = {_rendered(value)}{_newline(text)}"


def _rendered(value: Value) -> str:
    import tomlkit  # only when something is written: it takes as long to import as all the rest

    return tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string()


def _with_block(text: str, at: int, block: str) -> str:
    """A block between blank lines, but not more of them than are needed."""
    before, after = _closed(text, at), text[at:]
    above = _newline(text) if before.strip() and not _ends_blank(before) else ""
    below = _newline(text) if re.match(r"[ \t]*[^\s]", after) else ""
    return before + above + block + below + after


def _end_of_accounts(text: str) -> int:
    """Below the last account's table, and below the comments that directly follow its last line."""
    tables = [place for path, place in places_in(text).items() if _is_account(path)]
    if not tables:
        return len(text)
    at = _line_end(text, max(place.end for place in tables))
    while comment := re.compile(r"[ \t]*#[^\n]*(?:\n|\Z)").match(text, at):
        at = comment.end()
    return at


def _is_account(path: KeyPath) -> bool:
    return len(path) == 2 and path[0] == "accounts"


def _closed(text: str, at: int) -> str:
    """What is before that place, with the end of its last line."""
    before = text[:at]
    return before if not before or before.endswith("\n") else before + _newline(text)


def _ends_blank(text: str) -> bool:
    return bool(re.search(r"\n[ \t]*\r?\n\Z", text))


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    """After the line's end, which may be that of the text."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
