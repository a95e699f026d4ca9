"""The alert ledger: what was decided, what is being told and what was told, in one SQLite file of the state folder.

A decision and the memory that led to it are one transaction, so that a process which dies at any instant has
either not decided yet (and will, at the next sample) or has the alert written down (and will tell it).
Holds no secret. Calls take some milliseconds at most and are made from the loop's thread.
"""

from monitor.storage.delivery import Stage, StoredAlert
from monitor.storage.delivery_log import DeliveryLog
from monitor.storage.delivery_schema import StorageError
from monitor.storage.delivery_view import LedgerView

__all__ = ["DeliveryLog", "LedgerView", "Stage", "StorageError", "StoredAlert"]
