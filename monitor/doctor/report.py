"""The result of a check, what of it strangers may see, and how all results are shown as a page or as JSON. Pure."""

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
    """The outcome of a check; a skipped one could not be made, or does not matter here."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do, as a command where there is one.

    `several`, unless empty, does the same for several checks at once: its `{}` stands for the `place` of each, quoted
    for a shell.
    """

    text: str
    several: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. `name` is a word that scripts may rely on; several results may have the same.

    `fix` is None where nothing is to be done.
    """

    name: str
    outcome: Outcome
    found: str
    why: str
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Makes the results of the checks of one name; `why` says why they matter."""

    name: str
    why: str

    def ok(self, found: str) -> Check:
        return Check(self.name, Outcome.OK, found, self.why)

    def skip(self, found: str) -> Check:
        return Check(self.name, Outcome.SKIP, found, self.why)

    def warn(self, found: str, fix: Fix | str) -> Check:
        return Check(self.name, Outcome.WARN, found, self.why, _to_fix(fix))

    def fail(self, found: str, fix: Fix | str) -> Check:
        return Check(self.name, Outcome.FAIL, found, self.why, _to_fix(fix))


def _to_fix(fix: Fix | str) -> Fix:
    return Fix(fix) if isinstance(fix, str) else fix


def shell(*words: str) -> str:
    """Quote a command that is to be copied into a shell."""
    return f"`{shlex.join(words)}`"


def start_claude(folder: str | None, then: str) -> Fix:
    """Advise to start Claude Code with this configuration folder ("" is the default one, None one that is not known).

    `then` continues the sentence.
    """
    if not folder:
        return Fix(of_login(folder) + then)
    loop = f"`for d in {{}}; do CLAUDE_CONFIG_DIR=$d claude; done`{then}"
    return Fix(of_login(folder) + then, loop, shlex.quote(folder))


_EMAIL: Final = re.compile(r"[\w.+%-]+@(?:[\w-]+\.)+[\w-]+")
_TOKEN: Final = re.compile(r"sk-[\w-]{3,}|eyJ[\w.-]{10,}|[A-Za-z0-9_+=-]{40,}")
_HIDDEN: Final = "…"


class Privacy:
    """Hides from strangers the home folder, every e-mail address, and these names of accounts."""

    def __init__(self, home: str, names: Iterable[str] = ()) -> None:
        self._home = home.rstrip("/")
        self._names = sorted(set(names), key=len, reverse=True)

    def check(self, check: Check) -> Check:
        """Hide what is private in the check."""
        fix = check.fix and Fix(*map(self.text, astuple(check.fix)))
        return replace(check, found=self.text(check.found), fix=fix)

    def text(self, text: str) -> str:
        """Hide what is private in a text, and make one line of it that no terminal would obey."""
        text = _TOKEN.sub(_HIDDEN, "".join(c if c.isprintable() else " " for c in text))
        for name in self._names:
            text = text.replace(f"'{name}'", f"'{mask(name)}'")
        text = _EMAIL.sub(lambda found: mask(found[0]), text)
        if not self._home:
            return text
        text = text.replace(f"'{self._home}/", "~/'")  # a shell knows no ~ within quotes
        return re.sub(rf"(?<![\w/]){re.escape(self._home)}(?=[^\w.-]|$)", "~", text)


def mask(name: str) -> str:
    """Shorten a name so that its owner recognises it: `u…@example.com (O…)`."""
    user, at, rest = name.partition("@")
    host, _, organization = rest.partition(" ")
    if not at:
        return f"{name[:1]}{_HIDDEN}"
    return f"{user[:1]}{_HIDDEN}@{host}{f' ({organization[1:2]}{_HIDDEN})' if organization else ''}"


def title(place: int, account: Account) -> str:
    """Name an account on the page: its place in the settings from 1 on, and its label or masked name."""
    return f"account {place} ({account.label or mask(account.name)})"


_INDENT: Final = 6
_KEPT_SPACE: Final = "\0"
"""Within a command, while lines are broken."""

_LEAST_COLUMNS: Final = 20

MOST_NAMED: Final = 4
"""So many of the checks that have one fix are named, unless `verbose`."""

_SGR: Final = {Outcome.OK: "32", Outcome.WARN: "33", Outcome.FAIL: "1;31", Outcome.SKIP: "2"}
_COUNTED: Final = {
    Outcome.OK: ("ok", "ok"),
    Outcome.WARN: ("warning", "warnings"),
    Outcome.FAIL: ("failure", "failures"),
    Outcome.SKIP: ("skipped", "skipped"),
}


def exit_code(checks: Sequence[Check]) -> int:
    return int(any(check.outcome is Outcome.FAIL for check in checks))


def render_json(checks: Sequence[Check], version: str) -> str:
    """Render one indented JSON document."""
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
    """Render the failures, the warnings, and in one line what is well, or (`verbose`) in a paragraph each.

    The last line counts them all. A command is never broken over lines, so that it can be copied; checks that one
    command fixes are one paragraph.
    """
    width = max(columns, _LEAST_COLUMNS)
    lines: list[str] = []
    for outcome in (Outcome.FAIL, Outcome.WARN):
        for alike in _group(check for check in checks if check.outcome is outcome):
            first, founds = alike[0], [check.found for check in alike]
            more = len(founds) - MOST_NAMED
            if len(founds) > 1:
                named = founds if verbose or more <= 1 else [*founds[:MOST_NAMED], f"{more} more"]
                founds = [f"{len(founds)} of them: {'; '.join(named)}"]
            lines += _paragraph(outcome, f"{first.name}: {founds[0]}", width, colours)
            lines += _wrap(f"why: {first.why}", width)
            lines += _wrap(f"fix: {common_fix(alike)}", width)
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
    return "\n".join([*lines, "", *_wrap(counted, width, "")]) + "\n"


def _group(checks: Iterable[Check]) -> list[list[Check]]:
    """Put checks that one fix is for together, else keep their order."""
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
    """Return the one command, or shell loop, that does what the fixes of all do; None where there is none."""
    first, *others = fixes = list(dict.fromkeys(check.fix or Fix("") for check in checks))
    if not others:
        return first.text
    if first.several and all(fix.several == first.several for fix in others):
        return first.several.replace("{}", " ".join(fix.place for fix in fixes))
    return None


def _plural(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") else name if name.endswith("s") else f"{name}s"


def _paragraph(outcome: Outcome, text: str, width: int, colours: bool) -> Iterator[str]:
    first, *rest = _wrap(text, width)
    word = f"{outcome:<4}"
    coloured = f"\x1b[{_SGR[outcome]}m{word}\x1b[m" if colours else word
    yield f"{coloured}{first[len(word) :]}"
    yield from rest


def _wrap(text: str, width: int, margin: str = " " * _INDENT) -> list[str]:
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
