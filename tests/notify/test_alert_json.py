import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.notify.channels.command import (
    alert_document,
    alert_variables,
    delivery_id,
    render_alerts,
)
from tests.builders import NOW, after
from tests.notify.receiver import delivery

CROSSED = Alert(
    AlertKind.THRESHOLD,
    "user@work.com",
    "5h",
    NOW,
    utilization=0.87,
    threshold=0.80,
    resets_at=after(hours=2, minutes=14),
    period="123",
)
LOGIN = Alert(AlertKind.LOGIN, "Zoë", "", NOW, detail="refused")


def pretty(*alerts: Alert) -> str:
    shown = alert_document(*delivery(*alerts))
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def test_one_alert_is_a_document(golden: Callable[[str, str], None]) -> None:
    golden("alert.json", pretty(CROSSED))


def test_several_alerts_are_a_document_of_the_same_shape(
    golden: Callable[[str, str], None],
) -> None:
    golden("alert_summary.json", pretty(CROSSED, LOGIN))


def test_one_alert_s_fields_are_variables() -> None:
    variables = alert_variables(*delivery(CROSSED, urgency=Urgency.CRITICAL))
    assert variables == {
        "CLAUDE_TRACKER_TITLE": "user@work.com: 5h at 87%",
        "CLAUDE_TRACKER_BODY": "Passed 80%. Resets at 14:14 (in 2h 14m).",
        "CLAUDE_TRACKER_URGENCY": "critical",
        "CLAUDE_TRACKER_COUNT": "1",
        "CLAUDE_TRACKER_KIND": "threshold",
        "CLAUDE_TRACKER_RULE": "threshold_80",
        "CLAUDE_TRACKER_ACCOUNT": "user@work.com",
        "CLAUDE_TRACKER_WINDOW": "5h",
        "CLAUDE_TRACKER_UTILIZATION": "0.87",
        "CLAUDE_TRACKER_THRESHOLD": "0.8",
        "CLAUDE_TRACKER_RESETS_AT": "2026-11-22T14:14:00Z",
        "CLAUDE_TRACKER_AT": "2026-11-22T12:00:00Z",
        "CLAUDE_TRACKER_DETAIL": "",
    }


def test_a_summary_has_the_same_variables_with_its_words() -> None:
    variables = alert_variables(*delivery(CROSSED, LOGIN))
    assert variables.keys() == alert_variables(*delivery(CROSSED)).keys()
    assert {key: value for key, value in variables.items() if value} == {
        "CLAUDE_TRACKER_TITLE": "Claude Tracker: 2 alerts",
        "CLAUDE_TRACKER_BODY": "user@work.com: 5h at 87%, resets at 14:14\nZoë: login needed",
        "CLAUDE_TRACKER_URGENCY": "normal",
        "CLAUDE_TRACKER_COUNT": "2",
        "CLAUDE_TRACKER_KIND": "summary",
    }


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40))
def test_any_name_can_be_rendered_and_be_a_variable(account: str, detail: str) -> None:
    sent = delivery(replace(LOGIN, account=account, detail=detail))
    (alert,) = json.loads(render_alerts(*sent))["alerts"]
    assert (alert["account"], alert["detail"]) == (account, detail)
    for value in alert_variables(*sent).values():
        assert b"\0" not in value.encode()


def test_instants_are_in_utc_whatever_their_zone() -> None:
    tokyo = replace(CROSSED, at=NOW.astimezone(timezone(timedelta(hours=9))))
    (said,) = alert_document(*delivery(tokyo))["alerts"]
    assert said["at"] == "2026-11-22T12:00:00Z"


def test_an_alert_keeps_its_id_within_a_period() -> None:
    again = replace(CROSSED, at=after(minutes=5), utilization=0.9, resets_at=after(hours=2))
    assert delivery_id([again]) == delivery_id([CROSSED])


@pytest.mark.parametrize(
    "other",
    [
        replace(CROSSED, account="another"),
        replace(CROSSED, window="7d"),
        replace(CROSSED, threshold=0.95),
        replace(CROSSED, period="124"),
        replace(LOGIN, at=after(minutes=1)),
        LOGIN,
    ],
)
def test_another_alert_has_another_id(other: Alert) -> None:
    assert delivery_id([other]) != delivery_id([CROSSED])
    assert delivery_id([other]) != delivery_id([replace(LOGIN, account="?")])
    assert delivery_id([other, CROSSED]) != delivery_id([other])
