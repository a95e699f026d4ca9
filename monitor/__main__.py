"""`python -m monitor` is the command `monitor`."""

import sys

try:
    from monitor.cli import main

    code = main()
except KeyboardInterrupt:  # it came before there was anybody to take it
    code = 130
sys.exit(code)
