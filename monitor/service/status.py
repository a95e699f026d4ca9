"""How a service stands, in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What the supervisor knows of the service; `detail` is its own word for what it does, `logs` where to look."""

    is_installed: bool
    is_enabled: bool
    is_running: bool
    detail: str = ""
    logs: str = ""

    def words(self) -> str:
        """One line."""
        if not self.is_installed and not self.is_running:
            return "the service is not installed: run `monitor service install`"
        parts = [
            "installed" if self.is_installed else "not installed",
            "enabled" if self.is_enabled else "not enabled",
            "running" if self.is_running else f"not running ({self.detail or 'unknown'})",
        ]
        return f"the service is {', '.join(parts)}" + self._advice()

    def _advice(self) -> str:
        return "" if self.is_running else f"; see {self.logs}, or run `monitor service install`"
