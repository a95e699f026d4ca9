"""`monitor completion`: a shell's completion script, and the account names that the scripts ask for at each TAB."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from monitor.paths import config_path


def completion(arguments: Namespace) -> int:
    """Print the script of the shell; or, asked by a script, one account name a line."""
    if arguments.accounts:
        names = account_names(os.environ, arguments.config)
        print("\n".join(names), end="\n" if names else "")
        return 0
    if arguments.shell is None:
        arguments.whole.error("which shell? write `monitor completion bash`, `zsh` or `fish`")
    print(script(arguments.shell, arguments.whole), end="")
    return 0


def script(shell: str, parser: ArgumentParser) -> str:
    """The completion script of a shell, true to the last flag of the parser."""
    from monitor.completion import render_bash, render_fish, render_zsh, tree_of

    render = {"bash": render_bash, "zsh": render_zsh, "fish": render_fish}[shell]
    return render(tree_of(parser))


def account_names(environ: Mapping[str, str], config: str | None = None) -> list[str]:
    """The names in the settings, read with as little as possible; none where the file is wrong."""
    import tomllib

    try:
        with open(config_path(environ, config), encoding="utf-8-sig") as file:  # noqa: PTH123 - light
            accounts = tomllib.loads(file.read()).get("accounts", [])
        names = [account["name"] for account in accounts]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []
    return [name for name in names if isinstance(name, str) and name.isprintable()]
