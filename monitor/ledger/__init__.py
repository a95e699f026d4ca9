"""The alert ledger: what was decided, what is being told and what was told, in one SQLite file of the state folder.

A decision and the memory that led to it are one transaction, so that a process which dies at any instant has
either not decided yet (and will, at the next sample) or has the alert written down (and will tell it).
Holds no secret. Calls take some milliseconds at most and are made from the loop's thread.
"""

from monitor.ledger.book import Ledger
from monitor.ledger.database import LedgerError
from monitor.ledger.entry import Entry, Stage
from monitor.ledger.reading import LedgerView

__all__ = ["Entry", "Ledger", "LedgerError", "LedgerView", "Stage"]
