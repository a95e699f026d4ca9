"""With `[api] enabled = false` nobody is asked: figures come from Claude Code's own file and its status line."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from monitor.notify.queue import LONGEST_SECS
from tests.end_to_end.crowd import Crowd, crowd
from tests.end_to_end.world import MONITOR
from tests.real.bus import wait_until


def test_claude_codes_own_word_is_enough(tmp_path: Path) -> None:
    with crowd(tmp_path) as many:
        serve_without_api(many)
        kept = ("stale", 0.22)
        wait_until(lambda: shown(many).get("user-1@example.com") == kept, "the kept figures")
        assert shown(many)["user-2@example.com"] == ("waiting", None)
        line = hand_over(many, 0, 64)
        assert line == "user-0@example.com 64%\n"
        assert shown(many)["user-0@example.com"] == ("live", 0.64)
        assert many.run("guard", "--account", "user-0@example.com", "--max", "60").returncode == 4
        assert many.api.seen == []


def test_an_alert_waits_for_no_poll_that_never_comes(tmp_path: Path) -> None:
    with crowd(tmp_path) as many:
        serve_without_api(many)
        wait_until(lambda: shown(many).get("user-0@example.com") == ("stale", 0.21), "the figures")
        hand_over(many, 0, 85)
        told = [("user-0@example.com", "5h", "threshold_80")]
        wait_until(lambda: many.told() == told, "the alert", LONGEST_SECS - 2)


def serve_without_api(many: Crowd) -> None:
    """Start a monitor that asks nobody, beside what Claude Code keeps of two accounts."""
    file = many.settings
    file.write_text(file.read_text().replace("[api]\n", "[api]\nenabled = false\n"))
    for number in range(2):
        note(many, number, 21 + number)
    many.serve()
    many.wait_for_leader()


def note(many: Crowd, number: int, percent: float) -> None:
    """What Claude Code keeps beside the login: whose it is, and usage that it asked for an hour ago."""
    person = many.api.accounts[number]
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))
    cached = {
        "fetchedAtMs": int((time.time() - 3600) * 1000),
        "accountUuid": person.account_uuid,
        "utilization": {"five_hour": {"utilization": percent, "resets_at": ends}},
    }
    account = {
        "accountUuid": person.account_uuid,
        "organizationUuid": person.org_uuid,
        "emailAddress": person.email,
    }
    document = {"oauthAccount": account, "cachedUsageUtilization": cached}
    (many.home / f".claude-{number}" / ".claude.json").write_text(json.dumps(document))


def hand_over(many: Crowd, number: int, percent: float) -> str:
    """What Claude Code does after each answer, in a session of this folder."""
    limits = {"five_hour": {"used_percentage": percent, "resets_at": int(time.time()) + 7200}}
    done = subprocess.run(
        [*MONITOR, "ingest", "--format", "{name} {5h.used}"],
        env={**many.env, "CLAUDE_CONFIG_DIR": str(many.home / f".claude-{number}")},
        input=json.dumps({"session_id": "s", "rate_limits": limits}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(many: Crowd) -> dict[str, tuple[str, float | None]]:
    """Each account's status and 5h utilization."""
    document: dict[str, Any] = json.loads(many.run("status", "--json").stdout)
    return {
        account["name"]: (
            account["status"],
            next((w["utilization"] for w in account["windows"] if w["window"] == "5h"), None),
        )
        for account in document["accounts"]
    }
