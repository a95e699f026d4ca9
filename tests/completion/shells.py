"""Real shells with the script loaded: what they offer, and what a typed line becomes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitor.arguments import parser
from monitor.commands.completion import render_script
from tests.real.bus import wait_until
from tests.real.pty import Terminal, terminal

PROGRAM: Final = """#!{python}
import json, pathlib, sys
if "--accounts" in sys.argv:
    print(open({names!r}).read(), end="")
else:
    part = pathlib.Path({started!r} + ".part")
    part.write_text(json.dumps(sys.argv[1:]))
    part.rename({started!r})
"""

LOAD: Final = {
    "bash": 'eval "$(<{script})"',
    "zsh": 'autoload -Uz compinit && compinit -u -d {home}/dump && eval "$(<{script})"',
    "fish": "source {script}",
}
START: Final = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
ASK_BASH: Final = """
source {script}
COMP_LINE=$1 COMP_POINT=${{#1}}
_monitor
(( ${{#COMPREPLY[@]}} )) && printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@dataclass(frozen=True, slots=True)
class ShellRig:
    """One shell's script, and a `monitor` beside it that knows these accounts and else prints its arguments."""

    shell: str
    home: Path

    @property
    def environ(self) -> dict[str, str]:
        path = f"{self.home / 'bin'}:/usr/bin:/bin"
        return {"HOME": str(self.home), "PATH": path, "LC_ALL": "C.UTF-8", "TERM": "xterm"}

    @property
    def loading(self) -> str:
        return LOAD[self.shell].format(script=self.home / "script", home=self.home)

    def offered(self, line: str) -> list[str]:
        """What is offered at the end of the line, in the shell's own words; of bash and fish only."""
        if self.shell == "bash":
            text = ASK_BASH.format(script=self.home / "script")
            argv = ["bash", "--norc", "-c", text, "bash", line]
        else:
            argv = ["fish", "--no-config", "-c", f"{self.loading}; complete -C $argv[1]", line]
        done = subprocess.run(
            argv, env=self.environ, capture_output=True, text=True, timeout=30, cwd=self.home
        )
        assert done.stderr == ""
        return [word.partition("\t")[0] for word in done.stdout.splitlines()]

    def know(self, *names: str) -> None:
        """The accounts that there are from now on."""
        (self.home / "names").write_text("".join(f"{name}\n" for name in names))

    def started(self) -> list[str]:
        """What `monitor` was started with."""
        file = self.home / "started"
        wait_until(file.exists, "the start")
        arguments: list[str] = json.loads(file.read_text())
        file.unlink()
        return arguments


class Session:
    """A shell on a terminal, with the script loaded."""

    def __init__(self, rig: ShellRig, shown: Terminal, loading: str | None = None) -> None:
        self.rig = rig
        self._shown = shown
        for line in (f"cd {rig.home}; {loading or rig.loading}", "monitor loaded"):
            self._settle()
            shown.keys(f"{line}\r")
        assert rig.started() == ["loaded"]

    def typed(self, line: str) -> list[str]:
        """The arguments that `monitor` is started with once the line has been typed, tabs and all, and entered."""
        self._settle()
        self._shown.keys(line)
        self._settle()
        self._shown.keys("\r")
        return self.rig.started()

    def _settle(self, quiet_secs: float = 0.03) -> None:
        """Until nothing more is shown for a while: shells drop what is typed while they draw."""
        while self._shown.read(quiet_secs):
            pass


@contextmanager
def session(shell: str, home: Path) -> Iterator[Session]:
    there = rig(shell, home)
    with terminal(START[shell], there.environ, width=250) as shown:
        yield Session(there, shown)


def rig(shell: str, home: Path, *names: str) -> ShellRig:
    (home / "bin").mkdir()
    program = home / "bin" / "monitor"
    program.write_text(
        PROGRAM.format(
            python=sys.executable, names=str(home / "names"), started=str(home / "started")
        )
    )
    program.chmod(0o755)
    (home / "script").write_text(render_script(shell, parser()))
    made = ShellRig(shell, home)
    made.know(*names)
    return made
