"""The script for zsh, which its completion system loads from a file or a shell sources. Pure."""

import re
from typing import Final

from monitor.completion.tree import ACCOUNT, FILE, FOLDER, WORDS, Command, Flag, Value

_SCRIPT: Final = """#compdef monitor
# zsh completion for monitor: eval "$(monitor completion zsh)" after compinit, or saved as _monitor in $fpath

_monitor_account_names() {
    local -a names
    names=("${(@f)$(${(Q)~program} completion --accounts 2>/dev/null)}")
    names=("${(@)names:#}")
    (( $#names )) && compadd "$@" -- "${(@)names}"
}

@FUNCTIONS@
_monitor() {
    local program=$words[1]
    _monitor__ "$@"
}

if [[ $funcstack[1] == _monitor ]]; then
    _monitor "$@"
else
    compdef _monitor monitor
fi
"""


def render_zsh(tree: Command) -> str:
    """The whole script."""
    functions = "\n".join(_function(command) for command in tree.all())
    return _SCRIPT.replace("@FUNCTIONS@", functions)


def _function(command: Command) -> str:
    specs = [_flag(flag, name) for flag in command.flags for name in flag.names]
    specs += [
        _quoted(f"{place}:{_plain(value.name)}:{_action(value)}")
        for place, value in enumerate(command.values, 1)
    ]
    if not command.commands:
        return f"{_name(command)}() {{\n    _arguments{_lines(specs)}\n}}\n"
    specs += ["'1: :->command'", "'*:: :->rest'"]
    names = [_quoted(f"{_plain(below.name)}:{below.help}") for below in command.commands]
    return (
        f"{_name(command)}() {{\n"
        "    local curcontext=$curcontext state line\n"
        "    local -a commands\n"
        "    typeset -A opt_args\n"
        f"    commands=({_lines(names)})\n"
        f"    _arguments -C{_lines(specs)}\n"
        "    case $state in\n"
        "        command) _describe -t commands command commands ;;\n"
        "        rest)\n"
        "            case $line[1] in\n"
        + "".join(
            f"                {below.name}) {_name(below)} ;;\n" for below in command.commands
        )
        + "            esac ;;\n    esac\n}\n"
    )


def _name(command: Command) -> str:
    return "_monitor__" + "__".join(command.path[1:])


def _flag(flag: Flag, name: str) -> str:
    """One name of a flag; the others are not offered beside it, nor is it a second time."""
    others = "" if len(flag.names) == 1 else f"({' '.join(flag.names)})"
    text = f"[{_plain(flag.help)}]"
    if flag.value is None:
        return _quoted(f"{others}{name}{text}")
    equals = "=" if name.startswith("--") else ""
    value = f":{_plain(flag.value.name)}:{_action(flag.value)}"
    return _quoted(f"{others}{name}{equals}{text}{value}")


def _action(value: Value) -> str:
    if value.kind == WORDS:
        return f"({' '.join(value.words)})"
    return {FILE: "_files", FOLDER: "_files -/", ACCOUNT: "_monitor_account_names"}.get(
        value.kind, " "
    )


def _plain(text: str) -> str:
    """Without a meaning of its own in a specification."""
    return re.sub(r"[\\\[\]:]", r"\\\g<0>", text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _lines(words: list[str]) -> str:
    return "".join(f" \\\n        {word}" for word in words)
