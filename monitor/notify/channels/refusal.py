"""Why a channel with a secret could not tell an alert, where the secret is the likely cause."""

from monitor.core.notify import ChannelError


class SecretRefusedError(ChannelError):
    """The receiver does not take the channel's secret, which may have been replaced since it was read."""

    def __init__(self, detail: str) -> None:
        super().__init__("error", detail)
