"""A channel whose secret is in a keyring that may be locked, empty, or hold another secret by now."""

import pytest

from monitor.app.lazy_channel import LazyChannel
from monitor.core.errors import CredentialError, Failure, Reason
from monitor.core.model import Secret
from monitor.core.notify import ChannelError
from monitor.notify.channels.refusal import SecretRefusedError
from tools.kill.bench import FakeChannel, alert


class Safe:
    """The keyring, and the channels that were made of what it held."""

    def __init__(self, held: Secret | CredentialError | None) -> None:
        self.held = held
        self.made: list[tuple[Secret, FakeChannel]] = []
        self.fails: ChannelError | None = None
        self.channel = LazyChannel("webhook", "hook", self.read, self.make)

    async def read(self, name: str) -> Secret | None:
        assert name == "hook"
        if isinstance(self.held, CredentialError):
            raise self.held
        return self.held

    def make(self, secret: Secret) -> FakeChannel:
        self.made.append((secret, FakeChannel("webhook", self.fails)))
        return self.made[-1][1]

    async def tell(self) -> None:
        await self.channel.tell([alert("a")])

    @property
    def secrets(self) -> list[Secret]:
        return [secret for secret, _ in self.made]


async def test_the_secret_is_read_once_where_it_works() -> None:
    safe = Safe(Secret("one"))
    for _ in range(3):
        await safe.tell()
    ((secret, channel),) = safe.made
    assert (secret, channel.told) == (Secret("one"), [["a"]] * 3)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (None, "no entry 'hook'"),
        (
            CredentialError(Failure(Reason.CREDENTIALS, detail="the keyring is locked")),
            "keyring is locked",
        ),
    ],
)
async def test_without_a_secret_now_there_may_be_one_later(
    held: CredentialError | None, words: str
) -> None:
    safe = Safe(held)
    with pytest.raises(ChannelError, match=words) as failure:
        await safe.tell()
    assert failure.value.reason == "unavailable"
    safe.held = Secret("one")
    await safe.tell()
    assert safe.secrets == [Secret("one")]


async def test_a_secret_that_is_refused_is_read_anew() -> None:
    safe = Safe(Secret("old"))
    safe.fails = SecretRefusedError("HTTP 401: check the token")
    with pytest.raises(ChannelError, match="check the token"):
        await safe.tell()
    safe.held, safe.fails = Secret("new"), None
    await safe.tell()
    assert safe.secrets == [Secret("old"), Secret("new")]
    assert [channel.closed for _, channel in safe.made] == [1, 0]


async def test_any_other_failure_leaves_the_secret_as_it_is() -> None:
    safe = Safe(Secret("one"))
    safe.fails = ChannelError("unavailable", "nobody there")
    for _ in range(2):
        with pytest.raises(ChannelError, match="nobody there"):
            await safe.tell()
    assert safe.secrets == [Secret("one")]
