"""Completion scripts for shells, drawn from the argument parser itself. Knows neither settings nor state."""

from monitor.completion.bash import render_bash
from monitor.completion.fish import render_fish
from monitor.completion.tree import tree_of
from monitor.completion.zsh import render_zsh

__all__ = ["render_bash", "render_fish", "render_zsh", "tree_of"]
