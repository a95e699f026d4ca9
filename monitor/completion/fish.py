"""The script for fish, 3.0 or newer. Pure."""

from collections.abc import Iterator
from typing import Final

from monitor.completion.tree import ACCOUNT, FILE, FOLDER, WORDS, Command, Flag, Value

_SCRIPT: Final = """# fish completion for monitor: monitor completion fish > ~/.config/fish/completions/monitor.fish

# The command that the words before the cursor lead to, and how many values it has been given.
function __monitor_place
    set -l path monitor
    set -l given 0
    set -l wanted 0
    for word in (commandline -opc)[2..-1]
        if test $wanted = 1
            set wanted 0
        else if string match -q -- '-*' $word
            contains -- "$path $word" $__monitor_takers; and set wanted 1
        else if contains -- "$path $word" $__monitor_commands
            set path "$path $word"
            set given 0
        else
            set given (math $given + 1)
        end
    end
    echo $path
    echo $given
end

function __monitor_at
    set -l place (__monitor_place)
    test "$place[1]" = "$argv[1]"; and test (count $argv) = 1 -o "$place[2]" = "$argv[2]"
end

function __monitor_accounts
    set -l program (commandline -opc | string replace -r '^~/' $HOME/)[1]
    $program completion --accounts 2>/dev/null
end

set -g __monitor_commands @COMMANDS@
set -g __monitor_takers @TAKERS@

complete -c monitor -e
complete -c monitor -f
@LINES@
"""

_ASKED: Final = {
    ACCOUNT: "-a '(__monitor_accounts)'",
    FILE: "-F",
    FOLDER: "-a '(__fish_complete_directories (commandline -ct))'",
}


def render_fish(tree: Command) -> str:
    """The whole script."""
    commands = [" ".join(command.path) for command in tree.all()]
    takers = [
        " ".join((*command.path, name))
        for command in tree.all()
        for flag in command.flags
        if flag.value is not None
        for name in flag.names
    ]
    lines = "\n".join(line for command in tree.all() for line in _completions(command))
    script = _SCRIPT.replace("@COMMANDS@", " ".join(map(_quoted, commands)))
    return script.replace("@TAKERS@", " ".join(map(_quoted, takers))).replace("@LINES@", lines)


def _completions(command: Command) -> Iterator[str]:
    path = " ".join(command.path)
    for below in command.commands:
        yield _line(f'__monitor_at "{path}" 0', "-a", _quoted(below.name), _about(below.help))
    for place, value in enumerate(command.values):
        words = _words(value)
        if words:
            yield _line(f'__monitor_at "{path}" {place}', words)
    for flag in command.flags:
        yield _line(f'__monitor_at "{path}"', *_flag(flag), _about(flag.help))


def _flag(flag: Flag) -> Iterator[str]:
    for name in flag.names:
        yield f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
    if flag.value is not None:
        words = _words(flag.value)
        yield f"-r {words}" if flag.value.kind == FILE else f"-x {words}".rstrip()


def _words(value: Value) -> str:
    if value.kind == WORDS:
        return f"-a {_quoted(' '.join(value.words))}"
    return _ASKED.get(value.kind, "")


def _line(condition: str, *parts: str) -> str:
    return " ".join(["complete -c monitor -n", _quoted(condition), *filter(None, parts)])


def _about(text: str) -> str:
    return f"-d {_quoted(text)}" if text else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
