"""A shell over ssh, which was told of no session bus: the keyring and the desktop of the user's session are found."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.world import MONITOR
from tests.real.secret_service import secret_service


@pytest.mark.parametrize(("has_bus", "outcome"), [(True, "ok"), (False, "warn")])
def test_the_keyring_of_the_session_is_found(tmp_path: Path, has_bus: bool, outcome: str) -> None:
    with secret_service(tmp_path) as (bus, env):
        address = env.pop("DBUS_SESSION_BUS_ADDRESS")
        if has_bus:
            socket = Path(address.removeprefix("unix:path=").partition(",")[0])
            (Path(env["XDG_RUNTIME_DIR"]) / "bus").symlink_to(socket)
        env["SSH_CONNECTION"] = "192.0.2.1 1 192.0.2.2 22"
        done = subprocess.run(
            [*MONITOR, "doctor", "--json"], env=env, capture_output=True, text=True, timeout=60
        )
        checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
        assert checks["keyring"]["outcome"] == outcome, checks["keyring"]
        assert bus.owns("org.freedesktop.secrets")
