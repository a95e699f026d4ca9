"""Whatever a user does to the accounts, and however many settings files name one: its requests count on."""

import json
import re
from pathlib import Path
from urllib.request import urlopen

from monitor.demo.server import SimulatedAccount, rate_limited
from monitor.ipc.client import ask
from monitor.paths import instance_key, runtime_folder, socket_path
from tests.end_to_end.crowd import INTERVAL_SECS, Crowd, crowd
from tests.end_to_end.world import free_port
from tests.real.bus import wait_until

REFRESH = {"type": "Refresh"}


def test_two_settings_files_that_name_one_account_share_its_requests(tmp_path: Path) -> None:
    with crowd(tmp_path, accounts=1) as many:
        (account,) = many.api.accounts
        port = free_port()
        other = tmp_path / "other.toml"
        text = many.settings.read_text().replace(f"secs = {INTERVAL_SECS}", "secs = 180")
        many.settings.write_text(text)
        other.write_text(text.replace(f":{many.port}", f":{port}"))
        many.serve()
        wait_until(lambda: asked(many, account) == 1, "the first poll")
        many.serve(log="other.log", MONITOR_CONFIG=str(other))
        wait_until(lambda: asked(many, account) == 2, "the other one's poll", 25)
        key = instance_key(many.env, str(other))
        socket = socket_path(runtime_folder(many.env), key)
        assert "1 waits" in ordered(socket, REFRESH), "right after a poll"
        ports = many.port, port
        wait_until(lambda: {counted(port) for port in ports} == {2}, "the same count of both", 15)


def test_an_account_that_is_removed_and_added_again_waits_on_for_the_server(tmp_path: Path) -> None:
    with crowd(tmp_path, accounts=1) as many:
        (account,) = many.api.accounts
        account.fault = lambda _: rate_limited("3600")
        many.serve()
        many.wait_for_leader()
        wait_until(lambda: failure(many) == "rate_limited", "the 429")
        account.fault = lambda _: None
        sent = asked(many, account)
        ordered(many.socket, {"type": "RemoveAccount", "name": account.email})
        ordered(many.socket, {"type": "ImportLogins"})
        wait_until(lambda: counted(many.port) == sent, "the count of before", 15)
        assert "1 waits" in ordered(many.socket, REFRESH)
        assert asked(many, account) == sent


def ordered(socket: str, order: dict[str, str]) -> str:
    """What the monitor that runs has to say of it."""
    answer = ask(socket, order, limit_secs=10)
    assert answer is not None
    code, text = answer
    assert code == 0, text
    return text.decode()


def asked(many: Crowd, account: SimulatedAccount) -> int:
    return len(many.api.requests_of(account.email))


def counted(port: int) -> int | None:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            page = answer.read().decode()
    except OSError:
        return None
    found = re.search(r"^claude_usage_requests_last_hour\{.*\} (\d+)", page, re.MULTILINE)
    return int(found[1]) if found else None


def failure(many: Crowd) -> str | None:
    (account,) = json.loads(many.run("status", "--json").stdout)["accounts"]
    return account["failure"] and str(account["failure"]["reason"])
