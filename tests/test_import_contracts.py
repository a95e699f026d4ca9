"""Each import contract is one that can break: a probe breaks them all in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROBES = {
    "monitor/core/probe.py": "import os",
    "monitor/system/probe.py": "import monitor.cli",
    "monitor/newroom.py": "",
    "exporters/probe.py": "import monitor.storage",
    "monitor/notify/probe.py": "\n".join(
        f"import {library}"
        for library in (
            "aiohttp",
            "apprise",
            "bcrypt",
            "blessed",
            "desktop_notifier",
            "keyring",
            "prometheus_client",
            "secretstorage",
            "shtab",
            "sqlite3",
            "tomlkit",
            "wcwidth",
            "yaml",
        )
    ),
}


def test_a_probe_breaks_each_contract(tmp_path: Path) -> None:
    for package in ("monitor", "exporters", "tools"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("node_modules")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for place, text in PROBES.items():
        (tmp_path / place).write_text(text + "\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    broken = re.findall(r"^(.+) BROKEN$", done.stdout, re.MULTILINE)
    assert sorted(broken) == sorted(contract["name"] for contract in contracts)
    assert "not listed as layers:\n\n- monitor.newroom\n" in done.stdout
