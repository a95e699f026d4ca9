"""The verbs of the command line, each a function that returns an exit code; `cli` knows the file of each."""
