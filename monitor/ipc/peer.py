"""Whose process is at the other end of a Unix socket, by the kernel's word."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from asyncio.trsock import TransportSocket

_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1
_XUCRED_BYTES = 76
_UCRED_BYTES = 12


def peer_uid(connection: "socket | TransportSocket", platform: str = sys.platform) -> int:
    """The user id of the peer; of a listener's peer, the id under which it listens. Raises OSError."""
    if platform == "linux":
        import _socket

        return parse_ucred(
            connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED_BYTES)
        )
    return parse_xucred(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES))


def parse_ucred(data: bytes) -> int:
    """Linux's `struct ucred`: pid, uid, gid, of four bytes each."""
    if len(data) != _UCRED_BYTES:
        raise OSError("the peer's user is not known")
    return int.from_bytes(data[4:8], sys.byteorder)


def parse_xucred(data: bytes) -> int:
    """The `struct xucred` of <sys/ucred.h> on macOS and the BSDs: a version, which is 0, the uid, then groups."""
    if len(data) < 8 or int.from_bytes(data[:4], sys.byteorder) != 0:
        raise OSError("the peer's user is not known")
    return int.from_bytes(data[4:8], sys.byteorder)
