import sys

from tools.backtest.report import main

sys.exit(main())
