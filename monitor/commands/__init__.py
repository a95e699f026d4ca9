"""One file per verb of the command line; each returns an exit code."""
