"""The way in where a system has no Unix sockets: a port of this machine, and a token in a file of the user's own.

Any program of the machine, and any web page, may knock at a port; and when the owner is gone, anybody may be
given its port. So the asker has the listener prove that it knows the token, before it shows it in its request.
"""

HOST = "127.0.0.1"

_HELLO = b"hello "
_NONCE_BYTES = 16


def new_token() -> str:
    return _random_hex(32)


def render_note(port: int, token: str) -> bytes:
    """What the file says."""
    return f"{port} {token}\n".encode()


def read_note(path: str) -> tuple[int, str] | None:
    """The port and the token that the file names; None of a file that is gone, or half there."""
    try:
        with open(path, encoding="ascii") as file:
            port, token = file.read(200).split()
        return int(port), token
    except (OSError, ValueError):
        return None


def hello() -> bytes:
    """A line that asks for the proof; no two are the same."""
    return _HELLO + _random_hex(_NONCE_BYTES).encode() + b"\n"


def proof(token: str, hello: bytes) -> bytes | None:
    """The line that answers this hello; None of a line that is no hello."""
    nonce = hello.removeprefix(_HELLO).removesuffix(b"\n")
    if len(hello) != len(_HELLO) + 2 * _NONCE_BYTES + 1 or not hello.startswith(_HELLO):
        return None
    import hmac

    return hmac.new(token.encode(), nonce, "sha256").hexdigest().encode() + b"\n"


def is_same(given: object, expected: str | bytes) -> bool:
    """Whether it is the token, or the proof, that is expected; takes as long for a near miss."""
    import hmac

    if isinstance(given, str):
        given = given.encode(errors="replace")
    expected = expected.encode() if isinstance(expected, str) else expected
    return isinstance(given, bytes) and hmac.compare_digest(given, expected)


def _random_hex(length: int) -> str:
    import os

    return os.urandom(length).hex()
