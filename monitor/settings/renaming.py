"""An account's new name in what the settings say of its alerts: exceptions and rules know accounts by name."""

from dataclasses import replace

from monitor.core.alerts.rules import Rule
from monitor.settings import edit
from monitor.settings.model import Settings


def renamed_in_rules(settings: Settings, text: str, old: str, new: str) -> tuple[Settings, str]:
    """The settings and their text with the new name in every rule; the account's own table is not touched."""
    rules = {kind: _renamed(rule, old, new) for kind, rule in settings.notifications.rules.items()}
    for kind, rule in settings.notifications.rules.items():
        for place, name in enumerate(rule.accounts or ()):
            if name == old != new:
                item = ("notifications", "rules", str(kind), "accounts", place)
                text = edit.with_item(text, item, new)
    overrides = {new if name == old else name: o for name, o in settings.overrides.items()}
    notifications = replace(settings.notifications, rules=rules)
    return replace(settings, notifications=notifications, overrides=overrides), text


def _renamed(rule: Rule, old: str, new: str) -> Rule:
    if rule.accounts is None:
        return rule
    return replace(rule, accounts=tuple(new if name == old else name for name in rule.accounts))
