"""A real browser for tests: headless Chromium, driven over the DevTools protocol from inside the Trio test.

In: a page to open and JavaScript to evaluate. Out: values, screenshots, and everything the browser said on
the way (`requests`, `complaints`). Without Chromium, `skip_without_chromium()` skips with a line.
"""

import base64
import itertools
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

CHROMIUM = Path("/usr/bin/chromium")
COMMAND_S = 15.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def skip_without_chromium() -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}; install chromium to test the pages")


class Page:
    """One tab. `requests` are the URLs it asked for, `complaints` the errors and warnings on its console."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}
        self._session: str | None = None

    async def open_tab(self) -> None:
        target = (await self.command("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.command(f"{domain}.enable")

    async def read(self) -> None:
        """Take what the browser sends until it is gone."""
        try:
            while True:
                message = json.loads(await self._connection.get_message())
                if "id" in message:
                    if message["id"] in self._answers:  # else: answered too late
                        self._answers.pop(message["id"]).send_nowait(message)
                else:
                    self._note(message["method"], message.get("params", {}))
        except ConnectionClosed:
            pass

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            self.requests.append(params["request"]["url"] if "request" in params else params["url"])
        elif event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} ({params['entry'].get('url', '')})")

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        send, receive = trio.open_memory_channel[dict[str, Any]](1)
        self._answers[number] = send
        session = {"sessionId": self._session} if self._session else {}
        try:
            with trio.fail_after(COMMAND_S):
                await self._connection.send_message(
                    json.dumps({"id": number, "method": method, "params": params, **session})
                )
                answer = await receive.receive()
        except trio.TooSlowError:
            raise TimeoutError(f"{method} was not answered within {COMMAND_S:g} s") from None
        finally:
            self._answers.pop(number, None)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def go(self, url: str) -> None:
        await self.command("Page.navigate", url=url)

    async def js(self, expression: str) -> Any:
        """The value of `expression` (promises are awaited). Raises RuntimeError with what it threw."""
        answer = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", expression))
        return answer["result"].get("value")

    async def until(self, expression: str, *, within_s: float = 10.0) -> Any:
        """The first truthy value of `expression`; a page that is just navigating has none."""
        value = None
        with trio.move_on_after(within_s):
            while not value:
                try:
                    value = await self.js(expression)
                except RuntimeError as error:
                    value = None
                    if "context" not in str(error) and "null" not in str(error):
                        raise
                if not value:
                    await trio.sleep(0.03)
        if not value:
            text = await self.js("document.body.innerText.slice(0, 1500)")
            raise AssertionError(f"not true within {within_s} s: {expression}\non the page:\n{text}\n{self.complaints}")
        return value

    async def press(self, key: str) -> None:
        """One key as a person presses it: "Tab", "Enter", "Escape"."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            down = text if kind == "keyDown" else {}
            await self.command(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **down
            )

    async def write(self, text: str) -> None:
        """Text as if typed into what has the focus."""
        await self.command("Input.insertText", text=text)

    async def look(self, *, width: int, height: int, scheme: str = "light") -> None:
        """Set the size of the window and the preferred colour scheme."""
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.command("Emulation.setEmulatedMedia", features=features)

    async def screenshot(self, *, whole_page: bool = False) -> bytes:
        """PNG of the window, or of the page in its whole height."""
        answer = await self.command("Page.captureScreenshot", captureBeyondViewport=whole_page)
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """A browser with one empty tab; it is gone, and its profile too, when the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        async with trio.open_nursery() as nursery:

            async def run(*, task_status: trio.TaskStatus[trio.Process]) -> None:
                quiet = subprocess.DEVNULL
                await trio.run_process(
                    command, stdout=quiet, stderr=quiet, check=False, start_new_session=True, task_status=task_status
                )

            await nursery.start(run)
            port, path = await _debugger(Path(profile))
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            try:
                connection = await wrap_client_stream(
                    nursery, stream, f"127.0.0.1:{port}", path, max_message_size=64 * 1024 * 1024
                )
                page = Page(connection)
                nursery.start_soon(page.read)
                await page.open_tab()
                yield page
                page._session = None
                await page.command("Browser.close")
            finally:
                stream.socket.close()  # not `async with`: in a cancelled scope that would swallow the test's failure
                nursery.cancel_scope.cancel()


async def _debugger(profile: Path) -> tuple[int, str]:
    """Port and path of the browser's DevTools socket, once it has written them."""
    file = trio.Path(profile) / "DevToolsActivePort"
    with trio.fail_after(30):
        while True:
            if await file.exists() and len(parts := (await file.read_text()).split()) == 2:
                return int(parts[0]), parts[1]
            await trio.sleep(0.03)
