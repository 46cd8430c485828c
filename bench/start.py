"""From nothing to served: `python -m bench.start`. Seconds to ready, imported, crawled, stored, modelled and synced.

Starts the platform as a user does, on an empty folder, and follows its own websocket. At the end: `check`,
the resident memory, and how long SIGTERM under load takes.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from bench.api import first_crawl_served
from bench.proc import cpu_s, rss_mb
from tests.process import Status, platform, verb


async def bench(creators: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        settings = (f"world.creators={creators}",)
        began = time.perf_counter()
        async with platform(data, *settings) as running:
            result["ready_s"] = round(time.perf_counter() - began, 2)
            began = time.perf_counter()

            async def imported(status: Status) -> bool:
                return bool(status["first_crawl"])

            async def crawled(status: Status) -> bool:
                crawl = status["first_crawl"]
                return bool(crawl and crawl["done"] == crawl["total"] == 2 * creators)

            await running.until(imported, "the first crawl's jobs")
            result["imported_s"] = round(time.perf_counter() - began, 1)
            await running.until(crawled, "the first crawl")
            result["crawled_s"] = round(time.perf_counter() - began, 1)
            await first_crawl_served(running)
            result["served_s"] = round(time.perf_counter() - began, 1)
            result["cpu_s"] = round(cpu_s(running.process.pid), 1)
            result["rss_mb"] = round(rss_mb(running.process.pid))
            _, result["check"], _ = await verb("check", data, settings=settings)
            handles = [row["handle"] for row in (await running.world("/truth/INSTAGRAM?limit=50"))["data"]]
            async with trio.open_nursery() as nursery:
                for handle in handles:
                    path = f"/discovery-service/api/profile/INSTAGRAM/{handle}?force_refresh=true"
                    nursery.start_soon(running.api, "GET", path)
                await trio.sleep(0.2)
                began = time.perf_counter()
                result["sigterm_exit"] = await running.stop()
                result["sigterm_s"] = round(time.perf_counter() - began, 2)
        _, result["check_stopped"], _ = await verb("check", data, settings=settings)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--creators", type=int, default=1000, help="creators per platform")
    result = trio.run(bench, parser.parse_args().creators)
    for name, figure in result.items():
        print(f"{name:<16}{figure}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
