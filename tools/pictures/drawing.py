"""Draws a dashboard in headless Chromium with Grafana's own components, and collects the problems it reports."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tools.pictures.backfill import END

RENDERER = Path(__file__).parent / "renderer"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "claude-tracker-pictures"
SOURCES = ("package.json", "package-lock.json", ".npmrc", "empty.cjs", "index.html", "main.jsx")
WIDTH = 1600
CELL, HEADER = 38, 68
"""The height of a grid row, and of what is above the first; main.jsx has the same."""


@dataclass
class Picture:
    file: str
    panels: int
    problems: list[dict[str, str]] = field(default_factory=list)


def bundle() -> Path:
    """The folder of the page, built where its sources or the lock file have changed since the last time."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((RENDERER / name).read_bytes())
    built = CACHE / f"page-{digest.hexdigest()[:16]}"
    if (built / "bundle.js").exists():
        return built
    packages = _packages()
    target = Path(tempfile.mkdtemp(dir=CACHE))
    for name in ("main.jsx", "empty.cjs"):
        shutil.copy(RENDERER / name, packages)
    stubs = [f"--alias:{name}=./empty.cjs" for name in ("stream", "util", "tty")]
    _run(
        [
            "node_modules/.bin/esbuild", "main.jsx", "--bundle", f"--outfile={target / 'bundle.js'}",
            "--format=iife", "--minify", "--log-level=warning", '--define:process.env.NODE_ENV="production"',
            "--loader:.svg=text", "--loader:.ttf=empty", "--main-fields=browser,module,main", *stubs,
        ],
        packages,
    )  # fmt: skip
    shutil.copy(RENDERER / "index.html", target)
    target.rename(built)
    return built


def _packages() -> Path:
    """A folder with the packages of the lock file in its node_modules."""
    lock = hashlib.sha256((RENDERER / "package-lock.json").read_bytes()).hexdigest()[:16]
    installed = CACHE / f"packages-{lock}"
    if not installed.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=CACHE))
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(RENDERER / name, work)
        _run(["npm", "ci", "--loglevel=error"], work)
        work.rename(installed)
    return installed


def draw(dashboard: Path, prometheus: str, theme: str, account: str, target: Path) -> Picture:
    """Draw one dashboard; `account` is the one that is chosen where the dashboard shows a single one."""
    board = json.loads(dashboard.read_text(encoding="utf-8"))
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    with _serve(bundle(), dashboard) as (url, reports):
        parameters = {
            "dashboard": "dashboard.json",
            "prometheus": prometheus,
            "theme": theme,
            "width": WIDTH,
            "now": int(END.timestamp()),
            "variables": json.dumps(_variables(board, account)),
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        _screenshot(f"{url}index.html?{urllib.parse.urlencode(parameters)}", rows, target)
    picture = Picture(str(target), len(board["panels"]))
    picture.problems = (
        reports[0]["problems"]
        if reports
        else [{"panel": "", "problem": "the page reported nothing"}]
    )
    return picture


def _variables(board: dict[str, Any], account: str) -> dict[str, str]:
    values = {
        v["name"]: ".+" if v.get("includeAll") else account for v in board["templating"]["list"]
    }
    return {**values, "datasource": "prometheus"}


def _screenshot(url: str, rows: int, target: Path) -> None:
    with tempfile.TemporaryDirectory() as profile:
        _run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--hide-scrollbars",
                f"--user-data-dir={profile}", f"--window-size={WIDTH},{rows * CELL + HEADER}",
                "--virtual-time-budget=20000", f"--screenshot={target.absolute()}", url,
            ],
            target.parent,
        )  # fmt: skip


@contextmanager
def _serve(folder: Path, dashboard: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The page and the dashboard on loopback; yields the address, and the list that what the page reports goes to."""
    reports: list[dict[str, Any]] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/dashboard.json":
                super().do_GET()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(dashboard.read_bytes())

        def do_POST(self) -> None:
            reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", reports
        finally:
            server.shutdown()
            thread.join()


def _run(argv: list[str], folder: Path) -> None:
    done = subprocess.run(
        ["nice", "-n", "10", *argv], cwd=folder, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise RuntimeError(f"{Path(argv[0]).name} failed: {(done.stderr or done.stdout)[-2000:]}")
