"""The script for bash, 3.2 (of macOS) or newer. Pure.

bash splits the line at `@`, `=` and `:` too, and leaves quotes in the words; accounts are often named by e-mail
addresses. So the script splits the line itself, and quotes what it offers in the way that the user began.
"""

import shlex
from collections.abc import Iterator
from typing import Final

from monitor.completion.tree import ACCOUNT, FILE, FOLDER, WORDS, Command, Value

_SCRIPT: Final = r"""# bash completion for monitor: eval "$(monitor completion bash)" in ~/.bashrc

# Splits the line up to the cursor: words[0..count], the last one being completed; quote: the one left open;
# base: how many characters of it stand before what bash will replace.
_monitor_split() {
    local line=${COMP_LINE:0:COMP_POINT} i character plain begun=""
    count=0 quote="" base=0 words=("")
    for ((i = 0; i < ${#line}; i++)); do
        character=${line:i:1} plain=
        if [[ $quote == "'" ]]; then
            if [[ $character == "'" ]]; then quote=""; else plain=1; fi
        elif [[ $character == '\' ]]; then
            i=$((i + 1)) character=${line:i:1} plain=1
        elif [[ $quote == '"' ]]; then
            if [[ $character == '"' ]]; then quote=""; else plain=1; fi
        elif [[ $character == [\'\"] ]]; then
            quote=$character base=${#words[count]}
        elif [[ $character == [[:space:]] ]]; then
            if [[ -n $begun ]]; then count=$((count + 1)) words[count]="" base=0; fi
            begun=""
            continue
        else
            plain=1
            if [[ $character == @ && $COMP_WORDBREAKS == *@* ]] && shopt -q hostcomplete; then
                base=${#words[count]} # what follows could be a host: bash replaces the sign too
            elif [[ $COMP_WORDBREAKS == *"$character"* ]]; then
                base=$((${#words[count]} + 1))
            fi
        fi
        begun=1
        if [[ -n $plain ]]; then words[count]=${words[count]}$character; fi
    done
}

# What follows after $1, and into which command a word leads.
_monitor_knows() {
    flags="" commands="" values=()
    case $1 in
@COMMANDS@
    esac
}

# What the flag $2 of the command $1 takes: nothing, or a kind of value.
_monitor_takes() {
    takes=""
    case "$1 $2" in
@FLAGS@
    esac
}

_monitor_offer() {
    local candidate left
    while IFS= read -r candidate; do
        if [[ -n $candidate && $candidate == "$current"* ]]; then
            candidate=${candidate:base}
            case $quote in
                \') candidate=${candidate//\'/"'\''"} ;;
                \") left=${candidate//\\/\\\\} left=${left//\"/\\\"} left=${left//\$/\\\$}
                    candidate=${left//\`/\\\`} ;;
                *) printf -v candidate %q "$candidate" ;;
            esac
            COMPREPLY+=("$candidate")
        fi
    done
}

_monitor_files() {
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen "$1" -- "$current"))
}

_monitor_value() {
    case $1 in
        file) _monitor_files -f ;;
        folder) _monitor_files -d ;;
        account) _monitor_offer < <("$program" completion --accounts 2>/dev/null) ;;
        words:*) _monitor_offer < <(printf '%s\n' ${1#words:}) ;;
    esac
}

_monitor() {
    local words count quote base current program flags commands values takes i word place=0
    local path=monitor given="" wanted=""
    COMPREPLY=()
    _monitor_split
    program=${words[0]/#\~/$HOME}
    _monitor_knows "$path"
    for ((i = 1; i < count; i++)); do
        word=${words[i]}
        if [[ -n $wanted ]]; then
            wanted=""
        elif [[ $word == -* ]]; then
            _monitor_takes "$path" "$word"
            wanted=$takes
        elif [[ -n $commands && " $commands " == *" $word "* ]]; then
            path="$path $word" place=0
            _monitor_knows "$path"
        else
            place=$((place + 1))
        fi
    done
    current=${words[count]}
    if [[ -z $wanted && $current == --*=* ]]; then
        _monitor_takes "$path" "${current%%=*}"
        given=${current%%=*}= wanted=$takes
        current=${current#*=} base=$((base - ${#given}))
        if ((base < 0)); then base=0; fi
    fi
    if [[ -n $wanted ]]; then
        _monitor_value "$wanted"
    elif [[ $current == -* && -z $given ]]; then
        _monitor_offer < <(printf '%s\n' $flags)
    elif [[ -n $commands && $place == 0 ]]; then
        _monitor_offer < <(printf '%s\n' $commands)
    elif [[ -z $given ]]; then
        _monitor_value "${values[place]:-}"
    fi
}

complete -F _monitor monitor
"""


def render_bash(tree: Command) -> str:
    """The whole script."""
    commands = "\n".join(_knows(command) for command in tree.all())
    flags = "\n".join(line for command in tree.all() for line in _takes(command))
    return _SCRIPT.replace("@COMMANDS@", commands).replace("@FLAGS@", flags)


def _knows(command: Command) -> str:
    flags = " ".join(name for flag in command.flags for name in flag.names)
    names = " ".join(below.name for below in command.commands)
    values = " ".join(shlex.quote(_kind(value)) for value in command.values)
    known = f'flags="{flags}" commands="{names}" values=({values})'
    return f"        {shlex.quote(' '.join(command.path))}) {known} ;;"


def _takes(command: Command) -> Iterator[str]:
    for flag in command.flags:
        if flag.value is not None:
            patterns = "|".join(shlex.quote(" ".join((*command.path, name))) for name in flag.names)
            yield f"        {patterns}) takes={shlex.quote(_kind(flag.value))} ;;"


def _kind(value: Value) -> str:
    if value.kind == WORDS:
        return f"words:{' '.join(value.words)}"
    return value.kind if value.kind in (FILE, FOLDER, ACCOUNT) else "text"
