"""The check of the running instance: who polls, and whether it is of this version."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor import __version__
from monitor.core.errors import TrackerError
from monitor.doctor.check import Check, Question
from monitor.system.threads import DaemonThreads

INSTANCE: Final = Question("instance", "one process polls for all others, which only watch it")

LIMIT_SECS: Final = 5.0

Who = Callable[[], Mapping[str, Any] | None]
"""Asks the running instance what it is; blocks. None where none runs; raises TrackerError where one does not answer."""


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """`who` is what the instance says of itself; `trouble` that it cannot be asked."""

    who: Mapping[str, Any] | None = None
    cause: str | None = None


async def instance_facts(who: Who) -> InstanceFacts:
    """Never raises."""
    try:
        return InstanceFacts(await DaemonThreads(LIMIT_SECS).run(who))
    except TimeoutError:
        return InstanceFacts(cause="the running monitor does not answer")
    except TrackerError as error:
        return InstanceFacts(cause=str(error))
    except Exception as error:  # noqa: BLE001 - it must not hide what the other checks find
        return InstanceFacts(cause=f"this check itself has failed ({type(error).__name__})")


def instance_check(facts: InstanceFacts, version: str = __version__) -> Check:
    if facts.cause is not None:
        problem = facts.cause.partition("\n")[0]
        return INSTANCE.fail(problem, "end that process, and start it anew")
    if facts.who is None:
        return INSTANCE.ok("none runs: the next `monitor tui` or `monitor serve` polls")
    pid, theirs = facts.who.get("pid"), facts.who.get("version")
    if theirs != version:
        found = f"process {pid} polls, and is of version {theirs}, not {version}"
        return INSTANCE.warn(found, "end it and start it anew: it is the older program that polls")
    return INSTANCE.ok(f"process {pid} polls, version {theirs}")
