"""Another user of the machine can neither read nor command the socket, nor stand in for it. Run as root, as CI does."""

import asyncio
import logging
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.core.errors import TrackerError
from monitor.ipc.client import ask
from monitor.ipc.lock import Lock
from monitor.ipc.server import Server
from tests.ipc.handlers import FakeHandler, serving
from tests.real.need import need

STRANGER = 65534
PYTHON = "/usr/bin/python3"

pytestmark = pytest.mark.skipif(
    os.getuid() != 0,
    reason="needs to become another user for a moment, which only root can",
)

TALK = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
except OSError as error:
    sys.exit(type(error).__name__)
try:
    s.sendall(b'{"v": 3, "type": "echo", "text": "secrets"}\\n')
    print("reply", s.recv(100))
except OSError as error:
    print("reply", type(error).__name__)
"""

LISTEN = """
import os, socket, sys
os.umask(0)
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a stranger may reach: pytest's own are closed to others, as our Python may be."""
    need(PYTHON)
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield Path(name)


async def stranger(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [PYTHON, "-S", "-c", code, str(path)],
        user=STRANGER,
        group=STRANGER,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


async def test_the_file_system_refuses_a_stranger(folder: Path) -> None:
    path = folder / "claude-tracker" / "socket"
    async with serving(path) as handler:
        assert (await stranger(TALK, path)).stderr.strip() == "PermissionError"
        path.parent.chmod(0o711)  # the socket's own mode is enough
        assert (await stranger(TALK, path)).stderr.strip() == "PermissionError"
    assert not handler.asked


async def test_the_peer_check_refuses_a_stranger_where_the_modes_let_in(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "claude-tracker" / "socket"
    async with serving(path) as handler:
        path.parent.chmod(0o777)
        path.chmod(0o666)
        for _ in range(3):
            talk = await stranger(TALK, path)
            assert talk.stdout.strip() in (
                "reply b''",
                "reply ConnectionResetError",
                "reply BrokenPipeError",
            )
    assert not handler.asked
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [f"refused a connection of another user (uid {STRANGER})"]


async def test_a_folder_that_a_stranger_made_first_is_refused(folder: Path) -> None:
    made = folder / "claude-tracker"
    await stranger("import os, sys; os.umask(0); os.mkdir(sys.argv[1], 0o700)", made)
    assert made.stat().st_uid == STRANGER
    path = str(made / "socket")
    with pytest.raises(TrackerError, match=r"belongs to another user \(uid 65534\)"):
        await Server(FakeHandler().answer, path).start()
    with pytest.raises(TrackerError, match="belongs to another user"):
        Lock(str(made / "lock")).acquire()
    with pytest.raises(TrackerError, match="belongs to another user"):
        ask(path, {"type": "add", "session_key": "sk-ant-sid01-secret"})


async def test_a_strangers_link_in_place_of_the_folder_is_refused(folder: Path) -> None:
    made, target = folder / "claude-tracker", folder / "target"
    target.mkdir(mode=0o755)
    await stranger(f"import os, sys; os.symlink({str(target)!r}, sys.argv[1])", made)
    with pytest.raises(TrackerError, match="is no folder"):
        Lock(str(made / "lock")).acquire()
    assert list(target.iterdir()) == []
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


@pytest.mark.parametrize("place", ["theirs/socket", "ours/socket"])
async def test_a_strangers_socket_is_not_believed(folder: Path, place: str) -> None:
    (folder / "ours").mkdir()
    (folder / "ours").chmod(0o777)
    path = folder / place
    child = subprocess.Popen(
        [PYTHON, "-S", "-c", LISTEN, str(path)],
        user=STRANGER, group=STRANGER, extra_groups=[], cwd="/", env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"listens\n"
        (folder / "ours").chmod(0o700)
        for chown in (False, True):
            if chown:  # who listens counts, whatever the file system says of the file
                os.chown(path, 0, 0)
                os.chown(path.parent, 0, 0)
                path.parent.chmod(0o700)
            with pytest.raises(TrackerError, match="another user"):
                ask(str(path), {"type": "add", "session_key": "sk-ant-sid01-secret"}, 1)
    finally:
        child.communicate()
