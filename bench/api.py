"""How fast the API answers on the running system, idle and while it crawls: `python -m bench.api`.

Starts the platform as a user does, on a folder of its own, waits until the first crawl is served, then asks
for profiles and 90-day series one after the other from one connection: idle, while PACED_PER_S profiles a second are
crawled again, and while eight callers force refreshes as fast as they are answered (saturated: the process has no
idle time left). Prints p50 and p99 in milliseconds, the CPU of the platform per request while idle, and the
process's resident memory.
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

from tests.process import PlatformProcess, Status, platform

PROFILES = "/discovery-service/api/profile"
PACED_PER_S = 10
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


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
        async with platform(Path(folder) / "data", f"world.creators={creators}") as running:
            await first_crawl_served(running)
            rows = (await running.world(f"/truth/INSTAGRAM?limit={creators}"))["data"]
            handles = [row["handle"] for row in rows]
            today = dt.datetime.now(dt.UTC).date()
            span = f"from={today - dt.timedelta(days=90)}&to={today}"

            async def profile(number: int) -> Any:
                return await running.api("GET", f"{PROFILES}/INSTAGRAM/{handles[number % len(handles)]}")

            async def series(number: int, metric: str = "followers") -> Any:
                handle = handles[number % len(handles)]
                return await running.api("GET", f"{PROFILES}/INSTAGRAM/{handle}/timeseries?metric={metric}&{span}")

            async def analytic(number: int) -> Any:
                return await series(number, "avg_likes")

            cases = {"profile": profile, "series": series, "series_clickhouse": analytic}
            result: dict[str, Any] = {}
            pid = running.process.pid
            for name, ask in cases.items():
                await timed(ask, 50)
                before = cpu_s(pid)
                result[f"{name} idle"] = await timed(ask, count)
                result[f"{name} idle"]["cpu_ms"] = round((cpu_s(pid) - before) * 1000 / count, 2)

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
    parser = argparse.ArgumentParser(description=__doc__)
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
