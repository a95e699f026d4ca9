"""`monitor run`: a command in place of this process, as the account to use now or a named one.

Claude Code finds its login by its folder, so the folder is all that the command is given; a token is not.
"""

import json
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Final

from monitor import fast_path
from monitor.app.queries import Answer
from monitor.commands.next import is_enough
from monitor.commands.query_fallback import answer_locally, write_answer
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.sanitize import clean

OVERRIDES: Final = (
    "CLAUDE_SECURESTORAGE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
)
"""The variables by which Claude Code would use another login than that of its folder."""


def run(arguments: Namespace) -> int:
    """Become the command. Returns only where it is not run: 4 where the account has no room. Raises TrackerError."""
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise SettingsError("no command to run: `monitor run -- claude`")
    reply = fast_path.leader_reply(arguments)
    if reply is None:
        answer = answer_locally(arguments, is_enough)
    else:
        answer = Answer(reply[0], reply[1].decode(errors="replace"))
    if answer.code:
        return write_answer(answer)
    place = json.loads(answer.text)
    left_out = [name for name in OVERRIDES if name in os.environ]
    if left_out:
        fast_path.note(f"left out {' and '.join(left_out)}: Claude Code would use that login")
    if sys.stderr.isatty():
        fast_path.note(f"using {clean(place['account'])}")
    environ = environment(os.environ, place["config_dir"])
    for name in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and the command inherits
        signal.signal(name, signal.SIG_DFL)
    try:
        os.execvpe(words[0], words, environ)  # noqa: S606 - the user's own command, without a shell
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise TrackerError(f"cannot run {clean(words[0])!r}: {why}") from None


def environment(environ: Mapping[str, str], folder: str) -> dict[str, str]:
    """Returns the environment in which Claude Code uses the login of this folder; "" is its default one, which a
    variable that names it is not.
    """
    kept = {n: v for n, v in environ.items() if n not in (*OVERRIDES, "CLAUDE_CONFIG_DIR")}
    return {**kept, "CLAUDE_CONFIG_DIR": folder} if folder else kept
