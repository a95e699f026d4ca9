"""What sentences are made of: an instant, and the stops between them. Pure: the time zone is an argument."""

from datetime import datetime, timedelta, tzinfo


def moment(at: datetime, now: datetime, zone: tzinfo | None) -> str:
    """`at 14:14` today, `on Fri 27 Nov at 14:14` on any other day; a `zone` of None is the machine's own.

    Longer than `words.clock`: an alert may be read days later, when a mere `Fri` is another day.
    """
    local = to_the_minute(at).astimezone(zone)
    clock = f"at {local:%H:%M}"
    if local.date() == now.astimezone(zone).date():
        return clock
    return f"on {local:%a} {local.day} {local:%b} {clock}"


def to_the_minute(at: datetime) -> datetime:
    """The server's instants wobble by seconds around the true one, which is a full minute."""
    return (at + timedelta(seconds=30)).replace(second=0, microsecond=0)


def sentences(*parts: str) -> str:
    """The parts as one paragraph: each begins with a capital and ends with a full stop; empty ones are left out."""
    return " ".join(_sentence(part) for part in parts if part)


def _sentence(words: str) -> str:
    end = "" if words[-1] in ".!?…" else "."
    return f"{words[0].upper()}{words[1:]}{end}"
