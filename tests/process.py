"""The real platform as a child process on a folder of its own, with the eyes and hands a test needs.

Nothing here sleeps to wait: `until` follows the platform's own websocket, exits are awaited.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import trio

from gcc.cli.client import Running
from gcc.cli.live import messages
from gcc.sources.instagram_web.providers import PROVIDERS
from gcc.web.ops.registry import REGISTRY
from tests.certificates import PLAIN

CONFIG = Path(__file__).parents[1] / "config" / "embedded.toml"
ANY_PORTS = ("ops.port=0", "gateway.port=0", "world.port=0")
# A test that makes the official APIs fail or wait means them: one that means the scrapers switches them on again.
OFFICIAL_ONLY = tuple(f"sources.{name}.enabled=false" for name in PROVIDERS)
# One on servers may have no tenants' receivers on this machine; one that means them switches them on again.
NO_RECEIVERS_HERE = "webhooks.allow_private=false"
# One that asks as fast as it is answered means the platform, not the rate that people may ask at.
UNRATED = tuple(f"limits.classes.{name}=10000000" for name in ("open", "read", "scrape"))
READY_S = 90.0
UNTIL_S = 240.0
TOKEN = {"Authorization": "Bearer gcc-dev"}
Status = dict[str, Any]


def command(verb: str, data: Path, *words: str, settings: tuple[str, ...] = ()) -> list[str]:
    overrides = [
        word for setting in (*ANY_PORTS, *OFFICIAL_ONLY, NO_RECEIVERS_HERE, *settings) for word in ("--set", setting)
    ]
    python = [sys.executable, "-m", "gcc.supervisor", verb, *words]
    return [*python, "--config", str(CONFIG), "--data", str(data), *overrides]


class PlatformProcess:
    def __init__(self, process: trio.Process, running: Running, log: Path) -> None:
        self.process = process
        self.running = running
        self.log = log
        self.client = httpx.AsyncClient(headers=TOKEN, timeout=30, trust_env=False, verify=PLAIN)
        self.urls: dict[str, str] = {}

    async def status(self) -> Status:
        answer = await self.client.get(self.running.url + "/api/status", headers=self.running.headers)
        return dict(answer.json())

    async def until(self, condition: Callable[[Status], Awaitable[Any]], what: str) -> Any:
        """The first truthy answer of `condition`, asked again at every status message."""
        with trio.move_on_after(UNTIL_S):
            async with messages(self.running) as live:
                async for status in live:
                    if answer := await condition(status):
                        return answer
        raise AssertionError(f"{what} did not come; log:\n{self.log.read_text()[-4000:]}")

    async def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        if not self.urls:
            self.urls = (await self.status())["urls"]
        return await self.client.request(method, self.urls["gateway"] + path, **more)

    async def world(self, path: str, **more: Any) -> Any:
        if not self.urls:
            self.urls = (await self.status())["urls"]
        answer = await self.client.request("POST" if more else "GET", self.urls["world"] + path, **more)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(number)
        with trio.fail_after(60):
            return await self.process.wait()


@dataclass(frozen=True)
class Launch:
    """A process that may not be ready yet, nor ever."""

    process: trio.Process
    data: Path
    log: Path
    clients: AsyncExitStack

    async def ready(self) -> PlatformProcess:
        """The platform, once it has said that it is ready."""
        assert self.process.stdout is not None
        line = b""
        with trio.move_on_after(READY_S):
            while not line.endswith(b"\n") and (more := await self.process.stdout.receive_some()):
                line += more
        assert line.startswith(b"ready "), f"no ready line but {line!r}; log:\n{self.log.read_text()[-4000:]}"
        url, _, token = line.decode().split()[1].partition("/?token=")
        return await self._running(Running(url, token))

    async def _running(self, running: Running) -> PlatformProcess:
        started = PlatformProcess(self.process, running, self.log)
        await self.clients.enter_async_context(started.client)
        return started

    async def reachable(self) -> PlatformProcess:
        """The platform, once its ops port is open."""
        with trio.fail_after(READY_S):
            while not (registry := self.data / REGISTRY).exists():
                assert self.process.returncode is None, self.log.read_text()
                await trio.sleep(0.02)  # a file appears, and nobody tells
        found = json.loads(registry.read_text())
        return await self._running(Running(found["url"], found["token"]))

    async def ended(self) -> tuple[int, str]:
        """(exit code, what it wrote to stderr) of one that ends by itself."""
        with trio.fail_after(READY_S):
            return await self.process.wait(), self.log.read_text()


@asynccontextmanager
async def launched(
    data: Path,
    *settings: str,
    environ: Mapping[str, str] = MappingProxyType({}),
    log: Path | None = None,
    streams: str = "",
) -> AsyncIterator[Launch]:
    """A platform on `data` that has just been started; killed at the end if it still runs.

    `streams`: redirections as a shell has them, such as ">&-".
    """
    data.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a moment
    log = log or data / "test.log"
    with log.open("ab") as stderr:
        process = await trio.lowlevel.open_process(
            ["sh", "-c", f'exec "$@" {streams}', "sh", *command("run", data, settings=settings)],
            stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, **environ},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        async with AsyncExitStack() as clients:
            yield Launch(process, data, log, clients)
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True), trio.move_on_after(30):
            await process.wait()
        await process.stdout.aclose()


@asynccontextmanager
async def platform(data: Path, *settings: str) -> AsyncIterator[PlatformProcess]:
    """A platform on `data` that is ready; killed at the end if it still runs."""
    async with launched(data, *settings) as launch:
        yield await launch.ready()


async def verb(name: str, data: Path, *words: str, settings: tuple[str, ...] = ()) -> tuple[int, Any, str]:
    """(exit code, the JSON on the last line of stdout, stderr) of one verb."""
    with trio.fail_after(120):
        done = await trio.run_process(
            command(name, data, *words, "--json", settings=settings), capture_stdout=True, capture_stderr=True,
            check=False,
        )  # fmt: skip
    lines = done.stdout.decode().strip().splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else None, done.stderr.decode()
