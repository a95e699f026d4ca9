"""Sends alerts: collects what belongs together, tries channels until one works, and writes the result of each."""
