"""What a check is: a question that has a name, and its answer with what mends it. Pure."""

import shlex
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended; a skipped one could not be asked, or does not matter here."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """One answer. `name` is a word that scripts may rely on; several answers may have the same.

    `fix` says what to do, as a command where there is one; None where nothing is to be done.
    """

    name: str
    outcome: Outcome
    found: str
    why: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A check that is yet to be answered, and why the answer matters."""

    name: str
    why: str

    def ok(self, found: str) -> Check:
        return Check(self.name, Outcome.OK, found, self.why)

    def skip(self, found: str) -> Check:
        return Check(self.name, Outcome.SKIP, found, self.why)

    def warn(self, found: str, fix: str) -> Check:
        return Check(self.name, Outcome.WARN, found, self.why, fix)

    def fail(self, found: str, fix: str) -> Check:
        return Check(self.name, Outcome.FAIL, found, self.why, fix)


def command(*words: str) -> str:
    """A command to be copied into a shell."""
    return f"`{shlex.join(words)}`"
