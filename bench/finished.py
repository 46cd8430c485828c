"""What finished jobs cost those that are not: `python -m bench.finished`. A claim, the dashboard's counts, a start.

On an embedded PostgreSQL, each figure first with few jobs in the table and then with `--finished` of them, spread over
29 days. `claim` is one of 50 jobs, `end` the completion of one; `counts` is what the dashboard reads each second, and
its 95th percentile; `start` is a process's way to ready on that data folder. All in milliseconds, medians.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from gcc.channels.jobs import Crawl, NewJob, Room
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.pipelines.events.emit import StatusEvents
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.letters import PostgresLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.web.ops.counts import PlatformCounts
from tests.process import Status, platform

FLOW = "refresh_profile_by_handle"
CLAIMED_AT_ONCE, CLAIMS, READS, STARTS = 50, 20, 40, 3
FILLED_AT_ONCE = 500_000
SETTINGS = ("world.creators=20", "world.history_days=2", "scraper.poll_s=600")
FILL = """
insert into scrape_request_log (id, idempotency_key, platform, flow, params, status, attempt, created_at, due_at,
                                picked_at, scraped_at, expires_at, source, data, seq, events)
select gen_random_uuid(), case number %% 10 when 0 then 'first:' else 'refresh:' end || 'INSTAGRAM:' || number,
       'INSTAGRAM', case number %% 5 when 0 then 'refresh_yt_profiles' else 'refresh_profile_by_handle' end,
       jsonb_build_object('handle', 'creator.' || number),
       case when number %% 100 < 90 then 'COMPLETE' when number %% 100 < 98 then 'FAILED' else 'EXPIRED' end,
       1, ended, ended, ended, ended, ended + interval '1 day', 'graphapi',
       jsonb_build_object('code', 'SOURCE_FAILED', 'reason', 'filled by the bench'), 3, 16
from (select number, now() - number * interval '29 days' / %(total)s as ended
      from generate_series(%(first)s::bigint, %(last)s) as number) as each"""


@asynccontextmanager
async def database(data: Path) -> AsyncIterator[Pool]:
    server = EmbeddedPostgres(data, fsync=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        pool = Pool(server.conninfo, 4, name="bench")
        yield pool
        await pool.aclose()
        nursery.cancel_scope.cancel()


async def start_ms(data: Path) -> float:
    async def once() -> float:
        began = time.perf_counter()
        async with platform(data, *SETTINGS) as running:
            took = time.perf_counter() - began
            await running.stop()
        return took

    return statistics.median([await once() for _ in range(STARTS)]) * 1000


async def work_ms(pool: Pool) -> dict[str, float]:
    clock = SystemClock()
    jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=600, lost_max=9, outbox_written=Signal())
    claims: list[float] = []
    ends: list[float] = []
    await jobs.enqueue([NewJob(FLOW, "INSTAGRAM", {"handle": f"h{n}"}) for n in range(CLAIMS * CLAIMED_AT_ONCE)])
    for _ in range(CLAIMS):
        began = time.perf_counter()
        claimed = await jobs.claim({FLOW: Room(CLAIMED_AT_ONCE)})
        claims.append(time.perf_counter() - began)
        assert len(claimed) == CLAIMED_AT_ONCE
        for job in claimed:
            began = time.perf_counter()
            await jobs.complete(job, Crawl("graphapi"))
            ends.append(time.perf_counter() - began)
    return {"claim": statistics.median(claims) * 1000, "end": statistics.median(ends) * 1000}


async def counts_ms(pool: Pool, data: Path) -> dict[str, float]:
    objects = FolderObjects(data / "objects")
    letters = StoredDeadLetters(pool, objects, SystemClock())
    exchange = PostgresExchange(pool, letters, Signal(), held_bytes_max=Settings().exchange.held_bytes_max)
    counts = PlatformCounts(pool, exchange, PostgresLetters(pool, objects, Signal()))
    took: list[float] = []
    for _ in range(READS):
        began = time.perf_counter()
        await counts.read()
        took.append(time.perf_counter() - began)
    return {"counts": statistics.median(took) * 1000, "counts p95": sorted(took)[int(READS * 0.95)] * 1000}


async def measured(data: Path) -> dict[str, float]:
    started = await start_ms(data)
    async with database(data) as pool:
        return {**await work_ms(pool), **await counts_ms(pool, data), "start": started}


async def fill(data: Path, total: int) -> None:
    async with database(data) as pool, pool.connection() as conn:
        for first in range(1, total + 1, FILLED_AT_ONCE):
            last = min(first + FILLED_AT_ONCE - 1, total)
            await conn.execute(FILL, {"first": first, "last": last, "total": total})
        await conn.execute("vacuum (analyze) scrape_request_log")


async def bench(finished: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        async with platform(data, *SETTINGS) as running:

            async def crawled(status: Status) -> bool:
                crawl = status["first_crawl"]
                return bool(crawl and crawl["done"] == crawl["total"] == 40)

            await running.until(crawled, "the first crawl")
            await running.stop()
        few = await measured(data)
        await fill(data, finished)
        return {"few": few, f"{finished:,}": await measured(data)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=5_000_000, help="jobs that have ended")
    result = trio.run(bench, parser.parse_args().finished)
    few, many = result
    print(f"{'ms':<12}{few:>12}{many:>12}")
    for name in result[few]:
        print(f"{name:<12}{result[few][name]:>12.2f}{result[many][name]:>12.2f}")
    print(json.dumps({name: {key: round(ms, 2) for key, ms in figures.items()} for name, figures in result.items()}))


if __name__ == "__main__":
    main()
