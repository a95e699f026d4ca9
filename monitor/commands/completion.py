"""`monitor completion`: a shell's completion script, and the account names that the scripts ask for at each TAB.

shtab makes the scripts from the grammar of the command line. Beside what it knows, account names are completed, which
may hold spaces, quotes and what bash splits words at; and values after `--flag=`.
"""

import os
import re
from argparse import Action, ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterator, Mapping
from typing import Final

from monitor.paths import config_path

_ZSH_ACCOUNTS: Final = """\
_monitor_accounts() {
    local -a names
    names=("${(@f)$(monitor completion --accounts 2>/dev/null)}")
    names=("${(@)names:#}")
    (( $#names )) && compadd "$@" -- "${(@)names}"
}"""

_ACCOUNT: Final = {
    "preamble": {"zsh": _ZSH_ACCOUNTS},
    "bash": "_monitor_accounts",
    "zsh": "_monitor_accounts",
    "fish": "(monitor completion --accounts 2>/dev/null)",
}
_ACCOUNT_OR_IMPORT: Final = {
    "preamble": {"zsh": "_monitor_history() { compadd -- import; _monitor_accounts; }"},
    "bash": "_monitor_history",
    "zsh": "_monitor_history",
    "fish": f"import {_ACCOUNT['fish']}",
}
_FISH_VALUE: Final = "(commandline -ct | string replace -r -- '^--[^=]*=' '')"
_FILE: Final = {
    "bash": "_monitor_files",
    "zsh": "_files",
    "fish": f"(__fish_complete_path {_FISH_VALUE})",
}
_FOLDER: Final = {
    "bash": "_monitor_dirs",
    "zsh": "_files -/",
    "fish": f"(__fish_complete_directories {_FISH_VALUE})",
}
_BY_METAVAR: Final = {"PATH": _FILE, "DIR": _FOLDER, "ACCOUNT": _ACCOUNT_OR_IMPORT}

# bash splits the line at `@`, `=` and `:` too, and leaves quotes in the words. So the line is split here, shtab's
# function is given whole words, and account names are quoted in the way that the user began.
_BASH: Final = r"""
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

_monitor_accounts() {
    local candidate left
    while IFS= read -r candidate; do
        [[ -n $candidate && $candidate == "$1"* ]] || continue
        candidate=${candidate:base}
        case $quote in
            \') printf '%s\n' "${candidate//\'/"'\''"}" ;;
            \") left=${candidate//\\/\\\\} left=${left//\"/\\\"} left=${left//\$/\\\$}
                printf '%s\n' "${left//\`/\\\`}" ;;
            *) printf '%q\n' "$candidate" ;;
        esac
    done < <(monitor completion --accounts 2>/dev/null)
}

_monitor_history() { compgen -W import -- "$1"; _monitor_accounts "$1"; }

_monitor_files() { compgen -f -- "$1"; }

_monitor_dirs() { compgen -d -- "$1"; }

_monitor() {
    local words count quote base word whole=()
    _monitor_split
    for word in "${words[@]:0:count}"; do
        if [[ $word == --*=* ]]; then whole+=("${word%%=*}" "${word#*=}"); else whole+=("$word"); fi
    done
    word=${words[count]}
    if [[ $word == --*=* ]]; then
        whole+=("${word%%=*}") word=${word#*=} base=$((base - ${#whole[${#whole[@]} - 1]} - 1))
        if ((base < 0)); then base=0; fi
    fi
    local COMP_WORDS=("${whole[@]}" "$word") COMP_CWORD=${#whole[@]}
    _shtab_monitor
}

complete -F _monitor monitor
"""

_NEXT_COMMAND: Final = re.compile(r"^_shtab_\w+_pos_0_nargs=A\.\.\.$", re.MULTILINE)
_VALUED_FLAG: Final = re.compile(r'^( *"--[\w-]+)(\[.*\]:)', re.MULTILINE)


def completion(arguments: Namespace) -> int:
    """Print the script of the shell; or with `--accounts`, which the scripts call, one account name a line."""
    if arguments.accounts:
        names = account_names(os.environ, arguments.config)
        print("\n".join(names), end="\n" if names else "")
        return 0
    if arguments.shell is None:
        arguments.parser.error("choose a shell: `monitor completion bash`, `zsh` or `fish`")
    from monitor.arguments import parser

    print(render_script(arguments.shell, parser()), end="")
    return 0


def render_script(shell: str, parser: ArgumentParser) -> str:
    """Make the completion script of a shell from the parser itself."""
    import shtab

    for action in _actions(parser):
        complete = _BY_METAVAR.get(str(action.metavar))
        if complete is None and action.dest in ("account", "into") and action.nargs != 0:
            complete = _ACCOUNT
        if complete is not None:
            action.complete = complete  # type: ignore[attr-defined] # the way that shtab wants it
    script = shtab.complete(parser, shell)
    if shell == "bash":  # shtab goes on to offer commands behind a word that is none
        return f"{_NEXT_COMMAND.sub('', script)}\n{_BASH}"
    if shell == "zsh":  # shtab declares no flag to take its value after `=`
        return _VALUED_FLAG.sub(r"\1=\2", script)
    return f"{script}\n"


def _actions(parser: ArgumentParser) -> Iterator[Action]:
    """Yield all arguments of the parser and of its subparsers; argparse has no public way to list them."""
    for action in parser._actions:
        yield action
        if isinstance(action, _SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)


def account_names(environ: Mapping[str, str], config: str | None = None) -> list[str]:
    """Return the account names of the settings, which are not validated; none where the file cannot be read."""
    import tomllib

    try:
        descriptor = os.open(config_path(environ, config), os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, encoding="utf-8-sig") as file:
            accounts = tomllib.loads(file.read(1 << 20)).get("accounts", [])
        names = [account["name"] for account in accounts]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []
    return [name for name in names if isinstance(name, str) and name.isprintable()]
