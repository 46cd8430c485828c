"""How fast the API answers on the running system: `python -m bench.api`. What an answer costs: bench/gateway.py.

Starts the platform as a user does, on a folder of its own, and waits until the first crawl is served. Then it is asked
from one connection: idle, while PACED_PER_S profiles a second are crawled again, and while eight callers force
refreshes as fast as they are answered (saturated: the process has no idle time left). Prints p50 and p99 in
milliseconds, the CPU of the platform per request while idle, and the process's resident memory.
"""

import argparse
import datetime as dt
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import trio

from bench.proc import cpu_s, rss_mb
from tests.process import UNRATED, PlatformProcess, Status, platform

PROFILES = "/discovery-service/api/profile"
LEADERBOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
PACED_PER_S = 10
JSON = {"content-type": "application/json"}
Request = tuple[str, str, str]
"""Method, path, body."""


def requests(handles: list[str]) -> dict[str, list[Request]]:
    """Of each case, for `handles` of Instagram."""
    today = dt.datetime.now(dt.UTC).date()
    span = f"from={today - dt.timedelta(days=90)}&to={today}"
    profiles = [f"{PROFILES}/INSTAGRAM/{handle}" for handle in handles]
    return {
        "profile": [("GET", path, "") for path in profiles],
        "series": [("GET", f"{path}/timeseries?metric=followers&{span}", "") for path in profiles],
        "series_clickhouse": [("GET", f"{path}/timeseries?metric=avg_likes&{span}", "") for path in profiles],
        "leaderboard": [("POST", LEADERBOARD, '{"metric": "followers", "limit": 50}')],
    }


async def timed(ask: Callable[[int], Awaitable[Any]], count: int) -> dict[str, float]:
    """Milliseconds: p50 and p99 of `count` requests, one after the other."""
    took = []
    for number in range(count):
        began = time.perf_counter()
        answer = await ask(number)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    took.sort()
    return {"p50_ms": round(statistics.median(took), 2), "p99_ms": round(took[int(len(took) * 0.99) - 1], 2)}


async def first_crawl_served(running: PlatformProcess) -> None:
    async def there(status: Status) -> bool:
        page = await running.api("POST", "/leaderboard-service/api/leaderboard/platform/YOUTUBE", json={"limit": 1})
        return bool(page.json().get("data"))

    await running.until(there, "the leaderboard")


async def bench(count: int, creators: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        async with platform(data, f"world.creators={creators}", *UNRATED) as running:
            await first_crawl_served(running)
            rows = (await running.world(f"/truth/INSTAGRAM?limit={creators}"))["data"]
            handles = [row["handle"] for row in rows]
            return await ours(running, handles, requests(handles), count)


async def ours(
    running: PlatformProcess, handles: list[str], asked: dict[str, list[Request]], count: int
) -> dict[str, dict[str, float] | float]:
    """Idle, crawling, saturated; stops the platform."""

    def asking(case: str) -> Callable[[int], Awaitable[httpx.Response]]:
        async def ask(number: int) -> httpx.Response:
            method, path, body = asked[case][number % len(asked[case])]
            return await running.api(method, path, content=body, headers=JSON)

        return ask

    cases = {case: asking(case) for case in asked}
    result: dict[str, dict[str, float] | float] = {}
    pid = running.process.pid
    for name, ask in cases.items():
        await timed(ask, 50)
        before = cpu_s(pid)
        figures = await timed(ask, count)
        result[f"{name} idle"] = {**figures, "cpu_ms": round((cpu_s(pid) - before) * 1000 / count, 2)}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crawl_paced, running, handles)
        for name, ask in cases.items():
            result[f"{name} crawling"] = await timed(ask, count // 2)
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        for worker in range(8):
            nursery.start_soon(crawl_again, running, handles[worker::8])
        for name, ask in cases.items():
            result[f"{name} saturated"] = await timed(ask, count // 4)
        nursery.cancel_scope.cancel()
    result["rss_mb"] = round(rss_mb(pid))
    await running.stop()
    return result


async def crawl_again(running: PlatformProcess, handles: list[str]) -> None:
    """Force refreshes, one after the other, until cancelled or the platform is gone."""
    with suppress(httpx.TransportError):
        while True:
            for handle in handles:
                await running.api("GET", f"{PROFILES}/INSTAGRAM/{handle}?force_refresh=true")


async def crawl_paced(running: PlatformProcess, handles: list[str]) -> None:
    """Force PACED_PER_S refreshes a second until cancelled."""
    async with trio.open_nursery() as nursery:
        for handle in itertools.cycle(handles):
            nursery.start_soon(running.api, "GET", f"{PROFILES}/INSTAGRAM/{handle}?force_refresh=true")
            await trio.sleep(1 / PACED_PER_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="requests of each case")
    parser.add_argument("--creators", type=int, default=1000, help="creators per platform")
    arguments = parser.parse_args()
    result = trio.run(bench, arguments.count, arguments.creators)
    for name, figures in result.items():
        if isinstance(figures, dict):
            print(f"{name:<28}" + "  ".join(f"{key} {value:>8.2f}" for key, value in figures.items()))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
