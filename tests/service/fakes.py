"""Stand-ins for `systemctl` and `launchctl`: programs on a PATH of their own that record calls and keep state."""

import os
import sys
from pathlib import Path

from monitor.service import Start

ODD = Start(
    ("/opt/odd % $HOME/monitor", "serve", "--config", '/home/u/a b/$x %h "q" \\ \n\té.toml'),
    {"CLAUDE_CONFIG_DIR": '/home/u/%h $x "q" \\ \né'},
)

SYSTEMCTL = r"""
echo "$*" >> "$STAND_IN/calls"
[ -e "$STAND_IN/no-bus" ] && { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
[ "$1" = --user ] || exit 64
folder="${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user"
link="$folder/default.target.wants/claude-tracker.service"
case "$2" in
    show)
        [ "$3" = --property=Version ] && { echo "Version=252"; exit 0; }
        echo "ExecMainStatus=$(cat "$STAND_IN/status" 2>/dev/null)" ;;
    daemon-reload) [ -e "$folder/claude-tracker.service" ] && touch "$STAND_IN/known" || rm -f "$STAND_IN/known" ;;
    enable)
        [ -e "$STAND_IN/known" ] || { echo "Unit claude-tracker.service does not exist" >&2; exit 1; }
        mkdir -p "${link%/*}"; ln -sf "$folder/claude-tracker.service" "$link" ;;
    restart)
        [ -e "$STAND_IN/no-namespaces" ] && grep -q PrivateUsers "$folder/claude-tracker.service" &&
            { echo 217 > "$STAND_IN/status"; echo "Job for claude-tracker.service failed." >&2; exit 1; }
        [ -e "$STAND_IN/broken" ] && { echo "Job for claude-tracker.service failed." >&2; exit 1; }
        touch "$STAND_IN/running" ;;
    disable)
        [ -e "$folder/claude-tracker.service" ] || { echo "Unit does not exist" >&2; exit 1; }
        rm -f "$link" "$STAND_IN/running" ;;
    is-enabled) [ -e "$link" ] && echo enabled || { echo disabled; exit 1; } ;;
    is-active) [ -e "$STAND_IN/running" ] && echo active || { echo inactive; exit 3; } ;;
    reset-failed) ;;
    *) exit 64 ;;
esac
"""

LAUNCHCTL = r"""
echo "$*" >> "$STAND_IN/calls"
case "$1" in
    print)
        [ -e "$STAND_IN/leaving" ] && { rm "$STAND_IN/leaving"; echo "	state = exiting"; exit 0; }
        [ -e "$STAND_IN/loaded" ] || { echo "Could not find service" >&2; exit 113; }
        printf 'gui/501/claude-tracker = {\n\tactive count = 1\n\tstate = %s\n}\n' "$(cat "$STAND_IN/loaded")" ;;
    enable) ;;
    bootstrap)
        [ -e "$STAND_IN/no-session" ] && { echo "Bootstrap failed: 125: Domain does not support" >&2; exit 125; }
        [ -e "$STAND_IN/leaving" ] || [ -e "$STAND_IN/loaded" ] && { echo "5: Input/output error" >&2; exit 5; }
        [ -e "$3" ] || exit 78
        echo running > "$STAND_IN/loaded" ;;
    bootout) rm -f "$STAND_IN/loaded"; touch "$STAND_IN/leaving"; exit 36 ;;
    *) exit 64 ;;
esac
"""


class StandIn:
    """One such program for a user with a home folder of their own."""

    def __init__(self, folder: Path, name: str, script: str) -> None:
        self.home = folder / "home"
        self._folder = folder / "stand-in"
        programs = folder / "bin"
        for made in (self.home, self._folder, programs):
            made.mkdir()
        program = programs / name
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
        self.environ = {
            "HOME": str(self.home),
            "PATH": f"{programs}:{os.path.dirname(sys.executable)}:/usr/bin:/bin",  # noqa: PTH120
            "STAND_IN": str(self._folder),
        }

    def note(self, name: str, text: str = "") -> None:
        """Leave word for the stand-in of how things are."""
        (self._folder / name).write_text(text)

    def forget(self, name: str) -> None:
        (self._folder / name).unlink()

    def has(self, name: str) -> bool:
        return (self._folder / name).exists()

    def calls(self) -> list[str]:
        """What it was called with since this was asked last."""
        file = self._folder / "calls"
        made = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return made

    def files(self) -> set[str]:
        """Every file and link that is in the home folder, and every folder."""
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*")}
