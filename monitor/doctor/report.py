"""Checks: what one is, what of it strangers may see, and how all of them are shown as a page or as JSON. Pure."""

import json
import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from typing import Final

from monitor.core.errors import of_login
from monitor.core.model import Account


class Outcome(StrEnum):
    """The outcome of a check; a skipped one could not be asked, or does not matter here."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do, as a command where there is one.

    `several`, unless empty, does the same for several checks: its `{}` stands for the `place` of each, as a shell
    needs it quoted.
    """

    text: str
    several: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One answer. `name` is a word that scripts may rely on; several answers may have the same.

    `fix` is None where nothing is to be done.
    """

    name: str
    outcome: Outcome
    found: str
    why: str
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A check that is yet to be answered, and why the answer matters."""

    name: str
    why: str

    def ok(self, found: str) -> Check:
        return Check(self.name, Outcome.OK, found, self.why)

    def skip(self, found: str) -> Check:
        return Check(self.name, Outcome.SKIP, found, self.why)

    def warn(self, found: str, fix: Fix | str) -> Check:
        return Check(self.name, Outcome.WARN, found, self.why, _fix(fix))

    def fail(self, found: str, fix: Fix | str) -> Check:
        return Check(self.name, Outcome.FAIL, found, self.why, _fix(fix))


def _fix(fix: Fix | str) -> Fix:
    return Fix(fix) if isinstance(fix, str) else fix


def shell(*words: str) -> str:
    """A command to be copied into a shell."""
    return f"`{shlex.join(words)}`"


def start_claude(folder: str | None, then: str) -> Fix:
    """Start Claude Code with this configuration folder ("" is the default one, None one that is not known), `then`
    do what stands there.
    """
    if not folder:
        return Fix(of_login(folder) + then)
    loop = f"`for d in {{}}; do CLAUDE_CONFIG_DIR=$d claude; done`{then}"
    return Fix(of_login(folder) + then, loop, shlex.quote(folder))


_EMAIL: Final = re.compile(r"[\w.+%-]+@(?:[\w-]+\.)+[\w-]+")
_TOKEN: Final = re.compile(r"sk-[\w-]{3,}|eyJ[\w.-]{10,}|[A-Za-z0-9_+=-]{40,}")
_HIDDEN: Final = "…"


class Privacy:
    """Hides what strangers may not see: the home folder, and these names beside every e-mail address."""

    def __init__(self, home: str, names: Iterable[str] = ()) -> None:
        self._home = home.rstrip("/")
        self._names = sorted(set(names), key=len, reverse=True)

    def check(self, check: Check) -> Check:
        """The check as it may be shown."""
        fix = check.fix and Fix(*map(self.text, astuple(check.fix)))
        return replace(check, found=self.text(check.found), fix=fix)

    def text(self, text: str) -> str:
        """On one line, without anything that a terminal would obey."""
        text = _TOKEN.sub(_HIDDEN, "".join(c if c.isprintable() else " " for c in text))
        for name in self._names:
            text = text.replace(f"'{name}'", f"'{masked(name)}'")
        text = _EMAIL.sub(lambda found: masked(found[0]), text)
        if not self._home:
            return text
        text = text.replace(f"'{self._home}/", "~/'")  # a shell knows no ~ within quotes
        return re.sub(rf"(?<![\w/]){re.escape(self._home)}(?=[^\w.-]|$)", "~", text)


def masked(name: str) -> str:
    """A name that its owner recognises: `u…@example.com`, with the first letter of what follows in brackets."""
    user, at, rest = name.partition("@")
    host, _, organization = rest.partition(" ")
    if not at:
        return f"{name[:1]}{_HIDDEN}"
    return f"{user[:1]}{_HIDDEN}@{host}{f' ({organization[1:2]}{_HIDDEN})' if organization else ''}"


def title(place: int, account: Account) -> str:
    """The name of an account here: its place in the settings from 1 on, and its label or masked name."""
    return f"account {place} ({account.label or masked(account.name)})"


_INDENT: Final = 6
_KEPT_SPACE: Final = "\0"
"""Within a command, while lines are broken."""

_LEAST_COLUMNS: Final = 20

MOST_NAMED: Final = 4
"""So many of several that have one fix are shown, unless each is wanted."""

_SGR: Final = {Outcome.OK: "32", Outcome.WARN: "33", Outcome.FAIL: "1;31", Outcome.SKIP: "2"}
_COUNTED: Final = {
    Outcome.OK: ("ok", "ok"),
    Outcome.WARN: ("warning", "warnings"),
    Outcome.FAIL: ("failure", "failures"),
    Outcome.SKIP: ("skipped", "skipped"),
}


def exit_code(checks: Sequence[Check]) -> int:
    return int(any(check.outcome is Outcome.FAIL for check in checks))


def render_document(checks: Sequence[Check], version: str) -> str:
    """One JSON document on lines of its own."""
    entries = [
        {
            "check": check.name,
            "outcome": str(check.outcome),
            "found": check.found,
            "why": check.why,
            "fix": check.fix and check.fix.text,
        }
        for check in checks
    ]
    document = {"version": version, "checks": entries}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def render_text(
    checks: Sequence[Check], columns: int, *, colours: bool = False, verbose: bool = False
) -> str:
    """The failures, the warnings, and in a line what is well, or (`verbose`) a paragraph for each of those too.

    The last line counts. A command is not broken, to be copied whole; where one fixes several, they are one paragraph.
    """
    width = max(columns, _LEAST_COLUMNS)
    lines: list[str] = []
    for outcome in (Outcome.FAIL, Outcome.WARN):
        for alike in _grouped(check for check in checks if check.outcome is outcome):
            first, founds = alike[0], [check.found for check in alike]
            more = len(founds) - MOST_NAMED
            if len(founds) > 1:
                named = founds if verbose or more <= 1 else [*founds[:MOST_NAMED], f"{more} more"]
                founds = [f"{len(founds)} of them: {'; '.join(named)}"]
            lines += _paragraph(outcome, f"{first.name}: {founds[0]}", width, colours)
            lines += _wrapped(f"why: {first.why}", width)
            lines += _wrapped(f"fix: {common_fix(alike)}", width)
    for outcome in (Outcome.OK, Outcome.SKIP):
        fine = [check for check in checks if check.outcome is outcome]
        if verbose:
            texts = [f"{check.name}: {check.found}" for check in fine]
        else:
            counts = Counter(check.name for check in fine)
            names = [name if n == 1 else f"{n} {_plural(name)}" for name, n in counts.items()]
            texts = [", ".join(names)] if names else []
        for text in texts:
            lines += _paragraph(outcome, text, width, colours)
    outcomes = Counter(check.outcome for check in checks)
    words = (f"{n} {_COUNTED[o][n != 1]}" for o in Outcome if (n := outcomes[o]))
    counted = f"{len(checks)} checks: {', '.join(words)}"
    if checks and not verbose:
        counted += "; `monitor doctor -v` shows each"
    return "\n".join([*lines, "", *_wrapped(counted, width, "")]) + "\n"


def _grouped(checks: Iterable[Check]) -> list[list[Check]]:
    """The checks in their order, with those together that one fix is for."""
    groups: list[list[Check]] = []
    for check in checks:
        for group in groups:
            same = (group[0].name, group[0].why) == (check.name, check.why)
            if same and common_fix([*group, check]) is not None:
                group.append(check)
                break
        else:
            groups.append([check])
    return groups


def common_fix(checks: Sequence[Check]) -> str | None:
    """The one command, or loop of a shell, that does what the fixes of all do; None where there is none."""
    first, *others = fixes = list(dict.fromkeys(check.fix or Fix("") for check in checks))
    if not others:
        return first.text
    if first.several and all(fix.several == first.several for fix in others):
        return first.several.replace("{}", " ".join(fix.place for fix in fixes))
    return None


def _plural(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") else name if name.endswith("s") else f"{name}s"


def _paragraph(outcome: Outcome, text: str, width: int, colours: bool) -> Iterator[str]:
    first, *rest = _wrapped(text, width)
    word = f"{outcome:<4}"
    coloured = f"\x1b[{_SGR[outcome]}m{word}\x1b[m" if colours else word
    yield f"{coloured}{first[len(word) :]}"
    yield from rest


def _wrapped(text: str, width: int, margin: str = " " * _INDENT) -> list[str]:
    whole = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", _KEPT_SPACE), text)
    lines = textwrap.wrap(
        whole,
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_KEPT_SPACE, " ") for line in lines]
