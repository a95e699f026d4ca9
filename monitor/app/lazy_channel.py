"""A channel whose secret is in the keyring: made when it is first needed, since a keyring may be unlocked later."""

from collections.abc import Awaitable, Callable, Sequence

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert
from monitor.core.errors import CredentialError
from monitor.core.model import Secret
from monitor.core.notify import ChannelError
from monitor.notify import Channel
from monitor.notify.channels.refusal import SecretRefusedError

Read = Callable[[str], Awaitable[Secret | None]]
"""What the keyring's entry of that name holds, None where there is none. Raises CredentialError."""


class LazyChannel:
    """Stands for the channel that `make` makes of the secret; once that is refused, it is read and made anew."""

    def __init__(
        self, name: str, entry: str, read: Read, make: Callable[[Secret], Channel]
    ) -> None:
        self.name = name
        self._entry = entry
        self._read = read
        self._make = make
        self._channel: Channel | None = None

    async def tell(self, alerts: Sequence[Alert], urgency: Urgency = Urgency.NORMAL) -> None:
        """Raises ChannelError, also where there is no such secret now."""
        if self._channel is None:
            self._channel = self._make(await self._secret())
        try:
            await self._channel.tell(alerts, urgency)
        except SecretRefusedError:
            self.close()
            self._channel = None
            raise

    async def _secret(self) -> Secret:
        try:
            secret = await self._read(self._entry)
        except CredentialError as error:
            raise ChannelError("unavailable", str(error)) from None
        if secret is None:
            raise ChannelError("unavailable", f"the keyring has no entry {self._entry!r}")
        return secret

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
