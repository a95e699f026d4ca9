"""Why the running monitor cannot be asked, where that is worth telling apart. Loaded when it happens."""

from monitor.core.errors import TrackerError


class SilentLeaderError(TrackerError):
    """Somebody listens and does not answer in time: it is stopped, or does not get round to it."""


class NoPlaceError(TrackerError):
    """The system lets us have no folder for lock and socket."""
