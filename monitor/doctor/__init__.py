"""What `monitor doctor` finds out: facts about this machine, judged by pure checks, fit to be pasted into a report."""

from monitor.doctor.check import Check, Outcome
from monitor.doctor.examine import World, examine
from monitor.doctor.failing import Failed, failures_of
from monitor.doctor.report import exit_code, render_document, render_text
from monitor.doctor.screen import screen_facts

__all__ = [
    "Check",
    "Failed",
    "Outcome",
    "World",
    "examine",
    "exit_code",
    "failures_of",
    "render_document",
    "render_text",
    "screen_facts",
]
