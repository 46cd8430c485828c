"""Kill -9 under load, again and again: `python -m bench.kills --rounds 10`. Loses nothing, doubles nothing, or says so.

Each round starts the real process on the same folder, loads it (import, first crawl, forced refreshes), kills it at
a moment of its own, and counts. At the end the platform finishes its work and `check` counts once more.
"""

import argparse
import json
import os
import random
import signal
import tempfile
from pathlib import Path
from typing import Any

import trio

from bench.api import crawl_again, first_crawl_served
from tests.process import PlatformProcess, Status, platform, verb


async def load(running: PlatformProcess) -> None:
    rows = (await running.world("/truth/INSTAGRAM?limit=200"))["data"]
    handles = [row["handle"] for row in rows]
    async with trio.open_nursery() as nursery:
        for worker in range(4):
            nursery.start_soon(crawl_again, running, handles[worker::4])


async def bench(rounds: int, creators: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    reports: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        settings = (f"world.creators={creators}",)
        for number in range(1, rounds + 1):
            async with platform(data, *settings) as running, trio.open_nursery() as nursery:
                nursery.start_soon(load, running)
                await trio.sleep(rng.uniform(1, 12))
                nursery.cancel_scope.cancel()
                await running.stop(signal.SIGKILL)
            _, report, _ = await verb("check", data, settings=settings)
            reports.append(report)
            print(f"round {number:>2}: {report}", flush=True)
        async with platform(data, *settings) as running:
            await first_crawl_served(running)

            async def stored(status: Status) -> bool:
                busy = {"PENDING", "PROCESSING"} & set(status["jobs"])
                return not busy and status["stored_lag_s"] == 0

            await running.until(stored, "every event stored")
            await running.stop()
        _, last, _ = await verb("check", data, settings=settings)
    return {
        "rounds": rounds,
        "missing": sum(report["missing"] for report in [*reports, last]),
        "doubled": sum(report["doubled"] for report in [*reports, last]),
        "last": last,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--creators", type=int, default=300, help="creators per platform")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    arguments = parser.parse_args()
    print(json.dumps(trio.run(bench, arguments.rounds, arguments.creators, arguments.seed)))


if __name__ == "__main__":
    main()
