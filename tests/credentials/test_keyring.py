"""The keyring's rules, on back ends of our own: what is stored, what errors say, and that nothing hangs."""

import subprocess
import sys
import threading
from datetime import UTC, datetime

import keyring.errors
import pytest
import secretstorage.exceptions

from monitor.core.errors import Cause, CredentialError, Reason
from monitor.core.model import Credential, Secret
from monitor.credentials.keyring import SERVICE, Keyring

TOKEN = "sk-ant-oat01-token"
REFRESH = "sk-ant-ort01-refresh"
EXPIRES_AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MS = int(EXPIRES_AT.timestamp() * 1000)


class MemoryBackend:
    """A back end that keeps entries in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class HangingBackend(MemoryBackend):
    """Answers once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []
        self.let_go = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.threads.append(threading.current_thread())
        self.let_go.wait(30)
        return super().get_password(service, username)


class StubbornBackend(MemoryBackend):
    """Always has the same entry."""

    def get_password(self, service: str, username: str) -> str | None:
        return f"{service} {username}"

    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


async def test_what_is_written_is_read_until_it_is_deleted() -> None:
    backend = MemoryBackend()
    keyring = Keyring(lambda: backend)
    assert await keyring.read("user@example.com") is None
    await keyring.write("user@example.com", Secret(TOKEN))
    assert await keyring.read("user@example.com") == Credential(Secret(TOKEN))
    await keyring.delete("user@example.com")
    assert await keyring.read("user@example.com") is None


async def test_an_entry_that_is_no_token_is_read_as_it_is() -> None:
    backend = MemoryBackend()
    urls = "ntfy://host/topic\nmailto://me:key@example.com\n"
    backend.set_password(SERVICE, "apprise", urls)
    keyring = Keyring(lambda: backend)
    assert await keyring.read_text("apprise") == Secret(urls)
    assert await keyring.read_text("nothing") is None


async def test_an_entry_is_the_plain_token_under_the_accounts_name() -> None:
    backend = MemoryBackend()
    await Keyring(lambda: backend).write("user@example.com", Secret(TOKEN))
    assert backend.entries == {("claude-tracker", "user@example.com"): TOKEN}


async def test_deleting_what_is_not_there_is_no_error() -> None:
    backend = MemoryBackend()
    await Keyring(lambda: backend).delete("nobody")
    assert backend.entries == {}


STORED = {
    "a plain token": (TOKEN, Credential(Secret(TOKEN))),
    "a token with a line's end": (f"{TOKEN}\n", Credential(Secret(TOKEN))),
    "Claude Code's own": (
        f'{{"claudeAiOauth":{{"accessToken":"{TOKEN}","refreshToken":"{REFRESH}","expiresAt":{MS}}}}}',
        Credential(Secret(TOKEN), expires_at=EXPIRES_AT),
    ),
    "a flat one": (f'{{"accessToken":"{TOKEN}"}}', Credential(Secret(TOKEN))),
    "an older one": (
        f'{{"access_token":"{TOKEN}","refresh_token":"{REFRESH}","expires_at":{MS}}}',
        Credential(Secret(TOKEN), expires_at=EXPIRES_AT),
    ),
    "one without a known end": (
        f' {{"access_token":"{TOKEN}","expires_at":0}}',
        Credential(Secret(TOKEN)),
    ),
    "one with an odd end": (
        f'{{"access_token":"{TOKEN}","expires_at":"soon"}}',
        Credential(Secret(TOKEN)),
    ),
    "one that never ends": (
        f'{{"access_token":"{TOKEN}","expires_at":1e300}}',
        Credential(Secret(TOKEN)),
    ),
}


@pytest.mark.parametrize(("text", "credential"), STORED.values(), ids=STORED)
async def test_stored_forms(text: str, credential: Credential) -> None:
    backend = MemoryBackend()
    backend.entries[SERVICE, "a"] = text
    assert await Keyring(lambda: backend).read("a") == credential


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "two words",
        "tok\r\nCookie: x",
        "t…ken",
        "{",
        "{}",
        '{"claudeAiOauth":{}}',
        '{"claudeAiOauth":{"accessToken":""}}',
        f'{{"claudeAiOauth":{{"refreshToken":"{REFRESH}"}}}}',
        f'{{"mcpOAuth":{{"x":{{"accessToken":"{TOKEN}"}}}}}}',
        '{"access_token":5}',
        '{"a":' * 50_000,
    ],
)
async def test_stored_texts_that_hold_no_token(text: str) -> None:
    backend = MemoryBackend()
    backend.entries[SERVICE, "a"] = text
    with pytest.raises(CredentialError, match="not a token: import or enter it again") as caught:
        await Keyring(lambda: backend).read("a")
    assert caught.value.__context__ is None  # the parser's own error would hold the text


async def test_a_secret_that_cannot_be_sent_is_not_written() -> None:
    backend = MemoryBackend()
    with pytest.raises(CredentialError, match="copy it again"):
        await Keyring(lambda: backend).write("a", Secret("two words"))
    assert backend.entries == {}


async def test_a_back_end_that_changes_nothing_is_noticed() -> None:
    keyring = Keyring(StubbornBackend)
    with pytest.raises(CredentialError, match="does not keep what is written"):
        await keyring.write("a", Secret(TOKEN))
    with pytest.raises(CredentialError, match="refused to delete"):
        await keyring.delete("a")


ERRORS = {
    "locked": (keyring.errors.KeyringLocked("x"), "is locked: unlock it", Cause.LOCKED),
    "locked while asking": (
        secretstorage.exceptions.LockedException("x"),
        "is locked: unlock it",
        Cause.LOCKED,
    ),
    "absent": (keyring.errors.NoKeyringError("x"), "no keyring answers", Cause.NO_KEYRING),
    "gone": (
        secretstorage.exceptions.SecretServiceNotAvailableException("x"),
        "no keyring answers",
        Cause.NO_KEYRING,
    ),
    "without collection": (
        secretstorage.exceptions.ItemNotFoundException("x"),
        "no default collection",
        Cause.NO_COLLECTION,
    ),
    "not to be opened": (
        keyring.errors.InitError("Prompt dismissed"),
        "no default collection",
        Cause.NO_COLLECTION,
    ),
    "refusing": (keyring.errors.PasswordSetError(TOKEN), "refused to store", Cause.NOT_STORED),
    "over ssh": (
        keyring.errors.KeyringError("(-25308, 'Unknown Error')"),
        "security unlock-keychain",
        Cause.LOCKED,
    ),
    "unsigned": (
        keyring.errors.KeyringError("(-25293, 'Auth')"),
        "Python that is signed",
        Cause.DENIED,
    ),
    "silent": (TimeoutError(), "does not answer", Cause.SILENT),
    "broken": (ZeroDivisionError(TOKEN), "failed (ZeroDivisionError)", Cause.FAILED),
}


@pytest.mark.parametrize(("error", "words", "cause"), ERRORS.values(), ids=ERRORS)
async def test_what_is_said_of_an_error(error: Exception, words: str, cause: Cause) -> None:
    def failing() -> MemoryBackend:
        raise error

    keyring = Keyring(failing)
    for action in (keyring.read("a"), keyring.write("a", Secret(TOKEN)), keyring.delete("a")):
        with pytest.raises(CredentialError) as caught:
            await action
        assert words in str(caught.value)
        assert TOKEN not in str(caught.value) and "\n" not in str(caught.value)
        assert caught.value.reason is Reason.CREDENTIALS
        assert caught.value.cause is cause
        assert caught.value.__context__ is None


async def test_a_keyring_that_hangs_is_an_error_and_is_not_asked_again_meanwhile() -> None:
    backend = HangingBackend()
    keyring = Keyring(lambda: backend, limit_secs=0.01)
    for _ in range(3):
        with pytest.raises(CredentialError, match="does not answer"):
            await keyring.read("a")
    assert len(backend.threads) == 1
    backend.let_go.set()


async def test_a_keyring_that_answers_late_is_asked_again() -> None:
    backend = HangingBackend()
    backend.entries[SERVICE, "a"] = TOKEN
    keyring = Keyring(lambda: backend, limit_secs=0.01)
    with pytest.raises(CredentialError, match="does not answer"):
        await keyring.read("a")
    backend.let_go.set()
    backend.threads[0].join(5)
    assert await keyring.read("a") == Credential(Secret(TOKEN))


HANG = """
import asyncio, threading
from monitor.core.errors import CredentialError
from monitor.credentials.keyring import Keyring

async def main():
    try:
        await Keyring(threading.Event().wait, limit_secs=0.05).read("a")
    except CredentialError as error:
        print(error)

asyncio.run(main())
"""


def test_a_keyring_that_hangs_does_not_keep_the_process_from_exiting() -> None:
    done = run_python(HANG)
    assert "does not answer" in done.stdout


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30
    )


def test_the_keyring_library_is_imported_only_when_a_keyring_is_asked() -> None:
    done = run_python(
        "import sys, monitor.credentials.keyring; print({'keyring', 'secretstorage'} & {*sys.modules})"
    )
    assert done.stdout == "set()\n"
