"""The composition root: builds every part once, runs them in one TaskGroup, and takes them down in order."""

from monitor.app.places import demo, real, user_agent
from monitor.app.running import App
from monitor.app.telling import Telling, telling_for, telling_in_demo

__all__ = ["App", "Telling", "demo", "real", "telling_for", "telling_in_demo", "user_agent"]
