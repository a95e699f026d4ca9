"""A table that only watches stays light: it draws twenty accounts, and what the polling needs is never imported."""

import os
import pty
import subprocess
import sys

HEAVY = {
    "aiohttp", "desktop_notifier", "exporters", "keyring", "prometheus_client", "sqlite3", "tomlkit",
    "tomllib", "monitor.app.leader", "monitor.app.app", "monitor.core.update", "monitor.settings",
    "monitor.store",
}  # fmt: skip

WATCHING = """
import os, sys
from datetime import UTC, datetime, timedelta
import monitor.commands.tui
from monitor.core.model import Account, AccountState
from monitor.core.state import State
from monitor.terminal.text import Size
from monitor.terminal.frame import Footer, frame
from monitor.terminal.paint import Painter, open_terminal
from monitor.terminal.program import Program
from monitor.terminal.screen import Pane, Screen
from monitor.terminal.tty import Tty

now, size = datetime.now(UTC), Size(120, 40)
names = [f"jörg{number}@example.com" for number in range(20)]
accounts = {name: AccountState(Account(name), now, timedelta(minutes=3)) for name in names}
for pane in Pane:
    shown = frame(State(accounts=accounts), Screen(pane=pane), now, size, Footer("attached to"))
    assert Painter(open_terminal(int(sys.argv[1]))).repaint(None, shown, size)
print(*sys.modules)
"""


def test_a_table_that_watches_imports_nothing_of_what_polls() -> None:
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", WATCHING, str(slave)],
            env={**os.environ, "TERM": "xterm-256color"},
            pass_fds=[slave],
            capture_output=True,
            text=True,
        )
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())
