"""The text of the systemd user unit. Pure.

What it forbids works in every user session. What would give the service a file system of its own (ProtectSystem=,
ProtectHome=, PrivateTmp=) needs user namespaces, which some systems deny, and would break what the service starts:
a `token_command` such as `pass`, whose gpg writes its locks in the home folder, or an alert command of the user's.
"""

import re
from collections.abc import Sequence
from typing import Final

from monitor.service.command import Start
from monitor.service.file import note

WATCHDOG_SECS: Final = 60

_UNIT: Final = """\
# {note}
# Edit it, or better add to it: systemctl --user edit claude-tracker

[Unit]
Description=Claude Tracker: watches the limits of Claude accounts

[Service]
Type=notify
{environment}ExecStart={command}
ExecReload=kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
# a wrong setting: waits for a person
RestartPreventExitStatus=2
WatchdogSec={watchdog}
TimeoutStopSec=10
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


def render_unit(start: Start) -> str:
    """A unit that keeps the program running for as long as the user's session lasts."""
    return _UNIT.format(
        note=note(),
        command=_command(start.argv),
        environment="".join(
            f"Environment={_quoted(f'{name}={value}')}\n" for name, value in start.variables.items()
        ),
        watchdog=WATCHDOG_SECS,
    )


def _command(argv: Sequence[str]) -> str:
    """systemd takes a program's path literally, and none with a quote or a backslash in it."""
    program, *words = argv
    if re.search(r"[\\\"'\x00-\x1f\x7f]", program):
        program, words = "/usr/bin/env", [*argv]
    return " ".join([_quoted(program), *(_quoted(word.replace("$", "$$")) for word in words)])


def _quoted(word: str) -> str:
    """One word of a unit file: systemd.syntax(7) for quotes, systemd.unit(5) for the percent sign."""
    escaped = re.sub(r'[\\"]', r"\\\g<0>", word.replace("%", "%%"))
    escaped = re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", escaped)
    return escaped if re.fullmatch(r"[\w/.@:+,=%$-]+", escaped, re.ASCII) else f'"{escaped}"'
