"""A channel whose secret is in the keyring: made when it is first needed, since a keyring may be unlocked later."""

from collections.abc import Callable, Sequence

from monitor.accounts.seams import Vault
from monitor.core.effects import Alert
from monitor.core.errors import CredentialError
from monitor.core.model import Secret
from monitor.core.notify import ChannelError
from monitor.core.rules import Urgency
from monitor.notifier import Channel


class Deferred:
    """Stands for the channel that `make` makes of the secret in the keyring's entry."""

    def __init__(
        self, name: str, entry: str, vault: Vault, make: Callable[[Secret], Channel]
    ) -> None:
        self.name = name
        self._entry = entry
        self._vault = vault
        self._make = make
        self._channel: Channel | None = None

    async def tell(self, alerts: Sequence[Alert], urgency: Urgency = Urgency.NORMAL) -> None:
        """Raises ChannelError, also where there is no such secret now."""
        if self._channel is None:
            self._channel = self._make(await self._secret())
        await self._channel.tell(alerts, urgency)

    async def _secret(self) -> Secret:
        try:
            kept = await self._vault.read(self._entry)
        except CredentialError as error:
            raise ChannelError("unavailable", error.detail) from None
        if kept is None:
            raise ChannelError("unavailable", f"the keyring has no entry {self._entry!r}")
        return kept.secret

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
