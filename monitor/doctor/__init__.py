"""The findings of `monitor doctor`: facts about this machine, judged by pure checks, fit to be pasted into a report."""
