"""The program as a service of the user: a systemd user unit, or a launchd agent. It refuses every other system."""

from monitor.service.command import Start, start_of
from monitor.service.detect import Supervisor, supervisor_for
from monitor.service.status import Standing

__all__ = ["Standing", "Start", "Supervisor", "start_of", "supervisor_for"]
