"""Why a channel could not tell an alert."""

from monitor.core.errors import TrackerError


class ChannelError(TrackerError):
    """A channel did not tell an alert. `reason` is one word for the metrics, `detail` one line for people.

    The reasons: `timeout`, `unavailable` (nobody there to tell it), `no_capability` (somebody, who would
    drop it), `denied` (the user said no to notifications) and `error`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
