"""Claude Tracker: the usage of several Claude accounts in one table, one scrape target and one stream of alerts."""

__version__ = "0.1.0"
