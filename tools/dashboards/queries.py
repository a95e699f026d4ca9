"""The PromQL that several panels share. Each query reads one value per account, however many monitors watch it."""

from typing import Final

PLACE: Final = 'job=~"$job", instance=~"$instance"'

STATES: Final = ("free", "near limit", "full", "cannot be read", "needs a login")
"""The texts of the values of `state()`."""

REQUESTS_TOLERATED: Final = 28
"""Requests an hour that the usage API tolerates for one account."""


def metric(name: str, *matchers: str) -> str:
    """One of our metrics, of the chosen jobs and instances."""
    return f"claude_usage_{name}{{{', '.join((PLACE, *matchers))}}}"


def per_account(name: str, *matchers: str, chosen: str = 'account=~"$account"') -> str:
    return f"max by (account) ({metric(name, chosen, *matchers)})"


def per_window(name: str, *matchers: str, chosen: str = 'account=~"$account"') -> str:
    return f"max by (account, window) ({metric(name, chosen, *matchers)})"


def used() -> str:
    """How full the account is: the fuller of its 5h and 7d windows."""
    return per_account("utilization_ratio", 'window=~"5h|7d"')


def room() -> str:
    """What is left of the accounts that can be read and are not full."""
    return f"(1 - {used()} > 0) and on (account) ({per_account('up')} == 1)"


def state() -> str:
    """An index into `STATES` per account."""
    return (
        f"({per_account('login_required')} == 1) * 4"
        f" or ({per_account('up')} == 0) + 3"
        f" or ({used()} >= 1) * 0 + 2"
        f" or ({used()} >= 0.9) * 0 + 1"
        f" or {used()} * 0"
    )


def in_state(comparison: str) -> str:
    """The number of accounts whose state compares so to an index, 0 included: `"== 2"`."""
    return f"count(({state()}) {comparison}) or vector(0)"


def hours_minutes(seconds: str) -> str:
    """Packs a duration as 10214 for 2h 14m, which `panels.unpack` and a mapping unpack.

    Grafana has no unit of that form: `s` is 2.23 hours, `dthms` 02:14:00. All have five digits: they sort as texts.
    """
    return f"10000 + 100 * floor(({seconds}) / 3600) + floor(({seconds}) % 3600 / 60)"


def days_hours(seconds: str) -> str:
    """Packs a duration as 10603 for 6d 3h."""
    return f"10000 + 100 * floor(({seconds}) / 86400) + floor(({seconds}) % 86400 / 3600)"


def pace(window: str, chosen: str) -> str:
    """The share of the window's time that has passed, on to the reset that was last announced."""
    resets_at = f"max by (account) (last_over_time({metric('reset_timestamp_seconds', window, chosen)}[6h]))"
    length = f"scalar(max(last_over_time({metric('window_duration_seconds', window)}[6h])))"
    return f"1 - (({resets_at} > time()) - time()) / {length}"


def fan(window: str, chosen: str, percentile: str) -> str:
    """The way from the last reading to the moment at which the window is full, in the future of the last reading.

    Drawn only where the range ends after now: at those times the present samples are the last ones.
    """
    reading = metric("utilization_ratio", window, chosen)
    value = f"max by (account) (last_over_time({reading}[6h]))"
    at = f"max by (account) (max_over_time(timestamp({reading})[6h:1m]))"
    full_at = (
        "max by (account) (last_over_time("
        + metric("full_timestamp_seconds", window, chosen, f'percentile="{percentile}"')
        + "[6h]))"
    )
    resets_at = f"max by (account) (last_over_time({metric('reset_timestamp_seconds', window, chosen)}[6h]))"
    return (
        f"clamp_max({value} + (time() - {at}) * (1 - {value}) / ({full_at} - {at}), 1)"
        f" and ({resets_at} > time()) unless max by (account) ({reading})"
    )
