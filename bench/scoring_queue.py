"""How many followers a second go through the queue: `python -m bench.scoring_queue [--records N]`.

A platform with the roles of the path (scorer, relay, sinker), with one worker and with two, on the embedded queues and
on a private RabbitMQ where its programs are: `--records` followers (bench/scoring_stream.py), none twice, stand in the
outbox in frames of 100, as `fake_follower_push` leaves them. Timed from their commit until the last answer is a row of
ClickHouse, by the clock, and by the processor time of the platform's process and of its workers for each follower.
PostgreSQL's and the broker's own are not counted. The last line is JSON.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import trio

from bench.proc import cpu_s
from bench.scoring_stream import followers
from gcc.channels.message import FRAME_EVENTS_MAX, Frame, frames
from gcc.clock import SystemClock
from gcc.pipelines.events.routes import CREATOR_FOLLOWER_IN
from gcc.stores import outbox
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Pool
from tests.process import PlatformProcess, platform
from tests.services.child import Missing
from tests.services.rabbitmq import RabbitMQNode
from tests.torture.victim import workers_of

SETTINGS = ("world.enabled=false", 'roles=["scorer","relay","sinker"]', "demo=false", "web.dev_token=")
DONE_S = 600.0
LOOK_S = 0.5  # each look costs the platform some milliseconds


def asked(records: int, clock: SystemClock) -> Iterator[Frame]:
    lines = (
        msgspec.json.encode(
            {
                "profile_id": f"c{number % 7}",
                "follower_profile_id": str(number),
                "follower_handle": follower.handle,
                "follower_full_name": follower.full_name,
                "account": follower.account,
                "event_id": str(clock.new_id()),
            }
        )
        for number, follower in enumerate(followers(records))
    )
    return frames(CREATOR_FOLLOWER_IN, lines, clock.new_id)


async def stored(running: PlatformProcess) -> int:
    (sinker,) = (
        line for line in (await running.status())["actors"] if line["name"] == "events/sinker creator_follower_score"
    )
    return int(sinker.get("done", 0))


async def take(asked_for: list[Frame], workers: int) -> dict[str, float]:
    records = sum(frame.events for frame in asked_for)
    with tempfile.TemporaryDirectory(prefix="gcc-bench-queue-") as folder:
        os.chmod(folder, 0o755)  # PostgreSQL's user passes through
        data = Path(folder) / "data"
        async with platform(data, *SETTINGS, f"scorer.workers={workers}") as running:
            pool = Pool(EmbeddedPostgres(data, fsync=True).conninfo, 1, name="bench")
            await warm(pool, running, workers)
            main = running.process.pid
            before = cpu_s(main), sum(map(cpu_s, workers_of(main)))
            already = await stored(running)
            async with pool.transaction() as connection:
                await outbox.put(connection, asked_for)
            began = time.perf_counter()
            with trio.fail_after(DONE_S):
                while await stored(running) - already < records:  # noqa: ASYNC110 - it tells nobody
                    await trio.sleep(LOOK_S)
            took_s = time.perf_counter() - began
            spent = cpu_s(main) - before[0], sum(map(cpu_s, workers_of(main))) - before[1]
            await pool.aclose()
            assert await running.stop() == 0
    return {
        "per_s": round(records / took_s),
        "us_platform": round(spent[0] / records * 1e6, 1),
        "us_workers": round(spent[1] / records * 1e6, 1),
    }


async def warm(pool: Pool, running: PlatformProcess, workers: int) -> None:
    """Until every worker has started, and read its index."""
    clock, count = SystemClock(), 0
    with trio.fail_after(DONE_S):
        while len(workers_of(running.process.pid)) < workers or await stored(running) < count:
            async with pool.transaction() as connection:
                packed = list(asked(20 * FRAME_EVENTS_MAX, clock))
                await outbox.put(connection, packed)
            count += sum(frame.events for frame in packed)
            while await stored(running) < count:  # noqa: ASYNC110
                await trio.sleep(LOOK_S)


async def speed(records: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"records": records, "load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    asked_for = list(asked(records, SystemClock()))
    for workers in (1, 2):
        figures[f"embedded_{workers}"] = await take(asked_for, workers)
    try:
        node = RabbitMQNode()
    except Missing as missing:
        print(missing)
        return figures
    try:
        await node.start()
        for workers in (1, 2):
            os.environ["GCC_EXCHANGE__URL"] = node.vhosts.add()
            figures[f"rabbitmq_{workers}"] = await take(asked_for, workers)
    finally:
        os.environ.pop("GCC_EXCHANGE__URL", None)
        node.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    figures = trio.run(speed, parser.parse_args().records)
    for name, figure in figures.items():
        print(f"{name:>12} {figure}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
