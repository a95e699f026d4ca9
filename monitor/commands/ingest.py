"""`monitor ingest`: hands the figures that Claude Code tells its status line over to the running monitor."""

from argparse import Namespace

from monitor import fast_path


def ingest(arguments: Namespace) -> int:
    """Read standard input and hand it over; with a format, print the account's line for Claude Code to show."""
    return fast_path.ingested(vars(arguments))
