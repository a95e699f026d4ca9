"""A real Chromium without a screen, driven by its own DevTools protocol (https://chromedevtools.github.io)."""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

from tests.real.need import need


@dataclass
class Tab:
    """One page. `problems` are what its console has said of errors and refusals, so far."""

    socket: ClientWebSocketResponse
    problems: list[str] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result; events that come before it are looked at."""
        number = next(self._numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(30):
            while True:
                message = await self.socket.receive_json()
                if message.get("id") == number:
                    assert "error" not in message, message
                    result: dict[str, Any] = message["result"]
                    return result
                self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message["method"] in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.problems.append(json.dumps(message["params"]))

    async def evaluate(self, expression: str) -> Any:
        result = await self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str, seconds: float = 15) -> Any:
        """The first value of the expression that is true; a page that is being left has none."""
        async with asyncio.timeout(seconds):
            while not (found := await self.evaluate(expression)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return found

    async def open(self, url: str) -> None:
        await self.command("Page.navigate", url=url)
        await self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    async def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        await self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])

    async def accessible_names(self, role: str) -> list[str]:
        """What a screen reader calls the elements of this role."""
        nodes = (await self.command("Accessibility.getFullAXTree"))["nodes"]
        return [
            str(node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and node.get("role", {}).get("value") == role
        ]


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Tab]:
    """One tab of a browser whose profile is in this folder."""
    need("chromium")
    profile = folder / "chromium"
    process = await asyncio.create_subprocess_exec(
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
        f"--user-data-dir={profile}", "about:blank",
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = await answer.json()
            (url,) = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
            async with session.ws_connect(url, max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Log", "Accessibility", "Network"):
                    await tab.command(f"{domain}.enable")
                yield tab
    finally:
        process.kill()
        await process.wait()


async def _port(path: Path) -> int:
    async with asyncio.timeout(30):
        while not (path.exists() and (text := path.read_text())):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return int(text.splitlines()[0])
